"""What an exchange tells by itself about an account, in words that no exchange owns."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from execution_service.exchanges.types import Order
from tradekit.market.sizing import Side


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """An order is new, has filled some more, or has ended.

    Attributes:
        conditional: Whether it waits, or waited, for a trigger price.
    """

    order: Order
    conditional: bool


@dataclass(frozen=True, slots=True)
class PositionUpdate:
    """A position has changed.

    Attributes:
        side: None when it is gone and could have been on either side.
        quantity: Base currency; 0: it is gone.
    """

    symbol: str
    side: Side | None
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class BalanceUpdate:
    """The money has changed; `total` is the wallet balance without open profit."""

    currency: str
    total: Decimal


@dataclass(frozen=True, slots=True)
class LeverageUpdate:
    """The leverage of a symbol is this now."""

    symbol: str
    leverage: int


Event = OrderUpdate | PositionUpdate | BalanceUpdate | LeverageUpdate
# Waits for the next message; returns what it tells, which may be nothing.
Receive = Callable[[], Awaitable[Sequence[Event]]]


class StreamEnded(Exception):
    """The stream tells no more: what has happened since is not known.

    Args:
        cause: Stable, lower_snake, for logs and metrics.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class UserStream(Protocol):
    """The stream of one account's events."""

    def open(self) -> AbstractAsyncContextManager[Receive]:
        """Connects and subscribes: events from then on are received. There is no replay.

        Raises:
            ExchangeError: The exchange does not open it.
            StreamEnded: From inside: it is over; the connection is closed on exit.
        """
        ...
