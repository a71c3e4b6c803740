"""Orders on every exchange, judged by the exchange's own record. The price is 50,000."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from execution_service.exchanges import errors
from execution_service.exchanges.types import (
    MarginMode,
    Order,
    OrderKind,
    OrderRef,
    OrderStatus,
    PositionMode,
)
from execution_service.signals import OrderSide
from tests.execution_service.exchanges.conftest import SIGNAL, SYMBOL, Subject, ref_of
from tests.system import until
from tradekit.market.sizing import Side

pytestmark = pytest.mark.anyio


async def stop(
    subject: Subject, trigger: str = "49000", *, side: Side = Side.LONG, quantity: str | None = None
) -> Order:
    return await subject.exchange.create_stop_loss(
        SYMBOL,
        OrderSide.closing(side),
        Decimal(trigger),
        position=side,
        quantity=None if quantity is None else Decimal(quantity),
        send=subject.send(),
    )


async def target(
    subject: Subject, trigger: str = "52000", *, side: Side = Side.LONG, quantity: str | None = None
) -> Order:
    return await subject.exchange.create_take_profit(
        SYMBOL,
        OrderSide.closing(side),
        Decimal(trigger),
        position=side,
        quantity=None if quantity is None else Decimal(quantity),
        send=subject.send(),
    )


async def limit(subject: Subject, price: str, *, post_only: bool = False) -> Order:
    return await subject.exchange.create_limit_order(
        SYMBOL,
        OrderSide.BUY,
        Decimal("0.01"),
        Decimal(price),
        position=Side.LONG,
        send=subject.send(),
        post_only=post_only,
    )


async def is_flat(subject: Subject) -> bool:
    return await subject.holds() == []


async def test_a_market_order_tells_what_it_filled_and_at_which_price(subject: Subject) -> None:
    order = await subject.buy("0.02")

    assert (order.kind, order.status) == (OrderKind.MARKET, OrderStatus.FILLED)
    assert (order.filled_quantity, order.average_price) == (Decimal("0.02"), Decimal(50_000))
    (record,) = await subject.paper.orders("order")
    assert record["client_order_id"] == order.client_order_id
    assert str(record["order_id"]) == order.exchange_order_id


async def test_the_same_client_id_is_not_taken_twice_while_it_is_known(subject: Subject) -> None:
    order = await limit(subject, "40000")
    again = replace(subject.send(), client_order_id=order.client_order_id)

    with pytest.raises(errors.OrderExists):
        await subject.exchange.create_limit_order(
            SYMBOL, OrderSide.BUY, Decimal("0.01"), Decimal(40_000), position=Side.LONG, send=again
        )

    assert len(await subject.paper.orders("order")) == 1


async def test_a_limit_order_rests_is_listed_and_is_cancelled(subject: Subject) -> None:
    order = await limit(subject, "49000")

    (listed,) = await subject.exchange.get_open_orders(SYMBOL)
    await subject.exchange.cancel_order(ref_of(order), signal_id=SIGNAL)

    assert (listed.kind, listed.limit_price, listed.quantity) == (
        OrderKind.LIMIT,
        Decimal(49_000),
        Decimal("0.01"),
    )
    assert listed.client_order_id == order.client_order_id
    assert (await subject.filled(order)).status is OrderStatus.CANCELED
    assert await subject.exchange.get_open_orders() == []


async def test_cancelling_what_has_ended_is_told(subject: Subject) -> None:
    order = await subject.buy("0.01")

    with pytest.raises(errors.OrderUnknown):
        await subject.exchange.cancel_order(ref_of(order), signal_id=SIGNAL)


@pytest.mark.parametrize("conditional", [False, True])
async def test_an_order_that_never_was_is_none(subject: Subject, conditional: bool) -> None:
    ref = OrderRef(SYMBOL, subject.send().client_order_id, conditional)

    assert await subject.exchange.find_order(ref) is None
    with pytest.raises(errors.OrderUnknown):
        await subject.exchange.cancel_order(ref, signal_id=SIGNAL)


async def test_post_only_rests(subject: Subject) -> None:
    order = await limit(subject, "49000", post_only=True)

    (record,) = await subject.paper.orders("order")
    assert (record["time_in_force"], record["status"]) == ("GTX", "NEW")
    assert order.status is OrderStatus.OPEN


async def test_post_only_never_takes(subject: Subject) -> None:
    """One exchange refuses it, the other accepts and cancels it; nothing is bought on either."""
    try:
        order = await subject.filled(await limit(subject, "51000", post_only=True))
    except errors.NotPostable:
        pass
    else:
        assert (order.status, order.filled_quantity) == (OrderStatus.CANCELED, Decimal(0))
    assert await is_flat(subject)


async def test_a_stop_follows_the_position(subject: Subject) -> None:
    await subject.buy("0.02")
    order = await stop(subject)
    await subject.buy("0.03")

    await subject.paper.price("48900")

    await until(lambda: is_flat(subject))
    ended = await subject.filled(order)
    assert (ended.kind, ended.status, ended.quantity) == (OrderKind.STOP_LOSS, OrderStatus.FILLED, None)


async def test_a_target_for_the_whole_position_closes_it(subject: Subject) -> None:
    await subject.buy("0.02", side=Side.SHORT)
    order = await target(subject, "48000", side=Side.SHORT)

    await subject.paper.price("47900")

    await until(lambda: is_flat(subject))
    ended = await subject.filled(order)
    assert (ended.kind, ended.status) == (OrderKind.TAKE_PROFIT, OrderStatus.FILLED)
    assert ended.quantity in (None, Decimal("0.02"))


async def test_stop_and_target_stand_beside_each_other(subject: Subject) -> None:
    await subject.buy("0.02")
    await stop(subject)
    await target(subject)

    listed = {order.kind: order for order in await subject.exchange.get_open_orders(SYMBOL)}

    assert listed.keys() == {OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT}
    assert listed[OrderKind.STOP_LOSS].trigger_price == Decimal(49_000)
    assert listed[OrderKind.TAKE_PROFIT].trigger_price == Decimal(52_000)
    assert all(order.reduce_only for order in listed.values())


async def test_parts_of_a_position_have_their_own_targets(subject: Subject) -> None:
    await subject.buy("0.03")
    await target(subject, "51000", quantity="0.01")
    await target(subject, "52000", quantity="0.02")

    await subject.paper.price("51500")

    async def smaller() -> bool:
        return await subject.holds() == [("long", Decimal("0.02"))]

    await until(smaller)


async def test_a_trailing_stop_follows_the_best_price(subject: Subject) -> None:
    await subject.buy("0.02")
    order = await subject.exchange.create_trailing_stop(
        SYMBOL,
        OrderSide.SELL,
        Decimal("1.5"),
        position=Side.LONG,
        quantity=Decimal("0.02"),
        send=subject.send(),
    )

    await subject.paper.price("52000")
    (listed,) = await subject.exchange.get_open_orders(SYMBOL)
    await subject.paper.price("51200")

    await until(lambda: is_flat(subject))
    assert (listed.kind, listed.client_order_id) == (OrderKind.TRAILING_STOP, order.client_order_id)


@pytest.mark.parametrize("kind", ["stop", "target", "trailing"])
async def test_conditional_orders_are_cancelled_by_our_own_id(subject: Subject, kind: str) -> None:
    await subject.buy("0.02")
    if kind == "trailing":
        order = await subject.exchange.create_trailing_stop(
            SYMBOL,
            OrderSide.SELL,
            Decimal(1),
            position=Side.LONG,
            quantity=Decimal("0.02"),
            send=subject.send(),
        )
    else:
        order = await (stop if kind == "stop" else target)(subject)

    await subject.exchange.cancel_order(ref_of(order), signal_id=SIGNAL)

    assert (await subject.filled(order)).status is OrderStatus.CANCELED
    assert await subject.exchange.get_open_orders() == []


@pytest.mark.parametrize(("place", "trigger"), [(stop, "50100"), (target, "49900")])
async def test_F32_a_trigger_on_the_wrong_side_is_told(
    subject: Subject, place: Callable[[Subject, str], Awaitable[Order]], trigger: str
) -> None:
    await subject.buy("0.02")

    with pytest.raises(errors.WouldTrigger):
        await place(subject, trigger)


async def test_a_second_stop_for_the_whole_position_is_told(subject: Subject) -> None:
    await subject.buy("0.02")
    await stop(subject)

    with pytest.raises(errors.ProtectionExists):
        await stop(subject, "48000")


async def test_reduce_only_without_a_position_opens_none(subject: Subject) -> None:
    with pytest.raises(errors.NothingToReduce):
        await subject.exchange.create_market_order(
            SYMBOL,
            OrderSide.SELL,
            Decimal("0.01"),
            position=Side.LONG,
            reduce_only=True,
            send=subject.send(),
        )

    assert await is_flat(subject)


async def test_F37_too_little_money(subject: Subject) -> None:
    await subject.exchange.set_leverage(SYMBOL, 1, signal_id=SIGNAL)

    with pytest.raises(errors.BalanceInsufficient, match=r"Insufficient balance: .*\."):
        await subject.buy("1")


async def test_closing_a_position_ends_flat(subject: Subject) -> None:
    await subject.buy("0.02")
    (held,) = await subject.exchange.get_positions()

    await subject.filled(await subject.exchange.close_position(held, send=subject.send()))

    assert await is_flat(subject)
    assert (await subject.paper.orders("order"))[-1]["reduce_only"]


async def test_an_isolated_position_is_protected_and_closed_in_its_own_mode(subject: Subject) -> None:
    await subject.exchange.set_margin_mode(SYMBOL, MarginMode.ISOLATED, signal_id=SIGNAL)
    await subject.exchange.set_leverage(SYMBOL, 5, signal_id=SIGNAL)
    await subject.buy("0.02")
    await stop(subject)
    await target(subject)
    (held,) = await subject.exchange.get_positions()

    await subject.filled(await subject.exchange.close_position(held, send=subject.send()))

    assert await is_flat(subject)


@pytest.fixture
async def hedged(subject: Subject) -> Subject:
    """The account's owner keeps long and short positions apart."""
    await subject.hand.hedge()
    return subject


async def test_hedge_mode_keeps_both_sides_apart(hedged: Subject) -> None:
    assert await hedged.exchange.get_position_mode() is PositionMode.HEDGE
    await hedged.buy("0.02")
    await hedged.buy("0.01", side=Side.SHORT)
    await stop(hedged, "49000")
    await stop(hedged, "51000", side=Side.SHORT)
    await target(hedged, "48000", side=Side.SHORT)

    held = await hedged.exchange.get_positions(SYMBOL)
    short = next(position for position in held if position.side is Side.SHORT)
    await hedged.filled(await hedged.exchange.close_position(short, send=hedged.send()))

    assert await hedged.holds() == [("long", Decimal("0.02"))]


async def test_isolated_sides_of_hedge_mode_get_the_same_leverage(hedged: Subject) -> None:
    await hedged.exchange.set_margin_mode(SYMBOL, MarginMode.ISOLATED, signal_id=SIGNAL)

    assert await hedged.exchange.set_leverage(SYMBOL, 6, signal_id=SIGNAL) == 6

    assert await hedged.exchange.get_leverage(SYMBOL) == 6


async def test_a_mode_that_was_changed_meanwhile_is_read_anew(subject: Subject) -> None:
    """The first order is worded for the old mode and certainly not done; the next one is right."""
    await subject.buy("0.02")
    (held,) = await subject.exchange.get_positions()
    await subject.filled(await subject.exchange.close_position(held, send=subject.send()))
    await subject.hand.hedge()

    with pytest.raises(errors.ModeChanged):
        await subject.buy("0.02")
    await subject.buy("0.02")

    assert await subject.holds() == [("long", Decimal("0.02"))]


async def test_F21_an_order_is_not_accepted_after_its_time(subject: Subject) -> None:
    """What comes later than promised is refused by the exchange itself, conditional or not."""
    await subject.buy("0.02")
    late = subject.send(valid_ms=1_000, late=timedelta(seconds=2))

    with pytest.raises(errors.ClockSkew):
        await subject.exchange.create_stop_loss(
            SYMBOL, OrderSide.SELL, Decimal(49_000), position=Side.LONG, quantity=None, send=late
        )
    with pytest.raises(errors.ClockSkew):
        await subject.exchange.create_market_order(
            SYMBOL, OrderSide.BUY, Decimal("0.01"), position=Side.LONG, reduce_only=False, send=late
        )

    assert await subject.holds() == [("long", Decimal("0.02"))]


@pytest.mark.parametrize("executed", [True, False])
async def test_F24_a_server_error_says_nothing_about_an_order(subject: Subject, executed: bool) -> None:
    await subject.paper.fault(
        "http_status", status=502, body="<html>", executed=executed, method="POST", symbol=SYMBOL
    )

    with pytest.raises(errors.OutcomeUnknown):
        await subject.buy("0.02")

    assert len(await subject.paper.positions()) == executed


async def test_a_lost_answer_to_a_question_is_as_good_as_not_asked(subject: Subject) -> None:
    await subject.paper.fault("http_status", status=502, body="<html>", executed=True, method="GET")

    with pytest.raises(errors.Unreachable):
        await subject.exchange.get_positions()
