"""The webhook's parser, for any input: an alert or a refusal, never another error, never the secret."""

import json
from decimal import Decimal
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from tests.tradekit.market.alert_bodies import SECRET, body
from tradekit.market.alert import (
    ALERT_FIELDS,
    Alert,
    AlertRejected,
    WebhookMessage,
    content_hash,
    parse_alert,
)
from tradekit.service.wire import decimal_from, decimal_text

CODES = {"malformed_json", "validation_error", "leverage_out_of_range"}
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
numbers = st.decimals(min_value="1e-18", max_value=10**20 - 1, places=18).map(lambda number: f"{number:f}")
plausible = st.sampled_from(
    ["long", "buy", "flat", "limit", "2%", "NaN", "1e5", "{{x}}", "60", "BTCUSDT", 1, 0.5, -1, "true", ""]
)
values = st.recursive(
    scalars | plausible | numbers,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["atr", "price", "percent", "share", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
messages = st.dictionaries(
    st.sampled_from(sorted(ALERT_FIELDS - {"secret", "account_id", "action", "symbol"})), values, max_size=6
)


def outcome(content: bytes) -> WebhookMessage | AlertRejected:
    """What the parser says; any other error fails the test."""
    try:
        return parse_alert(content)
    except AlertRejected as rejected:
        return rejected


def check_refusal(rejected: AlertRejected) -> None:
    assert rejected.code in CODES
    assert SECRET not in f"{rejected} {rejected.message} {rejected.field}"
    assert len(rejected.message) < 300


@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    result = outcome(content)
    assert isinstance(result, AlertRejected)
    check_refusal(result)


@given(st.data())
def test_any_cut_or_changed_byte_of_a_message(data: st.DataObject) -> None:
    content = bytearray(body(leverage=5, stop_loss="2%", take_profit=[{"atr": 1, "share": 0.5}]))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    result = outcome(bytes(content[: data.draw(st.integers(0, len(content)))]))
    if isinstance(result, AlertRejected):
        check_refusal(result)


@given(messages)
def test_any_values_of_known_fields(fields: dict[str, object]) -> None:
    result = outcome(json.dumps(json.loads(body()) | fields).encode())
    if isinstance(result, AlertRejected):
        check_refusal(result)
    else:
        assert all(
            decimal_from(decimal_text(value), field="any") == value for value in decimals_of(result.alert)
        )
        assert len(content_hash(result.alert)) == 64


@given(st.lists(numbers, min_size=1, max_size=10))
def test_equal_shares_close_everything_and_fit_on_the_wire(levels: list[str]) -> None:
    targets = parse_alert(body(take_profit=levels)).alert.take_profits
    shares = [target.share for target in targets]
    assert sum(shares) == 1
    assert max(shares) - min(shares) < Decimal("1e-16")
    assert all(decimal_from(decimal_text(share), field="share") == share for share in shares)


@given(st.decimals(min_value="0.01", max_value=100, places=18))
def test_a_share_in_percent_fits_on_the_wire_and_is_never_more(percent: Decimal) -> None:
    (target,) = parse_alert(body(take_profit=[{"atr": 1, "share": f"{percent:f}%"}])).alert.take_profits
    assert decimal_from(decimal_text(target.share), field="share") == target.share
    assert 0 <= percent / 100 - target.share < Decimal("1e-17")


@given(numbers)
def test_B30_any_number_is_the_same_as_text(number: str) -> None:
    as_text = outcome(body(size=number, size_type="base"))
    as_number = outcome(body(size=111, size_type="base").replace(b"111", number.encode()))
    assert isinstance(as_text, WebhookMessage)
    assert isinstance(as_number, WebhookMessage)
    assert as_text.alert == as_number.alert
    assert content_hash(as_text.alert) == content_hash(as_number.alert)
    assert as_text.alert.size.value == Decimal(number)


def decimals_of(alert: Alert) -> list[Decimal]:
    """Every decimal that goes over the wire."""
    targets = chain.from_iterable((target.level.value, target.share) for target in alert.take_profits)
    stop = alert.stop_loss.value if alert.stop_loss else None
    optional = (alert.limit_price, alert.trailing_percent, stop)
    return [alert.size.value, *targets, *(value for value in optional if value is not None)]
