"""Exits of the core: stops with a second leg, exits attached to entries, venues with terms of their own."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_exchange.accounts import MarginType, Venue
from paper_exchange.matching import PartialFill
from paper_exchange.orders import (
    ZERO,
    AttachedExit,
    ConditionalOrder,
    ConditionalStatus,
    ConditionalType,
    ExitLeg,
    Side,
    TriggerPrice,
)
from paper_exchange.refusals import Reason, Refused
from tests.paper_exchange.conftest import BTC, Floor, make_floor

PRICES = st.lists(st.integers(min_value=50_000, max_value=70_000), min_size=1, max_size=12)


def leg(trigger: str, price: str = "0", kind: TriggerPrice = TriggerPrice.LAST) -> ExitLeg:
    return ExitLeg(Decimal(trigger), Decimal(price), kind)


def exit_of(stop: str | None = "59000", profit: str | None = "61000", quantity: str = "0") -> AttachedExit:
    return AttachedExit(
        client_algo_id="",
        quantity=Decimal(quantity),
        stop_loss=leg(stop) if stop else None,
        take_profit=leg(profit) if profit else None,
    )


def waiting(floor: Floor) -> list[ConditionalOrder]:
    return list(floor.exchange.books.of(floor.account).open_conditional.values())


@pytest.mark.parametrize(("price", "profit_taken"), [("59000", False), ("61000", True)])
def test_either_leg_ends_the_order(floor: Floor, price: str, profit_taken: bool) -> None:
    floor.buy("0.1")
    order = floor.conditional(
        ConditionalType.STOP_MARKET, Side.SELL, "59000", "0.1", take_profit=leg("61000"), reduce_only=True
    )
    floor.price("60500")
    assert order.is_open
    floor.price(price)
    assert (order.status, order.profit_taken) == (ConditionalStatus.FINISHED, profit_taken)
    assert floor.prices == [60_000, Decimal(price)]


def test_each_leg_has_a_price_of_its_own(floor: Floor) -> None:
    floor.buy("0.1")
    floor.conditional(
        ConditionalType.STOP_MARKET, Side.SELL, "59000", "0.1", take_profit=leg("61000", "61500")
    )
    floor.price("61000")
    (order,) = floor.exchange.books.of(floor.account).open_orders.values()
    assert order.price == 61_500


def test_a_second_leg_beyond_the_market_is_refused(floor: Floor) -> None:
    with pytest.raises(Refused) as refused:
        floor.conditional(ConditionalType.STOP_MARKET, Side.SELL, "59000", "0.1", take_profit=leg("60000"))
    assert refused.value.reason is Reason.WOULD_TRIGGER


@given(PRICES, st.booleans())
@settings(max_examples=60)
def test_attached_exits_close_what_was_entered_and_never_more(prices: list[int], buys: bool) -> None:
    floor = make_floor()
    side, stop, profit = (Side.BUY, "58000", "63000") if buys else (Side.SELL, "62000", "57000")
    floor.order(side, "0.1", attached=(exit_of(stop, profit),))
    (exit_,) = waiting(floor)
    for price in prices:
        floor.price(str(price))
        inside = min(Decimal(stop), Decimal(profit)) < price < max(Decimal(stop), Decimal(profit))
        if exit_.is_open:
            assert inside
            assert abs(floor.position()) == Decimal("0.1")
        else:
            assert floor.position() == 0
    assert len(floor.prices) <= 2


def test_exits_wait_for_the_end_of_their_entry(floor: Floor) -> None:
    floor.thin.append(PartialFill(Decimal("0.5")))
    entry = floor.buy("0.2", "60000", attached=(exit_of(),))
    assert entry.executed == Decimal("0.1")
    assert waiting(floor) == []
    floor.price("59990")
    (exit_,) = waiting(floor)
    assert exit_.quantity == Decimal("0.2")
    assert entry.attached == ()


def test_exits_of_a_canceled_entry_cover_what_it_had_filled(floor: Floor) -> None:
    floor.thin.append(PartialFill(Decimal("0.5")))
    entry = floor.buy("0.2", "60000", attached=(exit_of(quantity="0.15"), exit_of(quantity="0.05")))
    floor.exchange.cancel(floor.account, entry, floor.now_ms)
    assert [order.quantity for order in waiting(floor)] == [Decimal("0.1"), Decimal("0.05")]


def test_an_entry_without_a_fill_has_no_exits(floor: Floor) -> None:
    entry = floor.buy("0.2", "59000", attached=(exit_of("58000"),))
    floor.exchange.cancel(floor.account, entry, floor.now_ms)
    assert waiting(floor) == []


def test_an_exit_that_the_market_has_passed_closes_at_once(floor: Floor) -> None:
    """The market jumps past the limit order and its stop in one move."""
    floor.buy("0.1", "59500", attached=(exit_of("59000", None),))
    floor.price("58000")
    assert floor.prices == [59_500, 58_000]
    assert floor.position() == 0


def test_the_index_price_can_trigger(floor: Floor) -> None:
    order = floor.conditional(
        ConditionalType.STOP_MARKET, Side.SELL, "59000", "0.1", working_type=TriggerPrice.INDEX
    )
    floor.price("59000")
    assert order.status is ConditionalStatus.FINISHED


def test_a_trailing_stop_may_trail_by_a_difference(floor: Floor) -> None:
    floor.buy("0.1")
    floor.conditional(
        ConditionalType.TRAILING_STOP_MARKET, Side.SELL, quantity="0.1", callback_spread=Decimal(500)
    )
    for price in ("62000", "61500.1"):
        floor.price(price)
    assert floor.position() == Decimal("0.1")
    floor.price("61500")
    assert floor.prices == [60_000, 61_500]


def test_an_order_bound_to_a_position_ends_with_it(floor: Floor) -> None:
    floor.buy("0.1")
    order = floor.conditional(ConditionalType.STOP_MARKET, Side.SELL, "59000", "0.1", cancel_on_close=True)
    floor.sell("0.1")
    assert order.status is ConditionalStatus.EXPIRED


def test_a_venue_may_list_a_market_under_other_terms(floor: Floor) -> None:
    with pytest.raises(Refused):
        floor.buy("0.0001")
    floor.exchange.risk.terms[Venue.BINANCE] = lambda instrument: replace(
        instrument,
        step=Decimal("0.0001"),
        min_quantity=Decimal("0.0001"),
        min_notional=ZERO,
        quantity_precision=4,
    )
    floor.buy("0.0001")
    assert floor.position() == Decimal("0.0001")


def test_each_margin_type_keeps_its_leverage(floor: Floor) -> None:
    change, account = floor.exchange.settings, floor.account
    change.set_idle_leverage(account, BTC, 3, floor.now_ms)
    assert account.setting(BTC).leverage == 20
    change.use_margin_type(account, BTC, MarginType.ISOLATED, floor.now_ms)
    assert (account.setting(BTC).leverage, account.setting(BTC).idle_leverage) == (3, 20)
    order = floor.buy("0.01", "59000")
    with pytest.raises(Refused) as refused:
        change.use_margin_type(account, BTC, MarginType.CROSS, floor.now_ms)
    assert refused.value.reason is Reason.MARGIN_TYPE_HAS_ORDERS
    floor.exchange.cancel(account, order, floor.now_ms)
    floor.buy("0.01")
    with pytest.raises(Refused) as refused:
        change.use_margin_type(account, BTC, MarginType.CROSS, floor.now_ms)
    assert refused.value.reason is Reason.MARGIN_TYPE_HAS_POSITION


def test_a_position_counts_from_its_opening(floor: Floor) -> None:
    position = floor.account.position(BTC, floor.buy("0.1").position_side)
    opened = position.opening_trade_id
    floor.price("61000")
    floor.sell("0.05")
    assert (position.opening_trade_id, position.realized_pnl) == (opened, Decimal(50))
    floor.sell("0.1")
    assert position.opening_trade_id != opened
    assert (position.realized_pnl, position.commission) == (ZERO, Decimal("1.525"))  # 0.05 x 61,000 x 0.05 %
