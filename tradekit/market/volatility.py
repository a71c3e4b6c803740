"""How far a market moves: the average true range that stops and targets are measured in."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal

_CONTEXT = Context(prec=28)


@dataclass(frozen=True, slots=True)
class Candle:
    """One closed bar; prices in the quote currency."""

    open_time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


class CandlesTooShort(ValueError):
    """There are fewer candles than the period."""


def average_true_range(candles: Sequence[Candle], period: int) -> Decimal:
    """The latest value of TradingView's `ta.atr(period)`: the true range, smoothed by Wilder (1978).

    The first bar's true range is high - low; the smoothing starts with a plain mean of `period` values.

    Args:
        candles: Oldest first, closed.
        period: Bars, >= 1.

    Raises:
        CandlesTooShort: Fewer candles than `period`.
    """
    if len(candles) < period:
        raise CandlesTooShort(f"an ATR over {period} bars needs {period} candles, there are {len(candles)}")
    ranges = [candles[0].high - candles[0].low]
    for before, candle in itertools.pairwise(candles):
        ranges.append(max(candle.high, before.close) - min(candle.low, before.close))
    value = _CONTEXT.divide(sum(ranges[:period], Decimal(0)), Decimal(period))
    for true_range in ranges[period:]:
        value = _CONTEXT.divide(value * (period - 1) + true_range, Decimal(period))
    return value
