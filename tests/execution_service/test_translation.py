"""Every alert that the parser can make goes over the wire and into the journal and comes back the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_service.signals import LegKind, LegState, SignalState
from execution_service.translation import alert_from_json, alert_to_json, signal_to_proto
from tests.execution_service.test_signals import ALERT, signal
from tradekit.market.alert import AlertRejected, parse_alert
from tradekit.service.alert_wire import alert_from_proto, alert_to_proto
from tradekit.service.errors import InvalidArgument
from tradingbot.execution.v1 import execution_pb2 as pb

decimals = st.decimals("0.00000001", "1000000", places=8).map(lambda number: format(number.normalize(), "f"))
levels = st.one_of(
    decimals,
    st.integers(1, 99).map(lambda percent: f"{percent}%"),
    st.integers(1, 20).map(lambda multiple: {"atr": multiple}),
)
texts = st.text(max_size=30)
fields = st.fixed_dictionaries(
    {"action": st.sampled_from(["long", "short", "close_long", "close_short", "close_all"])},
    optional={
        "exchange": st.sampled_from(["binance", "okx"]),
        "leverage": st.integers(1, 125),
        "size": st.integers(1, 100),
        "size_type": st.sampled_from(["percent_balance", "quote", "base", "risk_percent"]),
        "stop_loss": levels,
        "take_profit": levels,
        "trailing": st.sampled_from(["1%", "0.5%", 2]),
        "reverse": st.booleans(),
        "alert_id": texts,
        "time": st.sampled_from(["2026-11-24T12:00:00Z", 1_795_600_000_000, "2026-11-24T12:00:00.123Z"]),
        "interval": st.sampled_from(["1", "15", "60", "240", "1D", "1W"]),
        "strategy": texts,
        "comment": texts,
    },
)


@given(fields)
def test_an_alert_survives_the_wire_and_the_journal(chosen: dict[str, object]) -> None:
    body = {"account_id": "a", "secret": "s", "symbol": "BTCUSDT"} | chosen
    try:
        alert = parse_alert(json.dumps(body).encode()).alert
    except AlertRejected:
        return

    assert alert_from_proto(alert_to_proto(alert)) == alert
    assert alert_from_json(alert_to_json(alert_to_proto(alert))) == alert


def test_a_list_of_targets_and_a_limit_survive() -> None:
    body = {
        "account_id": "a",
        "secret": "s",
        "symbol": "BTCUSDT",
        "action": "long",
        "order_type": "limit",
        "price": "49000.5",
        "take_profit": [{"percent": 2, "share": 0.3}, {"price": 60000, "share": "0.7"}],
    }
    alert = parse_alert(json.dumps(body).encode()).alert

    assert alert_from_proto(alert_to_proto(alert)) == alert


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("action", pb.ACTION_UNSPECIFIED),
        ("action", 99),
        ("order_type", pb.ORDER_TYPE_UNSPECIFIED),
        ("size_type", pb.SIZE_TYPE_UNSPECIFIED),
        ("size", "NaN"),
        ("size", "1e3"),
        ("limit_price", "Infinity"),
        ("trailing_percent", ""),
    ],
)
def test_B57_what_is_missing_or_no_number_is_named(changed: str, value: object) -> None:
    message = alert_to_proto(ALERT)
    setattr(message, changed, value)

    with pytest.raises(InvalidArgument, match=changed):
        alert_from_proto(message)


def test_a_level_without_a_kind_is_refused() -> None:
    message = alert_to_proto(ALERT)
    message.stop_loss.SetInParent()

    with pytest.raises(InvalidArgument, match="stop_loss"):
        alert_from_proto(message)


@pytest.mark.parametrize("state", list(SignalState))
def test_every_state_of_a_signal_has_its_word_on_the_wire(state: SignalState) -> None:
    name = pb.SignalState.Name(signal_to_proto(signal(state=state)).state)

    assert name == f"SIGNAL_STATE_{state.name}"


def test_every_kind_and_state_of_a_leg_has_a_word_on_the_wire() -> None:
    assert {f"LEG_KIND_{kind.name}" for kind in LegKind} <= set(pb.LegKind.keys())
    assert {f"LEG_STATE_{state.name}" for state in LegState} <= set(pb.LegState.keys())
