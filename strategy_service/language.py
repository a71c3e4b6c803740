"""What a strategy is written in: parameters, series, conditions, and the rules made of them.

One definition has two back ends, `compile_kernel` (arrays of decisions for a backtest) and `compile_pine`
(a script for TradingView), so the two cannot drift apart. An expression is a tree of small frozen values:

    fast_ema = ema(close, fast)                 a number at every bar
    crossover(fast_ema, slow_ema)               a condition at every bar
    history(close, 1) < fast_ema                the close one bar ago against today's average

A bar's value can only be made of that bar and of bars before it: the sources are the finished bar's own
prices, the functions look back, and `history` takes no negative distance. Looking ahead cannot be written
down.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


class Number:
    """An expression with a number at every bar; `na` (NaN) where it has none yet."""

    def __lt__(self, other: "Number") -> "Condition":
        return Comparison(self, "<", other)

    def __gt__(self, other: "Number") -> "Condition":
        return Comparison(self, ">", other)

    def __le__(self, other: "Number") -> "Condition":
        return Comparison(self, "<=", other)

    def __ge__(self, other: "Number") -> "Condition":
        return Comparison(self, ">=", other)


class Condition:
    """An expression that is true or false at every bar; false where a number in it is `na`."""

    def __and__(self, other: "Condition") -> "Condition":
        return Logic(self, "and", other)

    def __or__(self, other: "Condition") -> "Condition":
        return Logic(self, "or", other)


@dataclass(frozen=True)
class Source(Number):
    """A column of the candles."""

    column: Literal["open", "high", "low", "close", "volume"]


@dataclass(frozen=True)
class Parameter(Number):
    """A number that the user may choose; the same at every bar.

    Attributes:
        name: In lower case, as it is typed in `--set name=value`.
        description: A sentence without its full stop.
        default, minimum, maximum: Inclusive range.
        integer: Whether it must be a whole number.
    """

    name: str
    description: str
    default: Decimal
    minimum: Decimal
    maximum: Decimal
    integer: bool

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name for a parameter")
        if not self.minimum <= self.default <= self.maximum:
            raise ValueError(f"the default of {self.name} is out of its range")


class Function(StrEnum):
    """Functions over a series and a length; each is known to both back ends."""

    EMA = "ema"
    SMA = "sma"
    RMA = "rma"


@dataclass(frozen=True)
class Call(Number):
    """A function of the last `length` bars (or all bars so far) of a series."""

    function: Function
    source: Number
    length: Parameter


@dataclass(frozen=True)
class History(Number):
    """What a series was `bars` bars ago; `na` on the first bars."""

    source: Number
    bars: int

    def __post_init__(self) -> None:
        if self.bars < 1:
            raise ValueError("history looks back: at least 1 bar")


@dataclass(frozen=True)
class Comparison(Condition):
    """Two numbers compared at every bar."""

    left: Number
    operator: Literal["<", ">", "<=", ">="]
    right: Number


@dataclass(frozen=True)
class Cross(Condition):
    """`left` is beyond `right` now and was not one bar ago; "over" is above, "under" below."""

    left: Number
    direction: Literal["over", "under"]
    right: Number


@dataclass(frozen=True)
class Logic(Condition):
    """Two conditions joined."""

    left: Condition
    operator: Literal["and", "or"]
    right: Condition


# The classes listed are all there are: what walks an expression ends its `match` with assert_never.
NumberNode = Source | Parameter | Call | History
ConditionNode = Comparison | Cross | Logic


def number_node(number: Number) -> NumberNode:
    """The number as one of the language's own; a back end can then be checked to know all of them.

    Raises:
        TypeError: It is none.
    """
    if isinstance(number, Source | Parameter | Call | History):
        return number
    raise TypeError(f"{type(number).__name__} is no number of the language")


def condition_node(condition: Condition) -> ConditionNode:
    """The condition as one of the language's own.

    Raises:
        TypeError: It is none.
    """
    if isinstance(condition, Comparison | Cross | Logic):
        return condition
    raise TypeError(f"{type(condition).__name__} is no condition of the language")


open_price = Source("open")
high = Source("high")
low = Source("low")
close = Source("close")
volume = Source("volume")


def integer(name: str, description: str, *, default: int, minimum: int, maximum: int) -> Parameter:
    """A whole number that the user may choose."""
    return Parameter(name, description, Decimal(default), Decimal(minimum), Decimal(maximum), integer=True)


def decimal(name: str, description: str, *, default: str, minimum: str, maximum: str) -> Parameter:
    """A decimal number that the user may choose."""
    return Parameter(name, description, Decimal(default), Decimal(minimum), Decimal(maximum), integer=False)


def ema(source: Number, length: Parameter) -> Number:
    """Exponential moving average, `ta.ema`."""
    return Call(Function.EMA, source, length)


def sma(source: Number, length: Parameter) -> Number:
    """Simple moving average, `ta.sma`."""
    return Call(Function.SMA, source, length)


def rma(source: Number, length: Parameter) -> Number:
    """Wilder's moving average, `ta.rma`."""
    return Call(Function.RMA, source, length)


def history(source: Number, bars: int) -> Number:
    """What `source` was `bars` >= 1 bars ago."""
    return History(source, bars)


def crossover(left: Number, right: Number) -> Condition:
    """True on the bar where `left` gets above `right`."""
    return Cross(left, "over", right)


def crossunder(left: Number, right: Number) -> Condition:
    """True on the bar where `left` gets below `right`."""
    return Cross(left, "under", right)


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a user sees of a strategy.

    Attributes:
        key: For example "ema_crossover".
        name: For example "EMA Crossover".
        description: One sentence.
        parameters: In the order in which they are shown.
        ascending: Groups of parameters of which each must be below the next.
    """

    key: str
    name: str
    description: str
    parameters: tuple[Parameter, ...]
    ascending: tuple[tuple[Parameter, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Strategy(Outline):
    """An outline with its rules.

    Decisions are taken when a bar closes and carried out at the next bar's open. An entry while the opposite
    position is open reverses it; one in the direction of the open position is ignored; if both entries are
    true on one bar the long one counts. Each entry gets a stop loss and a take profit, measured from its
    fill price in multiples of the average true range (period `tradekit.market.sizing.ATR_PERIOD`) of the
    bar that decided; without a range above 0 there is no entry.

    Attributes:
        enter_long, enter_short: When to open.
        exit_long, exit_short: When to close without opening the opposite; None: never by a condition.
        stop_atr, target_atr: Multiples of the average true range; two of `parameters`.
    """

    enter_long: Condition
    enter_short: Condition
    exit_long: Condition | None = None
    exit_short: Condition | None = None
    stop_atr: Parameter
    target_atr: Parameter
