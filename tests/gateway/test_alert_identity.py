"""Keys of alerts, and the request that carries them to execution."""

import json
from datetime import UTC, datetime
from typing import Any

from gateway.alert_identity import execute_request, identity_of
from tradekit.market.alert import Alert, content_hash, parse_alert
from tradekit.service.alert_wire import alert_to_proto
from tradekit.service.wire import timestamp_from
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


def test_request_names_the_user_and_says_everything() -> None:
    message = parse_alert(json.dumps(BASE | {"account_id": "AB-1", "alert_id": "7", "comment": "c"}).encode())
    received = datetime(2026, 11, 24, 12, tzinfo=UTC)

    request = execute_request(message, "user-1", received)

    assert request == pb.ExecuteSignalRequest(
        alert_key="id:7",
        user_id="user-1",
        account_id="ab-1",
        alert=alert_to_proto(message.alert),
        receive_time=timestamp_from(received),
        content_hash=content_hash(message.alert),
        key_from_alert=True,
    )
    assert "secret" not in {field.name for field in request.DESCRIPTOR.fields}
