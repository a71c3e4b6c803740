"""One executor at a time, on a real PostgreSQL."""

import asyncio

import asyncpg
import pytest

from execution_service import claim
from execution_service.claim import sole_executor
from tests.conftest import TestDatabase
from tradekit.service.secret import Secret

pytestmark = pytest.mark.anyio


async def test_a_second_one_waits_until_the_first_is_gone(database: TestDatabase) -> None:
    url, order = database.roles["execution"], list[str]()

    async def second() -> None:
        async with sole_executor(url):
            order.append("second")

    async with sole_executor(url):
        waiting = asyncio.create_task(second())
        await asyncio.sleep(3 * claim.PAUSE_S)  # it asks several times meanwhile
        order.append("first")
    async with asyncio.timeout(3):
        await waiting

    assert order == ["first", "second"]


async def test_a_session_that_ends_is_a_claim_that_is_lost(database: TestDatabase) -> None:
    async with sole_executor(database.roles["execution"]) as lost:
        connection = await asyncpg.connect(database.admin.reveal())
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'tradingbot_execution' AND datname = current_database()"
        )
        await connection.close()

        async with asyncio.timeout(2):
            await lost.wait()


async def test_a_session_that_is_cut_off_without_a_word_is_noticed(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in between stops passing anything on and keeps both connections open."""
    monkeypatch.setattr(claim, "BEAT_S", 0.1)
    monkeypatch.setattr(claim, "BEAT_TIMEOUT_S", 0.5)
    passing = asyncio.Event()
    passing.set()
    url, target = _proxied(database.roles["execution"])
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await passing.wait()
                writer.write(data)
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*target)
        pumps.add(asyncio.create_task(pump(reader, there_writer)))
        pumps.add(asyncio.create_task(pump(there_reader, writer)))

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    async with sole_executor(Secret(url.format(port=port))) as lost:
        passing.clear()

        async with asyncio.timeout(3):
            await lost.wait()
    for task in pumps:
        task.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
    proxy.close()


def _proxied(url: Secret) -> tuple[str, tuple[str, int]]:
    """The URL with a place for another port, and where it leads."""
    head, _, tail = url.reveal().rpartition("@")
    place, _, database = tail.partition("/")
    host, _, port = place.partition(":")
    return f"{head}@127.0.0.1:{{port}}/{database}", (host, int(port))


async def test_a_wrong_password_is_told_at_once(database: TestDatabase) -> None:
    head, _, tail = database.roles["execution"].reveal().rpartition("@")
    wrong = Secret(f"{head.rpartition(':')[0]}:wrong@{tail}")

    with pytest.raises(asyncpg.InvalidPasswordError):
        async with asyncio.timeout(5), sole_executor(wrong):
            pass


async def test_a_database_that_is_away_is_waited_for(unused_port: int) -> None:
    url = Secret(f"postgresql://user:password@127.0.0.1:{unused_port}/nothing")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1), sole_executor(url):
            pass


@pytest.fixture
async def unused_port() -> int:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    return port
