"""The gRPC server and channel together, over real mTLS on loopback."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cli.certificates import CertificateAuthority
from tests.tradekit.service.echo_service import SERVICE, EchoClient, client, served
from tradekit.service import log as service_log
from tradekit.service.channel import TlsFiles, call, dial
from tradekit.service.clock import UtcClock
from tradekit.service.config import Environment
from tradekit.service.errors import (
    DeadlineExceeded,
    Internal,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)

pytestmark = pytest.mark.anyio

Tls = Callable[[str], TlsFiles]
MIB = 1024 * 1024


class LongAgo:
    """The clock of an authority that issued its certificates a year ago."""

    def now(self) -> datetime:
        return datetime.now(UTC) - timedelta(days=365)


async def refused(address: str, tls: TlsFiles, *, service: str = "vault") -> None:
    """Fails unless no call gets through."""
    async with client(address, tls, service=service) as echo:
        with pytest.raises(Unavailable):
            await echo.unary("x")


async def test_a_caller_that_is_listed_is_served(tls: Tls) -> None:
    async with served(tls("vault")) as address, client(address, tls("gateway")) as echo:
        assert await echo.unary("hello") == "hello"
        assert await echo.stream("a b c") == ["a", "b", "c"]
        assert await echo.upload("a", "b") == "a b"


async def test_T07_B55_no_certificate(tls: Tls) -> None:
    credentials = grpc.ssl_channel_credentials(tls("gateway").authority.read_bytes())
    options = (("grpc.ssl_target_name_override", "vault"),)
    async with (
        served(tls("vault")) as address,
        grpc.aio.secure_channel(address, credentials, options) as channel,
    ):
        with pytest.raises(Unavailable):
            await EchoClient(channel).unary("x")


async def test_T07_B55_no_tls_at_all(tls: Tls) -> None:
    async with served(tls("vault")) as address, grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(Unavailable):
            await EchoClient(channel).unary("x")


async def test_T07_B55_certificate_of_a_foreign_authority(tls: Tls, tmp_path: Path) -> None:
    foreign = CertificateAuthority(tmp_path, UtcClock()).files("gateway")
    mixed = TlsFiles(authority=tls("vault").authority, certificate=foreign.certificate, key=foreign.key)
    async with served(tls("vault")) as address:
        await refused(address, mixed)


async def test_T07_expired_certificate_of_a_caller(tmp_path: Path) -> None:
    expired = CertificateAuthority(tmp_path, LongAgo()).files("gateway")
    good = CertificateAuthority(tmp_path, UtcClock()).files("vault")
    async with served(good) as address:
        await refused(address, expired)


async def test_T07_expired_certificate_of_a_service(tmp_path: Path) -> None:
    expired = CertificateAuthority(tmp_path, LongAgo()).files("vault")
    good = CertificateAuthority(tmp_path, UtcClock()).files("gateway")
    async with served(expired) as address:
        await refused(address, good)


async def test_T07_a_service_that_is_another_is_not_called(tls: Tls) -> None:
    """Execution at the vault's address shows a good certificate of ours, but not the vault's."""
    async with served(tls("execution")) as address:
        await refused(address, tls("gateway"), service="vault")


@pytest.mark.parametrize("caller", ["execution", "strategy", "vault", "stranger"])
async def test_T07_B56_a_caller_that_is_not_listed_is_told_so_and_reported(tls: Tls, caller: str) -> None:
    reported: list[tuple[str, str]] = []
    called: list[str] = []

    async def note(who: str, method: str) -> None:
        reported.append((who, method))

    async def behaviour(text: str) -> str:
        called.append(text)
        return text

    async with (
        served(tls("vault"), behaviour, on_refused=note) as address,
        client(address, tls(caller)) as echo,
    ):
        for attempt in (echo.unary("x"), echo.upload("x")):
            with pytest.raises(PermissionDenied) as raised:
                await attempt
            assert raised.value.reason == "CALLER_NOT_ALLOWED"
        with pytest.raises(grpc.aio.AioRpcError) as stream_refused:
            await echo.stream("x")
        assert stream_refused.value.code() is grpc.StatusCode.PERMISSION_DENIED

    assert raised.value.metadata == {"caller": caller, "method": f"/{SERVICE}/Upload"}
    assert reported == [(caller, f"/{SERVICE}/{method}") for method in ("Unary", "Upload", "Stream")]
    assert called == []


async def test_T09_a_refusal_that_cannot_be_reported_is_still_a_refusal(tls: Tls) -> None:
    async def broken(_who: str, _method: str) -> None:
        raise OSError("the audit is full")

    async with served(tls("vault"), on_refused=broken) as address, client(address, tls("strategy")) as echo:
        with pytest.raises(Internal):
            await echo.unary("x")


async def test_B58_a_message_over_1_mib_is_refused_by_the_server(tls: Tls) -> None:
    """Also when the caller's own limit lets it out."""
    files = tls("gateway")
    credentials = grpc.ssl_channel_credentials(
        files.authority.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
    )
    options = (("grpc.ssl_target_name_override", "vault"),)
    async with (
        served(tls("vault")) as address,
        grpc.aio.secure_channel(address, credentials, options) as channel,
    ):
        with pytest.raises(ResourceExhausted):
            await EchoClient(channel).unary("x" * (MIB + 1))
        assert len(await EchoClient(channel).unary("x" * (MIB - 100))) == MIB - 100


async def test_B58_a_message_over_1_mib_is_not_sent(tls: Tls) -> None:
    async with served(tls("vault")) as address, client(address, tls("gateway")) as echo:
        with pytest.raises(ResourceExhausted) as raised:
            await echo.unary("x" * (MIB + 1))
        assert raised.value.reason == "RESOURCE_EXHAUSTED"


async def test_the_requests_id_travels(tls: Tls) -> None:
    async def tell(_text: str) -> str:
        return service_log.request_id.get()

    async with served(tls("vault"), tell) as address, client(address, tls("gateway")) as echo:
        token = service_log.request_id.set("r-1")
        try:
            assert await echo.unary("x") == "r-1"
            assert await echo.stream("x") == ["r-1"]
        finally:
            service_log.request_id.reset(token)
        first, second = await echo.unary("x"), await echo.unary("x")
        assert len(first) == len(second) == 32
        assert first != second


async def test_R5_an_error_that_nobody_foresaw_keeps_its_details(
    tls: Tls, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_text: str) -> str:
        raise RuntimeError("canary-71c3")

    async with served(tls("vault"), fail) as address, client(address, tls("gateway")) as echo:
        for attempt in (echo.unary("x"), echo.upload("x")):
            with pytest.raises(Internal) as raised:
                await attempt
            assert (raised.value.reason, raised.value.metadata) == ("INTERNAL", {})
            assert "canary-71c3" not in raised.value.message
        with pytest.raises(grpc.aio.AioRpcError) as stream_failed:
            await echo.stream("x")
        assert "canary-71c3" not in repr(stream_failed.value)
    assert [record.message for record in caplog.records if record.exc_info] == ["call.failed"] * 3


async def test_an_error_of_ours_arrives_whole_from_every_kind_of_call(tls: Tls) -> None:
    async def refuse(text: str) -> str:
        raise NotFound("ACCOUNT_NOT_FOUND", "계정이 없습니다\n100 % sure", {"account_id": text})

    async with served(tls("vault"), refuse) as address, client(address, tls("gateway")) as echo:
        for attempt in (echo.unary("a-1"), echo.upload("a-1")):
            with pytest.raises(NotFound) as raised:
                await attempt
            error = raised.value
            assert error.reason == "ACCOUNT_NOT_FOUND"
            assert error.message == "계정이 없습니다\n100 % sure"
            assert error.metadata == {"account_id": "a-1"}


async def test_a_call_without_an_answer_ends_at_its_deadline(tls: Tls) -> None:
    never = asyncio.Event()

    async def wait(text: str) -> str:
        await never.wait()
        return text

    async with served(tls("vault"), wait) as address, client(address, tls("gateway")) as echo:
        with pytest.raises(DeadlineExceeded):
            await echo.unary("x", timeout=0.1)


async def test_a_method_that_does_not_exist_is_an_error_of_ours(tls: Tls) -> None:
    async with served(tls("vault")) as address, client(address, tls("gateway")) as echo:
        with pytest.raises(ServiceError) as raised:
            await echo.unary("x", method="Nothing")
        assert raised.value.reason == "UNIMPLEMENTED"


async def test_nobody_there_is_unavailable(tls: Tls) -> None:
    async with served(tls("vault")) as address:
        pass
    async with client(address, tls("gateway")) as echo:
        with pytest.raises(Unavailable):
            await echo.unary("x")


async def test_F52_a_stop_finishes_what_is_open_and_takes_no_more(tls: Tls) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(text: str) -> str:
        begun.set()
        await go_on.wait()
        return text

    server = served(tls("vault"), slow)
    address = await server.__aenter__()
    async with client(address, tls("gateway")) as echo:
        open_call = asyncio.create_task(echo.unary("finished"))
        await begun.wait()
        stop = asyncio.create_task(server.__aexit__(None, None, None))
        await _port_closed(address)
        async with client(address, tls("gateway")) as late:
            with pytest.raises(Unavailable):
                await late.unary("late")
        assert not stop.done()
        go_on.set()
        assert await open_call == "finished"
        await stop


async def _port_closed(address: str) -> None:
    host, _, port = address.rpartition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionError:
            return
        writer.close()
        await writer.wait_closed()


async def test_a_service_that_was_restarted_is_found_again_by_the_same_channel(tls: Tls) -> None:
    async with AsyncExitStack() as connections:
        async with served(tls("vault")) as address:
            echo = await connections.enter_async_context(client(address, tls("gateway")))
            assert await echo.unary("before") == "before"
        with pytest.raises(Unavailable):
            await echo.unary("between")
        async with served(tls("vault"), address=address), asyncio.timeout(3):
            assert await _when_there(echo) == "after"


async def _when_there(echo: EchoClient) -> str:
    while True:
        try:
            return await echo.unary("after")
        except Unavailable:
            await asyncio.sleep(0)


async def test_health_answers_every_identity_of_ours(tls: Tls) -> None:
    async with (
        served(tls("vault")) as address,
        dial(address, service="vault", tls=tls("strategy")) as channel,
    ):
        request = health_pb2.HealthCheckRequest(service="")
        answer = await call(health_pb2_grpc.HealthStub(channel).Check(request, timeout=5))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_files_come_from_the_environment() -> None:
    env = Environment({"TLS_CA_FILE": "/t/ca.crt", "TLS_CERT_FILE": "/t/x.crt", "TLS_KEY_FILE": "/t/x.key"})
    files = TlsFiles.from_environment(env)
    assert (files.authority, files.certificate, files.key) == (
        Path("/t/ca.crt"),
        Path("/t/x.crt"),
        Path("/t/x.key"),
    )


_UNTIL_STOPPED = """
import asyncio, sys
from tradekit.service.server import until_stopped
async def main():
    waiting = asyncio.ensure_future(until_stopped())
    await asyncio.sleep(0)
    print("ready", flush=True)
    await waiting
    print("stopped", flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_F52_a_signal_ends_the_wait_and_the_process_in_order(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _UNTIL_STOPPED, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    os.kill(process.pid, number)
    assert await process.stdout.read() == b"stopped\n"
    assert await process.wait() == 0
