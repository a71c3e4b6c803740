"""Alerts on the wire: what arrives is what was sent."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from tests.tradekit.market.alert_bodies import body, parsed
from tradekit.market.alert import TRAILING_RANGE, Action, Alert, AlertRejected, parse_alert
from tradekit.market.sizing import DEFAULT_SIZE, SizeType
from tradekit.service.alert_wire import alert_from_proto, alert_to_proto
from tradekit.service.errors import InvalidArgument
from tradingbot.execution.v1 import execution_pb2 as pb

NOON = "2026-11-24T12:00:00Z"
FULL: dict[str, Any] = {
    "action": "SHORT",
    "symbol": "binance:btcusdt.p",
    "exchange": "Binance",
    "leverage": 7,
    "order_type": "limit",
    "price": "61000.50",
    "size": 2,
    "size_type": "risk_percent",
    "stop_loss": {"atr": 1.5},
    "take_profit": [{"percent": 2, "share": 0.25}, {"price": 50_000, "share": 0.75}],
    "trailing": "1.5%",
    "reverse": False,
    "alert_id": "bar-1",
    "time": NOON,
    "interval": "1D",
    "strategy": "s",
    "comment": "c",
}


def _numbers(above: str, up_to: str) -> st.SearchStrategy[str]:
    return st.decimals(min_value=above, max_value=up_to, places=18).map(lambda number: f"{number:f}")


prices = _numbers("0.000000000000000001", "99999999999999999999")
percents = _numbers("0.000000000000000001", "99.999999999999999999")
levels = st.one_of(
    prices,
    percents.map(lambda percent: f"{percent}%"),
    st.fixed_dictionaries({"atr": _numbers("0.000000000000000001", "100")}),
)
shared_targets = st.lists(
    st.fixed_dictionaries({"price": prices, "share": _numbers("0.000000000000000001", "0.1")}),
    min_size=1,
    max_size=10,
)
texts = st.text(st.characters(exclude_characters="{}\0"), max_size=60)
optional_fields: dict[str, st.SearchStrategy[Any]] = {
    "exchange": st.sampled_from(["binance", "OKX", "kraken"]),
    "leverage": st.integers(1, 125),
    "stop_loss": levels,
    "take_profit": levels | st.lists(levels, min_size=1, max_size=10) | shared_targets,
    "trailing": _numbers(*map(str, TRAILING_RANGE)).map(lambda percent: f"{percent}%"),
    "reverse": st.booleans(),
    "alert_id": texts,
    "time": st.datetimes().map(lambda instant: f"{instant.isoformat()}Z") | st.integers(0, 10**12),
    "interval": st.sampled_from(["30S", "1", "15", "61", "60", "240", "7h", "D", "3d", "1W", "12M", "1M"]),
    "strategy": texts,
    "comment": texts,
}
sizes: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"size": percents}),
    st.fixed_dictionaries(
        {"size": percents, "size_type": st.sampled_from(list(SizeType)).map(lambda kind: kind.upper())}
    ),
    st.fixed_dictionaries({"size": prices, "size_type": st.sampled_from(["base", "quote"])}),
)
orders: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries(
    {"order_type": st.just("limit"), "price": prices}
)
messages = st.builds(
    lambda required, optional, size, order: required | optional | size | order,
    st.fixed_dictionaries(
        {
            "action": st.sampled_from(list(Action)),
            "symbol": st.sampled_from(["BTCUSDT", "binance:ethusdt.p", "BTC-USDT-SWAP"]),
        }
    ),
    st.fixed_dictionaries({}, optional=optional_fields),
    sizes,
    orders,
)


def _through_the_wire(alert: Alert) -> Alert:
    return alert_from_proto(pb.Alert.FromString(alert_to_proto(alert).SerializeToString()))


@given(messages)
def test_whatever_the_parser_makes_arrives_as_it_was(fields: dict[str, Any]) -> None:
    alert = parsed(**fields).alert

    assert _through_the_wire(alert) == alert


@given(st.lists(levels, min_size=1, max_size=10))
def test_equal_shares_arrive_and_close_everything(targets: list[Any]) -> None:
    alert = _through_the_wire(parsed(take_profit=targets).alert)

    assert sum(target.share for target in alert.take_profits) == 1


@given(st.text(max_size=60), st.text(max_size=60))
def test_half_a_surrogate_pair_becomes_a_question_mark(before: str, after: str) -> None:
    """Only the halves change: JSON can spell them, UTF-8 cannot."""
    texts = {"comment": f"{before}\ud83d", "strategy": f"\udcff{after}"[:100], "alert_id": "\ud800"}
    try:
        alert = parse_alert(body(**texts)).alert
    except AlertRejected:
        return  # a placeholder, or a character that no text holds

    assert _through_the_wire(alert) == replace(
        alert,
        comment=alert.comment.encode("utf-8", "replace").decode(),
        strategy=alert.strategy.encode("utf-8", "replace").decode(),
        alert_id="?",
    )


def test_a_whole_surrogate_pair_is_a_character() -> None:
    raw = body(comment="x").replace(b'"x"', rb'"\ud83d\ude80"')

    assert _through_the_wire(parse_alert(raw).alert).comment == "🚀"


def test_every_field_in_the_words_of_the_proto() -> None:
    assert alert_to_proto(parse_alert(body(**FULL)).alert) == pb.Alert(
        action=pb.ACTION_SHORT,
        symbol="BINANCE:BTCUSDT.P",
        exchange="binance",
        leverage=7,
        order_type=pb.ORDER_TYPE_LIMIT,
        limit_price="61000.5",
        size_type=pb.SIZE_TYPE_RISK_PERCENT,
        size="2",
        stop_loss=pb.Level(atr="1.5"),
        take_profits=[
            pb.Target(level=pb.Level(percent="2"), share="0.25"),
            pb.Target(level=pb.Level(price="50000"), share="0.75"),
        ],
        trailing_percent="1.5",
        reverse=False,
        alert_time=Timestamp(seconds=1_795_521_600),
        interval="1D",
        strategy="s",
        comment="c",
        alert_id="bar-1",
    )


def test_every_field_of_the_proto_is_carried() -> None:
    """A field that is added to the proto and forgotten here fails this test."""
    sent = {
        field.name
        for field, _ in alert_to_proto(parse_alert(body(**FULL | {"reverse": True})).alert).ListFields()
    }

    assert sent == set(pb.Alert.DESCRIPTOR.fields_by_name)


def test_what_was_not_said_is_absent() -> None:
    message = alert_to_proto(parsed().alert)

    absent = (
        "exchange",
        "leverage",
        "limit_price",
        "stop_loss",
        "trailing_percent",
        "alert_time",
        "interval",
    )
    assert [name for name in (*absent, "alert_id") if message.HasField(name)] == []  # type: ignore[arg-type]  # names of fields
    assert not message.take_profits
    assert message.reverse


def test_absent_size_is_the_default() -> None:
    message = pb.Alert(action=pb.ACTION_LONG, symbol="BTCUSDT", order_type=pb.ORDER_TYPE_MARKET)

    assert alert_from_proto(message).size == DEFAULT_SIZE


def _without_action(message: pb.Alert) -> None:
    message.action = pb.ACTION_UNSPECIFIED


def _without_order_type(message: pb.Alert) -> None:
    message.order_type = pb.ORDER_TYPE_UNSPECIFIED


def _without_size_type(message: pb.Alert) -> None:
    message.size_type = pb.SIZE_TYPE_UNSPECIFIED


def _size_nan(message: pb.Alert) -> None:
    message.size = "NaN"


def _price_with_exponent(message: pb.Alert) -> None:
    message.limit_price = "6e4"


def _empty_stop(message: pb.Alert) -> None:
    message.stop_loss.CopyFrom(pb.Level())


def _target_without_share(message: pb.Alert) -> None:
    message.take_profits[0].share = ""


def _impossible_time(message: pb.Alert) -> None:
    message.alert_time.seconds = 10**15


def _strange_interval(message: pb.Alert) -> None:
    message.interval = "1 day"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (_without_action, "action"),
        (_without_order_type, "order_type"),
        (_without_size_type, "size_type"),
        (_size_nan, "size"),
        (_price_with_exponent, "limit_price"),
        (_empty_stop, "stop_loss"),
        (_target_without_share, "share"),
        (_impossible_time, "alert_time"),
        (_strange_interval, "interval"),
    ],
)
def test_a_wrong_message_is_refused_with_the_fields_name(
    change: Callable[[pb.Alert], None], field: str
) -> None:
    message = alert_to_proto(parse_alert(body(**FULL)).alert)
    change(message)

    with pytest.raises(InvalidArgument) as refused:
        alert_from_proto(message)

    assert (refused.value.reason, refused.value.metadata["field"]) == ("FIELD_INVALID", field)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_alert_or_a_refusal(content: bytes) -> None:
    try:
        message = pb.Alert.FromString(content)
    except DecodeError:
        return
    try:
        alert = alert_from_proto(message)
    except InvalidArgument:
        return
    assert _through_the_wire(alert) == alert
