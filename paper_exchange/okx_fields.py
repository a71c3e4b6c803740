"""Reads the fields of an OKX request: the query of a GET, the JSON object (or objects) of a POST.

Clients send numbers as strings or numbers, flags as strings or booleans, and empty strings or null for what
they leave out; unknown fields are ignored, as the exchange does.
"""

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import unquote_plus

from paper_exchange.okx_errors import OkxError, missing, wrong

_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_MOST_DIGITS = 40
_INTEGER = re.compile(r"[0-9]{1,20}")
CLIENT_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_TAG = re.compile(r"[A-Za-z0-9]{0,16}")


class Fields:
    """The fields of one order or of one query."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def optional(self, name: str) -> str | None:
        """The text of a field; None when it was left out."""
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, Decimal | int):
            number = Decimal(value)
            # Written out, 1e999999 would be a million digits.
            if abs(number.adjusted()) > _MOST_DIGITS:
                raise wrong(name)
            return f"{number:f}"
        if not isinstance(value, str):
            raise wrong(name)
        return value

    def text(self, name: str) -> str:
        value = self.optional(name)
        if value is None:
            raise missing(name)
        return value

    def decimal(self, name: str) -> Decimal | None:
        value = self.optional(name)
        if value is None:
            return None
        if not _DECIMAL.fullmatch(value):
            raise wrong(name)
        return Decimal(value)

    def positive(self, name: str) -> Decimal | None:
        """A number above zero, when it was sent."""
        value = self.decimal(name)
        if value is not None and value <= 0:
            raise wrong(name)
        return value

    def integer(self, name: str) -> int | None:
        value = self.optional(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise wrong(name)
        return int(value)

    def flag(self, name: str) -> bool:
        value = self.optional(name) or "false"
        if value.lower() not in ("true", "false"):
            raise wrong(name)
        return value.lower() == "true"

    def choice(self, name: str, choices: Iterable[str]) -> str | None:
        value = self.optional(name)
        if value is not None and value not in choices:
            raise wrong(name)
        return value

    def client_id(self, name: str) -> str | None:
        """Letters and digits, 1 to 32, told apart by case."""
        value = self.optional(name)
        if value is not None and not CLIENT_ID.fullmatch(value):
            raise wrong(name)
        return value

    def tag(self) -> str:
        value = self.optional("tag") or ""
        if not _TAG.fullmatch(value):
            raise wrong("tag")
        return value

    def names(self, name: str) -> list[str] | None:
        """A list separated by commas; None when it was left out."""
        value = self.optional(name)
        return None if value is None else value.split(",")

    def limit(self, *, default: int = 100, maximum: int = 100) -> int:
        value = self.integer("limit")
        if value == 0:
            raise wrong("limit")
        return min(default if value is None else value, maximum)

    def with_value(self, name: str, value: str) -> "Fields":
        """The same fields, one of them with another value."""
        return Fields({**self._values, name: value})

    def objects(self, name: str) -> list["Fields"]:
        """A list of objects inside; empty when it was left out."""
        value = self._values.get(name)
        if value is None or value == "":
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise wrong(name)
        return [Fields(item) for item in value]


def query_fields(query: str) -> Fields:
    pairs = (part.partition("=") for part in query.split("&") if part)
    return Fields({unquote_plus(name): unquote_plus(value) for name, _, value in pairs})


def body_fields(body: str, *, many: bool) -> list[Fields]:
    """The objects of a JSON body: of an array where an endpoint takes `many`, else the one object.

    Raises:
        OkxError: 50000 for an empty body, 50002 for one that is not JSON of this shape.
    """
    if not body:
        raise OkxError(50000)
    try:
        document = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise OkxError(50002) from error
    items = document if many and isinstance(document, list) else [document]
    if not items or not all(isinstance(item, dict) for item in items):
        raise OkxError(50002)
    return [Fields(item) for item in items]
