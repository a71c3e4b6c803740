"""The proxy, with something behind it that says what it was sent."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from cli.ports import free_port
from tests.deploy.compose_file import PUBLIC_URL
from tests.deploy.nginx import HOST, Proxy, needs_nginx, running_proxy

pytestmark = [pytest.mark.anyio, needs_nginx]

WEBHOOK = "/api/v1/webhook/tradingview"


class Behind:
    """Stands in the gateway's place; says what arrived there."""

    def __init__(self) -> None:
        self.port = free_port("127.0.0.1")
        self.arrived: list[str] = []
        self._stopped = asyncio.Event()
        app = web.Application(client_max_size=1024 * 1024)
        app.router.add_route("*", "/hang-up", self._hang_up)
        app.router.add_route("*", "/api/v1/stream", self._stream)
        app.router.add_route("*", "/{path:.*}", self._tell)
        self._runner = web.AppRunner(app)

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        self._stopped.set()
        await self._runner.cleanup()

    async def _tell(self, request: web.Request) -> web.Response:
        self.arrived.append(request.path)
        body = await request.read()
        headers = {name: request.headers.getall(name) for name in set(request.headers)}
        return web.json_response(
            {"method": request.method, "path": request.path_qs, "headers": headers, "size": len(body)},
            headers={"X-Request-Id": "of-the-gateway"},
        )

    async def _hang_up(self, request: web.Request) -> web.Response:
        self.arrived.append(request.path)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Sends one event and leaves the answer open."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await self._stopped.wait()
        return response


@pytest.fixture
async def behind() -> AsyncIterator[Behind]:
    server = Behind()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def proxy(behind: Behind, tmp_path: Path, made_secrets: Path) -> Iterator[Proxy]:
    with running_proxy(
        tmp_path, gateway=f"127.0.0.1:{behind.port}", public_tls=made_secrets / "public-tls"
    ) as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as opened:
        yield opened


async def test_a_request_arrives_as_it_was_sent(proxy: Proxy, session: aiohttp.ClientSession) -> None:
    async with proxy.request(session, "POST", f"{WEBHOOK}?a=1", data=b"x" * 65_000) as response:
        told = await response.json()

    assert response.status == 200
    assert (told["method"], told["path"], told["size"]) == ("POST", f"{WEBHOOK}?a=1", 65_000)
    assert told["headers"]["Host"] == [HOST]


async def test_T14_what_a_client_says_of_its_address_is_thrown_away(
    proxy: Proxy, session: aiohttp.ClientSession
) -> None:
    headers = {"X-Forwarded-For": "52.89.214.238"}
    async with proxy.request(session, "GET", "/", headers=headers) as response:
        told = await response.json()

    assert told["headers"]["X-Forwarded-For"] == ["127.0.0.1"]


async def test_plain_http_is_sent_to_https(proxy: Proxy, session: aiohttp.ClientSession) -> None:
    url = f"http://127.0.0.1:{proxy.plain_port}{WEBHOOK}?x=1"
    async with session.post(url, data=b"{}", headers={"Host": HOST}, allow_redirects=False) as response:
        assert response.status == 308
        assert response.headers["Location"] == f"{PUBLIC_URL}{WEBHOOK}?x=1"


async def test_B06_a_body_far_too_large_is_explained(
    proxy: Proxy, behind: Behind, session: aiohttp.ClientSession
) -> None:
    async with proxy.request(session, "POST", WEBHOOK, data=b"x" * 200_000) as response:
        problem = await response.json(content_type="application/problem+json")

    assert (response.status, problem["status"], problem["code"]) == (413, 413, "payload_too_large")
    assert problem["request_id"]
    assert behind.arrived == []


async def test_a_gateway_that_is_down_is_answered_503_so_that_tradingview_repeats(
    proxy: Proxy, behind: Behind, session: aiohttp.ClientSession
) -> None:
    await behind.stop()

    async with proxy.request(session, "POST", WEBHOOK, data=b"{}") as response:
        problem = await response.json(content_type="application/problem+json")

    assert (response.status, problem["code"]) == (503, "gateway_unavailable")
    assert response.headers["Retry-After"] == "5"


async def test_R2_a_request_whose_answer_was_lost_is_not_sent_again(
    proxy: Proxy, behind: Behind, session: aiohttp.ClientSession
) -> None:
    async with proxy.request(session, "POST", "/hang-up", data=b"{}") as response:
        assert response.status == 503

    assert behind.arrived == ["/hang-up"]


async def test_T16_one_address_does_not_get_everything(proxy: Proxy, session: aiohttp.ClientSession) -> None:
    async def ask() -> tuple[int, str]:
        async with proxy.request(session, "GET", "/") as response:
            return response.status, response.headers.get("Retry-After", "")

    answers: Counter[tuple[int, str]] = Counter()
    for _ in range(5):
        answers.update(await asyncio.gather(*(ask() for _ in range(80))))

    assert set(answers) == {(200, ""), (429, "1")}
    assert answers[200, ""] >= 200


async def test_events_are_passed_on_at_once(proxy: Proxy, session: aiohttp.ClientSession) -> None:
    async with proxy.request(session, "GET", "/api/v1/stream") as response:
        async with asyncio.timeout(5):
            assert await response.content.readline() == b"data: 1\n"


async def test_R5_a_query_is_in_no_log(proxy: Proxy, session: aiohttp.ClientSession) -> None:
    async with proxy.request(session, "GET", "/somewhere?token=canary-of-a-token") as response:
        await response.read()
    async with proxy.request(session, "POST", "/hang-up?token=canary-of-a-token", data=b"x") as response:
        await response.read()

    logged = proxy.access_log.read_text()
    first, second = (json.loads(line) for line in logged.splitlines())
    assert (first["path"], first["status"], first["request_id"]) == ("/somewhere", "200", "of-the-gateway")
    assert (second["path"], second["status"]) == ("/hang-up", "503")
    assert "canary" not in logged + proxy.error_log.read_text()


async def test_a_challenge_of_a_certificate_authority_is_answered(
    proxy: Proxy, session: aiohttp.ClientSession
) -> None:
    folder = proxy.certificate.parent / "acme" / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    (folder / "token").write_text("answer")

    async with proxy.request(session, "GET", "/.well-known/acme-challenge/token") as response:
        assert await response.text() == "answer"
    async with proxy.request(session, "GET", "/.well-known/acme-challenge/../../../tls.key") as response:
        assert "PRIVATE KEY" not in await response.text()
