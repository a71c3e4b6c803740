"""The average true range, against numbers worked out by hand and against its definition."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.market.volatility import Candle, CandlesTooShort, average_true_range

START = datetime(2026, 11, 24, tzinfo=UTC)


def candles_of(*rows: tuple[str, str, str]) -> list[Candle]:
    """Candles of (high, low, close), an hour each."""
    return [
        Candle(START + timedelta(hours=hour), Decimal(close), Decimal(high), Decimal(low), Decimal(close))
        for hour, (high, low, close) in enumerate(rows)
    ]


# True ranges by hand: 10-8 = 2; max(12, 9)-min(9, 9) = 3; a gap up: max(20, 11)-min(18, 11) = 9;
# a gap down: max(14, 19)-min(12, 19) = 7; inside: 13.5-12.5 = 1.
BARS = candles_of(
    ("10", "8", "9"), ("12", "9", "11"), ("20", "18", "19"), ("14", "12", "13"), ("13.5", "12.5", "13")
)


@pytest.mark.parametrize(
    ("bars", "period", "expected"),
    [
        (1, 1, "2"),
        (2, 1, "3"),
        (3, 3, "4.6666666666666666666666666667"),  # (2+3+9)/3
        (4, 2, "6.375"),  # 2.5; (2.5+9)/2 = 5.75; (5.75+7)/2
        (4, 3, "5.4444444444444444444444444445"),  # (14/3*2+7)/3 = 49/9, of a rounded 14/3
        (5, 5, "4.4"),  # 22/5
    ],
)
def test_worked_by_hand(bars: int, period: int, expected: str) -> None:
    assert abs(average_true_range(BARS[:bars], period) - Decimal(expected)) < Decimal("1e-26")


@pytest.mark.parametrize("count", [0, 1, 13])
def test_fewer_candles_than_the_period(count: int) -> None:
    bars = candles_of(*[("10", "8", "9")] * count)
    with pytest.raises(CandlesTooShort, match=f"14 candles, there are {count}"):
        average_true_range(bars, 14)


def test_a_market_that_does_not_move_has_none() -> None:
    assert average_true_range(candles_of(*[("9", "9", "9")] * 20), 14) == 0


price = st.decimals(min_value="0.01", max_value=100_000, places=4)


@st.composite
def any_candles(draw: st.DrawFn) -> list[Candle]:
    """20 to 40 bars whose close lies between low and high."""
    rows = draw(st.lists(st.tuples(price, price, price), min_size=20, max_size=40))
    ordered = [sorted(row) for row in rows]
    return candles_of(*((str(high), str(low), str(close)) for low, close, high in ordered))


@given(any_candles(), st.integers(1, 20))
def test_against_the_definition(candles: list[Candle], period: int) -> None:
    """Wilder: the mean of the first values, then (period - 1) parts of the old and one of the new."""
    ranges = [Fraction(candles[0].high - candles[0].low)]
    for before, bar in itertools.pairwise(candles):
        ranges.append(
            Fraction(max(bar.high - bar.low, abs(bar.high - before.close), abs(bar.low - before.close)))
        )
    expected = sum(ranges[:period], Fraction(0)) / period
    for new in ranges[period:]:
        expected = (expected * (period - 1) + new) / period
    assert abs(Fraction(average_true_range(candles, period)) - expected) < Fraction(1, 10**18)


@given(any_candles(), st.decimals(min_value="0.5", max_value=50, places=2))
def test_it_scales_with_the_price(candles: list[Candle], factor: Decimal) -> None:
    scaled = [
        Candle(bar.open_time, bar.open * factor, bar.high * factor, bar.low * factor, bar.close * factor)
        for bar in candles
    ]
    difference = average_true_range(scaled, 14) - average_true_range(candles, 14) * factor
    assert abs(difference) < Decimal("1e-15")
