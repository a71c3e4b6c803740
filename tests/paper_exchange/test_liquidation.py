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


def test_a_large_position_is_reduced_to_the_bracket_below_when_that_is_enough() -> None:
    """1,000,000 SUI from 2.0 at leverage 10, and an ETH beside it that goes free."""
    floor, sui = make_floor(balance="210000"), "SUIUSDT"
    floor.price("2", sui)
    floor.price("3000", "ETHUSDT")
    floor.exchange.settings.set_leverage(floor.account, sui, 10, floor.now_ms)
    for _ in range(2):
        floor.buy("500000", symbol=sui)
    floor.buy("0.1", symbol="ETHUSDT")
    stop = floor.conditional(ConditionalType.STOP_MARKET, Side.SELL, "1", symbol=sui, close_position=True)
    # 209,000 - 0.15 + 1,000,000 x (P - 2) = 0.05 x 1,000,000 x P - 41,800 + 1.2 at P = 1.84126...
    floor.price("1.8413", sui)
    assert floor.position(symbol=sui) == 1_000_000

    floor.price("1.8412", sui)

    # 1,500,000 / 1.8412 = 814,686.07: what the bracket below allows
    assert floor.position(symbol=sui) == Decimal("814686.0")
    assert floor.position(symbol="ETHUSDT") == Decimal("0.1")
    (order,) = (o for o in floor.exchange.books.of(floor.account).orders.values() if o.type == "LIQUIDATION")
    assert (order.executed, order.average_price) == (Decimal("185314.0"), Decimal("1.8412"))
    assert status(stop) == ConditionalStatus.NEW
    margin = floor.exchange.risk.margin(floor.account, floor.now_ms)
    assert margin.balance > margin.maintenance
    assert not incomes(floor, IncomeType.INSURANCE_CLEAR)


def test_a_reduced_position_that_is_still_not_covered_is_reduced_on() -> None:
    """100 BTC: what each bracket frees is less than the fee of giving it up, so all of it goes."""
    floor = make_floor(balance="135000")
    floor.exchange.settings.set_leverage(floor.account, BTC, 50, floor.now_ms)
    floor.buy("100")
    # 132,000 + 100 x (P - 60,000) = 0.01 x 100 x P - 12,000 at P = 59,151.51...
    floor.price("59151.6")
    assert floor.position() == 100

    floor.price("59151.5")

    taken = [o for o in floor.exchange.books.of(floor.account).orders.values() if o.type == "LIQUIDATION"]
    # 3,000,000, 800,000 and 300,000 at 59,151.5 are 50.717, 13.524 and 5.071 BTC.
    assert [o.executed for o in taken] == [Decimal(n) for n in ("49.283", "37.193", "8.453", "5.071")]
    assert floor.position() == 0
    assert floor.account.wallet_balance == 0


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
