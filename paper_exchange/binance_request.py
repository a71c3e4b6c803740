"""What a Binance endpoint is given, and how an endpoint is described."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from paper_exchange.accounts import Account
from paper_exchange.binance_parameters import Parameters


class Security(Enum):
    """What a request must prove."""

    NONE = auto()
    KEY = auto()
    SIGNED = auto()


@dataclass(frozen=True, slots=True)
class BinanceRequest:
    """One request.

    Attributes:
        sender: Who sent it; None for a public call.
        now_ms: The exchange's time.
        shown_ms: The time that the exchange shows, which a fault may have set wrong.
    """

    parameters: Parameters
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
        answer: Makes the JSON answer.
        weight: What it costs its address, a number or by its parameters.
        orders: Whether it counts on the order limits, with how many orders.
        trades: Whether the key needs permission to trade.
    """

    answer: Callable[[BinanceRequest], Any]
    weight: int | Callable[[Parameters], int] = 1
    security: Security = Security.SIGNED
    orders: Callable[[Parameters], int] | None = None
    trades: bool = False

    def weight_of(self, parameters: Parameters) -> int:
        return self.weight if isinstance(self.weight, int) else self.weight(parameters)


Routes = dict[tuple[str, str], Endpoint]


def by_symbol(one: int, every: int) -> Callable[[Parameters], int]:
    """A weight that depends on whether a symbol was given."""
    return lambda parameters: one if parameters.has("symbol") else every
