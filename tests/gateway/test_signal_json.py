"""What the webhook tells of a signal's orders."""

from datetime import UTC, datetime
from typing import Any

from gateway.signal_json import instant_json, order_details, signal_json
from tradekit.service.wire import timestamp_from
from tradingbot.execution.v1 import execution_pb2 as pb


def _order(kind: pb.LegKind.ValueType, state: pb.LegState.ValueType, **fields: Any) -> pb.Leg:
    return pb.Leg(kind=kind, state=state, side="sell", client_order_id="tb1", **fields)


def test_several_targets_are_a_list() -> None:
    legs = [
        _order(pb.LEG_KIND_TAKE_PROFIT, pb.LEG_STATE_OPEN, trigger_price=price, quantity="0.5")
        for price in ("63200", "64000")
    ]

    details = order_details(pb.Signal(exchange="binance", action=pb.ACTION_LONG, symbol="BTCUSDT", legs=legs))

    targets = details["results"]["take_profit"]
    assert [target["trigger_price"] for target in targets] == ["63200", "64000"]
    assert set(details["results"]) == {"take_profit"}


def test_limit_entry_that_rests() -> None:
    leg = _order(pb.LEG_KIND_ENTRY, pb.LEG_STATE_OPEN, limit_price="61000", quantity="0.02")

    entry = order_details(pb.Signal(action=pb.ACTION_SHORT, legs=[leg]))["results"]["entry"]

    assert (entry["order_type"], entry["limit_price"], entry["status"]) == ("limit", "61000", "open")
    assert (entry["quantity"], entry["filled_quantity"], entry["average_price"]) == ("0.02", "0", None)


def test_refused_leg_says_why() -> None:
    leg = _order(pb.LEG_KIND_CLOSE, pb.LEG_STATE_REFUSED, reason="NO_POSITION", message="Nothing is open.")

    close = order_details(pb.Signal(action=pb.ACTION_CLOSE_ALL, legs=[leg]))["results"]["close"]

    assert (close["status"], close["reason"], close["message"]) == (
        "refused",
        "no_position",
        "Nothing is open.",
    )


def test_signal_that_is_not_final() -> None:
    signal = signal_json(pb.Signal(action=pb.ACTION_CLOSE_LONG, state=pb.SIGNAL_STATE_PROTECTING))

    assert (signal["action"], signal["state"]) == ("close_long", "protecting")
    assert signal["finish_time"] is signal["reason"] is None


def test_instants() -> None:
    instant = datetime(2026, 11, 24, 9, 30, 0, 123_456, tzinfo=UTC)

    assert instant_json(timestamp_from(instant)) == "2026-11-24T09:30:00.123Z"
