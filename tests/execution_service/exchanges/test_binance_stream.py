"""What Binance's user events mean; the payloads are those of its documentation, shortened to what is read."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_service.exchanges.binance_stream import events_of
from execution_service.exchanges.events import (
    BalanceUpdate,
    LeverageUpdate,
    OrderUpdate,
    PositionUpdate,
    StreamEnded,
)
from execution_service.exchanges.types import OrderKind, OrderStatus
from execution_service.signals import OrderSide
from tradekit.market.sizing import Side

ORDER: dict[str, Any] = {
    "s": "BTCUSDT", "c": "tbabc", "S": "SELL", "o": "LIMIT", "f": "GTC", "q": "0.002", "p": "9910",
    "ap": "0", "sp": "0", "x": "NEW", "X": "NEW", "i": 8886774, "l": "0", "z": "0", "L": "0", "R": False,
    "ps": "BOTH", "cp": False, "er": "0",
}  # fmt: skip
ALGO: dict[str, Any] = {
    "caid": "tbstop", "aid": 2148719, "at": "CONDITIONAL", "o": "STOP_MARKET", "s": "BNBUSDT", "S": "SELL",
    "ps": "BOTH", "f": "GTC", "q": "0.01", "X": "CANCELED", "ai": "", "ap": "0.00000", "aq": "0.00000",
    "act": "0", "tp": "750", "p": "0", "wt": "CONTRACT_PRICE", "cp": False, "R": True, "rm": "",
}  # fmt: skip


def told(payload: dict[str, Any]) -> Any:
    """The events of a payload, wrapped as on the combined stream."""
    return events_of(json.dumps({"stream": "key", "data": payload}))


def order_update(**fields: Any) -> OrderUpdate:
    (event,) = told({"e": "ORDER_TRADE_UPDATE", "o": ORDER | fields})
    assert isinstance(event, OrderUpdate)
    return event


def test_an_order_that_fills() -> None:
    event = order_update(x="TRADE", X="FILLED", z="0.002", ap="9910.5")

    assert not event.conditional
    order = event.order
    assert (order.symbol, order.side, order.kind, order.status) == (
        "BTCUSDT", OrderSide.SELL, OrderKind.LIMIT, OrderStatus.FILLED,
    )  # fmt: skip
    assert (order.client_order_id, order.exchange_order_id) == ("tbabc", "8886774")
    assert (order.filled_quantity, order.average_price) == (Decimal("0.002"), Decimal("9910.5"))


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("NEW", OrderStatus.OPEN),
        ("PARTIALLY_FILLED", OrderStatus.OPEN),
        ("CANCELED", OrderStatus.CANCELED),
        ("EXPIRED", OrderStatus.CANCELED),
        ("EXPIRED_IN_MATCH", OrderStatus.CANCELED),
        ("NEW_INSURANCE", OrderStatus.OPEN),
        ("NEW_ADL", OrderStatus.OPEN),
    ],
)
def test_every_documented_state_of_an_order(status: str, meaning: OrderStatus) -> None:
    assert order_update(X=status).order.status is meaning


def test_F45_a_stop_that_was_cancelled() -> None:
    (event,) = told({"e": "ALGO_UPDATE", "o": ALGO})

    assert event.conditional
    assert (event.order.client_order_id, event.order.status) == ("tbstop", OrderStatus.CANCELED)
    assert (event.order.kind, event.order.trigger_price) == (OrderKind.STOP_LOSS, Decimal(750))


def test_a_change_of_money_and_positions() -> None:
    account = {
        "m": "ORDER",
        "B": [{"a": "USDT", "wb": "122624.12345678", "cw": "100.12345678", "bc": "50.1"}],
        "P": [
            {"s": "BTCUSDT", "pa": "0", "ep": "0", "ps": "BOTH"},
            {"s": "ETHUSDT", "pa": "-0.5", "ep": "3000", "ps": "BOTH"},
            {"s": "BNBUSDT", "pa": "-10", "ep": "600", "ps": "SHORT"},
            {"s": "BNBUSDT", "pa": "0", "ep": "0", "ps": "LONG"},
        ],
    }

    assert told({"e": "ACCOUNT_UPDATE", "a": account}) == [
        BalanceUpdate("USDT", Decimal("122624.12345678")),
        PositionUpdate("BTCUSDT", None, Decimal(0)),
        PositionUpdate("ETHUSDT", Side.SHORT, Decimal("0.5")),
        PositionUpdate("BNBUSDT", Side.SHORT, Decimal(10)),
        PositionUpdate("BNBUSDT", Side.LONG, Decimal(0)),
    ]


def test_funding_of_a_cross_position_tells_the_money_alone() -> None:
    account = {"m": "FUNDING_FEE", "B": [{"a": "USDT", "wb": "9.5"}]}

    assert told({"e": "ACCOUNT_UPDATE", "a": account}) == [BalanceUpdate("USDT", Decimal("9.5"))]


def test_a_changed_leverage() -> None:
    assert told({"e": "ACCOUNT_CONFIG_UPDATE", "ac": {"s": "BTCUSDT", "l": 25}}) == [
        LeverageUpdate("BTCUSDT", 25)
    ]


@pytest.mark.parametrize(
    "payload",
    [
        {"e": "TRADE_LITE", "s": "BTCUSDT"},  # the same fill comes again in full
        {"e": "MARGIN_CALL", "p": []},
        {"e": "ACCOUNT_CONFIG_UPDATE", "ai": {"j": True}},
        {"e": "SOMETHING_NEW"},
        {"result": None, "id": 7},
    ],
)
def test_what_is_about_something_else_tells_nothing(payload: dict[str, Any]) -> None:
    assert list(told(payload)) == []


def test_the_end_of_the_listen_key_is_the_end_of_the_stream() -> None:
    with pytest.raises(StreamEnded) as ended:
        told({"e": "listenKeyExpired", "listenKey": "key"})
    assert ended.value.cause == "key_expired"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        '{"e": "ORDER_TRADE_UPDATE"}',
        json.dumps({"e": "ORDER_TRADE_UPDATE", "o": ORDER | {"X": "SOMETHING_NEW"}}),
        json.dumps({"e": "ORDER_TRADE_UPDATE", "o": ORDER | {"z": "NaN"}}),
        json.dumps({"e": "ORDER_TRADE_UPDATE", "o": ORDER | {"c": None}}),
        json.dumps({"e": "ACCOUNT_UPDATE", "a": {"P": [{"s": "BTCUSDT", "pa": "1e999", "ps": "BOTH"}]}}),
        "[" * 100_000,
    ],
)
def test_T28_what_cannot_be_read_ends_the_stream(text: str) -> None:
    with pytest.raises(StreamEnded) as ended:
        events_of(text)
    assert ended.value.cause == "unreadable"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("eosXPBacpwd"), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.sampled_from(["ORDER_TRADE_UPDATE", "ALGO_UPDATE", "ACCOUNT_UPDATE", "ACCOUNT_CONFIG_UPDATE"]), JSON
)
def test_T28_nonsense_tells_nothing_or_ends_the_stream(kind: str, nonsense: object) -> None:
    try:
        events = events_of(json.dumps({"e": kind, "o": nonsense, "a": nonsense, "ac": nonsense}))
    except StreamEnded:
        return
    assert all(
        isinstance(event, OrderUpdate | BalanceUpdate | PositionUpdate | LeverageUpdate) for event in events
    )
