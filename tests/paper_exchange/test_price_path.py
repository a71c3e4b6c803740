"""The generated path: pure, continuous, bounded by its bars, as volatile as asked."""

import math
import statistics
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from paper_exchange.price_path import MINUTE_MS, Bar, GeneratedPath

MINUTES = st.integers(-50_000_000, 100_000_000)


def make_path(seed: int = 1, symbol: str = "BTCUSDT", volatility: float = 0.5) -> GeneratedPath:
    return GeneratedPath(
        seed=seed, symbol=symbol, price=60_000, annual_volatility=volatility, hourly_volume=9_000
    )


def bar_at(path: GeneratedPath, minute: int) -> Bar:
    bars = path.bars(minute * MINUTE_MS, (minute + 1) * MINUTE_MS)
    assert bars is not None
    return bars[0]


@given(MINUTES)
@settings(max_examples=50)
def test_same_seed_gives_the_same_bar_whatever_was_asked_before(minute: int) -> None:
    walked = make_path()
    for step in (-3, 7, -1):
        bar_at(walked, minute + step)
    assert bar_at(walked, minute) == bar_at(make_path(), minute)


@given(MINUTES)
@settings(max_examples=50)
def test_every_second_lies_within_its_bar_and_reaches_both_ends(minute: int) -> None:
    path = make_path()
    (bar,) = path.bars(minute * MINUTE_MS, (minute + 1) * MINUTE_MS) or []
    prices = [path.at(minute * MINUTE_MS + second * 1000) for second in range(60)]
    assert (prices[0], prices[-1]) == (bar.open, bar.close)
    assert (max(prices), min(prices)) == (bar.high, bar.low)


@given(MINUTES)
@settings(max_examples=50)
def test_bars_join(minute: int) -> None:
    first, second = make_path().bars(minute * MINUTE_MS, (minute + 2) * MINUTE_MS) or []
    assert first.close == second.open


def test_another_seed_or_symbol_is_another_market() -> None:
    bars = {bar_at(make_path(seed, symbol), 5).open for seed in (1, 2) for symbol in ("A", "B")}
    assert len(bars) == 4


def test_volatility_is_what_was_asked() -> None:
    """Over 60 days of hours, within a fifth: the activity of hours differs."""
    path = make_path(volatility=0.8)
    closes = [path.at(hour * 60 * MINUTE_MS) for hour in range(60 * 24)]
    moves = [math.log(after / before) for before, after in pairwise(closes)]
    yearly = statistics.stdev(moves) * math.sqrt(365.25 * 24)
    assert abs(yearly - 0.8) < 0.16
