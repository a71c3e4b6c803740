"""Trades and equity -> the numbers a trader reads; each is defined where it is computed. Pure.

Names end in their unit: `_percent`, `_bars`, `_count`; without one it is the quote currency or a pure
ratio. A number that is not defined (a profit factor without a loss, a Sharpe ratio over one day) is None.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from strategy_service.broker import Simulation, Trade
from strategy_service.candles import Candles
from tradekit.market.sizing import Side

# Crypto markets never close: a year has 365 daily returns.
DAYS_PER_YEAR = 365
_YEAR = timedelta(days=365.25)
_DAY_MS = 86_400_000

Statistics = dict[str, float | None]


def summarize(candles: Candles, simulation: Simulation, initial_capital: Decimal) -> Statistics:
    """All numbers of one backtest, by name."""
    capital = float(initial_capital)
    years = (candles.interval * len(candles)) / _YEAR
    returns = daily_returns(candles, simulation.equity, capital)
    fall = drawdown(simulation.equity, capital)
    growth = annual_growth(float(simulation.equity[-1]) / capital, years)
    return {
        "net_profit": float(simulation.equity[-1]) - capital,
        "net_profit_percent": _percent(float(simulation.equity[-1]) - capital, capital),
        **_of_trades(simulation.trades),
        **_of_side(simulation.trades, Side.LONG),
        **_of_side(simulation.trades, Side.SHORT),
        "fees": float(sum((trade.fees for trade in simulation.trades), Decimal(0))),
        "max_drawdown": fall.amount,
        "max_drawdown_percent": fall.percent,
        "max_drawdown_bars": float(fall.bars),
        "sharpe_ratio": sharpe_ratio(returns),
        "sortino_ratio": sortino_ratio(returns),
        "cagr_percent": None if growth is None else growth * 100,
        "calmar_ratio": None if growth is None or not fall.percent else growth * 100 / fall.percent,
        "exposure_percent": _percent(float(simulation.exposed.sum()), len(candles)),
        "buy_and_hold_percent": _percent(float(candles.close[-1] - candles.open[0]), float(candles.open[0])),
        "refused_entries_count": float(simulation.refused_entries),
    }


def _of_trades(trades: Sequence[Trade]) -> Statistics:
    """Numbers over all closed trades; a profit of exactly 0 is neither won nor lost.

    gross_profit, gross_loss: sums of the profits and of the losses (as a positive number), after fees.
    profit_factor: gross_profit / gross_loss. win_rate_percent: won / all. expectancy: mean profit of a trade.
    """
    profits = [float(trade.profit) for trade in trades]
    won = [profit for profit in profits if profit > 0]
    lost = [-profit for profit in profits if profit < 0]
    lengths = [trade.exit_bar - trade.entry_bar for trade in trades]
    return {
        "trades_count": float(len(trades)),
        "won_count": float(len(won)),
        "lost_count": float(len(lost)),
        "win_rate_percent": _percent(len(won), len(trades)),
        "gross_profit": math.fsum(won),
        "gross_loss": math.fsum(lost),
        "profit_factor": _ratio(math.fsum(won), math.fsum(lost)),
        "expectancy": _ratio(math.fsum(profits), len(trades)),
        "average_win": _ratio(math.fsum(won), len(won)),
        "average_loss": _ratio(math.fsum(lost), len(lost)),
        "average_trade_bars": _ratio(sum(lengths), len(trades)),
    }


def _of_side(trades: Sequence[Trade], side: Side) -> Statistics:
    profits = [float(trade.profit) for trade in trades if trade.side is side]
    won = sum(profit > 0 for profit in profits)
    return {
        f"{side}_trades_count": float(len(profits)),
        f"{side}_profit": math.fsum(profits),
        f"{side}_win_rate_percent": _percent(won, len(profits)),
    }


@dataclass(frozen=True)
class Drawdown:
    """The deepest falls of the equity below its highest mark so far.

    Attributes:
        amount: Largest fall, quote currency.
        percent: Largest fall in percent of the mark that it fell from; not always the same fall as `amount`.
        bars: Longest time below a mark: bars from the mark to the first close that is not below it, or to
            the end.
    """

    amount: float
    percent: float
    bars: int


def drawdown(equity: NDArray[np.float64], capital: float) -> Drawdown:
    """Drawdown of the equity at bar closes; the capital is the first mark, before bar 0."""
    curve = np.concatenate([[capital], equity])
    marks = np.maximum.accumulate(curve)
    falls = marks - curve
    at_mark = np.flatnonzero(falls == 0)
    ends = np.append(at_mark[1:], len(curve) - 1)
    # Two marks beside each other have no fall between them.
    lengths = (ends - at_mark)[(ends - at_mark > 1) | (falls[ends] > 0)]
    return Drawdown(float(falls.max()), float((falls / marks).max()) * 100, int(lengths.max(initial=0)))


def daily_returns(candles: Candles, equity: NDArray[np.float64], capital: float) -> NDArray[np.float64]:
    """Return of each UTC day: its last equity over that of the day before, less 1; day one over the capital.

    Days without a candle are left out. What comes after an equity of 0 or less has no return and is left out.
    """
    days = candles.time // _DAY_MS
    last_of_day = np.flatnonzero(np.append(days[1:] != days[:-1], True))
    marks = np.concatenate([[capital], equity[last_of_day]])
    lost = np.flatnonzero(marks <= 0)
    marks = marks[: lost[0] + 1] if len(lost) else marks
    returns: NDArray[np.float64] = marks[1:] / marks[:-1] - 1
    return returns


def sharpe_ratio(returns: NDArray[np.float64]) -> float | None:
    """Mean over sample deviation of daily returns, times the root of 365; risk-free rate 0 (Sharpe 1994)."""
    if len(returns) < 2:
        return None
    return _ratio(float(returns.mean()), float(returns.std(ddof=1)), math.sqrt(DAYS_PER_YEAR))


def sortino_ratio(returns: NDArray[np.float64]) -> float | None:
    """Mean over downside deviation of the daily returns, times the root of 365; target 0 (Sortino 1994).

    Downside deviation: root of the mean over all days of the squared returns below 0.
    """
    if len(returns) < 2:
        return None
    downside = math.sqrt(float(np.square(np.minimum(returns, 0)).mean()))
    return _ratio(float(returns.mean()), downside, math.sqrt(DAYS_PER_YEAR))


def annual_growth(growth: float, years: float) -> float | None:
    """Compound annual growth rate: `growth` (last over first equity) to the power 1 / years, less 1.

    None over less than 30 days, which a year's rate would not be honest about, or when nothing is left.
    """
    if growth <= 0 or years * DAYS_PER_YEAR < 30:
        return None
    return float(growth ** (1 / years) - 1)


def _ratio(part: float, whole: float, factor: float = 1.0) -> float | None:
    return part / whole * factor if whole else None


def _percent(part: float, whole: float) -> float | None:
    return _ratio(part, whole, 100)
