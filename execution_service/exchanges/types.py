"""What an exchange tells us, in words that no exchange owns. Quantities are in the base currency."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from execution_service.signals import OrderSide
from tradekit.market.sizing import Side


class Environment(StrEnum):
    """Which of an exchange's worlds an account's keys belong to."""

    PAPER = "paper"
    TESTNET = "testnet"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class AccountKey:
    """Whose account it is and where it trades; no key material."""

    user_id: str
    account_id: str
    exchange: str
    environment: Environment


@dataclass(frozen=True, slots=True)
class Balance:
    """Money of an account in its settlement currency.

    Attributes:
        total: Wallet balance, without open profit.
        available: What new orders may use.
        unrealized_profit: Open profit of all positions.
    """

    currency: str
    total: Decimal
    available: Decimal
    unrealized_profit: Decimal


@dataclass(frozen=True, slots=True)
class Position:
    """An open position; `quantity` > 0."""

    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    unrealized_profit: Decimal
    liquidation_price: Decimal | None


class MarginMode(StrEnum):
    """What stands behind a position."""

    CROSS = "cross"
    ISOLATED = "isolated"


class PositionMode(StrEnum):
    """Whether a market has one position, or one on each side."""

    ONE_WAY = "one_way"
    HEDGE = "hedge"


@dataclass(frozen=True, slots=True)
class LeverageBracket:
    """What an exchange allows for positions of a size.

    Attributes:
        max_leverage: The highest multiplier.
        max_notional: Largest value of the position, quote currency; where an exchange counts in another unit,
            at the mark price of now.
        maintenance_ratio: Share of the value that must be kept as margin.
    """

    max_leverage: int
    max_notional: Decimal
    maintenance_ratio: Decimal


@dataclass(frozen=True, slots=True)
class FundingRate:
    """What longs pay shorts next.

    Attributes:
        rate: Share of the position's value at the mark price; below 0: shorts pay.
        next_time: When it is paid.
    """

    rate: Decimal
    next_time: datetime


class OrderStatus(StrEnum):
    """What became of an order."""

    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    REFUSED = "refused"


class OrderKind(StrEnum):
    """How an order waits."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the exchange sees it.

    Attributes:
        quantity: None: the whole position.
        average_price: None: nothing has filled, or the exchange did not say here.
    """

    symbol: str
    side: OrderSide
    kind: OrderKind
    status: OrderStatus
    client_order_id: str
    exchange_order_id: str
    quantity: Decimal | None
    filled_quantity: Decimal
    average_price: Decimal | None
    limit_price: Decimal | None
    trigger_price: Decimal | None
    reduce_only: bool


@dataclass(frozen=True, slots=True)
class OrderRef:
    """Which order is meant: ours by its client order id.

    Attributes:
        conditional: Whether it waits for a trigger price; some exchanges keep those apart.
    """

    symbol: str
    client_order_id: str
    conditional: bool


@dataclass(frozen=True, slots=True)
class KeyPermissions:
    """What an API key may do; None: the exchange does not say in this environment.

    Attributes:
        may_trade: Place futures orders.
        may_withdraw: Take money out of the account.
        bound_to_addresses: It works from listed addresses only.
    """

    may_trade: bool | None
    may_withdraw: bool | None
    bound_to_addresses: bool | None


@dataclass(frozen=True, slots=True)
class Send:
    """How one order request goes out.

    Attributes:
        client_order_id: Ours.
        timestamp: By the exchange's clock.
        valid_ms: After the timestamp plus this, the exchange accepts it no more.
        signal_id: For the vault's audit.
    """

    client_order_id: str
    timestamp: datetime
    valid_ms: int
    signal_id: str
