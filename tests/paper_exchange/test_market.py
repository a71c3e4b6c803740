"""Markets: posted prices, mark and index, candles that agree with the live price, replays."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_exchange.candles import Candle, FilePath, read_candle_file
from paper_exchange.instruments import LISTED
from paper_exchange.market import Market, PostedPrice
from tests.paper_exchange.conftest import BTC, START_MS

HOUR_MS = 3_600_000


def make_market(
    *, seed: int = 1, speed: float = 1.0, anchor_ms: int = START_MS, files: dict[str, FilePath] | None = None
) -> Market:
    return Market(LISTED, seed=seed, anchor_ms=anchor_ms, speed=speed, files=files)


def prices_of(candle: Candle) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    return candle.open, candle.high, candle.low, candle.close


@given(st.integers(0, 10**9), st.sampled_from(sorted(LISTED)))
@settings(max_examples=30, deadline=None)
def test_a_restarted_market_goes_on_where_it_was(elapsed_ms: int, symbol: str) -> None:
    now_ms = START_MS + elapsed_ms
    before, after = make_market(), make_market(anchor_ms=now_ms - 17_123)
    assert before.quote(symbol, now_ms) == after.quote(symbol, now_ms)


@given(st.integers(0, 10**9), st.sampled_from(sorted(LISTED)))
@settings(max_examples=30, deadline=None)
def test_prices_are_on_the_tick(elapsed_ms: int, symbol: str) -> None:
    quote = make_market().quote(symbol, START_MS + elapsed_ms)
    for price in (quote.last, quote.mark, quote.index):
        assert price > 0
        assert price % LISTED[symbol].tick == 0


@pytest.mark.parametrize("speed", [0, 1, 60])
def test_a_posted_price_is_exactly_the_price(speed: float) -> None:
    market = make_market(speed=speed)
    market.post(PostedPrice(BTC, START_MS + 777, Decimal("61234.50")))
    quote = market.quote(BTC, START_MS + 999)
    assert quote.last == quote.mark == quote.index == Decimal("61234.50")


def test_the_path_goes_on_from_a_posted_price() -> None:
    market, undisturbed = make_market(), make_market()
    market.post(PostedPrice(BTC, START_MS, Decimal(100_000)))
    factor = Decimal(100_000) / undisturbed.last(BTC, START_MS)
    later_ms = START_MS + 600_000
    assert market.last(BTC, later_ms) != Decimal(100_000)
    expected = undisturbed.last(BTC, later_ms) * factor
    assert market.last(BTC, later_ms) == pytest.approx(expected, rel=Decimal("1e-5"))


def test_at_speed_0_only_posted_prices_move_the_market() -> None:
    market = make_market(speed=0)
    first = market.quote(BTC, START_MS)
    assert market.quote(BTC, START_MS + 10 * HOUR_MS) == first
    market.post(PostedPrice(BTC, START_MS + 11 * HOUR_MS, Decimal(70_000)))
    assert market.last(BTC, START_MS + 99 * HOUR_MS) == 70_000


def test_at_speed_0_the_first_price_depends_on_the_seed_and_not_on_the_time() -> None:
    prices = {
        make_market(speed=0, anchor_ms=START_MS + n * 12_345_678).last(BTC, START_MS + 10**12)
        for n in range(3)
    }
    assert len(prices) == 1


def test_speed_60_shows_in_a_minute_what_speed_1_shows_in_an_hour() -> None:
    fast = make_market(speed=60)
    moves = [fast.last(BTC, START_MS + second * 1000) for second in range(120)]
    slow = make_market(anchor_ms=START_MS)
    calm = [slow.last(BTC, START_MS + second * 1000) for second in range(120)]
    assert max(moves) - min(moves) > max(calm) - min(calm)


@pytest.mark.parametrize("speed", [0, 1, 5])
def test_history_is_there_at_the_start(speed: float) -> None:
    market = make_market(speed=speed)
    hours = market.candles(BTC, "1h", now_ms=START_MS, start_ms=None, end_ms=None, limit=240)
    assert len(hours) == 240
    assert len({candle.close for candle in hours}) > 100
    minutes = market.candles(BTC, "1m", now_ms=START_MS, start_ms=None, end_ms=None, limit=2000)
    assert len(minutes) == 2000


@pytest.mark.parametrize("speed", [1, 7])
def test_a_minute_is_what_was_shown_live(speed: float) -> None:
    """A finished minute has the prices that were shown in it, posted ones included."""
    market = make_market(speed=speed)
    opening = START_MS + 5 * 60_000
    market.post(PostedPrice(BTC, opening + 20_500, Decimal("163000.00")))
    market.post(PostedPrice(BTC, opening + 20_700, Decimal("59000.00")))
    shown = [market.last(BTC, opening + ms) for ms in range(0, 60_000, 100)]
    (candle,) = market.candles(
        BTC, "1m", now_ms=opening + 3_600_000, start_ms=opening, end_ms=opening, limit=1
    )
    assert prices_of(candle) == (shown[0], max(shown), min(shown), shown[-1])
    assert candle.high == 163_000


def test_an_undisturbed_minute_is_what_was_shown_live() -> None:
    market = make_market()
    opening = START_MS + 60_000
    shown = [market.last(BTC, opening + ms) for ms in range(0, 60_000, 1000)]
    (candle,) = market.candles(BTC, "1m", now_ms=opening + 60_000, start_ms=opening, end_ms=opening, limit=1)
    assert prices_of(candle) == (shown[0], max(shown), min(shown), shown[-1])
    assert market.last(BTC, candle.close_ms) == candle.close


def test_an_unfinished_candle_knows_only_the_past() -> None:
    market = make_market()
    now_ms = START_MS + 90_000
    running = market.candles(BTC, "1m", now_ms=now_ms, start_ms=None, end_ms=None, limit=1)[0]
    assert running.open_ms <= now_ms <= running.close_ms
    assert running.close == market.last(BTC, now_ms)
    finished = market.candles(
        BTC, "1m", now_ms=now_ms + 60_000, start_ms=running.open_ms, end_ms=None, limit=1
    )
    assert finished[0].close == market.last(BTC, running.close_ms)


@pytest.mark.parametrize(("interval", "pieces"), [("15m", 15), ("4h", 240), ("1d", 1440)])
def test_long_candles_are_made_of_minutes(interval: str, pieces: int) -> None:
    market = make_market()
    (long,) = market.candles(
        BTC, interval, now_ms=START_MS, start_ms=None, end_ms=START_MS - 86_400_000, limit=1
    )
    minutes = market.candles(
        BTC, "1m", now_ms=START_MS, start_ms=long.open_ms, end_ms=long.close_ms, limit=pieces
    )
    assert len(minutes) == pieces
    assert (long.open, long.close) == (minutes[0].open, minutes[-1].close)
    assert long.high == max(candle.high for candle in minutes)
    assert long.low == min(candle.low for candle in minutes)
    assert long.volume == pytest.approx(sum(candle.volume for candle in minutes), rel=Decimal("0.0001"))


def test_candles_follow_each_other_and_stay_in_the_window() -> None:
    market = make_market()
    start_ms, end_ms = START_MS - 10 * HOUR_MS - 1, START_MS - 2 * HOUR_MS
    candles = market.candles(BTC, "1h", now_ms=START_MS, start_ms=start_ms, end_ms=end_ms, limit=500)
    assert [candle.open_ms for candle in candles] == list(range(START_MS - 10 * HOUR_MS, end_ms + 1, HOUR_MS))
    assert all(before.close_ms + 1 == after.open_ms for before, after in pairwise(candles))


def test_weeks_open_on_monday_and_months_on_the_first() -> None:
    market = make_market()
    week = market.candles(BTC, "1w", now_ms=START_MS, start_ms=None, end_ms=None, limit=2)[-1]
    month = market.candles(BTC, "1M", now_ms=START_MS, start_ms=None, end_ms=None, limit=2)[-1]
    assert week.open_ms == 1_795_392_000_000  # Monday 2026-11-23
    assert month.open_ms == 1_793_491_200_000  # 2026-11-01


def test_funding_is_due_every_eight_hours_at_a_rate_of_its_own() -> None:
    market = make_market()
    due_ms = market.next_funding_ms(START_MS)
    assert due_ms == START_MS + 4 * HOUR_MS
    rates = {market.funding_rate(BTC, due_ms + n * 8 * HOUR_MS) for n in range(20)}
    assert len(rates) > 15
    assert all(Decimal("-0.0001") <= rate <= Decimal("0.0003") for rate in rates)


@pytest.fixture
def candle_file(tmp_path: Path) -> Path:
    """Four days of rising and falling quarter hours."""
    rows = ["time,open,high,low,close,volume"]
    price = 1000
    for n in range(4 * 96):
        after = price + (3 if n % 5 else -11)
        high, low = max(price, after) + 2 + n, min(price, after) - 2
        rows.append(f"{1_700_000_100_000 + n * 900_000},{price},{high},{low},{after},{n + 1}")
        price = after
    file = tmp_path / "ETHUSDT-15m.csv"
    file.write_text("\n".join(rows))
    return file


def test_a_replayed_file_gives_its_candles_back(candle_file: Path) -> None:
    symbol, path = read_candle_file(candle_file)
    market = make_market(files={symbol: path})
    now_ms = START_MS + 24 * HOUR_MS
    shown = market.candles(symbol, "15m", now_ms=now_ms, start_ms=None, end_ms=None, limit=200)[:-1]
    recorded = [line.split(",") for line in candle_file.read_text().splitlines()[1:]]
    rows = [(row[1], row[2], row[3], row[4], row[5]) for row in recorded]
    first = tuple(str(price) for price in prices_of(shown[0]))
    at = next(n for n, row in enumerate(rows) if tuple(f"{Decimal(x):.2f}" for x in row[:4]) == first)
    for candle, row in zip(shown, rows[at:], strict=False):
        assert prices_of(candle) == tuple(Decimal(text) for text in row[:4])
        assert candle.volume == Decimal(row[4])


def test_a_replay_shows_the_file_second_by_second_and_stands_still_at_its_end(candle_file: Path) -> None:
    symbol, path = read_candle_file(candle_file)
    market = make_market(files={symbol: path}, speed=10)
    moving = {market.last(symbol, START_MS + n * 60_000) for n in range(10)}
    assert len(moving) > 5
    ended = START_MS + 30 * 24 * HOUR_MS
    assert market.last(symbol, ended) == market.last(symbol, ended + HOUR_MS)
