"""The admin port: what a probe, a scraper and somebody who speaks no HTTP get from it."""

import asyncio

import httpx
import pytest
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from tradekit.service.admin import admin_server, host_and_port
from tradekit.service.config import ConfigurationError

pytestmark = pytest.mark.anyio

ANY_PORT = "127.0.0.1:0"
CALLS = Counter("admin_test_calls", "What this test counts.")


async def well() -> str | None:
    return None


async def ill() -> str | None:
    return "the database does not answer"


async def broken() -> str | None:
    raise RuntimeError("canary-19d2")


async def test_healthz_of_a_process_that_can_work() -> None:
    async with admin_server(ANY_PORT, well) as address, httpx.AsyncClient() as http:
        answer = await http.get(f"http://{address}/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")


async def test_healthz_says_what_is_wrong() -> None:
    async with admin_server(ANY_PORT, ill) as address, httpx.AsyncClient() as http:
        answer = await http.get(f"http://{address}/healthz")
    assert (answer.status_code, answer.text) == (503, "the database does not answer\n")


async def test_a_check_that_breaks_is_no_good_sign(caplog: pytest.LogCaptureFixture) -> None:
    async with admin_server(ANY_PORT, broken) as address, httpx.AsyncClient() as http:
        answer = await http.get(f"http://{address}/healthz")
    assert answer.status_code == 503
    assert "RuntimeError" in answer.text
    assert "canary-19d2" not in answer.text
    assert [record.message for record in caplog.records if record.exc_info] == ["probe.failed"]


async def test_metrics_are_what_prometheus_reads() -> None:
    CALLS.inc(3)
    async with admin_server(ANY_PORT, well) as address, httpx.AsyncClient() as http:
        answer = await http.get(f"http://{address}/metrics")
    assert answer.status_code == 200
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["admin_test_calls"].samples[0].value == 3


@pytest.mark.parametrize("path", ["/", "/healthz/", "/metrics2", "/../etc/passwd"])
async def test_there_is_nothing_else(path: str) -> None:
    async with admin_server(ANY_PORT, well) as address, httpx.AsyncClient() as http:
        assert (await http.get(f"http://{address}{path}")).status_code == 404


@pytest.mark.parametrize(
    "sent", [b"", b"\n", b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"x" * 20_000]
)
async def test_who_speaks_no_http_harms_nobody(sent: bytes) -> None:
    async with admin_server(ANY_PORT, well) as address, httpx.AsyncClient() as http:
        reader, writer = await asyncio.open_connection(*host_and_port(address))
        writer.write(sent)
        writer.write_eof()
        answer = await _read_to_the_end(reader)
        writer.close()
        assert answer == b"" or b"404" in answer.splitlines()[0]
        assert (await http.get(f"http://{address}/healthz")).status_code == 200


async def _read_to_the_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65_535)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert host_and_port(text) == address


@pytest.mark.parametrize(
    "text", ["", ":80", "localhost", "localhost:", "localhost:x", "h:-1", "h:65536", "h:²", "h:١"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigurationError, match="host:port is wanted"):
        host_and_port(text)
