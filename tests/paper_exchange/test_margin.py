"""Margin: sums worked out by hand, in both modes and margin types."""

from decimal import Decimal

import pytest

from paper_exchange.accounts import MarginType, Position
from paper_exchange.margin import AccountMargin, liquidation_price
from paper_exchange.orders import PositionSide
from paper_exchange.refusals import Reason, Refused
from tests.paper_exchange.conftest import BTC, Floor


def margin_of(floor: Floor) -> AccountMargin:
    return floor.exchange.risk.margin(floor.account, floor.now_ms)


def liquidation_of(floor: Floor, position: Position) -> Decimal:
    return liquidation_price(
        floor.account,
        position,
        lambda symbol: floor.exchange.market.quote(symbol, floor.now_ms),
        floor.exchange.instrument,
        margin=margin_of(floor),
    )


def test_a_cross_position_is_worked_out(floor: Floor) -> None:
    """0.5 BTC bought at 60,000 for 15 of commission, leverage 20, at 61,000."""
    floor.buy("0.5")
    floor.price("61000")
    margin = margin_of(floor)
    assert margin.wallet == Decimal(9_985)
    assert margin.unrealized == margin.cross_unrealized == Decimal(500)
    assert margin.position_initial == Decimal(1_525)  # 0.5 x 61,000 / 20
    assert margin.maintenance == Decimal(122)  # 30,500 x 0.4 %
    assert margin.available == Decimal(9_985 + 500 - 1_525)


def test_open_orders_take_margin_on_their_worse_side(floor: Floor) -> None:
    floor.buy("0.1")
    floor.buy("0.2", "59000")
    floor.sell("0.1", "61000")
    margin = margin_of(floor)
    # long 6,000 and bids 11,800, against asks 6,100 that only close it: (6,000 + 11,800) / 20
    assert margin.position_initial == Decimal(300)
    assert margin.order_initial == Decimal(590)


def test_reduce_only_orders_take_no_margin(floor: Floor) -> None:
    floor.buy("0.1")
    floor.sell("0.1", "61000", reduce_only=True)
    assert margin_of(floor).order_initial == 0


def test_an_isolated_position_has_its_own_wallet(floor: Floor) -> None:
    floor.exchange.settings.set_margin_type(floor.account, BTC, MarginType.ISOLATED, floor.now_ms)
    floor.buy("0.5")
    assert floor.account.position(BTC, PositionSide.BOTH).isolated_wallet == Decimal(1_500)
    assert floor.account.cross_wallet == Decimal(10_000 - 1_500 - 15)
    floor.price("60500")
    margin = margin_of(floor)
    assert (margin.available, margin.cross_unrealized) == (Decimal(8_485), Decimal(0))
    assert margin.unrealized == Decimal(250)
    floor.sell("0.5")
    assert floor.account.cross_wallet == Decimal("10000") - 15 + 250 - Decimal("15.125")


def test_higher_brackets_take_more_maintenance(floor: Floor) -> None:
    """5 BTC at 63,000 = 315,000: beyond 300,000 it is 0.5 % less cum 300."""
    floor.exchange.settings.set_leverage(floor.account, BTC, 100, floor.now_ms)
    floor.buy("5")
    floor.price("63000")
    assert margin_of(floor).maintenance == Decimal("315000") * Decimal("0.005") - 300


def test_a_cross_liquidation_price_leaves_exactly_the_maintenance(floor: Floor) -> None:
    floor.buy("2")
    price = liquidation_of(floor, floor.account.position(BTC, PositionSide.BOTH))
    # wallet 9,940: 9,940 + 2 (p - 60,000) = 2 p x 0.4 %
    assert price == pytest.approx((120_000 - 9_940) / Decimal("1.992"), rel=Decimal("1e-9"))


def test_a_short_and_an_isolated_liquidation_price(floor: Floor) -> None:
    floor.exchange.settings.set_margin_type(floor.account, BTC, MarginType.ISOLATED, floor.now_ms)
    floor.sell("1")
    price = liquidation_of(floor, floor.account.position(BTC, PositionSide.BOTH))
    # 3,000 - (p - 60,000) = p x 0.4 %
    assert price == pytest.approx(Decimal(63_000) / Decimal("1.004"), rel=Decimal("1e-9"))


def test_an_order_beyond_the_available_margin_is_refused(floor: Floor) -> None:
    floor.exchange.settings.set_leverage(floor.account, BTC, 1, floor.now_ms)
    floor.buy("0.166")
    with pytest.raises(Refused) as refused:
        floor.buy("0.002")
    assert refused.value.reason is Reason.MARGIN_INSUFFICIENT
    floor.sell("0.332")  # turning over needs no more than the position has


def test_closing_is_possible_without_any_margin_left(floor: Floor) -> None:
    floor.buy("3")
    floor.price("57000")
    assert margin_of(floor).available == 0
    floor.sell("3", reduce_only=True)
    assert floor.position() == 0


def test_a_limit_order_worse_than_the_mark_needs_its_loss_too(floor: Floor) -> None:
    """At 62,000 against a mark of 60,000, 3 BTC lose 6,000 at once; 9,300 of margin is there but not both."""
    with pytest.raises(Refused) as refused:
        floor.buy("3", "62000")
    assert refused.value.reason is Reason.MARGIN_INSUFFICIENT
    floor.buy("3", "60000")


def test_a_position_is_limited_by_its_leverage(floor: Floor) -> None:
    floor.exchange.settings.set_leverage(floor.account, BTC, 125, floor.now_ms)
    floor.buy("4")
    with pytest.raises(Refused) as refused:
        floor.buy("1.1")
    assert refused.value.reason is Reason.POSITION_LIMIT
    floor.sell("4")


def test_hedge_mode_counts_both_positions(floor: Floor) -> None:
    floor.exchange.settings.set_hedge_mode(floor.account, True, floor.now_ms)
    floor.buy("0.1", position_side=PositionSide.LONG)
    floor.sell("0.2", position_side=PositionSide.SHORT)
    assert margin_of(floor).position_initial == Decimal(900)  # (6,000 + 12,000) / 20
    floor.price("61000")
    assert margin_of(floor).unrealized == Decimal(-100)


def test_break_even_gives_the_commissions_back(floor: Floor) -> None:
    floor.buy("0.5")
    position = floor.account.position(BTC, PositionSide.BOTH)
    assert position.break_even_price == Decimal(60_030)  # 15 of commission on 0.5
    floor.sell("0.25")
    assert position.break_even_price == Decimal(60_030)
