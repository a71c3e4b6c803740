"""Reads the parameters of a Binance request: query string and form body, strictly.

Both places are legal and may be mixed; a name in both takes the query's value. A parameter that the endpoint
does not know is refused with -1104, so that a misspelled one is never silently ignored.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar
from urllib.parse import unquote_plus

from paper_exchange.binance_errors import BinanceError, illegal_characters, mandatory

SIGNING = frozenset({"timestamp", "recvWindow", "signature"})
DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
CLIENT_ID = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
SYMBOL = r"^[A-Z0-9-_.]{1,20}$"
_INTEGER = r"^-?[0-9]{1,20}$"
_MAX_CLIENT_ID = 36
_LATEST_MS = 253_402_300_799_000  # the end of the year 9999

E = TypeVar("E", bound=StrEnum)


class Parameters:
    """The decoded parameters of one request; remembers which were read."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self._read: set[str] = set(SIGNING)

    @classmethod
    def parse(cls, query: str, body: str) -> "Parameters":
        """Decodes query string and form body.

        Raises:
            BinanceError: -1101 for a name sent twice in one place, -1105 for an empty value.
        """
        return cls(_decoded(body) | _decoded(query))

    def has(self, name: str) -> bool:
        return name in self._values

    def finish(self) -> None:
        """Refuses parameters that nothing has read."""
        unread = self._values.keys() - self._read
        if unread:
            raise BinanceError(
                -1104,
                f"Not all sent parameters were read; read '{len(self._values) - len(unread)}' parameter(s) "
                f"but was sent '{len(self._values)}'.",
            )

    def ignore(self, *names: str) -> None:
        """Accepts parameters that have no effect here."""
        self._read.update(names)

    def optional(self, name: str) -> str | None:
        self._read.add(name)
        return self._values.get(name)

    def text(self, name: str) -> str:
        value = self.optional(name)
        if value is None:
            raise mandatory(name)
        return value

    def matching(self, name: str, pattern: str) -> str | None:
        value = self.optional(name)
        if value is not None and not re.fullmatch(pattern, value):
            raise illegal_characters(name, pattern)
        return value

    def symbol(self) -> str:
        value = self.optional_symbol()
        if value is None:
            raise mandatory("symbol")
        return value

    def optional_symbol(self) -> str | None:
        return self.matching("symbol", SYMBOL)

    def client_id(self, name: str) -> str | None:
        value = self.optional(name)
        if value is not None and len(value) > _MAX_CLIENT_ID:
            raise BinanceError(-4015, "Client order id length should not be more than 36 chars")
        return self.matching(name, CLIENT_ID)

    def decimal(self, name: str) -> Decimal | None:
        value = self.matching(name, DECIMAL)
        return None if value is None else Decimal(value)

    def integer(self, name: str) -> int | None:
        value = self.matching(name, _INTEGER)
        return None if value is None else int(value)

    def required_integer(self, name: str) -> int:
        value = self.integer(name)
        if value is None:
            raise mandatory(name)
        return value

    def flag(self, name: str) -> bool | None:
        """`true` or `false`, in any case."""
        value = self.optional(name)
        if value is None:
            return None
        if value.lower() not in ("true", "false"):
            raise BinanceError(-1130, f"Data sent for parameter '{name}' is not valid.")
        return value.lower() == "true"

    def choice(self, name: str, choices: Iterable[E], code: int, msg: str) -> E | None:
        """One of these words, else this error."""
        value = self.optional(name)
        if value is None:
            return None
        for candidate in choices:
            if candidate == value:
                return candidate
        raise BinanceError(code, msg)

    def limit(self, *, default: int, maximum: int) -> int:
        """How many rows; more than the maximum gives the maximum."""
        value = self.integer("limit")
        if value is None:
            return default
        if value < 1:
            raise BinanceError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(value, maximum)

    def _time(self, name: str) -> int | None:
        value = self.integer(name)
        if value is not None and not 0 <= value <= _LATEST_MS:
            raise BinanceError(-1130, f"Data sent for parameter '{name}' is not valid.")
        return value

    def window(self) -> tuple[int | None, int | None]:
        """startTime and endTime."""
        start, end = self._time("startTime"), self._time("endTime")
        if start is not None and end is not None and start > end:
            raise BinanceError(-1023, "Start time is greater than end time.")
        return start, end


def _decoded(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in text.split("&") if text else ():
        name, _, value = pair.partition("=")
        name = unquote_plus(name)
        if name in values:
            raise BinanceError(-1101, "Duplicate values for a parameter detected.")
        if not value:
            raise BinanceError(-1105, f"Parameter '{name}' was empty.")
        values[name] = unquote_plus(value)
    return values
