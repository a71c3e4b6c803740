"""Keys of alerts, and alerts in execution's words."""

import json
from decimal import Decimal
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from gateway.alert_wire import alert_to_proto, identity_of
from tradekit.market.alert import Alert, parse_alert
from tradekit.service.wire import decimal_from
from tradingbot.execution.v1 import execution_pb2 as pb

BASE = {"account_id": "a", "secret": "s", "action": "long", "symbol": "BTCUSDT"}
NOON = "2026-11-24T12:00:00Z"


def _alert(**fields: Any) -> Alert:
    return parse_alert(json.dumps(BASE | fields).encode()).alert


def test_own_id_is_the_key() -> None:
    identity = identity_of(_alert(alert_id="bar-1", time=NOON))

    assert (identity.key, identity.from_alert) == ("id:bar-1", True)


def test_long_and_strange_ids_are_hashed() -> None:
    keys = [identity_of(_alert(alert_id=text)).key for text in ("x" * 65, "x" * 66, "한글", "a b", "\ud800")]

    assert len(set(keys)) == len(keys)
    assert all(len(key) == 67 and key.isascii() for key in keys)


def test_same_id_fired_again_is_the_same_content() -> None:
    first, again = _alert(alert_id="1", time=NOON), _alert(alert_id="1", time="2026-11-24T12:00:07Z")

    assert identity_of(first) == identity_of(again)


def test_same_id_with_another_wish_is_other_content() -> None:
    first, other = identity_of(_alert(alert_id="1")), identity_of(_alert(alert_id="1", action="close_long"))

    assert first.key == other.key
    assert first.content_hash != other.content_hash


def test_F47_same_time_is_the_same_alert() -> None:
    first = identity_of(_alert(time=NOON, interval="60", strategy="x", size=5))
    # The same occasion, whatever else it says.
    again = identity_of(_alert(time=1_795_521_600_000, interval="1h", strategy="x", size=7))

    assert first == again
    assert first.from_alert


def test_another_occasion_is_another_alert() -> None:
    occasions = [
        _alert(time=NOON),
        _alert(time="2026-11-24T12:01:00Z"),
        _alert(time=NOON, action="short"),
        _alert(time=NOON, symbol="ETHUSDT"),
        _alert(time=NOON, strategy="a"),
        _alert(time=NOON, interval="5"),
        _alert(time=NOON, strategy='a", "'),
    ]

    assert len({identity_of(alert).key for alert in occasions}) == len(occasions)


def test_without_id_and_time_every_alert_stands_for_itself() -> None:
    first, again = identity_of(_alert()), identity_of(_alert())

    assert first.key != again.key
    assert first.content_hash == again.content_hash
    assert not first.from_alert


def test_everything_that_was_said_is_passed_on() -> None:
    alert = alert_to_proto(
        _alert(
            action="SHORT",
            symbol="binance:btcusdt.p",
            exchange="Binance",
            leverage=7,
            order_type="limit",
            price="61000.50",
            size=2,
            size_type="risk_percent",
            stop_loss={"atr": 1.5},
            take_profit=[{"percent": 2, "share": 0.25}, {"price": 50_000, "share": 0.75}],
            trailing="1.5%",
            reverse=False,
            alert_id="bar-1",
            time=NOON,
            interval="1D",
            strategy="s",
            comment="c",
        )
    )

    assert alert == pb.Alert(
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


def test_what_was_not_said_is_absent() -> None:
    alert = alert_to_proto(_alert())

    for field in ("exchange", "leverage", "limit_price", "stop_loss", "alert_time", "interval", "alert_id"):
        assert not alert.HasField(field), field
    assert not alert.take_profits
    assert alert.reverse


@given(st.integers(min_value=1, max_value=10))
def test_equal_shares_fit_the_wire(count: int) -> None:
    targets = alert_to_proto(_alert(take_profit=[f"{number + 1}%" for number in range(count)])).take_profits

    shares = [decimal_from(target.share, field="share") for target in targets]
    assert len(shares) == count
    assert Decimal(1) - Decimal("1e-16") <= sum(shares) <= 1


@given(st.text(max_size=100), st.text(max_size=100))
def test_any_text_fits_the_wire(comment: str, strategy: str) -> None:
    try:
        alert = parse_alert(json.dumps(BASE | {"comment": comment, "strategy": strategy}).encode()).alert
    except ValueError:
        return  # a placeholder that was not filled in

    assert alert_to_proto(alert).SerializeToString()
