"""What an OKX endpoint is given, and how an endpoint is described."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from paper_exchange.accounts import Account
from paper_exchange.okx_fields import Fields
from paper_exchange.okx_limits import Limit, Scope

Json = dict[str, Any]


class Permission(Enum):
    """What the key must be allowed."""

    NONE = auto()
    READ = auto()
    TRADE = auto()


class Rows(Enum):
    """What the rows of an answer are.

    DATA: what was asked for. ORDER: one order, refused by its own code. ORDERS: several of them, sent as an
    array.
    """

    DATA = auto()
    ORDER = auto()
    ORDERS = auto()


@dataclass(frozen=True, slots=True)
class OkxRequest:
    """One request, or one order of a batch.

    Attributes:
        sender: Who sent it; None for a public call.
        now_ms: The exchange's time.
        shown_ms: The time that the exchange shows, which a fault may have set wrong.
    """

    fields: Fields
    sender: Account | None
    now_ms: int
    shown_ms: int

    @property
    def account(self) -> Account:
        assert self.sender is not None, "an endpoint that uses the account demands a key"
        return self.sender


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route.

    Attributes:
        answer: Makes the rows of the answer; for orders one row, called once per order.
        limit: Requests (or orders) per 2 s.
        counts_as_order: Whether it counts on the account's limit of new and amended orders.
        most: How many orders an array may hold.
    """

    answer: Callable[[OkxRequest], Any]
    limit: Limit
    permission: Permission = Permission.NONE
    rows: Rows = Rows.DATA
    counts_as_order: bool = False
    most: int = 20


Routes = dict[tuple[str, str], Endpoint]


def public(path: str, answer: Callable[[OkxRequest], Any], count: int) -> Routes:
    """A public GET, limited by address."""
    return {("GET", path): Endpoint(answer, Limit(path, count, Scope.ADDRESS))}


def private(
    method: str, path: str, answer: Callable[[OkxRequest], Any], count: int, *, trades: bool = False
) -> Routes:
    """A private call whose rows are data, limited by account."""
    permission = Permission.TRADE if trades else Permission.READ
    return {(method, path): Endpoint(answer, Limit(f"{method} {path}", count, Scope.ACCOUNT), permission)}
