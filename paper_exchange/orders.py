"""Orders, conditional orders and fills: the values and their states, for any protocol.

Quantities are in the base coin, prices in the quote coin, times in Unix milliseconds.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a purchase, -1 for a sale."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class PositionSide(StrEnum):
    """BOTH is the one position of one-way mode; LONG and SHORT are the two of hedge mode."""

    BOTH = "BOTH"
    LONG = "LONG"
    SHORT = "SHORT"


def closes_hedged(side: Side, position_side: PositionSide) -> bool:
    """Whether an order of this side takes off a position of hedge mode, and can do nothing else."""
    return (side, position_side) in ((Side.SELL, PositionSide.LONG), (Side.BUY, PositionSide.SHORT))


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIQUIDATION = "LIQUIDATION"


class ConditionalType(StrEnum):
    """What a conditional order does: where it triggers, and which order it then sends."""

    STOP = "STOP"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP_MARKET = "TRAILING_STOP_MARKET"

    @property
    def is_limit(self) -> bool:
        return self in (ConditionalType.STOP, ConditionalType.TAKE_PROFIT)

    @property
    def takes_profit(self) -> bool:
        return self in (ConditionalType.TAKE_PROFIT, ConditionalType.TAKE_PROFIT_MARKET)


class TimeInForce(StrEnum):
    """GTX is post-only, GTD ends at a date."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"
    GTD = "GTD"


class TriggerPrice(StrEnum):
    """Which price triggers a conditional order."""

    LAST = "CONTRACT_PRICE"
    MARK = "MARK_PRICE"
    INDEX = "INDEX_PRICE"


class OrderStatus(StrEnum):
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


class ConditionalStatus(StrEnum):
    NEW = "NEW"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class ExitLeg:
    """One way out of a position: at `trigger_price` an order at `price` is sent, a market order when zero."""

    trigger_price: Decimal
    price: Decimal
    working_type: TriggerPrice


@dataclass(frozen=True, slots=True)
class AttachedExit:
    """A stop loss, a take profit or both, that wait for their entry order to end.

    `quantity` zero: all that the entry has filled. `client_algo_id` empty: one is made.
    """

    client_algo_id: str
    quantity: Decimal
    stop_loss: ExitLeg | None
    take_profit: ExitLeg | None


@dataclass(slots=True)
class Order:
    """An order in the book or out of it.

    `price` is zero for a market order. `part` is set when fills come in parts of that size
    (a simulated thin market), None when the whole rest fills at once. `isolated` is the margin type it was
    placed with, `tag` the sender's own label, `attached` the exits that start when it ends with a fill.
    """

    order_id: int
    account_id: int
    client_order_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal
    create_ms: int
    update_ms: int
    original_type: str
    reduce_only: bool = False
    close_position: bool = False
    good_till_ms: int = 0
    trigger_price: Decimal = ZERO
    working_type: TriggerPrice = TriggerPrice.LAST
    price_protect: bool = False
    self_trade_prevention: str = "EXPIRE_MAKER"
    algo_id: int | None = None
    isolated: bool = False
    tag: str = ""
    attached: tuple[AttachedExit, ...] = ()
    status: OrderStatus = OrderStatus.NEW
    executed: Decimal = ZERO
    executed_quote: Decimal = ZERO
    part: Decimal | None = None

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.executed

    @property
    def is_open(self) -> bool:
        return self.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)

    @property
    def average_price(self) -> Decimal:
        """Mean fill price; zero while nothing is filled."""
        return self.executed_quote / self.executed if self.executed else ZERO


@dataclass(slots=True)
class ConditionalOrder:
    """An order that waits for its trigger; then it becomes `order_id`.

    `quantity` is zero when `close_position`. A trailing stop has `activation_price` (zero: armed at once),
    `callback_rate` in percent or `callback_spread` as a price difference, and, once armed, the best price
    since as `extreme`. With a `take_profit` leg it is a stop that ends when either leg triggers (one cancels
    the other); `profit_taken` tells which did. `original_type` is the protocol's own word for what was asked.
    """

    algo_id: int
    account_id: int
    client_algo_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    type: ConditionalType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal
    trigger_price: Decimal
    working_type: TriggerPrice
    create_ms: int
    update_ms: int
    close_position: bool = False
    price_protect: bool = False
    reduce_only: bool = False
    good_till_ms: int = 0
    self_trade_prevention: str = "EXPIRE_MAKER"
    activation_price: Decimal = ZERO
    callback_rate: Decimal = ZERO
    callback_spread: Decimal = ZERO
    extreme: Decimal | None = None
    take_profit: ExitLeg | None = None
    profit_taken: bool = False
    cancel_on_close: bool = False
    isolated: bool = False
    tag: str = ""
    original_type: str = ""
    status: ConditionalStatus = ConditionalStatus.NEW
    order_id: int | None = None
    trigger_ms: int = 0
    reject_reason: str = ""

    @property
    def is_open(self) -> bool:
        return self.status is ConditionalStatus.NEW


@dataclass(frozen=True, slots=True)
class Amendment:
    """One change of an open order; `number` counts those of this order from 1."""

    amendment_id: int
    account_id: int
    order_id: int
    number: int
    price_before: Decimal
    price_after: Decimal
    quantity_before: Decimal
    quantity_after: Decimal
    time_ms: int


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. `commission` is what was paid, in the quote coin; `realized_pnl` is before it."""

    trade_id: int
    order_id: int
    account_id: int
    client_order_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    price: Decimal
    quantity: Decimal
    commission: Decimal
    realized_pnl: Decimal
    maker: bool
    time_ms: int

    @property
    def quote_quantity(self) -> Decimal:
        return self.price * self.quantity
