"""Indicators with TradingView's exact semantics: arrays in, arrays of the same length out.

All arrays are float64, oldest bar first; NaN stands for Pine's `na`. An output at bar i depends on bars 0..i.
The functions that smooth start at the first bar that has `length` values: NaN inputs before are skipped.
"""

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]


def sma(values: Series, length: int) -> Series:
    """Simple moving average of the last `length` >= 1 values; NaN where one of them is NaN (`ta.sma`)."""
    result = np.full(len(values), np.nan)
    if len(values) >= length:
        # A window summed afresh: a running sum would carry rounding from bar to bar.
        result[length - 1 :] = np.lib.stride_tricks.sliding_window_view(values, length).mean(axis=1)
    return result


def ema(values: Series, length: int) -> Series:
    """Exponential moving average (`ta.ema`): alpha = 2 / (length + 1), seeded with the first SMA.

    The `pine_ema` sample in TradingView's manual seeds with the first value; the built-in does not.
    """
    return _smooth(values, length, alpha=2.0 / (length + 1))


def rma(values: Series, length: int) -> Series:
    """Wilder's moving average, alpha = 1 / length, seeded with the SMA of `length` values (`ta.rma`)."""
    return _smooth(values, length, alpha=1.0 / length)


def true_range(high: Series, low: Series, close: Series) -> Series:
    """True range (`ta.tr(true)`): how far high, low and previous close lie apart; high - low on bar 0."""
    result = high - low
    previous = close[:-1]
    reach = np.maximum(np.abs(high[1:] - previous), np.abs(low[1:] - previous))
    result[1:] = np.maximum(result[1:], reach)
    return result


def atr(high: Series, low: Series, close: Series, length: int) -> Series:
    """Average true range: the RMA of the true range; the first `length` - 1 values are NaN (`ta.atr`)."""
    return rma(true_range(high, low, close), length)


def _smooth(values: Series, length: int, *, alpha: float) -> Series:
    result = np.full(len(values), np.nan)
    seed: list[float] = []
    state = 0.0
    for index, value in enumerate(values.tolist()):
        if value != value:
            continue  # na: skipped, the state is kept
        if len(seed) < length:
            seed.append(value)
            if len(seed) < length:
                continue
            state = sum(seed) / length
        else:
            state += alpha * (value - state)
        result[index] = state
    return result
