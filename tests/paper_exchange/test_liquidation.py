"""Liquidation and funding: what is taken, what is left, who pays."""

from decimal import Decimal

from paper_exchange.accounts import IncomeType, MarginType
from paper_exchange.market import FUNDING_INTERVAL_MS
from paper_exchange.orders import (
    ConditionalStatus,
    ConditionalType,
    OrderStatus,
    OrderType,
    PositionSide,
    Side,
)
from tests.paper_exchange.conftest import BTC, Floor, make_floor, status


def incomes(floor: Floor, kind: IncomeType) -> list[Decimal]:
    return [i.amount for i in floor.exchange.books.of(floor.account).incomes if i.type is kind]


def test_F46_a_cross_account_is_liquidated_below_its_maintenance(floor: Floor) -> None:
    floor.buy("2")
    bid = floor.buy("0.01", "50000")
    stop = floor.conditional(ConditionalType.STOP_MARKET, Side.SELL, "50000", close_position=True)
    floor.price("55252")
    assert floor.position() == 2, "a little above 55,251.0, where margin and maintenance are equal"
    floor.price("55250")
    assert floor.position() == 0
    assert (status(bid), status(stop)) == (OrderStatus.EXPIRED, ConditionalStatus.EXPIRED)
    order = list(floor.exchange.books.of(floor.account).orders.values())[-1]
    assert order.client_order_id.startswith("autoclose-")
    assert (order.type, order.average_price) == (OrderType.LIQUIDATION, Decimal(55_250))
    # 9,940 - 9,500 - 110,500 x (0.05 % + 1.25 %) < 0: the insurance fund pays the rest
    assert floor.account.cross_wallet == 0
    assert incomes(floor, IncomeType.INSURANCE_CLEAR) == [Decimal("996.5")]


def test_an_isolated_position_takes_only_its_own_wallet() -> None:
    floor = make_floor()
    floor.exchange.settings.set_margin_type(floor.account, BTC, MarginType.ISOLATED, floor.now_ms)
    floor.buy("1")
    left = floor.account.cross_wallet
    floor.price("50000")
    assert floor.position() == 0
    assert floor.account.wallet_balance == left == Decimal(10_000 - 3_000 - 30)


def test_a_stop_goes_before_liquidation(floor: Floor) -> None:
    floor.buy("2")
    stop = floor.conditional(ConditionalType.STOP_MARKET, Side.SELL, "59000", close_position=True)
    floor.price("55000")
    assert status(stop) == ConditionalStatus.FINISHED
    assert floor.account.wallet_balance == Decimal(10_000 - 60 - 10_000 - 55)
    assert not incomes(floor, IncomeType.INSURANCE_CLEAR)


def test_a_hedged_account_is_liquidated_on_both_sides(floor: Floor) -> None:
    floor.exchange.settings.set_hedge_mode(floor.account, True, floor.now_ms)
    floor.buy("2.2", position_side=PositionSide.LONG)
    floor.sell("0.2", position_side=PositionSide.SHORT)
    floor.price("54000")
    assert floor.position(PositionSide.LONG) == floor.position(PositionSide.SHORT) == 0


def test_longs_pay_shorts_when_the_rate_is_positive() -> None:
    floor = make_floor()
    market = floor.exchange.market
    floor.buy("0.5")
    due_ms = market.next_funding_ms(floor.now_ms)
    rate = market.funding_rate(BTC, due_ms - 1)
    floor.later(ms=due_ms - floor.now_ms - 1)
    assert incomes(floor, IncomeType.FUNDING_FEE) == []
    before = floor.account.cross_wallet
    floor.later(ms=1)
    (paid,) = incomes(floor, IncomeType.FUNDING_FEE)
    assert paid == -(Decimal(30_000) * rate).quantize(Decimal("1e-8"))
    assert floor.account.cross_wallet == before + paid
    floor.later(ms=FUNDING_INTERVAL_MS)
    assert len(incomes(floor, IncomeType.FUNDING_FEE)) == 2


def test_a_flat_account_pays_no_funding(floor: Floor) -> None:
    floor.buy("0.5", "50000")
    floor.later(ms=2 * FUNDING_INTERVAL_MS)
    assert incomes(floor, IncomeType.FUNDING_FEE) == []
