"""What every exchange client must do, whatever its exchange calls it. The price is 50,000."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from execution_service.exchanges import errors
from execution_service.exchanges.types import OrderKind, OrderStatus
from execution_service.signals import OrderSide
from tests.contract.venue import QUANTITY, SIGNAL, SYMBOL, Venue, ref
from tests.system import until
from tradekit.market.sizing import Side
from tradekit.market.timeframe import Timeframe

pytestmark = pytest.mark.anyio


async def test_a_fresh_account_has_its_money_and_nothing_else(venue: Venue) -> None:
    balance = await venue.exchange.get_account_balance()

    assert (balance.currency, balance.total, balance.available) == ("USDT", Decimal(10_000), Decimal(10_000))
    assert await venue.exchange.get_positions() == []
    assert await venue.exchange.get_open_orders() == []


async def test_a_leverage_that_was_set_is_in_force(venue: Venue) -> None:
    assert await venue.exchange.set_leverage(SYMBOL, 7, signal_id=SIGNAL) == 7
    assert await venue.exchange.set_leverage(SYMBOL, 7, signal_id=SIGNAL) == 7  # again is no error
    assert await venue.exchange.get_leverage(SYMBOL) == 7


async def test_a_market_order_opens_a_position_in_the_base_currency(venue: Venue) -> None:
    placed = await venue.buy()

    found = await until(lambda: venue.exchange.find_order(ref(placed)))
    assert found is not None
    assert (found.status, found.filled_quantity, found.average_price) == (
        OrderStatus.FILLED,
        QUANTITY,
        Decimal(50_000),
    )
    assert (found.side, found.kind, found.symbol) == (OrderSide.BUY, OrderKind.MARKET, SYMBOL)
    (position,) = await venue.exchange.get_positions(SYMBOL)
    assert (position.side, position.quantity, position.entry_price) == (Side.LONG, QUANTITY, Decimal(50_000))


async def test_a_reduce_only_order_never_turns_a_position_around(venue: Venue) -> None:
    await venue.buy()

    try:
        await venue.sell(QUANTITY * 3)
    except errors.NothingToReduce:
        return  # an exchange may refuse it, or cut it down

    assert await venue.exchange.get_positions(SYMBOL) == []


async def test_closing_leaves_no_position(venue: Venue) -> None:
    await venue.buy()
    (position,) = await venue.exchange.get_positions(SYMBOL)

    await venue.exchange.close_position(position, send=venue.send())

    assert await venue.exchange.get_positions(SYMBOL) == []


async def test_a_limit_order_rests_until_it_is_cancelled(venue: Venue) -> None:
    placed = await venue.limit()

    (resting,) = await venue.exchange.get_open_orders(SYMBOL)
    assert (resting.kind, resting.status, resting.limit_price, resting.filled_quantity) == (
        OrderKind.LIMIT,
        OrderStatus.OPEN,
        Decimal(49_000),
        Decimal(0),
    )
    assert resting.client_order_id == placed.client_order_id
    await venue.exchange.cancel_order(ref(placed), signal_id=SIGNAL)
    found = await venue.exchange.find_order(ref(placed))
    assert found is not None
    assert found.status is OrderStatus.CANCELED
    assert await venue.exchange.get_open_orders(SYMBOL) == []


async def test_stop_and_target_wait_for_the_whole_position(venue: Venue) -> None:
    await venue.buy()
    stop, target = await venue.stop(), await venue.target()

    resting = {order.kind: order for order in await venue.exchange.get_open_orders(SYMBOL)}
    assert resting[OrderKind.STOP_LOSS].trigger_price == 49_000
    assert resting[OrderKind.STOP_LOSS].quantity is None
    assert resting[OrderKind.TAKE_PROFIT].trigger_price == 52_000
    assert {order.client_order_id for order in resting.values()} == {
        stop.client_order_id,
        target.client_order_id,
    }


async def test_a_stop_that_triggers_closes_what_the_position_has_become(venue: Venue) -> None:
    """It was placed for 0.02 and follows the position to 0.05."""
    await venue.buy()
    stop = await venue.stop()
    await venue.buy(Decimal("0.03"))

    await venue.paper.price("48900")

    assert await venue.exchange.get_positions(SYMBOL) == []
    found = await venue.exchange.find_order(ref(stop, conditional=True))
    assert found is not None
    assert found.status is OrderStatus.FILLED


async def test_a_target_for_a_part_closes_that_part(venue: Venue) -> None:
    await venue.buy()
    await venue.target("52000", Decimal("0.005"))

    await venue.paper.price("52000")

    (position,) = await venue.exchange.get_positions(SYMBOL)
    assert position.quantity == Decimal("0.015")


async def test_a_trailing_stop_follows_the_price(venue: Venue) -> None:
    await venue.buy()
    await venue.trail("1")

    for price in ("51000", "50600"):
        await venue.paper.price(price)
    assert len(await venue.exchange.get_positions(SYMBOL)) == 1
    await venue.paper.price("50480")

    assert await venue.exchange.get_positions(SYMBOL) == []


async def test_a_stop_is_cancelled_by_our_own_id(venue: Venue) -> None:
    await venue.buy()
    stop = await venue.stop()

    await venue.exchange.cancel_order(ref(stop, conditional=True), signal_id=SIGNAL)

    found = await venue.exchange.find_order(ref(stop, conditional=True))
    assert found is not None
    assert found.status is OrderStatus.CANCELED


@pytest.mark.parametrize("conditional", [False, True])
async def test_an_order_that_never_was_is_none(venue: Venue, conditional: bool) -> None:
    unknown = ref(await venue.limit())
    unknown = type(unknown)(SYMBOL, unknown.client_order_id[:-1] + "z", conditional)

    assert await venue.exchange.find_order(unknown) is None
    with pytest.raises(errors.OrderUnknown):
        await venue.exchange.cancel_order(unknown, signal_id=SIGNAL)


async def test_the_market_tells_rules_prices_candles_and_the_time(venue: Venue) -> None:
    market = venue.market_data.market
    await market.refresh_clock()

    rules = (await market.instruments())[SYMBOL]
    prices = await market.last_prices()
    candles = await market.candles(SYMBOL, Timeframe(1, "h"), 20)

    assert rules.trading
    assert 0 < rules.lot_size <= rules.min_quantity < rules.max_quantity
    assert prices[SYMBOL] == 50_000
    assert len(candles) == 20
    assert [candle.open_time for candle in candles] == sorted(candle.open_time for candle in candles)
    assert candles[-1].open_time + Timeframe(1, "h").duration <= market.exchange_time()


# What provokes each error: something to do before, then the request that is refused.
Refusal = Callable[[Venue], Awaitable[object]]


async def _without_money(venue: Venue) -> object:
    return await venue.buy(Decimal(10))


async def _stop_beyond_the_price(venue: Venue) -> object:
    await venue.buy()
    return await venue.stop("51000")


async def _nothing_there(venue: Venue) -> object:
    return await venue.sell()


async def _same_id_twice(venue: Venue) -> object:
    """The vault's second lock: while the first may still be accepted there is no second signature."""
    send = venue.send()
    await venue.buy(send=send)
    return await venue.buy(send=send)


async def _second_whole_stop(venue: Venue) -> object:
    await venue.buy()
    await venue.stop("49000")
    return await venue.stop("48000")


async def _off_the_step(venue: Venue) -> object:
    return await venue.buy(Decimal("0.0201234"))


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (_without_money, errors.BalanceInsufficient),
        (_stop_beyond_the_price, errors.WouldTrigger),
        (_nothing_there, errors.NothingToReduce),
        (_same_id_twice, errors.OutcomeUnknown),
        (_second_whole_stop, errors.ProtectionExists),
        (_off_the_step, errors.RulesChanged),
    ],
)
async def test_a_refusal_is_named_after_what_it_means(
    venue: Venue, refusal: Refusal, expected: type[errors.ExchangeError]
) -> None:
    with pytest.raises(expected) as refused:
        await refusal(venue)

    assert refused.value.reason == refused.value.reason.upper()
    assert refused.value.message.endswith((".", ")"))


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "drop_before_accept"}, errors.OutcomeUnknown),
        ({"kind": "drop_after_accept"}, errors.OutcomeUnknown),
        ({"kind": "http_status", "status": 502, "body": "<html>"}, errors.OutcomeUnknown),
        ({"kind": "http_status", "status": 200, "body": "null"}, errors.OutcomeUnknown),
        ({"kind": "http_status", "status": 429, "retry_after": 1, "body": {}}, errors.RateLimited),
        ({"kind": "http_status", "status": 403, "body": "<html>"}, errors.Unreachable),
    ],
)
async def test_what_is_not_known_is_not_called_refused(
    venue: Venue, fault: dict[str, object], expected: type[errors.ExchangeError]
) -> None:
    await venue.exchange.get_positions()  # so that no question stands before the order
    await venue.limit("30000")
    await venue.paper.control("POST", "/paper/faults", fault | {"method": "POST"})

    with pytest.raises(expected):
        await venue.buy()


async def test_a_question_without_an_answer_may_be_asked_again(venue: Venue) -> None:
    await venue.paper.fault("drop_after_accept", count=2, path="*/position*")

    with pytest.raises(errors.Unreachable):
        await venue.exchange.get_positions()
    assert await venue.exchange.get_positions() == []


@pytest.mark.parametrize("offset_s", [-40, 40])
async def test_a_clock_that_is_off_is_named_for_orders_and_mended_for_questions(
    venue: Venue, offset_s: int
) -> None:
    await venue.exchange.get_positions()
    await venue.limit("30000")
    await venue.paper.fault("clock_offset", offset_s=offset_s)

    with pytest.raises(errors.ClockSkew):
        await venue.buy()
    assert await venue.exchange.get_positions() == []
    assert (await venue.buy()).client_order_id
