"""Reads what comes from outside, strictly: an answer that is not of the documented shape says nothing.

Fields that we do not know are ignored. Numbers are exact and bounded.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from execution_service.exchanges import errors

T = TypeVar("T")

# No price, quantity or balance of a market that we trade is near this; what is beyond it is no number.
LARGEST_NUMBER = Decimal(10) ** 15
LONGEST_TEXT = 200


def read(read: Callable[[Any], T], row: Any) -> T:
    """What `read` makes of a part of an answer.

    Raises:
        OutcomeUnknown: The answer is not of the documented shape: it says nothing.
    """
    try:
        return read(row)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
        raise errors.OutcomeUnknown("The exchange's answer cannot be read.") from error


def decimal(value: object) -> Decimal:
    """A finite number from text or JSON.

    Raises:
        OutcomeUnknown: It is none; an answer with such a number says nothing.
    """
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) >= LARGEST_NUMBER:
        raise errors.OutcomeUnknown("The exchange sent a number that is none.")
    return number


def decimal_or_zero(value: object) -> Decimal:
    """A number; 0 for what was left out or is empty."""
    return decimal(value) if value not in (None, "") else Decimal(0)


def positive(value: object) -> Decimal | None:
    """A number above 0, or None: exchanges write "0" or "" for what does not apply."""
    number = decimal_or_zero(value)
    return number if number > 0 else None


def instant(milliseconds: object) -> datetime:
    """Unix milliseconds as an aware instant."""
    return datetime.fromtimestamp(int(str(milliseconds)) / 1000, UTC)


def milliseconds(instant: datetime) -> int:
    """An instant as Unix milliseconds."""
    return int(instant.timestamp() * 1000)


def printable(text: object) -> str:
    """A text of the exchange, bounded and without what a journal or a terminal could stumble over."""
    return "".join(character if character.isprintable() else " " for character in str(text)[:LONGEST_TEXT])


def sentence(words: str, text: str) -> str:
    """`words` with the exchange's own text in the place of `{text}`, and one full stop at the end."""
    return words.format(text=text).rstrip(" .:") + "."
