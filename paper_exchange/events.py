"""What a command changed, in order. The store writes events down, the feed tells them to streams."""

from dataclasses import dataclass
from enum import StrEnum

from paper_exchange.accounts import Account, Income, MarginChange, Position
from paper_exchange.instruments import Instrument
from paper_exchange.market import PostedPrice
from paper_exchange.orders import Amendment, ConditionalOrder, Fill, Order


class Execution(StrEnum):
    """What happened to an order."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    AMENDMENT = "AMENDMENT"
    CALCULATED = "CALCULATED"


@dataclass(frozen=True, slots=True)
class OrderChanged:
    order: Order
    execution: Execution
    fill: Fill | None = None


@dataclass(frozen=True, slots=True)
class ConditionalOrderChanged:
    order: ConditionalOrder


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """Wallet or settings changed."""

    account: Account


@dataclass(frozen=True, slots=True)
class PositionChanged:
    position: Position


@dataclass(frozen=True, slots=True)
class IncomeBooked:
    income: Income


@dataclass(frozen=True, slots=True)
class OrderAmended:
    amendment: Amendment


@dataclass(frozen=True, slots=True)
class MarginMoved:
    change: MarginChange


@dataclass(frozen=True, slots=True)
class PriceSet:
    """A price was posted to the market: the `number`th one."""

    posted: PostedPrice
    number: int


@dataclass(frozen=True, slots=True)
class InstrumentChanged:
    """The filters or the status of a contract changed."""

    instrument: Instrument


@dataclass(frozen=True, slots=True)
class Cleared:
    """Everything but the accounts was forgotten."""


Event = (
    OrderChanged
    | ConditionalOrderChanged
    | AccountChanged
    | PositionChanged
    | IncomeBooked
    | OrderAmended
    | MarginMoved
    | PriceSet
    | InstrumentChanged
    | Cleared
)
