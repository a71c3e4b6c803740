"""A definition, computed: arrays of decisions, one entry a bar."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from strategy_service.candles import Candles
from strategy_service.indicators import Series, atr, ema, rma, sma
from strategy_service.language import (
    Call,
    Comparison,
    Condition,
    ConditionNode,
    Cross,
    Function,
    History,
    Logic,
    Number,
    NumberNode,
    Parameter,
    Source,
    Strategy,
    condition_node,
    number_node,
)
from strategy_service.parameters import Values
from tradekit.market.sizing import ATR_PERIOD

Flags = NDArray[np.bool_]

FUNCTIONS: dict[Function, Callable[[Series, int], Series]] = {
    Function.EMA: ema,
    Function.SMA: sma,
    Function.RMA: rma,
}


@dataclass(frozen=True)
class Decisions:
    """What the strategy wants at the close of each of n bars.

    Attributes:
        enter_long, enter_short: Never both on one bar.
        exit_long, exit_short: Close without opening the opposite.
        atr: Average true range in the quote currency; NaN until `ATR_PERIOD` bars are there. Without one
            above 0 there is no entry.
    """

    enter_long: Flags
    enter_short: Flags
    exit_long: Flags
    exit_short: Flags
    atr: Series


def decide(strategy: Strategy, values: Values, candles: Candles) -> Decisions:
    """Computes every decision of `strategy` over the candles.

    Args:
        strategy: The definition.
        values: Of every parameter, by name.
        candles: n bars; too few of them give no decision.
    """
    evaluation = _Evaluation(values, candles)
    true_ranges = atr(candles.high, candles.low, candles.close, ATR_PERIOD)
    # False for NaN too. A market that does not move leaves no room for a stop.
    ready = true_ranges > 0
    enter_long = evaluation.flags(strategy.enter_long) & ready
    return Decisions(
        enter_long=enter_long,
        enter_short=evaluation.flags(strategy.enter_short) & ready & ~enter_long,
        exit_long=evaluation.flags_or_never(strategy.exit_long),
        exit_short=evaluation.flags_or_never(strategy.exit_short),
        atr=true_ranges,
    )


def warm_up_bars(strategy: Strategy, values: Values) -> int:
    """How many bars pass before the strategy can decide for the first time."""
    conditions = [strategy.enter_long, strategy.enter_short, strategy.exit_long, strategy.exit_short]
    return max(ATR_PERIOD - 1, *(_first_bar(one, values) for one in conditions if one is not None))


def _first_bar(node: Number | Condition, values: Values) -> int:
    """The first bar on which `node` can have a value."""
    match node:
        case Call(source=source, length=length):
            return _first_bar(source, values) + int(values[length.name]) - 1
        case History(source=source, bars=bars):
            return _first_bar(source, values) + bars
        case Cross(left=left, right=right):
            return max(_first_bar(left, values), _first_bar(right, values)) + 1
        case Comparison(left=left, right=right) | Logic(left=left, right=right):
            return max(_first_bar(left, values), _first_bar(right, values))
        case _:
            return 0


class _Evaluation:
    """Evaluates the expressions of one run; each distinct one once."""

    def __init__(self, values: Values, candles: Candles) -> None:
        self._values = values
        self._candles = candles
        self._known: dict[Number, Series] = {}

    def flags_or_never(self, condition: Condition | None) -> Flags:
        return np.zeros(len(self._candles), dtype=bool) if condition is None else self.flags(condition)

    def flags(self, condition: Condition) -> Flags:
        node: ConditionNode = condition_node(condition)
        match node:
            case Comparison(left=left, operator=operator, right=right):
                return COMPARISONS[operator](self.series(left), self.series(right))
            case Cross(left=left, direction="over", right=right):
                return _crossover(self.series(left), self.series(right))
            case Cross(left=left, right=right):
                return _crossover(self.series(right), self.series(left))
            case Logic(left=one, operator="and", right=other):
                return self.flags(one) & self.flags(other)
            case Logic(left=one, right=other):
                return self.flags(one) | self.flags(other)
            case _:
                assert_never(node)

    def series(self, number: Number) -> Series:
        if number not in self._known:
            self._known[number] = self._compute(number_node(number))
        return self._known[number]

    def _compute(self, node: NumberNode) -> Series:
        match node:
            case Source(column=column):
                values: Series = getattr(self._candles, column)
                return values
            case Parameter(name=name):
                return np.full(len(self._candles), float(self._values[name]))
            case Call(function=function, source=source, length=length):
                return FUNCTIONS[function](self.series(source), int(self._values[length.name]))
            case History(source=source, bars=bars):
                return _shifted(self.series(source), bars)
            case _:
                assert_never(node)


# A comparison with NaN is false, as one with `na` is in Pine.
COMPARISONS: dict[str, Callable[[Series, Series], Flags]] = {
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
}


def _crossover(left: Series, right: Series) -> Flags:
    result = np.zeros(len(left), dtype=bool)
    result[1:] = (left[1:] > right[1:]) & (left[:-1] <= right[:-1])
    return result


def _shifted(values: Series, bars: int) -> Series:
    result = np.full(len(values), np.nan)
    result[bars:] = values[:-bars]
    return result
