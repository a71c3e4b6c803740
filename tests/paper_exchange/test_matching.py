"""Matching: who fills, when, at what price; conditional orders; thin markets."""

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_exchange.matching import PartialFill
from paper_exchange.orders import (
    ConditionalStatus,
    ConditionalType,
    Fill,
    OrderStatus,
    PositionSide,
    Side,
    TimeInForce,
    TriggerPrice,
)
from paper_exchange.refusals import Reason, Refused
from tests.paper_exchange.conftest import BTC, Floor, make_floor, status

STOP, TAKE = ConditionalType.STOP_MARKET, ConditionalType.TAKE_PROFIT_MARKET
TRAIL = ConditionalType.TRAILING_STOP_MARKET


def test_a_market_order_fills_at_the_last_price_as_taker(floor: Floor) -> None:
    order = floor.buy("0.5")
    (fill,) = floor.exchange.books.fills()
    assert status(order) == OrderStatus.FILLED
    assert (fill.price, fill.quantity, fill.maker) == (Decimal(60_000), Decimal("0.5"), False)
    assert fill.commission == Decimal(15)


@pytest.mark.parametrize(
    ("side", "limit", "away", "touch"),
    [(Side.BUY, "59000", "59000.1", "59000"), (Side.SELL, "61000", "60999.9", "61000")],
)
def test_a_resting_limit_order_fills_when_touched_at_its_price(
    floor: Floor, side: Side, limit: str, away: str, touch: str
) -> None:
    order = floor.order(side, "0.1", limit)
    floor.price(away)
    assert status(order) == OrderStatus.NEW
    floor.price(touch)
    (fill,) = floor.exchange.books.fills()
    assert (order.status, fill.price, fill.maker) == (OrderStatus.FILLED, Decimal(limit), True)
    assert fill.commission == Decimal(limit) * Decimal("0.1") * Decimal("0.0002")


def test_a_jump_past_a_limit_order_still_fills_it_at_its_price(floor: Floor) -> None:
    floor.buy("0.1", "59000")
    floor.price("50000")
    assert floor.prices == [59_000]


def test_a_marketable_limit_order_fills_at_once_at_the_better_last_price(floor: Floor) -> None:
    floor.buy("0.1", "61000")
    assert floor.prices == [60_000]
    (fill,) = floor.exchange.books.fills()
    assert not fill.maker


def test_post_only_that_would_take_is_refused(floor: Floor) -> None:
    with pytest.raises(Refused) as refused:
        floor.buy("0.1", "60000", time_in_force=TimeInForce.GTX)
    assert refused.value.reason is Reason.POST_ONLY_WOULD_TAKE
    assert floor.buy("0.1", "59999.9", time_in_force=TimeInForce.GTX).status is OrderStatus.NEW


def test_fill_or_kill_and_immediate_or_cancel(floor: Floor) -> None:
    with pytest.raises(Refused) as refused:
        floor.buy("0.1", "59000", time_in_force=TimeInForce.FOK)
    assert refused.value.reason is Reason.FILL_OR_KILL
    assert floor.buy("0.1", "60000", time_in_force=TimeInForce.FOK).status is OrderStatus.FILLED
    assert floor.buy("0.1", "59000", time_in_force=TimeInForce.IOC).status is OrderStatus.EXPIRED
    assert floor.buy("0.1", "60000", time_in_force=TimeInForce.IOC).status is OrderStatus.FILLED


def test_good_till_date_expires(floor: Floor) -> None:
    order = floor.buy("0.1", "59000", time_in_force=TimeInForce.GTD, good_till_ms=floor.now_ms + 700_000)
    floor.later(ms=699_000)
    assert order.is_open
    floor.later(ms=1_001)
    assert status(order) == OrderStatus.EXPIRED


def test_best_prices_fill_first(floor: Floor) -> None:
    floor.buy("0.01", "58000")
    floor.buy("0.01", "59000")
    floor.price("57000")
    assert floor.prices == [59_000, 58_000]


# Conditional orders


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "short_of", "beyond"),
    [
        (STOP, Side.SELL, "59000", "59000.1", "58000"),
        (STOP, Side.BUY, "61000", "60999.9", "62000"),
        (TAKE, Side.SELL, "61000", "60999.9", "62000"),
        (TAKE, Side.BUY, "59000", "59000.1", "58000"),
    ],
)
def test_a_conditional_order_triggers_beyond_its_price_and_fills_past_the_gap(
    floor: Floor, kind: ConditionalType, side: Side, trigger: str, short_of: str, beyond: str
) -> None:
    waiting = floor.conditional(kind, side, trigger, "0.1")
    floor.price(short_of)
    assert status(waiting) == ConditionalStatus.NEW
    floor.price(beyond)
    assert status(waiting) == ConditionalStatus.FINISHED
    order = floor.exchange.books.of(floor.account).orders[waiting.order_id or 0]
    assert (order.side, order.average_price, order.algo_id) == (side, Decimal(beyond), waiting.algo_id)
    assert order.client_order_id != waiting.client_algo_id


@pytest.mark.parametrize(
    ("kind", "side", "trigger"),
    [
        (STOP, Side.SELL, "60000"),
        (STOP, Side.BUY, "60000"),
        (TAKE, Side.SELL, "59000"),
        (TAKE, Side.BUY, "61000"),
    ],
)
def test_a_trigger_that_is_passed_already_is_refused(
    floor: Floor, kind: ConditionalType, side: Side, trigger: str
) -> None:
    with pytest.raises(Refused) as refused:
        floor.conditional(kind, side, trigger, "0.1")
    assert refused.value.reason is Reason.WOULD_TRIGGER


def test_a_stop_limit_rests_at_its_price_after_the_trigger(floor: Floor) -> None:
    waiting = floor.conditional(ConditionalType.STOP, Side.BUY, "61000", "0.1", price=Decimal(60_500))
    floor.price("61000")
    assert status(waiting) == ConditionalStatus.TRIGGERED
    assert floor.prices == []
    floor.price("60500")
    assert floor.prices == [60_500]
    assert status(waiting) == ConditionalStatus.FINISHED


def test_mark_price_triggers_only_what_watches_it() -> None:
    """In a moving market the mark price lags behind a fall; the last price does not."""
    floor = make_floor()
    floor.buy("0.1")
    by_mark = floor.conditional(
        STOP, Side.SELL, "59000", "0.05", working_type=TriggerPrice.MARK, reduce_only=True
    )
    by_last = floor.conditional(STOP, Side.SELL, "59000", "0.05", reduce_only=True)
    quote = floor.exchange.market.quote(BTC, floor.now_ms)
    apart = type(quote)(last=Decimal(58_900), mark=Decimal(59_500), index=Decimal(59_500))
    floor.exchange.market._quotes[BTC] = (floor.now_ms // 1000, 1, apart)
    floor.exchange.matching.on_price(BTC, floor.now_ms)
    assert status(by_mark) == ConditionalStatus.NEW
    assert by_last.status is not ConditionalStatus.NEW


def test_close_position_closes_all_there_is_then(floor: Floor) -> None:
    floor.buy("0.1")
    stop = floor.conditional(STOP, Side.SELL, "59000", close_position=True)
    floor.buy("0.05")
    floor.price("58500")
    assert floor.position() == 0
    assert status(stop) == ConditionalStatus.FINISHED
    assert floor.prices[-1] == 58_500


def test_F43_the_other_close_order_goes_with_the_position(floor: Floor) -> None:
    floor.buy("0.1")
    stop = floor.conditional(STOP, Side.SELL, "59000", close_position=True)
    target = floor.conditional(TAKE, Side.SELL, "61000", close_position=True)
    sized = floor.conditional(TAKE, Side.SELL, "62000", "0.1", reduce_only=True)
    floor.price("61000")
    assert (stop.status, target.status) == (ConditionalStatus.EXPIRED, ConditionalStatus.FINISHED)
    assert status(sized) == ConditionalStatus.NEW, "orders with a size are the user's to cancel"
    floor.price("62000")
    assert status(sized) == ConditionalStatus.REJECTED
    assert floor.position() == 0


def test_close_orders_go_when_a_position_is_turned_over(floor: Floor) -> None:
    floor.buy("0.1")
    stop = floor.conditional(STOP, Side.SELL, "59000", close_position=True)
    floor.sell("0.3")
    assert floor.position() == Decimal("-0.2")
    assert status(stop) == ConditionalStatus.EXPIRED


def test_one_close_order_of_each_kind_and_direction(floor: Floor) -> None:
    floor.buy("0.1")
    floor.conditional(STOP, Side.SELL, "59000", close_position=True)
    floor.conditional(TAKE, Side.SELL, "61000", close_position=True)
    floor.conditional(STOP, Side.BUY, "61000", close_position=True)
    for kind, trigger in ((STOP, "58000"), (TAKE, "62000")):
        with pytest.raises(Refused) as refused:
            floor.conditional(kind, Side.SELL, trigger, close_position=True)
        assert refused.value.reason is Reason.DUPLICATE_CLOSE_POSITION


def test_a_triggered_order_without_margin_is_rejected_with_the_reason(floor: Floor) -> None:
    waiting = floor.conditional(STOP, Side.BUY, "61000", "100")
    floor.price("61000")
    assert (waiting.status, waiting.reject_reason) == (
        ConditionalStatus.REJECTED,
        Reason.MARGIN_INSUFFICIENT,
    )
    assert floor.position() == 0


def test_canceling_a_conditional_order_keeps_it_from_triggering(floor: Floor) -> None:
    waiting = floor.conditional(STOP, Side.BUY, "61000", "0.1")
    floor.exchange.cancel_conditional(waiting, floor.now_ms)
    floor.price("62000")
    assert floor.prices == []
    with pytest.raises(Refused) as refused:
        floor.exchange.cancel_conditional(waiting, floor.now_ms)
    assert refused.value.reason is Reason.CANCEL_UNKNOWN


def test_a_trailing_stop_follows_and_fires_on_the_way_back(floor: Floor) -> None:
    floor.buy("0.1")
    trail = floor.conditional(TRAIL, Side.SELL, quantity="0.1", callback_rate=Decimal(1), reduce_only=True)
    for price in ("61000", "63000", "62371"):
        floor.price(price)
        assert status(trail) == ConditionalStatus.NEW
    assert trail.extreme == 63_000
    floor.price("62370")  # 63,000 less 1 %
    assert status(trail) == ConditionalStatus.FINISHED
    assert floor.prices[-1] == 62_370


def test_a_trailing_stop_waits_for_its_activation_price(floor: Floor) -> None:
    trail = floor.conditional(
        TRAIL, Side.BUY, quantity="0.1", callback_rate=Decimal(2), activation_price=Decimal(58_000)
    )
    floor.price("62000")
    assert str(trail.extreme) == "None"
    floor.price("57000")
    assert trail.extreme == 57_000
    floor.price("58140")  # 57,000 and 2 %
    assert status(trail) == ConditionalStatus.FINISHED


@pytest.mark.parametrize(("side", "activation"), [(Side.SELL, "60000"), (Side.BUY, "60000")])
def test_a_trailing_stop_activated_already_is_refused(floor: Floor, side: Side, activation: str) -> None:
    with pytest.raises(Refused) as refused:
        floor.conditional(
            TRAIL, side, quantity="0.1", callback_rate=Decimal(1), activation_price=Decimal(activation)
        )
    assert refused.value.reason is Reason.WOULD_TRIGGER


@pytest.mark.parametrize("rate", ["0.09", "20.1", "0"])
def test_callback_rates_are_bounded(floor: Floor, rate: str) -> None:
    with pytest.raises(Refused) as refused:
        floor.conditional(TRAIL, Side.SELL, quantity="0.1", callback_rate=Decimal(rate))
    assert refused.value.reason is Reason.CALLBACK_RATE


# Reduce-only


def test_reduce_only_needs_something_to_reduce(floor: Floor) -> None:
    for position in ("0", "-0.1"):
        if position != "0":
            floor.sell("0.1")
        with pytest.raises(Refused) as refused:
            floor.sell("0.1", reduce_only=True)
        assert refused.value.reason is Reason.REDUCE_ONLY


def test_reduce_only_never_opens(floor: Floor) -> None:
    floor.buy("0.1")
    order = floor.sell("0.5", reduce_only=True)
    assert floor.position() == 0
    assert (order.status, order.executed) == (OrderStatus.EXPIRED, Decimal("0.1"))


def test_reduce_only_is_refused_when_resting_ones_close_the_position_already(floor: Floor) -> None:
    floor.buy("0.1")
    resting = floor.sell("0.1", "61000", reduce_only=True)
    with pytest.raises(Refused) as refused:
        floor.sell("0.1", reduce_only=True)
    assert refused.value.reason is Reason.REDUCE_ONLY
    floor.exchange.cancel(floor.account, resting, floor.now_ms)
    floor.sell("0.1", reduce_only=True)
    assert floor.position() == 0


def test_a_stop_goes_before_resting_reduce_only_orders(floor: Floor) -> None:
    floor.buy("0.1")
    target = floor.sell("0.1", "61000", reduce_only=True)
    floor.conditional(STOP, Side.SELL, "59000", close_position=True)
    floor.price("58000")
    assert floor.position() == 0
    floor.price("62000")
    assert status(target) == OrderStatus.EXPIRED
    assert floor.position() == 0


def test_in_hedge_mode_the_closing_side_never_opens(floor: Floor) -> None:
    floor.exchange.settings.set_hedge_mode(floor.account, True, floor.now_ms)
    floor.buy("0.1", position_side=PositionSide.LONG)
    floor.sell("0.2", position_side=PositionSide.SHORT)
    floor.sell("0.5", position_side=PositionSide.LONG)
    assert floor.position(PositionSide.LONG) == 0
    assert floor.position(PositionSide.SHORT) == Decimal("-0.2")
    with pytest.raises(Refused) as refused:
        floor.sell("0.1", position_side=PositionSide.LONG)
    assert refused.value.reason is Reason.REDUCE_ONLY


# Thin markets


def test_F31_an_order_fills_in_parts_as_the_price_moves(floor: Floor) -> None:
    floor.thin.append(PartialFill(Decimal("0.3")))
    order = floor.buy("0.1")
    assert (order.status, order.executed) == (OrderStatus.PARTIALLY_FILLED, Decimal("0.03"))
    for price, executed in (("60100", "0.06"), ("60200", "0.09"), ("60300", "0.1")):
        floor.price(price)
        assert order.executed == Decimal(executed)
    assert status(order) == OrderStatus.FILLED
    assert floor.prices == [60_000, 60_100, 60_200, 60_300]


def test_F30_the_rest_of_an_order_expires(floor: Floor) -> None:
    floor.thin.append(PartialFill(Decimal("0.5"), expires=True))
    order = floor.buy("0.1")
    assert (order.status, order.executed) == (OrderStatus.EXPIRED, Decimal("0.05"))
    floor.price("61000")
    assert floor.position() == Decimal("0.05")


def test_what_is_left_of_a_thin_market_order_can_be_canceled(floor: Floor) -> None:
    floor.thin.append(PartialFill(Decimal("0.5")))
    order = floor.buy("0.1")
    floor.exchange.cancel(floor.account, order, floor.now_ms)
    floor.price("61000")
    assert (order.status, order.executed) == (OrderStatus.CANCELED, Decimal("0.05"))


# The same seed and commands give the same fills

MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("price"), st.integers(590, 610)),
        st.tuples(st.sampled_from(["buy", "sell"]), st.integers(2, 20)),
        st.tuples(st.sampled_from(["stop", "bid"]), st.integers(580, 599)),
    ),
    max_size=25,
)


def play(floor: Floor, moves: list[tuple[str, int]]) -> list[Fill]:
    for kind, number in moves:
        with contextlib.suppress(Refused):
            match kind:
                case "price":
                    floor.price(f"{number}00")
                case "stop":
                    floor.conditional(STOP, Side.SELL, f"{number}00", "0.01")
                case "bid":
                    floor.buy("0.01", f"{number}00")
                case _:
                    floor.order(Side(kind.upper()), f"0.0{number:02}")
    return list(floor.exchange.books.fills())


@given(MOVES)
@settings(max_examples=40, deadline=None)
def test_the_same_commands_give_the_same_fills(moves: list[tuple[str, int]]) -> None:
    assert play(make_floor(seed=7), moves) == play(make_floor(seed=7), moves)


@given(MOVES)
@settings(max_examples=40, deadline=None)
def test_position_and_wallet_are_the_sum_of_the_fills(moves: list[tuple[str, int]]) -> None:
    floor = make_floor(seed=7)
    fills = play(floor, moves)
    assert floor.position() == sum((fill.side.sign * fill.quantity for fill in fills), Decimal(0))
    result = sum((fill.realized_pnl - fill.commission for fill in fills), Decimal(0))
    assert floor.account.wallet_balance == Decimal(10_000) + result
    incomes = sum((income.amount for income in floor.exchange.books.of(floor.account).incomes), Decimal(0))
    assert floor.account.wallet_balance == incomes
