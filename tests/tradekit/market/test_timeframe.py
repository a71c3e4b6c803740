"""Bar lengths: our spelling, TradingView's, and how long they are."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.market.timeframe import Timeframe, TimeframeMalformed, parse_timeframe


@pytest.mark.parametrize(
    ("text", "timeframe", "tradingview", "duration"),
    [
        ("15m", Timeframe(15, "m"), "15", timedelta(minutes=15)),
        ("15", Timeframe(15, "m"), "15", timedelta(minutes=15)),
        ("60", Timeframe(1, "h"), "60", timedelta(hours=1)),
        ("1h", Timeframe(1, "h"), "60", timedelta(hours=1)),
        ("4H", Timeframe(4, "h"), "240", timedelta(hours=4)),
        ("1440", Timeframe(1, "d"), "1D", timedelta(days=1)),
        ("24h", Timeframe(1, "d"), "1D", timedelta(days=1)),
        ("D", Timeframe(1, "d"), "1D", timedelta(days=1)),
        ("1W", Timeframe(1, "w"), "1W", timedelta(weeks=1)),
        ("30S", Timeframe(30, "s"), "30S", timedelta(seconds=30)),
        ("1M", Timeframe(1, "M"), "1M", timedelta(days=31)),
        ("12M", Timeframe(12, "M"), "12M", timedelta(days=372)),
    ],
)
def test_spellings(text: str, timeframe: Timeframe, tradingview: str, duration: timedelta) -> None:
    assert parse_timeframe(text) == timeframe
    assert timeframe.tradingview == tradingview
    assert timeframe.duration == duration


def test_a_minute_is_not_a_month() -> None:
    assert parse_timeframe("1m") != parse_timeframe("1M")


@pytest.mark.parametrize(
    "text", ["", "0", "0m", "m5", "1x", "1 h", "-5", "1.5h", "5\n", "５", "13M", "9999D", "{{interval}}"]
)
def test_what_is_no_bar_length(text: str) -> None:
    with pytest.raises(TimeframeMalformed):
        parse_timeframe(text)


@given(st.text(max_size=8))
def test_any_text_is_a_bar_length_or_the_one_error(text: str) -> None:
    try:
        timeframe = parse_timeframe(text)
    except TimeframeMalformed:
        return
    assert timeframe.duration >= timedelta(seconds=1)


@given(st.from_regex(r"[0-9]{0,6}[smhdwDWMSH]?", fullmatch=True))
def test_both_spellings_of_a_bar_length_are_read_back(text: str) -> None:
    try:
        timeframe = parse_timeframe(text)
    except TimeframeMalformed:
        return
    assert parse_timeframe(str(timeframe)) == timeframe
    assert parse_timeframe(timeframe.tradingview) == timeframe
