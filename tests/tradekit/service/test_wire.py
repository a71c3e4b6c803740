"""Decimals, instants and ids on the wire: strict in, plain out."""

import re
import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from tradekit.service.errors import InvalidArgument
from tradekit.service.wire import decimal_from, decimal_text, instant_from, timestamp_from, uuid_from


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "1 ",
            " 1",
            "1\n",
            "+1",
            "--1",
            ".5",
            "5.",
            "-",
            "01",
            "00.1",
            "1e5",
            "1E-5",
            "NaN",
            "nan",
            "sNaN",
        ),
        *(
            "Infinity",
            "-Infinity",
            "inf",
            "1,000",
            "1_000",
            "0x10",
            "１",
            "١",
            "1.2.3",
            "$1",
            "1" * 21,
            "0." + "1" * 19,
        ),
    ],
)
def test_what_is_no_plain_decimal(text: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        decimal_from(text, field="limit_price")
    assert raised.value.reason == "FIELD_INVALID"
    assert raised.value.metadata["field"] == "limit_price"


@pytest.mark.parametrize("text", ["0", "-0", "0.001", "-12.50", "9" * 20, "0." + "1" * 18, "65000.10"])
def test_plain_decimals(text: str) -> None:
    assert decimal_from(text, field="x") == Decimal(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.0500", "0.05"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("1E-8", "0.00000001"),
        ("-0", "0"),
        ("-0.000", "0"),
        ("-1.10", "-1.1"),
        ("0", "0"),
    ],
)
def test_how_decimals_are_written(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_has_no_plain_notation_is_not_written(value: str) -> None:
    with pytest.raises(ValueError, match="no plain notation"):
        decimal_text(Decimal(value))


@given(st.decimals(min_value=-(10**20) + 1, max_value=10**20 - 1, places=18))
def test_what_is_written_is_read_back(value: Decimal) -> None:
    text = decimal_text(value)
    assert decimal_from(text, field="x") == value
    assert not re.search(r"\.\d*0$|[eE+]", text)


@given(st.text(max_size=30))
def test_any_text_is_a_decimal_or_refused(text: str) -> None:
    try:
        value = decimal_from(text, field="x")
    except InvalidArgument:
        return
    assert value.is_finite()


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_are_read_back_to_the_microsecond(instant: datetime) -> None:
    assert instant_from(timestamp_from(instant)) == instant
    assert instant_from(timestamp_from(instant)).tzinfo is UTC


def test_an_instant_of_another_zone_is_the_same_instant() -> None:
    seoul = datetime(2026, 11, 24, 18, 30, tzinfo=timezone(timedelta(hours=9)))
    assert timestamp_from(seoul) == Timestamp(seconds=1_795_512_600)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        timestamp_from(datetime(2026, 11, 24))  # noqa: DTZ001 - the point of the test


@given(st.uuids())
def test_a_uuid_is_read_in_its_canonical_form(value: uuid.UUID) -> None:
    assert uuid_from(str(value), field="account_id") == value
    assert uuid_from(str(value).upper(), field="account_id") == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "0192f3a87c1e70008000000000000001",
        "{0192f3a8-7c1e-7000-8000-000000000001}",
        "urn:uuid:0192f3a8-7c1e-7000-8000-000000000001",
        "0192f3a8-7c1e-7000-8000-000000000001 ",
        "0192f3a8-7c1e-7000-8000-00000000000g",
    ],
)
def test_other_forms_of_a_uuid_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        uuid_from(text, field="account_id")
    assert raised.value.metadata == {"field": "account_id", "problem": "must be a UUID"}
