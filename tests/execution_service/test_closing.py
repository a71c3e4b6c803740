"""Closing is always possible, and says what happened. The price is 50,000."""

import asyncio
from typing import Any

import pytest

from tests.system import System, Trader
from tradingbot.execution.v1 import execution_pb2 as pb

pytestmark = pytest.mark.anyio

LEVELS: dict[str, Any] = {"stop_loss": "2%", "take_profit": "4%"}


async def flat(trader: Trader) -> None:
    assert await trader.paper.positions() == []
    assert await trader.paper.orders(status="NEW") == []


async def test_a_close_is_not_done_while_the_position_is_open(trader: Trader) -> None:
    """Reduce-only is refused again and again though there is a position: that is no "no position"."""
    await trader.send("long", **LEVELS)
    await trader.paper.fault(
        "error_code", code=trader.venue.code("nothing to reduce"), count=100, **trader.venue.order
    )

    response = await trader.send("close_long")

    assert response.signal.state == pb.SIGNAL_STATE_FAILED
    assert response.signal.reason == "REDUCE_ONLY_REFUSED"
    assert len(await trader.paper.positions()) == 1
    assert await trader.paper.orders("algo", type="STOP_MARKET", status="NEW")


async def test_a_reduce_only_order_that_is_refused_once_is_sent_again(trader: Trader) -> None:
    await trader.send("long", **LEVELS)
    await trader.paper.fault(
        "error_code", code=trader.venue.code("nothing to reduce"), count=3, **trader.venue.order
    )

    response = await trader.send("close_long")

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    await flat(trader)


async def test_a_close_after_the_owner_cancelled_the_entry(trader: Trader) -> None:
    await trader.send("long", order_type="limit", price=49000)
    (entry,) = await trader.paper.orders("order")
    await trader.hand.cancel(entry)

    response = await trader.send("close_all")

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    await flat(trader)


async def test_a_close_of_one_side_withdraws_its_entries_only(trader: Trader) -> None:
    await trader.send("long", order_type="limit", price=49000)
    await trader.send("short", order_type="limit", price=51000)

    await trader.send("close_long")

    (left,) = await trader.paper.orders("order", status="NEW")
    assert left["side"] == "SELL"


async def test_an_entry_is_withdrawn_even_when_a_position_is_closed_with_it(trader: Trader) -> None:
    await trader.send("long", order_type="limit", price=49000)
    await trader.send("long", **LEVELS)

    await trader.send("close_long")

    await flat(trader)


async def test_a_new_direction_withdraws_the_entries_of_the_other_one(trader: Trader) -> None:
    await trader.send("long", order_type="limit", price=49000)

    await trader.send("short", **LEVELS)

    assert await trader.paper.orders("order", status="NEW") == []
    assert len(await trader.paper.positions()) == 1


async def test_the_exchanges_cancel_fails_and_is_repeated(trader: Trader) -> None:
    await trader.send("long", order_type="limit", price=49000)
    await trader.paper.fault("http_status", status=502, body="<html>", count=7, **trader.venue.cancel)

    response = await trader.send("close_all")

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    await flat(trader)


async def test_a_clock_question_that_fails_does_not_stop_a_close(trader: Trader) -> None:
    await trader.send("long", **LEVELS)
    await trader.paper.fault("error_code", code=trader.venue.code("clock"), count=3, **trader.venue.order)
    await trader.paper.fault("http_status", status=500, body="", count=20, path=trader.venue.clock)

    response = await trader.send("close_long")

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    assert await trader.paper.positions() == []


async def test_a_position_larger_than_one_order_is_closed_in_several(system: System) -> None:
    """The market takes 120 BTC in one market order, and 150 are held."""
    trader = await system.trader(balance="100000000")
    for _ in range(2):
        await trader.send("long", size=75, size_type="base", leverage=1, **LEVELS)

    response = await trader.send("close_long")

    assert response.signal.state == pb.SIGNAL_STATE_DONE, response.signal
    closes = await trader.paper.orders("order", reduce_only=True)
    assert [order["executed_quantity"] for order in closes] == ["120", "30"]
    await flat(trader)


async def test_hedge_mode_closes_one_side_and_leaves_the_other_protected(trader: Trader) -> None:
    await trader.hand.hedge()
    await trader.send("long", **LEVELS)
    await trader.hand.market("sell", "0.01", position_side="short")

    response = await trader.send("close_short")

    assert response.signal.message == f"SHORT position closed on {trader.venue.name}"
    (position,) = await trader.paper.positions()
    assert position["quantity"] == "0.02"
    assert len(await trader.paper.orders("algo", status="NEW")) == 2


async def test_a_mode_that_the_owner_has_changed_is_read_anew(trader: Trader) -> None:
    await trader.send("long", **LEVELS)
    await trader.send("close_all")
    await trader.hand.hedge()

    opened = await trader.send("long", **LEVELS)
    closed = await trader.send("close_long")

    assert opened.signal.state == pb.SIGNAL_STATE_DONE, opened.signal
    assert len([leg for leg in opened.signal.legs if leg.kind == pb.LEG_KIND_STOP_LOSS]) == 1
    assert closed.signal.state == pb.SIGNAL_STATE_DONE
    await flat(trader)


async def test_many_closes_at_once_end_flat(trader: Trader) -> None:
    await trader.send("long", **LEVELS)

    responses = await asyncio.gather(*(trader.send("close_all") for _ in range(4)))

    assert all(response.signal.state == pb.SIGNAL_STATE_DONE for response in responses)
    assert len(await trader.paper.orders("order", reduce_only=True)) == 1
    await flat(trader)
