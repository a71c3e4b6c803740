"""kill -9 at each step of a signal: after the restart exactly one order exists, and it is protected.

Vault, execution and paper exchange are processes of their own; a delay on the exchange (or a stopped vault)
holds a signal at the step in question until execution has been killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import grpc
import pytest

from tests.conftest import TestDatabase
from tests.system import KEY, PRICE, Paper, System, Trader, until
from tests.venues import BINANCE
from tradekit.service.channel import TlsFiles, dial
from tradingbot.execution.v1 import execution_pb2 as pb
from tradingbot.execution.v1 import execution_pb2_grpc
from tradingbot.vault.v1 import vault_pb2_grpc

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

LEVELS: dict[str, Any] = {"stop_loss": "2%", "take_profit": "4%"}
ORDER = {"method": "POST", "path": "/fapi/v1/order"}
ALGO = {"method": "POST", "path": "/fapi/v1/algoOrder"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Service:
    """A process of ours that can be killed and started again."""

    module: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = field(default=None)

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self.module,
                *self.arguments,
                env=os.environ | self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.process is not None
        await self.process.wait()

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(12):
                    await self.process.wait()
            except TimeoutError:
                await self.kill()


@dataclass
class Processes:
    """The whole back end as processes, and a trader."""

    vault: Service
    execution: Service
    trader: Trader
    channel: grpc.aio.Channel
    database: TestDatabase

    async def ready(self) -> None:
        """Returns when execution answers."""
        await until(self._answers, seconds=20)

    async def _answers(self) -> bool:
        request = pb.ListSignalsRequest(user_id=self.trader.user_id)
        try:
            await self.trader.execution.ListSignals(request, wait_for_ready=True, timeout=5)
        except grpc.aio.AioRpcError:
            return False  # a connection to the process that was killed
        return True

    async def restart_execution(self) -> None:
        await self.execution.kill()
        await self.execution.start()
        await self.ready()

    async def leg_states(self) -> dict[str, str]:
        """What the journal knows of the newest leg of each kind."""
        connection = await asyncpg.connect(self.database.admin.reveal())
        try:
            rows = await connection.fetch("SELECT kind, state FROM execution.legs ORDER BY position")
            return {row["kind"]: row["state"] for row in rows}
        finally:
            await connection.close()

    async def outcome(self, state: pb.SignalState.ValueType = pb.SIGNAL_STATE_DONE) -> pb.Signal:
        """The only signal, as soon as it is final."""

        async def look() -> pb.Signal | None:
            (found,) = await self.trader.signals()
            return found if found.state >= pb.SIGNAL_STATE_DONE else None

        final = await until(look, seconds=30)
        assert final is not None
        assert final.state == state, final
        return final


@pytest.fixture
async def processes(
    database: TestDatabase, tls: Callable[[str], TlsFiles], tmp_path: Path
) -> AsyncIterator[Processes]:
    async with running_processes(database, tls, tmp_path) as running:
        yield running


@contextlib.asynccontextmanager
async def running_processes(
    database: TestDatabase, tls: Callable[[str], TlsFiles], tmp_path: Path
) -> AsyncIterator[Processes]:
    """Vault, execution and paper exchange as processes, with one trader."""
    ports = {name: free_port() for name in ("vault", "execution", "paper")}
    secrets = {
        "VAULT_DATABASE_URL": database.roles["vault"].reveal(),
        "EXECUTION_DATABASE_URL": database.roles["execution"].reveal(),
        "ENCRYPTION_KEY": KEY.reveal(),
    }
    for name, value in secrets.items():
        (tmp_path / name).write_text(value)

    def environment(name: str, **more: str) -> dict[str, str]:
        files = tls(name)
        return {
            "LISTEN_ADDRESS": f"127.0.0.1:{ports[name]}",
            "ADMIN_ADDRESS": "127.0.0.1:0",
            "DATABASE_URL_FILE": str(tmp_path / f"{name.upper()}_DATABASE_URL"),
            "TLS_CA_FILE": str(files.authority),
            "TLS_CERT_FILE": str(files.certificate),
            "TLS_KEY_FILE": str(files.key),
        } | more

    url = f"http://127.0.0.1:{ports['paper']}"
    arguments = ("--port", str(ports["paper"]), "--speed", "0", "--state", str(tmp_path / "paper"))
    paper = Service("paper_exchange", arguments, {}, tmp_path / "paper.log")
    vault = Service(
        "vault_service",
        (),
        environment("vault", ENCRYPTION_KEY_FILE=str(tmp_path / "ENCRYPTION_KEY")),
        tmp_path / "vault.log",
    )
    execution = Service(
        "execution_service",
        (),
        environment("execution", VAULT_ADDRESS=f"127.0.0.1:{ports['vault']}", PAPER_BASE_URL=url),
        tmp_path / "execution.log",
    )
    services = (paper, vault, execution)
    for service in services:
        await service.start()
    try:
        async with (
            aiohttp.ClientSession() as session,
            dial(f"127.0.0.1:{ports['vault']}", service="vault", tls=tls("gateway")) as to_vault,
            dial(f"127.0.0.1:{ports['execution']}", service="execution", tls=tls("gateway")) as channel,
        ):
            await until(lambda: _listens(ports["paper"]), seconds=20)
            control = Paper(url, session)
            await control.price(PRICE)
            await until(lambda: _listens(ports["vault"]), seconds=20)
            system = System(
                BINANCE,
                control,
                execution_pb2_grpc.ExecutionServiceStub(channel),
                vault_pb2_grpc.VaultServiceStub(to_vault),
            )
            running = Processes(vault, execution, await system.trader(), channel, database)
            await running.ready()
            yield running
    finally:
        for service in reversed(services):
            await service.stop()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def send_and_forget(processes: Processes, action: str = "long", **fields: Any) -> None:
    """Sends an alert whose caller does not live to see the answer."""
    request = processes.trader.request(action, key=f"id:{action}", **fields)
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
        await processes.trader.execution.ExecuteSignal(request, timeout=60)


async def protected_once(processes: Processes, *, entries: int = 1) -> None:
    """As many entries as wanted, filled once, and the position has one live stop and one live target."""
    trader = processes.trader
    orders = await trader.paper.orders("order", side="BUY")
    filled = [order for order in orders if order["executed_quantity"] not in (None, "0")]
    assert len(filled) == entries
    assert len(await trader.paper.positions()) == 1
    resting = await trader.paper.orders("algo", status="NEW")
    assert sorted(order["type"] for order in resting) == ["STOP_MARKET", "TAKE_PROFIT_MARKET"]


async def test_F05_killed_before_the_leverage_call(processes: Processes) -> None:
    await processes.trader.paper.fault("delay", delay_s=3, when="before", path="/fapi/v1/leverage")
    sending = asyncio.create_task(send_and_forget(processes, leverage=7, **LEVELS))
    await until(lambda: _has(processes, leverage="intended"))

    await processes.restart_execution()

    await processes.outcome()
    await protected_once(processes)
    sending.cancel()


async def test_F06_killed_between_the_journal_and_the_order(processes: Processes) -> None:
    """The vault is stopped, so that the intent stands in the journal and nothing has been sent."""
    await processes.trader.send("long", **LEVELS)
    await until(processes.trader.is_warm)
    processes.vault.signal(signal.SIGSTOP)
    sending = asyncio.create_task(send_and_forget(processes, **LEVELS))
    await until(lambda: _has(processes, entry="intended"))
    await processes.execution.kill()
    processes.vault.signal(signal.SIGCONT)

    await processes.execution.start()
    await processes.ready()

    await until(lambda: _all_final(processes), seconds=30)
    await protected_once(processes, entries=2)
    sending.cancel()


async def test_F07_killed_between_the_order_and_its_answer(processes: Processes) -> None:
    await processes.trader.paper.fault("delay", delay_s=5, when="after", **ORDER)
    sending = asyncio.create_task(send_and_forget(processes, **LEVELS))
    await until(lambda: processes.trader.paper.orders("order"))

    await processes.restart_execution()

    await processes.outcome()
    await protected_once(processes)
    assert len(await processes.trader.paper.orders("order")) == 1
    sending.cancel()


async def test_F08_killed_between_the_fill_and_the_stop(processes: Processes) -> None:
    await processes.trader.paper.fault("delay", delay_s=4, when="before", count=2, **ALGO)
    sending = asyncio.create_task(send_and_forget(processes, **LEVELS))
    await until(lambda: _has(processes, entry="filled", stop_loss="intended"))

    await processes.restart_execution()
    back = (await processes.trader.paper.control("GET", "/paper/state"))["time"]

    await processes.outcome()
    await protected_once(processes)
    (stop,) = await processes.trader.paper.orders("algo", type="STOP_MARKET", status="NEW")
    assert stop["arrival_time"] - back < 10_000
    sending.cancel()


async def test_F09_killed_between_the_stop_and_the_target(processes: Processes) -> None:
    await processes.trader.paper.fault("delay", delay_s=4, when="after", skip=1, **ALGO)
    sending = asyncio.create_task(send_and_forget(processes, **LEVELS))
    await until(lambda: processes.trader.paper.orders("algo"), count=2)

    await processes.restart_execution()

    await processes.outcome()
    await protected_once(processes)
    assert len(await processes.trader.paper.orders("algo")) == 2
    sending.cancel()


async def test_F10_killed_during_a_reversal(processes: Processes) -> None:
    await processes.trader.send("long", **LEVELS)
    await processes.trader.paper.fault("delay", delay_s=4, when="after", **ORDER)
    sending = asyncio.create_task(send_and_forget(processes, "short", **LEVELS))
    await until(lambda: processes.trader.paper.orders("order", reduce_only=True))

    await processes.restart_execution()

    await until(lambda: _all_final(processes), seconds=30)
    (position,) = await processes.trader.paper.positions()
    assert position["quantity"].startswith("-")
    entries = await processes.trader.paper.orders("order", side="SELL", reduce_only=False)
    assert len(entries) == 1
    resting = await processes.trader.paper.orders("algo", status="NEW")
    assert [order["side"] for order in resting] == ["BUY", "BUY"]
    sending.cancel()


async def test_F11_killed_again_and_again(processes: Processes) -> None:
    """Eight alerts, and a kill every second while they run: each takes effect once, and all ends flat."""
    trader = processes.trader
    answered: list[str] = []

    async def alerts() -> None:
        for number in range(8):
            action = "long" if number % 2 == 0 else "close_long"
            request = trader.request(action, key=f"id:{number}", **LEVELS)
            while True:
                try:
                    response = await trader.execution.ExecuteSignal(request, timeout=30, wait_for_ready=True)
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.05)  # as TradingView would: again, with the same id
                    continue
                answered.append(response.signal.signal_id)
                break

    sending = asyncio.create_task(alerts())
    for _ in range(6):
        await asyncio.sleep(1)  # the rhythm of the kills is the test
        await processes.restart_execution()
    await asyncio.wait_for(sending, 60)

    await until(lambda: _all_final(processes), seconds=60)
    signals = await trader.signals()
    assert {signal.signal_id for signal in signals} == set(answered)
    assert all(signal.state == pb.SIGNAL_STATE_DONE for signal in signals), signals
    entries = await trader.paper.orders("order", reduce_only=False)
    assert len([order for order in entries if order["status"] == "FILLED"]) == 4
    assert await trader.paper.positions() == []
    assert await trader.paper.orders("algo", status="NEW") == []


async def test_F12_the_vault_is_killed_while_it_signs(processes: Processes) -> None:
    await processes.trader.send("long", **LEVELS)
    await until(processes.trader.is_warm)
    processes.vault.signal(signal.SIGSTOP)
    sending = asyncio.create_task(send_and_forget(processes, **LEVELS))
    await until(lambda: _has(processes, entry="intended"))
    await processes.vault.kill()
    await processes.vault.start()

    await sending
    await until(lambda: _all_final(processes), seconds=30)
    await protected_once(processes, entries=2)


async def test_F50_a_second_executor_waits_and_takes_over(processes: Processes) -> None:
    """Two copies of execution: one works, the other one only when the first is gone."""
    first = processes.execution
    second = Service(
        first.module, first.arguments, first.environment | {"LISTEN_ADDRESS": "127.0.0.1:0"}, first.log
    )
    await second.start()
    try:
        await processes.trader.send("long", **LEVELS)
        await protected_once(processes)

        await processes.trader.paper.fault("delay", delay_s=4, when="after", **ORDER)
        sending = asyncio.create_task(send_and_forget(processes, "close_long"))
        await until(lambda: processes.trader.paper.orders("order", reduce_only=True))
        await first.kill()

        await until(lambda: _closed_on_the_exchange(processes))
        assert len(await processes.trader.paper.orders("order", reduce_only=True)) == 1
        sending.cancel()
    finally:
        await second.stop()


async def _closed_on_the_exchange(processes: Processes) -> bool:
    connection = await asyncpg.connect(processes.database.admin.reveal())
    try:
        unfinished = await connection.fetchval(
            "SELECT count(*) FROM execution.signals WHERE finished_at IS NULL"
        )
    finally:
        await connection.close()
    paper = processes.trader.paper
    return (
        unfinished == 0 and await paper.positions() == [] and await paper.orders("algo", status="NEW") == []
    )


async def _has(processes: Processes, **legs: str) -> bool:
    states = await processes.leg_states()
    return all(states.get(kind) == state for kind, state in legs.items())


async def _all_final(processes: Processes) -> bool:
    signals = await processes.trader.signals()
    return bool(signals) and all(signal.state >= pb.SIGNAL_STATE_DONE for signal in signals)
