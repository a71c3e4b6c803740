"""Decisions: what they are, when they begin, and that they cannot see ahead."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategy_service.candles import Candles, checked
from strategy_service.compile_kernel import FUNCTIONS, Decisions, decide, warm_up_bars
from strategy_service.language import (
    Condition,
    Function,
    close,
    crossover,
    history,
    integer,
    open_price,
    rma,
    sma,
)
from strategy_service.parameters import resolve
from strategy_service.strategies.ema_crossover import EMA_CROSSOVER
from tests.strategy_service.conftest import MakeCandles, random_columns

FLAGS = ("enter_long", "enter_short", "exit_long", "exit_short")
length = integer("length", "Bars", default=3, minimum=1, maximum=99)


def decide_with(
    candles: Candles,
    *,
    enter_long: Condition = EMA_CROSSOVER.enter_long,
    enter_short: Condition = EMA_CROSSOVER.enter_short,
    exit_long: Condition | None = None,
    exit_short: Condition | None = None,
) -> Decisions:
    strategy = replace(
        EMA_CROSSOVER,
        enter_long=enter_long,
        enter_short=enter_short,
        exit_long=exit_long,
        exit_short=exit_short,
    )
    return decide(strategy, resolve(strategy, {}), candles)


def bars_of(closes: list[float]) -> list[tuple[float, float, float, float]]:
    return [(price, price + 1, price - 1, price) for price in closes]


def test_a_crossing_is_decided_on_the_bar_where_it_happens(make_candles: MakeCandles) -> None:
    # Averages over 1 and 2 bars, close 10 until bar 13, then up on bar 14 and down on bar 16.
    candles = make_candles(bars_of([10.0] * 14 + [12.0, 13.0, 9.0]))
    decisions = decide(EMA_CROSSOVER, resolve(EMA_CROSSOVER, {"fast": "1", "slow": "2"}), candles)
    assert np.flatnonzero(decisions.enter_long).tolist() == [14]
    assert np.flatnonzero(decisions.enter_short).tolist() == [16]


def test_nothing_is_decided_before_the_average_range_is_there(make_candles: MakeCandles) -> None:
    candles = make_candles(bars_of([10.0, 12.0] * 10))
    decisions = decide(EMA_CROSSOVER, resolve(EMA_CROSSOVER, {"fast": "1", "slow": "2"}), candles)
    # The 14th bar is the first with an ATR(14).
    assert np.flatnonzero(decisions.enter_long | decisions.enter_short)[0] == 13


def test_conditions_read_history_and_join(make_candles: MakeCandles) -> None:
    candles = make_candles(bars_of([10.0, 11.0, 12.0, 11.0, 12.0]))
    rising = close > history(close, 1)
    decisions = decide_with(
        candles, exit_long=rising, exit_short=rising & (history(close, 1) >= history(close, 2))
    )
    assert decisions.exit_long.tolist() == [False, True, True, False, True]
    assert decisions.exit_short.tolist() == [False, False, True, False, False]
    either = decide_with(candles, exit_long=rising | (close <= open_price)).exit_long
    assert either.tolist() == [True] * 5


def test_history_over_all_bars_is_na_and_na_compares_false(make_candles: MakeCandles) -> None:
    candles = make_candles(bars_of([10.0, 11.0]))
    decisions = decide_with(
        candles, exit_long=close > history(close, 9), exit_short=close < history(close, 9)
    )
    assert not decisions.exit_long.any()
    assert not decisions.exit_short.any()


def test_long_counts_when_both_are_true(make_candles: MakeCandles) -> None:
    candles = make_candles(bars_of([10.0] * 20))
    decisions = decide_with(candles, enter_long=close <= open_price, enter_short=close >= open_price)
    assert decisions.enter_long[13:].all()
    assert not decisions.enter_short.any()


@pytest.mark.parametrize("price", [100.0, 0.1, 2648.33])
def test_a_market_that_stands_still_gives_no_entry(make_candles: MakeCandles, price: float) -> None:
    candles = make_candles([(price, price, price, price)] * 60)
    decisions = decide_with(candles, enter_long=close <= open_price, enter_short=close >= open_price)
    assert not decisions.enter_long.any()
    assert not decisions.enter_short.any()


def test_every_function_of_the_language_is_computed() -> None:
    assert set(FUNCTIONS) == set(Function)


@pytest.mark.parametrize(
    ("texts", "bars"), [({}, 26), ({"fast": "1", "slow": "2"}, 13), ({"slow": "200"}, 200)]
)
def test_warm_up_is_the_first_bar_that_can_decide(texts: dict[str, str], bars: int) -> None:
    assert warm_up_bars(EMA_CROSSOVER, resolve(EMA_CROSSOVER, texts)) == bars


def test_warm_up_adds_up_over_nested_expressions() -> None:
    nested = replace(EMA_CROSSOVER, exit_long=crossover(sma(rma(history(close, 5), length), length), close))
    values = {**resolve(EMA_CROSSOVER, {}), "length": Decimal(30)}
    # 5 back, then 30 - 1 twice, and a bar before for the crossing.
    assert warm_up_bars(nested, values) == 5 + 29 + 29 + 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(2, 199), fast=st.integers(1, 20), more=st.integers(1, 30))
def test_cutting_the_candles_changes_no_decision_before(seed: int, cut: int, fast: int, more: int) -> None:
    columns = random_columns(200, seed)
    values = resolve(EMA_CROSSOVER, {"fast": str(fast), "slow": str(fast + more)})
    whole = decide(EMA_CROSSOVER, values, checked(columns))
    part = decide(EMA_CROSSOVER, values, checked({name: column[:cut] for name, column in columns.items()}))
    for name in (*FLAGS, "atr"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:cut])


def test_cutting_real_candles_changes_no_decision_before(
    real_candles: Candles, seeded_candles: Callable[[int, int], Candles]
) -> None:
    values = resolve(EMA_CROSSOVER, {})
    whole = decide(EMA_CROSSOVER, values, real_candles)
    for cut in (40, 5_000, 25_999):
        names = ("time", "open", "high", "low", "close", "volume")
        part = decide(
            EMA_CROSSOVER, values, checked({name: getattr(real_candles, name)[:cut] for name in names})
        )
        for name in FLAGS:
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:cut])
    assert whole.enter_long.sum() > 400
