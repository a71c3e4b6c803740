"""Commands of the exchange that are not about matching: ids, amendments, timers, limits, listing."""

from dataclasses import replace
from decimal import Decimal

import pytest

from paper_exchange.exchange import MAX_OPEN_CONDITIONAL_ORDERS, MAX_OPEN_ORDERS
from paper_exchange.orders import ConditionalType, OrderStatus, Side, TimeInForce
from paper_exchange.refusals import Reason, Refused
from tests.paper_exchange.conftest import BTC, Floor, make_floor, status


def test_a_client_id_is_unique_among_open_orders_only(floor: Floor) -> None:
    resting = floor.buy("0.1", "59000", client_order_id="a")
    with pytest.raises(Refused) as refused:
        floor.buy("0.1", client_order_id="a")
    assert refused.value.reason is Reason.DUPLICATE_CLIENT_ID
    floor.exchange.cancel(floor.account, resting, floor.now_ms)
    first, second = floor.buy("0.1", client_order_id="a"), floor.buy("0.1", client_order_id="a")
    assert status(first) == status(second) == OrderStatus.FILLED
    assert floor.exchange.books.of(floor.account).orders_by_client_id["a"] is second


def test_a_client_algo_id_is_unique_among_open_conditional_orders(floor: Floor) -> None:
    def place() -> object:
        return floor.conditional(ConditionalType.STOP_MARKET, Side.BUY, "61000", "0.1", client_algo_id="a")

    place()
    with pytest.raises(Refused) as refused:
        place()
    assert refused.value.reason is Reason.DUPLICATE_CLIENT_ID
    floor.exchange.cancel_all_conditional(floor.account, BTC, floor.now_ms)
    place()


def test_ids_that_the_exchange_makes_depend_on_the_seed_alone() -> None:
    first, again, other = (make_floor(seed=seed).buy("0.1").client_order_id for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 22


def test_an_amended_order_keeps_its_id_and_may_fill(floor: Floor) -> None:
    order = floor.buy("0.1", "59000")
    exchange, account = floor.exchange, floor.account

    def amend(quantity: str, price: str) -> None:
        exchange.amend(
            account,
            order,
            side=Side.BUY,
            quantity=Decimal(quantity),
            price=Decimal(price),
            now_ms=floor.now_ms,
        )

    amend("0.2", "59500")
    assert (status(order), order.quantity, order.price) == (OrderStatus.NEW, Decimal("0.2"), Decimal(59_500))
    for quantity, price, reason in (
        ("0.2", "59500", Reason.AMEND_NOTHING),
        ("0.2", "59500.05", Reason.PRICE_OFF_TICK),
        ("90", "59500", Reason.MARGIN_INSUFFICIENT),
    ):
        with pytest.raises(Refused) as refused:
            amend(quantity, price)
        assert refused.value.reason is reason
    assert list(exchange.books.of(account).open_orders) == [order.order_id]
    amend("0.2", "60100")
    assert (status(order), order.average_price) == (OrderStatus.FILLED, Decimal(60_000))
    with pytest.raises(Refused):
        amend("0.3", "60000")


def test_a_post_only_order_cannot_be_amended_into_a_taker(floor: Floor) -> None:
    order = floor.buy("0.1", "59000", time_in_force=TimeInForce.GTX)
    with pytest.raises(Refused) as refused:
        floor.exchange.amend(
            floor.account,
            order,
            side=Side.BUY,
            quantity=Decimal("0.1"),
            price=Decimal(60_000),
            now_ms=floor.now_ms,
        )
    assert refused.value.reason is Reason.POST_ONLY_WOULD_TAKE
    assert order.price == 59_000


def test_the_dead_mans_switch_cancels_orders_but_not_conditional_ones(floor: Floor) -> None:
    order = floor.buy("0.1", "59000")
    stop = floor.conditional(ConditionalType.STOP_MARKET, Side.BUY, "61000", "0.1")
    floor.exchange.cancel_all_after(floor.account, BTC, 5000, floor.now_ms)
    floor.later(ms=4000)
    floor.exchange.cancel_all_after(floor.account, BTC, 5000, floor.now_ms)
    floor.later(ms=4000)
    assert status(order) == OrderStatus.NEW
    floor.later(ms=2000)
    assert status(order) == OrderStatus.CANCELED
    assert stop.is_open


def test_a_disarmed_switch_cancels_nothing(floor: Floor) -> None:
    order = floor.buy("0.1", "59000")
    floor.exchange.cancel_all_after(floor.account, BTC, 1000, floor.now_ms)
    floor.exchange.cancel_all_after(floor.account, BTC, 0, floor.now_ms)
    floor.later(ms=5000)
    assert order.is_open


def test_open_orders_are_limited(floor: Floor) -> None:
    for _ in range(MAX_OPEN_ORDERS):
        floor.buy("0.002", "59000")
    with pytest.raises(Refused) as refused:
        floor.buy("0.002", "59000")
    assert refused.value.reason is Reason.TOO_MANY_ORDERS


def test_open_conditional_orders_are_limited(floor: Floor) -> None:
    for _ in range(MAX_OPEN_CONDITIONAL_ORDERS):
        floor.conditional(ConditionalType.STOP_MARKET, Side.BUY, "61000", "0.1")
    with pytest.raises(Refused) as refused:
        floor.conditional(ConditionalType.STOP_MARKET, Side.BUY, "61000", "0.1")
    assert refused.value.reason is Reason.TOO_MANY_CONDITIONAL_ORDERS


@pytest.mark.parametrize(("state", "closes"), [("CLOSE", False), ("SETTLING", True)])
def test_F40_a_contract_that_no_longer_trades(floor: Floor, state: str, closes: bool) -> None:
    floor.buy("0.1")
    floor.exchange.relist(replace(floor.exchange.instrument(BTC), status=state))
    with pytest.raises(Refused) as refused:
        floor.buy("0.1")
    assert refused.value.reason is Reason.SYMBOL_NOT_TRADING
    if closes:
        floor.sell("0.1", reduce_only=True)
        assert floor.position() == 0


def test_F38_small_orders_are_refused_unless_they_reduce(floor: Floor) -> None:
    floor.buy("0.002")
    with pytest.raises(Refused) as refused:
        floor.sell("0.001")
    assert refused.value.reason is Reason.NOTIONAL_TOO_SMALL
    floor.sell("0.001", reduce_only=True)


def test_reset_starts_over_and_keeps_the_keys(floor: Floor) -> None:
    floor.buy("0.1")
    floor.buy("0.1", "59000")
    floor.exchange.settings.set_leverage(floor.account, BTC, 5, floor.now_ms)
    floor.exchange.reset(floor.now_ms)
    books = floor.exchange.books
    assert not list(books.orders())
    assert not list(books.fills())
    assert floor.position() == 0
    assert books.account_of_key("k" * 64) is floor.account
    assert floor.account.wallet_balance == 10_000
    assert floor.account.setting(BTC).leverage == 20
    assert floor.exchange.market.last(BTC, floor.now_ms) != 60_000
    floor.price("50000")
    assert floor.prices == []


@pytest.mark.parametrize("price", ["0", "-1", "60000.05", "99999999"])
def test_a_price_that_is_no_price_is_refused(floor: Floor, price: str) -> None:
    with pytest.raises(Refused):
        floor.exchange.post_price(BTC, Decimal(price), floor.now_ms)
    assert floor.exchange.market.last(BTC, floor.now_ms) == 60_000


def test_time_that_passed_without_requests_is_made_up_for_second_by_second() -> None:
    """A price that was touched and left again in a quiet hour has filled the order all the same."""
    floor = make_floor()
    market = floor.exchange.market
    market.speed, market._timelines[BTC] = 1, replace(market._timelines[BTC], speed=1.0)
    prices = [market.last(BTC, floor.now_ms + second * 1000) for second in range(3600)]
    order = floor.buy("0.1", str(min(prices)))
    floor.later(ms=3_600_000)
    assert status(order) == OrderStatus.FILLED
    assert order.update_ms // 1000 == floor.now_ms // 1000 - 3600 + prices.index(min(prices))
