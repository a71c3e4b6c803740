"""`python -m strategy_service`: starts from its environment, ends on SIGTERM, leaves no process behind."""

import asyncio
import os
import select
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conftest import TestDatabase
from tests.strategy_service.calls import requests_of, run_backtest
from tests.strategy_service.conftest import random_columns
from tradekit.service.channel import TlsFiles, dial
from tradingbot.strategy.v1 import strategy_pb2_grpc

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def process(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "strategy_service",
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


def environment_of(database: TestDatabase, tls: TlsFiles, folder: Path, *, port: int) -> dict[str, str]:
    url = folder / "database-url"
    url.write_text(database.roles["strategy"].reveal() + "\n")
    return {
        "DATABASE_URL_FILE": str(url),
        "LISTEN_ADDRESS": f"127.0.0.1:{port}",
        "ADMIN_ADDRESS": "127.0.0.1:0",
        "TLS_CA_FILE": str(tls.authority),
        "TLS_CERT_FILE": str(tls.certificate),
        "TLS_KEY_FILE": str(tls.key),
    }


async def started_line(running: asyncio.subprocess.Process) -> str:
    assert running.stderr is not None
    while line := (await running.stderr.readline()).decode():
        if '"strategy.started"' in line:
            return line
    raise AssertionError("the service ended before it had started")


def children_of(pid: int) -> list[int]:
    """Handles of the child processes."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= {int(child) for child in (task / "children").read_text().split()}
    return [os.pidfd_open(child) for child in found]


def wait_until_gone(handles: list[int]) -> None:
    """Returns when the processes of these handles have ended."""
    for handle in handles:
        assert select.select([handle], [], [], 15)[0], "a child outlived the service"
        os.close(handle)


async def test_it_serves_and_ends_when_asked(
    database: TestDatabase, tls: Callable[[str], TlsFiles], tmp_path: Path
) -> None:
    port = free_port()
    async with process(environment_of(database, tls("strategy"), tmp_path, port=port)) as running:
        line = await started_line(running)
        async with dial(f"127.0.0.1:{port}", service="strategy", tls=tls("gateway")) as channel:
            stub = strategy_pb2_grpc.StrategyServiceStub(channel)
            made = await run_backtest(stub, requests_of(random_columns(200, 1)))
        children = children_of(running.pid)
        running.send_signal(signal.SIGTERM)
        assert await running.wait() == 0
        await asyncio.to_thread(wait_until_gone, children)
    assert made.bar_count == 200
    assert children
    assert database.roles["strategy"].reveal() not in line


async def test_killed_it_leaves_no_child(
    database: TestDatabase, tls: Callable[[str], TlsFiles], tmp_path: Path
) -> None:
    port = free_port()
    async with process(environment_of(database, tls("strategy"), tmp_path, port=port)) as running:
        await started_line(running)
        async with dial(f"127.0.0.1:{port}", service="strategy", tls=tls("gateway")) as channel:
            stub = strategy_pb2_grpc.StrategyServiceStub(channel)
            await run_backtest(stub, requests_of(random_columns(200, 1)))
        children = children_of(running.pid)
        running.kill()
        await running.wait()
        await asyncio.to_thread(wait_until_gone, children)
    assert children


async def test_missing_settings_are_named_all_at_once() -> None:
    async with process({}) as running:
        _, errors = await running.communicate()
        assert running.returncode == 2
    for name in ("DATABASE_URL", "TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE"):
        assert f"{name} (or {name}_FILE) is not set" in errors.decode()


async def test_healthz_says_whether_the_database_answers(
    database: TestDatabase, tls: Callable[[str], TlsFiles]
) -> None:
    from strategy_service.__main__ import serve
    from strategy_service.config import Settings
    from tradekit.service.secret import Secret

    async def healthz(address: str) -> bytes:
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    for url, status in (
        (database.roles["strategy"], b"200"),
        (Secret("postgresql://a:b@127.0.0.1:1/x"), b"503"),
    ):
        settings = Settings(url, "localhost:0", "127.0.0.1:0", tls("strategy"))
        async with serve(settings) as addresses:
            assert (await healthz(addresses.admin)).split()[1] == status
