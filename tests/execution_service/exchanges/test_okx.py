"""What OKX's client puts on the wire: contracts, modes, times. A contract is 0.01 BTC, the price 50,000."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from execution_service.exchanges import errors
from execution_service.exchanges.reading import milliseconds
from execution_service.exchanges.types import MarginMode, OrderStatus
from execution_service.signals import OrderSide
from tests.execution_service.exchanges.conftest import SIGNAL, SYMBOL, Subject, ref_of
from tradekit.market.sizing import Side
from tradekit.market.timeframe import Timeframe

pytestmark = pytest.mark.anyio

Parameters = dict[str, str]


@pytest.fixture
async def okx(subject_of: Callable[..., Awaitable[Subject]]) -> Subject:
    return await subject_of("okx")


def asked(okx: Subject, path: str) -> list[Parameters]:
    """The parameters of the requests to a path, oldest first."""
    return [
        {parameter.name: parameter.value for parameter in item.parameters}
        for item in okx.signed
        if (item.method, item.path) == ("POST", path)
    ]


async def stop(okx: Subject, *, valid_ms: int = 3_000) -> tuple[Parameters, int]:
    """Places a stop for the whole position; returns what was signed, and when the order ends."""
    send = okx.send(valid_ms=valid_ms)
    await okx.exchange.create_stop_loss(
        SYMBOL, OrderSide.SELL, Decimal("49000.5"), position=Side.LONG, quantity=None, send=send
    )
    end = milliseconds(send.timestamp + timedelta(milliseconds=valid_ms))
    return asked(okx, "/api/v5/trade/order-algo")[-1], end


async def test_an_entry_is_counted_in_contracts(okx: Subject) -> None:
    order = await okx.buy("0.0379")

    (signed,) = asked(okx, "/api/v5/trade/order")
    assert (signed["instId"], signed["sz"], signed["tdMode"]) == ("BTC-USDT-SWAP", "3.79", "cross")
    assert signed["clOrdId"] == order.client_order_id
    assert "reduceOnly" not in signed
    assert order.filled_quantity == Decimal("0.0379")


async def test_an_entry_says_until_when_it_may_be_accepted(okx: Subject) -> None:
    await okx.buy("0.02")

    (signed,) = asked(okx, "/api/v5/trade/order")
    assert int(signed["expTime"]) - int(signed["timestamp"]) == 3_000


@pytest.mark.parametrize("valid_ms", [1_000, 2_000, 10_000])
async def test_the_timestamp_of_a_stop_ends_with_its_time(okx: Subject, valid_ms: int) -> None:
    """OKX takes a timestamp for 30 s, and knows no expTime for conditional orders."""
    await okx.buy("0.02")

    signed, end = await stop(okx, valid_ms=valid_ms)

    assert "expTime" not in signed
    assert int(signed["timestamp"]) + 30_000 == end


async def test_a_stop_follows_the_position_and_a_target_has_its_size(okx: Subject) -> None:
    await okx.buy("0.02")
    signed, _ = await stop(okx)
    target = await okx.exchange.create_take_profit(
        SYMBOL, OrderSide.SELL, Decimal(52_000), position=Side.LONG, quantity=None, send=okx.send()
    )

    assert (signed["closeFraction"], signed["reduceOnly"], signed["slOrdPx"]) == ("1", "true", "-1")
    assert (signed["slTriggerPx"], signed["slTriggerPxType"]) == ("49000.5", "last")
    assert "sz" not in signed
    second = asked(okx, "/api/v5/trade/order-algo")[-1]
    assert (second["sz"], second["tpTriggerPx"], second["cxlOnClosePos"]) == ("2", "52000", "true")
    assert "closeFraction" not in second
    assert target.quantity == Decimal("0.02")


async def test_a_target_without_a_position_is_no_order(okx: Subject) -> None:
    with pytest.raises(errors.NothingToReduce):
        await okx.exchange.create_take_profit(
            SYMBOL, OrderSide.SELL, Decimal(52_000), position=Side.LONG, quantity=None, send=okx.send()
        )

    assert asked(okx, "/api/v5/trade/order-algo") == []


async def test_trailing_is_a_share_of_one(okx: Subject) -> None:
    await okx.buy("0.02")
    await okx.exchange.create_trailing_stop(
        SYMBOL,
        OrderSide.SELL,
        Decimal("0.75"),
        position=Side.LONG,
        quantity=Decimal("0.02"),
        send=okx.send(),
    )

    (signed,) = asked(okx, "/api/v5/trade/order-algo")
    assert (signed["ordType"], signed["callbackRatio"]) == ("move_order_stop", "0.0075")


async def test_the_margin_mode_of_an_open_position_holds_for_what_reduces_it(okx: Subject) -> None:
    """The owner opens it isolated with his own client: stop and close go the same way."""
    await okx.exchange.set_margin_mode(SYMBOL, MarginMode.ISOLATED, signal_id=SIGNAL)
    await okx.buy("0.02")
    other = await _restarted(okx)

    signed, _ = await stop(other)
    (held,) = await other.exchange.get_positions()
    await other.exchange.close_position(held, send=other.send())

    assert signed["tdMode"] == "isolated"
    assert asked(other, "/api/v5/trade/order")[-1]["tdMode"] == "isolated"


async def _restarted(okx: Subject) -> Subject:
    """The same account in a process that remembers nothing."""
    client = okx.exchange
    market = okx.market
    fresh = type(client)(client.account, client._host, client._requests._sign, market)  # type: ignore[attr-defined,call-arg]
    return Subject(fresh, market, okx.paper, okx.hand, okx.signed)


async def test_a_quantity_off_the_lot_is_refused_before_it_is_signed(okx: Subject) -> None:
    with pytest.raises(errors.RulesChanged):
        await okx.buy("0.00005")

    assert asked(okx, "/api/v5/trade/order") == []


async def test_an_unknown_market_is_refused_before_it_is_signed(okx: Subject) -> None:
    with pytest.raises(errors.Refused) as refused:
        await okx.exchange.create_market_order(
            "NOSUCHUSDT",
            OrderSide.BUY,
            Decimal(1),
            position=Side.LONG,
            reduce_only=False,
            send=okx.send(),
        )

    assert refused.value.reason == "UNKNOWN_SYMBOL"
    assert asked(okx, "/api/v5/trade/order") == []


@pytest.mark.parametrize("code", [50001, 50013, 50026])
async def test_F25_a_busy_exchange_says_nothing_about_an_order(okx: Subject, code: int) -> None:
    await okx.paper.fault("error_code", code=code, executed=True, method="POST", path="/api/v5/trade/order")

    with pytest.raises(errors.OutcomeUnknown):
        await okx.buy("0.02")

    assert len(await okx.paper.positions()) == 1


@pytest.mark.parametrize("code", [50001, 50013, 50026])
async def test_a_busy_exchange_may_be_asked_again(okx: Subject, code: int) -> None:
    await okx.paper.fault("error_code", code=code, method="GET", path="/api/v5/account/balance")

    with pytest.raises(errors.Maintenance):
        await okx.exchange.get_account_balance()
    assert (await okx.exchange.get_account_balance()).total == 10_000


async def test_more_orders_than_a_page_holds_are_all_told(
    okx: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("execution_service.exchanges.okx.ORDERS_PER_PAGE", 4)
    placed = set()
    for number in range(10):
        order = await okx.exchange.create_limit_order(
            SYMBOL,
            OrderSide.BUY,
            Decimal("0.0001"),
            Decimal(30_000 + number),
            position=Side.LONG,
            send=okx.send(),
        )
        placed.add(order.client_order_id)

    listed = await okx.exchange.get_open_orders()

    assert {order.client_order_id for order in listed} == placed


async def test_a_crossing_limit_order_is_told_as_filled(okx: Subject) -> None:
    order = await okx.exchange.create_limit_order(
        SYMBOL, OrderSide.BUY, Decimal("0.01"), Decimal(50_100), position=Side.LONG, send=okx.send()
    )

    assert (order.status, order.filled_quantity) == (OrderStatus.FILLED, Decimal("0.01"))


async def test_a_market_order_is_only_accepted_by_its_answer(okx: Subject) -> None:
    order = await okx.exchange.create_market_order(
        SYMBOL, OrderSide.BUY, Decimal("0.01"), position=Side.LONG, reduce_only=False, send=okx.send()
    )

    assert (order.status, order.filled_quantity) == (OrderStatus.OPEN, Decimal(0))
    assert (await okx.filled(order)).status is OrderStatus.FILLED
    assert ref_of(order).client_order_id == order.client_order_id


async def test_days_begin_at_midnight_utc(okx: Subject) -> None:
    """OKX's plain 1D begins at 16:00 UTC."""
    candles = await okx.market.candles(SYMBOL, Timeframe(1, "d"), 3)

    assert {candle.open_time.hour for candle in candles} == {0}
