"""What is watched: entries that rest, positions that are open, and work that was interrupted."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from tests.conftest import TestDatabase
from tests.system import System, Trader, until

pytestmark = pytest.mark.anyio

LEVELS: dict[str, Any] = {"stop_loss": "2%", "take_profit": "4%"}


async def stops(trader: Trader) -> Sequence[dict[str, Any]]:
    return await trader.paper.orders("algo", type="STOP_MARKET", status="NEW")


async def nothing_rests(trader: Trader) -> bool:
    return await trader.paper.orders(status="NEW") == []


async def test_each_of_two_resting_entries_is_protected_when_it_fills(trader: Trader) -> None:
    await trader.send("long", order_type="limit", price=49000, **LEVELS)
    await trader.send("long", order_type="limit", price=45000, **LEVELS)

    await trader.paper.price("49000")

    (stop,) = await until(lambda: stops(trader))
    assert stop["trigger_price"] == "48020"
    (second,) = await trader.paper.orders("order", status="NEW")
    assert second["price"] == "45000"


async def test_an_entry_that_rests_is_watched_beside_an_open_position(trader: Trader) -> None:
    """Its position stopped out, the resting entry fills later: it gets a stop of its own."""
    await trader.send("long", order_type="limit", price=45000, **LEVELS)
    await trader.send("long", **LEVELS)
    await trader.paper.price("48900")
    await until(lambda: flat(trader))

    await trader.paper.price("45000")

    (stop,) = await until(lambda: stops(trader))
    assert stop["trigger_price"] == "44100"


async def flat(trader: Trader) -> bool:
    return await trader.paper.positions() == [] and await trader.paper.orders("algo", status="NEW") == []


async def test_F08_protection_that_was_interrupted_is_taken_up_again(
    trader: Trader, database: TestDatabase
) -> None:
    """What a process leaves behind that dies between the fill of a limit order and its stop."""
    await trader.send("long", order_type="limit", price=49000, **LEVELS)
    await trader.paper.price("49000")
    (stop,) = await until(lambda: stops(trader))
    connection = await asyncpg.connect(database.admin.reveal())
    try:
        await connection.execute("DELETE FROM execution.legs WHERE kind = 'stop_loss'")
    finally:
        await connection.close()
    await trader.hand.cancel(stop)

    (again,) = await until(lambda: stops(trader))

    assert again["trigger_price"] == "48020"


async def test_closing_the_other_side_does_not_stop_the_watch(trader: Trader) -> None:
    targets = [{"percent": 4, "share": 0.5}]
    await trader.send("long", stop_loss="2%", take_profit=targets)
    await trader.send("close_short")

    await trader.paper.price("48900")

    await until(lambda: nothing_rests(trader))


async def test_one_sick_account_does_not_hold_up_the_others(system: System) -> None:
    sick, well = await system.trader(), await system.trader()
    for trader in (sick, well):
        await trader.send("long", order_type="limit", price=49000, **LEVELS)
    await system.paper.fault(
        "delay", delay_s=60, when="before", count=50, path=sick.venue.positions, account=sick.api_key
    )

    async def sick_one_is_asked() -> bool:
        (fault,) = (await system.paper.control("GET", "/paper/faults"))["faults"]
        return bool(fault["count"] < 50)

    await until(sick_one_is_asked)
    await system.paper.price("49000")

    # A question is given up after five seconds: until then it can only be the other account's.
    await until(lambda: stops(well), seconds=4)


async def test_a_refused_answer_does_not_end_the_watch(trader: Trader) -> None:
    """A key that is refused once is an error that nobody foresaw in the watch of a filling entry."""
    await trader.send("long", order_type="limit", price=49000, **LEVELS)
    await trader.paper.fault(
        "error_code", code=trader.venue.code("key"), count=3, path=trader.venue.positions
    )

    await trader.paper.price("49000")

    await until(lambda: stops(trader))


async def test_an_entry_that_its_owner_cancels_is_not_watched_any_more(trader: Trader) -> None:
    response = await trader.send("long", order_type="limit", price=49000, **LEVELS)
    (entry,) = await trader.paper.orders("order")
    await trader.hand.cancel(entry)

    async def is_noticed() -> bool:
        signal = await trader.signal(response.signal.signal_id)
        return any(step.kind == "entry.canceled" for step in signal.steps)

    await until(is_noticed)


async def test_F31_targets_grow_with_the_entry(trader: Trader) -> None:
    """Half of the entry fills first: the two targets cover a quarter each, then a half each."""
    await trader.paper.fault("partial_fill", ratio="0.5", rest="fill", symbol="BTCUSDT")
    targets = [{"percent": 2, "share": 0.5}, {"percent": 4, "share": 0.5}]

    await trader.send("long", stop_loss="2%", take_profit=targets)
    first = await trader.paper.orders("algo", type="TAKE_PROFIT_MARKET", status="NEW")
    await trader.paper.price("50001")

    async def covered() -> bool:
        resting = await trader.paper.orders("algo", type="TAKE_PROFIT_MARKET", status="NEW")
        return [order["quantity"] for order in resting] == ["0.01", "0.01"]

    assert sum(Decimal(order["quantity"]) for order in first) == Decimal("0.01")
    await until(covered)
