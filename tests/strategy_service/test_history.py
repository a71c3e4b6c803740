"""What exchanges send is read strictly: a row, or a sentence that says what is wrong."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_service.fetch_errors import FetchFailed, FetchRefused
from strategy_service.history import BAR_MS, EXCHANGES, _row, open_history, opening
from tradekit.market.symbol import parse_market
from tradekit.market.timeframe import parse_timeframe

ROW = [1_795_521_600_000, "60000.1", "60100", "59900", "60050.5", "12.345", 1_795_521_659_999]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_a_row_is_read_as_it_is_written() -> None:
    assert _row(ROW, volume=5) == (1_795_521_600_000, "60000.1", "60100", "59900", "60050.5", "12.345")


@given(sent=anything, place=st.integers(0, 5))
def test_a_row_with_anything_in_it_is_a_candle_or_refused(sent: object, place: int) -> None:
    row: list[object] = [*ROW]
    row[place] = sent
    try:
        read = _row(json.loads(json.dumps(row), parse_float=str), volume=5)
    except FetchFailed:
        return
    assert all(math.isfinite(float(text)) for text in read[1:])
    assert 10**11 <= read[0] < 10**14


@given(anything)
def test_anything_else_than_a_row_is_refused(sent: object) -> None:
    if isinstance(sent, list) and len(sent) > 5:
        return
    with pytest.raises(FetchFailed, match="cannot be read"):
        _row(sent, volume=5)


@given(name=st.sampled_from(sorted(BAR_MS)), at_ms=st.integers(0, 4_000_000_000_000))
def test_the_next_opening_is_the_first_on_the_grid(name: str, at_ms: int) -> None:
    bar = parse_timeframe(name)
    found = opening(bar, at_ms)
    assert at_ms <= found < at_ms + BAR_MS[name]
    assert opening(bar, found) == found
    assert opening(bar, found + 1) == found + BAR_MS[name]


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("url", ["ftp://example.com", "fapi.binance.com", "", "https://", "http://x:99999"])
def test_what_is_no_address_is_refused(exchange: str, url: str) -> None:
    with (
        pytest.raises(FetchRefused, match="is not a base URL"),
        open_history(
            exchange, url, parse_market("BTCUSDT"), parse_timeframe("1h"), wait=lambda seconds: None
        ),
    ):
        pass


def test_okx_has_no_bars_of_eight_hours() -> None:
    with (
        pytest.raises(FetchRefused, match="okx candles come in 1m, 3m"),
        open_history(
            "okx", "https://x.example", parse_market("BTCUSDT"), parse_timeframe("8h"), wait=lambda s: None
        ),
    ):
        pass
