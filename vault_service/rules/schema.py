"""What a rule is and what comes of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from vault_service.cipher import ApiCredentials
from vault_service.errors import ParameterInvalid, ParameterNotAllowed

Parameters = Sequence[tuple[str, str]]


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
    """

    required: frozenset[str]
    optional: frozenset[str]
    patterns: Mapping[str, re.Pattern[str]] = field(repr=False)
    client_order_id: str | None = None
    is_signed: bool = True
    changes_risk: bool = False

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
    """

    method: str
    path: str
    query: str
    is_signed: bool
    creates: OrderCreation | None
    reduces_only: bool


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What to send, byte for byte; `headers` authenticate it."""

    target: str
    body: str
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

    def sign(self, permit: Permit, credentials: ApiCredentials) -> SignedRequest:
        """Builds and signs the request."""
        ...
