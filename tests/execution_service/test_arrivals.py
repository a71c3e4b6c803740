"""An alert on its way into the journal: callers that go away, accounts that are retired, memory."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from execution_service.executor import OrderExecutor
from execution_service.journal import Arrival, Journal
from execution_service.signals import Signal
from tests.system import System, Trader, until
from tradekit.service.channel import call
from tradekit.service.errors import ServiceError
from tradingbot.execution.v1 import execution_pb2 as pb

pytestmark = pytest.mark.anyio

LEVELS: dict[str, Any] = {"stop_loss": "2%", "take_profit": "4%"}


class Gate:
    """Holds alerts just before they are written."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, accept = Gate(), Journal.accept

    async def held(self: Journal, arrival: Arrival) -> tuple[Signal, bool]:
        gate.reached.set()
        await gate.opened.wait()
        return await accept(self, arrival)

    monkeypatch.setattr(Journal, "accept", held)
    yield gate
    gate.opened.set()


async def test_an_alert_whose_caller_goes_away_keeps_its_place(trader: Trader, gate: Gate) -> None:
    """The entry's caller gives up while it is being written; the close that follows comes after it."""
    opening = asyncio.ensure_future(trader.execution.ExecuteSignal(trader.request("long"), timeout=20))
    await gate.reached.wait()
    opening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await opening
    closing = asyncio.create_task(trader.send("close_long"))
    gate.opened.set()

    response = await closing

    assert response.signal.message == f"LONG position closed on {trader.venue.name}"
    assert await trader.paper.positions() == []
    assert len(await trader.paper.orders("order", side="BUY")) == 1


async def test_an_account_is_not_retired_past_an_alert_that_is_being_written(
    trader: Trader, gate: Gate
) -> None:
    opening = asyncio.create_task(trader.send("long", **LEVELS))
    await gate.reached.wait()
    request = pb.RetireAccountRequest(user_id=trader.user_id, account_id=trader.account_id)
    retiring = asyncio.create_task(call(trader.execution.RetireAccount(request, timeout=20)))
    gate.opened.set()

    with pytest.raises(ServiceError) as refused:
        await retiring
    response = await opening

    assert refused.value.reason == "ACCOUNT_IN_USE"
    assert response.signal.state == pb.SIGNAL_STATE_DONE
    assert (await trader.send("close_all")).signal.state == pb.SIGNAL_STATE_DONE  # still in service


async def test_two_accounts_alerts_do_not_wait_for_each_other(system: System) -> None:
    traders = [await system.trader() for _ in range(3)]

    responses = await asyncio.gather(*(trader.send("long", **LEVELS) for trader in traders))

    assert {response.signal.state for response in responses} == {pb.SIGNAL_STATE_DONE}


async def test_markets_that_nobody_trades_leave_nothing_behind(
    trader: Trader, monkeypatch: pytest.MonkeyPatch
) -> None:
    executors: list[OrderExecutor] = []
    execute = OrderExecutor.execute_signal

    async def seen(self: OrderExecutor, *args: Any, **kwargs: Any) -> Any:
        executors.append(self)
        return await execute(self, *args, **kwargs)

    monkeypatch.setattr(OrderExecutor, "execute_signal", seen)
    for number in range(20):
        with pytest.raises(ServiceError):
            await trader.send("long", symbol=f"X{number}USDT")
    await trader.send("close_all")

    async def is_empty() -> bool:
        return len(executors[-1]._lanes) == 0

    await until(is_empty)


async def test_a_close_is_taken_while_the_market_is_not_told(trader: Trader) -> None:
    """R7: the rules of the market have gone from the exchange's list; the position is closed all the same."""
    await trader.send("long", **LEVELS)
    await trader.paper.fault("http_status", status=500, body="", count=1_000, path="/fapi/v1/exchangeInfo")

    response = await trader.send("close_long")

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    assert await trader.paper.positions() == []
