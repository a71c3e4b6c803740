"""Indicators against values worked out by hand, and against an independent implementation."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategy_service.candles import Candles
from strategy_service.indicators import atr, ema, rma, sma, true_range
from tradekit.market.volatility import Candle, average_true_range

NAN = float("nan")
LENGTHS = st.integers(1, 20)
VALUES = st.lists(st.floats(1, 1_000), min_size=1, max_size=60).map(np.array)


def test_sma_is_the_mean_of_the_last_values() -> None:
    np.testing.assert_array_equal(sma(np.array([1.0, 2.0, 6.0, 10.0]), 3), [NAN, NAN, 3.0, 6.0])


def test_ema_starts_with_the_sma_not_with_the_first_value() -> None:
    # Length 3: alpha 1/2. Seed (1 + 2 + 6) / 3 = 3; 3 + (10 - 3) / 2 = 6.5; 6.5 + (2.5 - 6.5) / 2 = 4.5.
    np.testing.assert_array_equal(ema(np.array([1.0, 2.0, 6.0, 10.0, 2.5]), 3), [NAN, NAN, 3.0, 6.5, 4.5])


def test_rma_smooths_by_one_over_its_length() -> None:
    # Length 4: seed (4 + 8 + 8 + 12) / 4 = 8; 8 + (16 - 8) / 4 = 10; 10 + (2 - 10) / 4 = 8.
    values = np.array([4.0, 8.0, 8.0, 12.0, 16.0, 2.0])
    np.testing.assert_array_equal(rma(values, 4), [NAN, NAN, NAN, 8.0, 10.0, 8.0])


def test_leading_na_is_skipped_and_the_seed_comes_later() -> None:
    np.testing.assert_array_equal(ema(np.array([NAN, NAN, 2.0, 4.0, 6.0]), 2)[:4], [NAN, NAN, NAN, 3.0])


def test_na_in_between_keeps_the_state() -> None:
    # Seed 3, then alpha 2/3: 3 + (6 - 3) * 2/3 = 5, as if the na had not been.
    np.testing.assert_allclose(ema(np.array([2.0, 4.0, NAN, 6.0]), 2), [NAN, 3.0, NAN, 5.0])


def test_true_range_reaches_to_the_close_before() -> None:
    high, low = np.array([12.0, 15.0, 9.0]), np.array([10.0, 14.0, 8.0])
    # 12 - 10; 15 - 11 (a gap up from the close 11); 14.5 - 8 (a gap down from 14.5).
    np.testing.assert_array_equal(true_range(high, low, np.array([11.0, 14.5, 8.5])), [2.0, 4.0, 6.5])


def test_atr_smooths_the_true_range_from_its_mean() -> None:
    high, low = np.array([12.0, 15.0, 9.0]), np.array([10.0, 14.0, 8.0])
    # Length 2: seed (2 + 4) / 2 = 3; 3 + (6.5 - 3) / 2 = 4.75.
    np.testing.assert_array_equal(atr(high, low, np.array([11.0, 14.5, 8.5]), 2), [NAN, 3.0, 4.75])


def test_atr_is_the_one_that_live_stops_are_measured_in(real_candles: Candles) -> None:
    count = 500
    bars = [
        Candle(real_candles.open_time(bar), *(Decimal(str(price)) for price in prices))
        for bar, prices in enumerate(
            zip(
                real_candles.open[:count].tolist(),
                real_candles.high[:count].tolist(),
                real_candles.low[:count].tolist(),
                real_candles.close[:count].tolist(),
                strict=True,
            )
        )
    ]
    ours = atr(real_candles.high[:count], real_candles.low[:count], real_candles.close[:count], 14)
    assert ours[-1] == pytest.approx(float(average_true_range(bars, 14)), rel=1e-12)


@pytest.mark.parametrize("function", [sma, ema, rma])
def test_too_few_values_give_none(function: object) -> None:
    assert callable(function)
    assert np.isnan(function(np.array([1.0, 2.0]), 3)).all()


@settings(max_examples=60, deadline=None)
@given(values=VALUES, length=LENGTHS, cut=st.integers(1, 60))
def test_what_comes_later_changes_nothing_before(values: np.ndarray, length: int, cut: int) -> None:
    for function in (sma, ema, rma):
        np.testing.assert_array_equal(function(values[:cut], length), function(values, length)[:cut])


@settings(max_examples=60, deadline=None)
@given(value=st.floats(1, 1_000), count=st.integers(1, 60), length=LENGTHS)
def test_a_constant_stays_what_it_is(value: float, count: int, length: int) -> None:
    for function in (sma, ema, rma):
        result = function(np.full(count, value), length)
        np.testing.assert_allclose(result[length - 1 :], value, rtol=1e-12)
