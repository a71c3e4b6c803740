"""Numbers worked out by hand."""

import math
from decimal import Decimal

import numpy as np
import pytest

from strategy_service.broker import ExitReason, Simulation, Trade
from strategy_service.candles import Candles, checked
from strategy_service.statistics import (
    annual_growth,
    daily_returns,
    drawdown,
    sharpe_ratio,
    sortino_ratio,
    summarize,
)
from tests.strategy_service.conftest import columns_of
from tradekit.market.sizing import Side

MIDNIGHT_MS = 1_704_067_200_000  # 2024-01-01 00:00 UTC
HOUR_MS = 3_600_000


def trade(
    profit: str, side: Side = Side.LONG, *, entry_bar: int = 0, exit_bar: int = 2, fees: str = "1"
) -> Trade:
    return Trade(
        side=side,
        entry_bar=entry_bar,
        exit_bar=exit_bar,
        entry_price=Decimal(100),
        exit_price=Decimal(100),
        quantity=Decimal(1),
        fees=Decimal(fees),
        profit=Decimal(profit),
        exit_reason=ExitReason.SIGNAL,
    )


def hourly(count: int) -> Candles:
    return checked(columns_of([(100, 130, 90, 120)] * count, start_ms=MIDNIGHT_MS, step_ms=HOUR_MS))


def simulation(trades: list[Trade], equity: list[float], exposed: list[bool] | None = None) -> Simulation:
    flags = np.array(exposed or [False] * len(equity))
    return Simulation(tuple(trades), np.array(equity, dtype=np.float64), flags, refused_entries=0)


def test_trades_are_counted_by_outcome_and_side() -> None:
    trades = [
        trade("30", exit_bar=2),
        trade("-10", Side.SHORT, exit_bar=1),
        trade("0", Side.SHORT, exit_bar=3),
        trade("20", Side.SHORT, exit_bar=6, fees="2.5"),
    ]
    found = summarize(hourly(2), simulation(trades, [1_000, 1_040], [True, False]), Decimal(1_000))
    assert found["trades_count"] == 4
    assert (found["won_count"], found["lost_count"]) == (2, 1)
    assert found["win_rate_percent"] == 50
    assert (found["gross_profit"], found["gross_loss"]) == (50, 10)
    assert found["profit_factor"] == 5
    assert found["expectancy"] == 10
    assert (found["average_win"], found["average_loss"]) == (25, 10)
    assert found["average_trade_bars"] == 3
    assert (found["long_trades_count"], found["long_profit"], found["long_win_rate_percent"]) == (1, 30, 100)
    assert (found["short_trades_count"], found["short_profit"]) == (3, 10)
    assert found["short_win_rate_percent"] == pytest.approx(100 / 3)
    assert found["fees"] == 5.5
    assert (found["net_profit"], found["net_profit_percent"]) == (40, 4)
    assert found["exposure_percent"] == 50
    # From the first open of 100 to the last close of 120.
    assert found["buy_and_hold_percent"] == 20


def test_what_is_not_defined_is_none() -> None:
    found = summarize(hourly(2), simulation([], [1_000, 1_000]), Decimal(1_000))
    assert found["trades_count"] == 0
    for name in (
        "win_rate_percent",
        "profit_factor",
        "expectancy",
        "average_win",
        "average_loss",
        "average_trade_bars",
        "sharpe_ratio",
        "sortino_ratio",
        "cagr_percent",
        "calmar_ratio",
    ):
        assert found[name] is None, name


def test_without_a_loss_there_is_no_profit_factor() -> None:
    found = summarize(hourly(2), simulation([trade("5")], [1_000, 1_005]), Decimal(1_000))
    assert (found["profit_factor"], found["average_loss"]) == (None, None)


def test_drawdown_is_the_deepest_fall_below_a_mark() -> None:
    # Marks 100, 120, 200. Falls: 120 -> 90 is 30 (25 %); 200 -> 160 is 40 (20 %).
    fall = drawdown(np.array([110.0, 120, 90, 125, 200, 160, 180]), 100)
    assert (fall.amount, fall.percent) == (40, 25)
    # From the mark of bar 1 to bar 3 it took 2 bars; from bar 4 to the end there were 2 as well.
    assert fall.bars == 2


def test_a_fall_that_never_recovers_lasts_to_the_end() -> None:
    assert drawdown(np.array([120.0, 110, 100, 115]), 100).bars == 3


def test_the_capital_is_the_first_mark() -> None:
    fall = drawdown(np.array([80.0, 90, 100]), 100)
    assert (fall.amount, fall.percent, fall.bars) == (20, 20, 3)


def test_a_rising_equity_has_no_drawdown() -> None:
    fall = drawdown(np.array([101.0, 101, 105]), 100)
    assert (fall.amount, fall.percent, fall.bars) == (0, 0, 0)


def test_daily_returns_are_between_the_last_equities_of_days() -> None:
    # 24 bars a day; only the last of each counts.
    equity = np.concatenate([np.full(23, 500.0), [110], np.full(23, 500.0), [99], [99]])
    np.testing.assert_allclose(daily_returns(hourly(49), equity, 100), [0.1, -0.1, 0.0])


def test_returns_end_with_the_money() -> None:
    equity = np.repeat([110.0, 0.0, 50.0], 24)
    np.testing.assert_allclose(daily_returns(hourly(72), equity, 100), [0.1, -1.0])


def test_sharpe_ratio() -> None:
    # Mean 0.01; sample deviation root of ((0.02)^2 + 0 + (0.02)^2) / 2 = 0.02.
    assert sharpe_ratio(np.array([0.03, 0.01, -0.01])) == pytest.approx(0.5 * math.sqrt(365))


def test_sortino_ratio_counts_only_the_downside_over_all_days() -> None:
    # Mean 0.01; downside root of (0.02^2 / 4) = 0.01.
    assert sortino_ratio(np.array([0.03, 0.02, -0.02, 0.01])) == pytest.approx(math.sqrt(365))


def test_ratios_need_two_days_and_a_deviation() -> None:
    assert sharpe_ratio(np.array([0.1])) is None
    assert sharpe_ratio(np.array([0.0, 0.0])) is None
    assert sortino_ratio(np.array([0.1, 0.2])) is None


@pytest.mark.parametrize(
    ("growth", "years", "rate"),
    [(1.21, 2.0, 0.1), (0.25, 2.0, -0.5), (2.0, 0.5, 3.0), (2.0, 0.05, None), (0, 2, None)],
)
def test_annual_growth(growth: float, years: float, rate: float | None) -> None:
    assert annual_growth(growth, years) == (None if rate is None else pytest.approx(rate))


def test_calmar_is_growth_over_drawdown() -> None:
    candles = checked(columns_of([(100, 130, 90, 120)] * 366, start_ms=MIDNIGHT_MS, step_ms=24 * HOUR_MS))
    equity = [1_000.0] * 100 + [900.0] + [1_200.0] * 265
    found = summarize(candles, simulation([], equity), Decimal(1_000))
    # 366 days are 366 / 365.25 years; the drawdown is 10 %.
    growth = (1.2 ** (365.25 / 366) - 1) * 100
    assert found["cagr_percent"] == pytest.approx(growth)
    assert found["calmar_ratio"] == pytest.approx(growth / 10)
