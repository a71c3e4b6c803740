"""What a rule is and what comes of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import quote

from vault_service.cipher import ApiCredentials
from vault_service.errors import ParameterInvalid, ParameterNotAllowed
from vault_service.models import Environment

Parameters = Sequence[tuple[str, str]]

# Values that look alike on every exchange.
POSITIVE_DECIMAL = r"(?=[0-9.]*[1-9])(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?"
ID_NUMBER = r"[1-9][0-9]{0,18}"
MILLISECONDS = r"[1-9][0-9]{12}"
FLAG = r"true|false"
# The one shape of a client order id of ours.
OWN_CLIENT_ID = r"[a-z0-9]{30,32}"

# Binance itself refuses a timestamp that is further ahead; OKX gets no more.
MAX_AHEAD = timedelta(milliseconds=1_000)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Elements:
    """The closed schema of the objects in a list: parameters spelled `<list>.<index>.<name>`.

    Attributes:
        of: The list's name; empty for a body that is itself a list, spelled `<index>.<name>`.
        required: Names that every object has.
        optional: Names that an object may have.
        largest: How many objects there may be; at most 10, so that an index is one digit.
    """

    of: str
    required: frozenset[str]
    optional: frozenset[str]
    largest: int

    @property
    def names(self) -> Mapping[str, str]:
        """Every spelled name that there can be, and the name inside its object."""
        return {
            f"{self._spelled(index)}.{name}": name
            for index in range(self.largest)
            for name in self.required | self.optional
        }

    def check(self, values: Mapping[str, str]) -> None:
        """Looks at the list as a whole.

        Raises:
            ParameterInvalid: Its objects are not numbered 0, 1, 2 … in this order, or one lacks a name.
        """
        # Only names of elements have dots: the rule knows each name that is here.
        found = dict.fromkeys(name.rpartition(".")[0] for name in values if "." in name)
        for index, element in enumerate(found):
            if element != self._spelled(index):
                raise ParameterInvalid(element, "is out of order: lists count 0, 1, 2 …")
            for name in sorted(self.required):
                if f"{element}.{name}" not in values:
                    raise ParameterInvalid(f"{element}.{name}", "is missing")

    def _spelled(self, index: int) -> str:
        return f"{self.of}.{index}" if self.of else str(index)


@dataclass(frozen=True, slots=True)
class Rule:
    """The closed schema of one request.

    Attributes:
        required: Parameters that must be there.
        optional: Parameters that may be there.
        patterns: What a parameter's whole value must match; every name above has one.
        client_order_id: The parameter that names the order which this request creates; None: it creates none.
        is_signed: False for a request that the exchange authenticates by the key's header alone.
        changes_risk: Whether it could enlarge a position or its risk, unless its parameters say otherwise.
        elements: The list in it, whose names are among `optional`; None: it has none.
    """

    required: frozenset[str]
    optional: frozenset[str]
    patterns: Mapping[str, re.Pattern[str]] = field(repr=False)
    client_order_id: str | None = None
    is_signed: bool = True
    changes_risk: bool = False
    elements: Elements | None = None

    def check(self, parameters: Parameters) -> dict[str, str]:
        """The parameters by name, in their order.

        Raises:
            ParameterNotAllowed: One is not in the schema.
            ParameterInvalid: One is missing, given twice or has a value of another form.
        """
        values: dict[str, str] = {}
        for name, value in parameters:
            if name not in self.required and name not in self.optional:
                raise ParameterNotAllowed
            if name in values:
                raise ParameterInvalid(name, "is given twice")
            if not self.patterns[name].fullmatch(value):
                raise ParameterInvalid(name, "has a value that the vault does not sign")
            values[name] = value
        for name in sorted(self.required - values.keys()):
            raise ParameterInvalid(name, "is missing")
        if self.elements is not None:
            self.elements.check(values)
        return values


@dataclass(frozen=True, slots=True)
class OrderCreation:
    """The order that a request creates.

    Attributes:
        client_order_id: What the exchange knows it by.
        valid_until: Until when, by the exchange's clock, the exchange may accept the request.
    """

    client_order_id: str
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Permit:
    """A request that a rule allows, as the exchange will read it.

    Attributes:
        query: Percent-encoded, without what the signature adds.
        creates: The order that it creates; None for everything else.
        reduces_only: It cannot enlarge a position: a query, a cancel, or an order that only reduces.
        body: What stands in the body; empty where everything travels in the query.
        stamp: The request's time as the signature has it; empty where it stands in the query.
        headers: What the request says in headers, apart from what authenticates it.
    """

    method: str
    path: str
    query: str
    is_signed: bool
    creates: OrderCreation | None
    reduces_only: bool
    body: str = ""
    stamp: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What to send, byte for byte; `headers` authenticate it.

    An OKX passphrase stands in headers and in a login's body: neither is shown.
    """

    target: str
    body: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class Venue(Protocol):
    """An exchange's rules and its way to sign."""

    def permit(self, method: str, path: str, parameters: Parameters, *, exchange_now: datetime) -> Permit:
        """Checks a request against the closed schema of its (method, path).

        Args:
            exchange_now: The present instant by the exchange's clock.

        Raises:
            PathNotAllowed: There is no rule for it.
            ParameterNotAllowed: A parameter is not in the schema.
            ParameterInvalid: A value is not what the schema takes.
        """
        ...

    def sign(self, permit: Permit, credentials: ApiCredentials, *, environment: Environment) -> SignedRequest:
        """Builds and signs the request for the world that the account's keys belong to."""
        ...


def encoded(values: Mapping[str, str]) -> str:
    """Percent-encoded parameters in their order."""
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in values.items())


def instant_of(milliseconds: str) -> datetime:
    """Unix milliseconds, matched by `MILLISECONDS`, as an instant."""
    return _EPOCH + timedelta(milliseconds=int(milliseconds))


def signing_time(values: Mapping[str, str], *, exchange_now: datetime) -> datetime:
    """The instant of the parameter `timestamp`.

    Raises:
        ParameterInvalid: It is ahead of the exchange's clock.
    """
    timestamp = instant_of(values["timestamp"])
    if timestamp > exchange_now + MAX_AHEAD:
        raise ParameterInvalid("timestamp", "is more than 1 s ahead of the clock")
    return timestamp
