"""Decimals and instants on the wire: strict in, plain out."""

import re
import uuid
from datetime import UTC, datetime
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from tradekit.service.errors import InvalidArgument

_PLAIN = re.compile(r"-?(0|[1-9]\d{0,19})(\.\d{1,18})?", re.ASCII)


def decimal_from(text: str, *, field: str) -> Decimal:
    """Reads a decimal in plain notation: no exponent, sign `+`, NaN, infinity, spaces or thousands mark.

    Raises:
        InvalidArgument: FIELD_INVALID.
    """
    if not _PLAIN.fullmatch(text):
        raise field_invalid(field, "must be a decimal number in plain notation")
    return Decimal(text)


def decimal_text(value: Decimal) -> str:
    """Writes a finite decimal in plain notation, without zeros behind the last digit that counts."""
    if not value.is_finite():
        raise ValueError(f"{value} has no plain notation")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def timestamp_from(instant: datetime) -> Timestamp:
    """An aware instant as a Timestamp, to the microsecond."""
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone")
    stamp = Timestamp()
    stamp.FromDatetime(instant.astimezone(UTC))
    return stamp


def instant_from(stamp: Timestamp) -> datetime:
    """A Timestamp as an aware UTC instant, to the microsecond."""
    return stamp.ToDatetime(tzinfo=UTC)


def uuid_from(text: str, *, field: str) -> uuid.UUID:
    """Reads a UUID in its canonical form.

    Raises:
        InvalidArgument: FIELD_INVALID.
    """
    try:
        value = uuid.UUID(text)
    except ValueError:
        raise field_invalid(field, "must be a UUID") from None
    if str(value) != text.lower():
        raise field_invalid(field, "must be a UUID")
    return value


def field_invalid(field: str, problem: str) -> InvalidArgument:
    """The error for one wrong field of a request."""
    return InvalidArgument("FIELD_INVALID", f"{field} {problem}.", {"field": field, "problem": problem})
