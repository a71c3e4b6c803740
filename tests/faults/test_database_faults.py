"""PostgreSQL goes away in the middle: nothing is lost, nothing is doubled, and the work goes on by itself.

A server of its own for each test, which is stopped and started; vault, execution and paper exchange are
processes, started again when they end, as the supervisor does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest

from cli.postgres import EmbeddedPostgres
from tests.conftest import ROLE_PASSWORDS, TestDatabase
from tests.faults.test_crashes import Processes, Service, running_processes
from tests.system import until
from tradekit.service.channel import TlsFiles
from tradekit.service.migrations import prepare, role_of, upgrade
from tradekit.service.secret import Secret
from tradingbot.execution.v1 import execution_pb2 as pb

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

LEVELS: dict[str, Any] = {"stop_loss": "2%", "take_profit": "4%"}
ORDER = {"method": "POST", "path": "/fapi/v1/order"}
ALGO = {"method": "POST", "path": "/fapi/v1/algoOrder"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL server that belongs to the test."""
    server = EmbeddedPostgres(tmp_path / "postgres", password=Secret("administrator-password"), fsync=False)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def processes(
    server: EmbeddedPostgres, tls: Callable[[str], TlsFiles], tmp_path: Path
) -> AsyncIterator[Processes]:
    await server.create_database("tradingbot")
    url = server.url(database="tradingbot")
    await prepare(url, ROLE_PASSWORDS)
    await upgrade(url)
    database = TestDatabase(
        admin=url,
        roles={
            service: server.url(role_of(service), password=password, database="tradingbot")
            for service, password in ROLE_PASSWORDS.items()
        },
    )
    async with running_processes(database, tls, tmp_path) as running:
        yield running


@asynccontextmanager
async def kept_running(*services: Service) -> AsyncIterator[list[int]]:
    """Starts a service again when it ends; yields the exit codes as they come."""
    codes: list[int] = []

    async def keep(service: Service) -> None:
        while True:
            assert service.process is not None
            codes.append(await service.process.wait())
            await service.start()

    keepers = [asyncio.create_task(keep(service)) for service in services]
    try:
        yield codes
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)


async def send(processes: Processes, action: str = "long", *, key: str, timeout: float = 20) -> Any:
    """Sends an alert; returns the response, or the status code that the caller got."""
    request = processes.trader.request(action, key=key, **LEVELS)
    try:
        return await processes.trader.execution.ExecuteSignal(request, timeout=timeout)
    except grpc.aio.AioRpcError as error:
        return error.code()


async def protected_once(processes: Processes) -> None:
    trader = processes.trader
    assert len(await trader.paper.orders("order", side="BUY")) == 1
    assert len(await trader.paper.positions()) == 1
    resting = await trader.paper.orders("algo", status="NEW")
    assert sorted(order["type"] for order in resting) == ["STOP_MARKET", "TAKE_PROFIT_MARKET"]


async def is_protected(processes: Processes) -> bool:
    return bool(await processes.trader.paper.orders("algo", type="STOP_MARKET", status="NEW"))


async def all_final(processes: Processes) -> bool:
    try:
        signals = await processes.trader.signals()
    except Exception:
        return False  # not back yet
    return bool(signals) and all(signal.state >= pb.SIGNAL_STATE_DONE for signal in signals)


async def test_F16_an_alert_without_a_database_is_not_taken_and_its_repeat_is_executed_once(
    processes: Processes, server: EmbeddedPostgres
) -> None:
    async with kept_running(processes.execution) as codes:
        await server.stop()
        answer = await send(processes, key="id:bar-1", timeout=2.5)
        assert await processes.trader.paper.orders() == []
        await server.start()
        await processes.ready()

        repeated = await until(lambda: _taken(processes, "id:bar-1"))

    assert answer in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert repeated is not None
    assert repeated.signal.state == pb.SIGNAL_STATE_DONE
    assert set(codes) <= {1}  # it ended with its claim, as a failure that the supervisor mends
    await protected_once(processes)


async def _taken(processes: Processes, key: str) -> pb.ExecuteSignalResponse | None:
    answer = await send(processes, key=key)
    return answer if isinstance(answer, pb.ExecuteSignalResponse) else None


async def test_F17_the_database_goes_away_between_the_order_and_its_result(
    processes: Processes, server: EmbeddedPostgres
) -> None:
    trader = processes.trader
    async with kept_running(processes.execution):
        await trader.paper.fault("delay", delay_s=2, when="after", **ORDER)
        sending = asyncio.create_task(send(processes, key="id:bar-1"))
        await until(lambda: trader.paper.orders("order"))
        await server.stop()
        await server.start()

        await until(lambda: is_protected(processes), seconds=12)
        await until(lambda: all_final(processes), seconds=20)

    (entry,) = await trader.paper.orders("order")
    (stop,) = await trader.paper.orders("algo", type="STOP_MARKET", status="NEW")
    assert stop["arrival_time"] - entry["arrival_time"] < 10_000
    await protected_once(processes)
    sending.cancel()


async def test_F17_no_entry_is_sent_while_its_intent_cannot_be_written(
    processes: Processes, server: EmbeddedPostgres
) -> None:
    """The leverage call holds the signal until the database is gone."""
    trader = processes.trader
    async with kept_running(processes.execution):
        await trader.paper.fault("delay", delay_s=1.5, when="after", path="/fapi/v1/leverage")
        request = trader.request("long", key="id:bar-1", leverage=7, **LEVELS)
        sending = asyncio.ensure_future(trader.execution.ExecuteSignal(request, timeout=20))
        await until(lambda: _asked(processes, "/fapi/v1/positionRisk", "/fapi/v1/symbolConfig"))
        await until(lambda: _has_leg(processes, "leverage"))
        await server.stop()
        await asyncio.sleep(2.5)  # as long as the call takes, and more: nothing may happen meanwhile
        assert await trader.paper.orders() == []
        await server.start()

        await until(lambda: all_final(processes), seconds=30)

    await protected_once(processes)
    with contextlib.suppress(grpc.aio.AioRpcError):
        await sending


async def _asked(processes: Processes, *paths: str) -> bool:
    asked = {request["path"] for request in await processes.trader.paper.requests()}
    return bool(asked & set(paths))


async def _has_leg(processes: Processes, kind: str) -> bool:
    return kind in await processes.leg_states()


async def test_F17_open_positions_keep_their_stops(processes: Processes, server: EmbeddedPostgres) -> None:
    await send(processes, key="id:bar-1")
    async with kept_running(processes.execution):
        await server.stop()
        await processes.trader.paper.price("48900")
        assert await processes.trader.paper.positions() == []  # the exchange itself has closed it
        await server.start()

        await until(lambda: _nothing_rests(processes), seconds=20)


async def _nothing_rests(processes: Processes) -> bool:
    return await processes.trader.paper.orders(status="NEW") == []


async def test_F18_after_a_restart_of_the_database_alerts_are_taken_again_at_once(
    processes: Processes, server: EmbeddedPostgres
) -> None:
    await send(processes, key="id:bar-1")
    async with kept_running(processes.execution):
        await server.stop()
        await server.start()
        started = asyncio.get_running_loop().time()
        answer = await until(lambda: _taken(processes, "id:bar-2"), seconds=10)
        waited = asyncio.get_running_loop().time() - started

    assert answer is not None
    assert answer.signal.state == pb.SIGNAL_STATE_DONE
    assert waited < 8  # a new process on a busy machine; the pools of the others heal in the meantime
    assert len(await processes.trader.paper.orders("order", side="BUY")) == 2


async def test_a_process_that_loses_its_claim_ends_and_the_next_one_takes_over(
    processes: Processes, server: EmbeddedPostgres
) -> None:
    """Its session is ended from outside while it holds a signal; the next process finishes it, once."""
    trader = processes.trader
    await trader.paper.fault("delay", delay_s=2, when="after", **ORDER)
    sending = asyncio.create_task(send(processes, key="id:bar-1"))
    await until(lambda: trader.paper.orders("order"))
    first = processes.execution.process
    assert first is not None

    await _end_the_claims_session(server)
    async with asyncio.timeout(3):
        code = await first.wait()
    await processes.execution.start()
    await processes.ready()

    assert code == 1
    await until(lambda: all_final(processes), seconds=20)
    await protected_once(processes)
    sending.cancel()


async def _end_the_claims_session(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.url(database="tradingbot").reveal())
    try:
        ended = await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND pid IN (SELECT pid FROM pg_stat_activity WHERE usename = 'tradingbot_execution')"
        )
        assert len(ended) == 1
    finally:
        await connection.close()


async def test_F52_a_stop_under_load_loses_nothing(processes: Processes) -> None:
    """SIGTERM with signals under way and a stream open: exit 0; the next process finishes the rest."""
    trader = processes.trader
    await send(processes, "close_all", key="id:first")
    stream = trader.execution.WatchEvents(pb.WatchEventsRequest(), timeout=60)
    await anext(aiter(stream))
    await trader.paper.fault("delay", delay_s=1, when="after", count=3, **ORDER)
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    sending = [
        asyncio.ensure_future(
            trader.execution.ExecuteSignal(
                trader.request("long", key=f"id:{symbol}", symbol=symbol, **LEVELS), timeout=30
            )
        )
        for symbol in symbols
    ]
    await until(lambda: trader.paper.orders("order"))
    assert processes.execution.process is not None

    processes.execution.signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        code = await processes.execution.process.wait()
    await processes.execution.start()
    await processes.ready()
    answers = await asyncio.gather(*sending, return_exceptions=True)

    assert code == 0
    await until(lambda: all_final(processes), seconds=20)
    taken = {answer.signal.signal_id for answer in answers if isinstance(answer, pb.ExecuteSignalResponse)}
    signals = [signal for signal in await trader.signals() if signal.action == pb.ACTION_LONG]
    assert taken <= {signal.signal_id for signal in signals}
    entries = await trader.paper.orders("order", side="BUY")
    assert len(entries) == len({entry["symbol"] for entry in entries}) == len(signals)
    stops = await trader.paper.orders("algo", type="STOP_MARKET", status="NEW")
    assert {stop["symbol"] for stop in stops} == {entry["symbol"] for entry in entries}
