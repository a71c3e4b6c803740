"""What OKX's account channels mean; payloads are those of its documentation, shortened to what is read."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_service.exchanges.errors import OutcomeUnknown
from execution_service.exchanges.events import BalanceUpdate, OrderUpdate, PositionUpdate, StreamEnded
from execution_service.exchanges.okx_contracts import Contract
from execution_service.exchanges.okx_stream import check_event, events_of
from execution_service.exchanges.reading import read
from execution_service.exchanges.types import OrderKind, OrderStatus
from tradekit.market.sizing import Side

CONTRACTS = {
    "BTC-USDT-SWAP": Contract("BTC-USDT-SWAP", value=Decimal("0.01"), lot=Decimal("0.01"), max_leverage=100)
}
ORDER: dict[str, Any] = {
    "instId": "BTC-USDT-SWAP", "clOrdId": "tbabc", "ordId": "312269865356374016", "side": "sell",
    "ordType": "limit", "sz": "2", "accFillSz": "0", "avgPx": "0", "px": "50000", "state": "live",
    "reduceOnly": "true",
}  # fmt: skip
ALGO: dict[str, Any] = {
    "instId": "BTC-USDT-SWAP", "algoClOrdId": "tbstop", "algoId": "581878926302093312", "side": "sell",
    "ordType": "conditional", "sz": "", "closeFraction": "1", "slTriggerPx": "49000", "tpTriggerPx": "",
    "state": "canceled", "actualSz": "0", "actualPx": "", "reduceOnly": "true",
}  # fmt: skip
POSITION: dict[str, Any] = {
    "instId": "BTC-USDT-SWAP", "posSide": "net", "pos": "-2", "avgPx": "50000", "markPx": "50000",
    "upl": "0", "liqPx": "",
}  # fmt: skip


def told(channel: str, *rows: dict[str, Any], kind: str = "event_update") -> Any:
    """The events of a push, read as the stream reads them."""
    message = {"arg": {"channel": channel}, "eventType": kind, "data": list(rows)}
    return list(read(lambda push: events_of(push, CONTRACTS), message))


def test_an_order_that_fills_in_base_currency() -> None:
    (event,) = told("orders", ORDER | {"state": "filled", "accFillSz": "2", "avgPx": "50001"})

    assert isinstance(event, OrderUpdate)
    assert not event.conditional
    assert (event.order.symbol, event.order.client_order_id) == ("BTCUSDT", "tbabc")
    assert (event.order.status, event.order.filled_quantity) == (OrderStatus.FILLED, Decimal("0.02"))


@pytest.mark.parametrize("channel", ["orders-algo", "algo-advance"])
def test_F45_a_stop_that_was_cancelled(channel: str) -> None:
    (event,) = told(channel, ALGO)

    assert event.conditional
    assert (event.order.client_order_id, event.order.status) == ("tbstop", OrderStatus.CANCELED)
    assert (event.order.kind, event.order.quantity) == (OrderKind.STOP_LOSS, None)


@pytest.mark.parametrize(
    ("fields", "update"),
    [
        ({}, PositionUpdate("BTCUSDT", Side.SHORT, Decimal("0.02"))),
        ({"pos": "0"}, PositionUpdate("BTCUSDT", None, Decimal(0))),
        ({"pos": "3", "posSide": "long"}, PositionUpdate("BTCUSDT", Side.LONG, Decimal("0.03"))),
        ({"pos": "0", "posSide": "short"}, PositionUpdate("BTCUSDT", Side.SHORT, Decimal(0))),
    ],
)
def test_a_position_that_changes(fields: dict[str, Any], update: PositionUpdate) -> None:
    assert told("positions", POSITION | fields) == [update]


def test_money_that_changes() -> None:
    row = {"details": [{"ccy": "USDT", "cashBal": "9999.5"}, {"ccy": "BTC", "cashBal": "0.1"}]}

    assert told("account", row) == [
        BalanceUpdate("USDT", Decimal("9999.5")),
        BalanceUpdate("BTC", Decimal("0.1")),
    ]


def test_what_is_only_shown_again_tells_no_change() -> None:
    assert told("positions", POSITION, kind="snapshot") == []
    assert told("account", {"details": [{"ccy": "USDT", "cashBal": "1"}]}, kind="snapshot") == []


def test_markets_that_we_do_not_trade_are_left_out() -> None:
    assert told("orders", ORDER | {"instId": "BTC-USD-SWAP"}, ORDER) == told("orders", ORDER)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(ORDER)), inner),
    max_leaves=12,
)


@given(
    st.sampled_from(["orders", "orders-algo", "positions", "account"]),
    st.dictionaries(st.sampled_from(sorted(ORDER | ALGO | POSITION)), JSON),
)
def test_T28_nonsense_tells_nothing_or_is_unreadable(channel: str, row: dict[str, Any]) -> None:
    try:
        events = told(channel, row | {"instId": "BTC-USDT-SWAP"})
    except OutcomeUnknown:
        return
    assert all(isinstance(event, OrderUpdate | BalanceUpdate | PositionUpdate) for event in events)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ({"event": "notice", "code": "64008", "msg": "The connection will soon be closed."}, "upgrade"),
        ({"event": "error", "code": "60011", "msg": "Please log in"}, "refused"),
        ({"event": "login", "code": "60009", "msg": "Login failed."}, "refused"),
        ({"event": "channel-conn-count-error", "channel": "orders"}, "too_many_connections"),
    ],
)
def test_what_the_exchange_says_that_ends_a_stream(message: dict[str, Any], cause: str) -> None:
    with pytest.raises(StreamEnded) as ended:
        check_event(message)
    assert ended.value.cause == cause
