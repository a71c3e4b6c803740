"""The markets: last, mark and index price, funding and candles of every listed contract.

The price is constant within a second. A posted price moves the market to exactly that price; from the next
second on, the simulated path goes on from there. Mark and index are averages of the last price over the
past minute and five minutes, but never look behind a posted price or a change of speed: right after a posted
price all three are equal, and a market that stands still has only one.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b

from paper_exchange.candles import (
    Candle,
    FilePath,
    interval_opening,
    next_opening,
    previous_opening,
)
from paper_exchange.instruments import Instrument
from paper_exchange.price_path import MINUTE_MS, Bar, GeneratedPath, PricePath

HISTORY_MS = 60 * 86_400_000  # every contract counts as listed this long before the first start
PATH_ORIGIN_MS = 1_780_272_000_000  # 2026-06-01 UTC: where a market that is not at speed 1 starts on its path
FUNDING_INTERVAL_MS = 8 * 3_600_000
REPLAY_HISTORY_MS = 14 * 86_400_000
_MARK_WINDOW_MS = 60_000
_INDEX_WINDOW_MS = 300_000
_WINDOW_SAMPLES = 6
_CACHED_CANDLES = 100_000
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Quote:
    """Prices of one moment, on the tick."""

    last: Decimal
    mark: Decimal
    index: Decimal


@dataclass(frozen=True, slots=True)
class PostedPrice:
    """A price that was posted: from `time_ms` on the path is multiplied so that it starts from `price`."""

    symbol: str
    time_ms: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class Timeline:
    """Maps the exchange's time to path time: up to `anchor_ms` at the natural speed, after it at `speed`."""

    anchor_ms: int
    origin_ms: int
    speed: float

    def path_ms(self, at_ms: int) -> int:
        elapsed = at_ms - self.anchor_ms
        return self.origin_ms + (int(elapsed * self.speed) if elapsed > 0 and self.speed != 1 else elapsed)

    def steady_since(self, at_ms: int) -> int:
        """Since when the path has run at the speed it has now."""
        return self.anchor_ms if self.speed != 1 and at_ms >= self.anchor_ms else 0

    def is_natural(self, end_ms: int) -> bool:
        """Whether path time runs like exchange time up to this moment."""
        return self.speed == 1 or end_ms <= self.anchor_ms


class Market:
    """All markets of one exchange.

    Attributes:
        anchor_ms: When the exchange was first started, on the minute.

    Args:
        instruments: What is listed.
        seed: Of the generated paths; the same seed gives the same prices.
        anchor_ms: When the exchange was first started: the simulated speed and replays begin there.
        speed: How fast the simulated prices move; 0 stands still and only posted prices move the market.
        files: Symbols whose prices come from a candle file.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        *,
        seed: int,
        anchor_ms: int,
        speed: float = 1.0,
        files: Mapping[str, FilePath] | None = None,
    ) -> None:
        self.instruments = dict(instruments)
        self.seed = seed
        self.speed = speed
        self.anchor_ms = anchor_ms // MINUTE_MS * MINUTE_MS
        self._files = dict(files or {})
        self._paths: dict[str, PricePath] = {}
        self._timelines: dict[str, Timeline] = {}
        for instrument in instruments.values():
            self._list(instrument)
        self._posts: dict[str, list[PostedPrice]] = {symbol: [] for symbol in instruments}
        self._factors: dict[str, list[float]] = {symbol: [] for symbol in instruments}
        self._quotes: dict[str, tuple[int, int, Quote]] = {}
        self._candles: dict[tuple[str, int, int], Bar] = {}

    def _list(self, instrument: Instrument) -> None:
        symbol = instrument.symbol
        if (file := self._files.get(symbol)) is not None:
            self._paths[symbol] = file
            start = file.replay_start(history_ms=REPLAY_HISTORY_MS)
            # Bars of the file and candles of the exchange must open at the same moments.
            anchor = self.anchor_ms - (self.anchor_ms - start) % max(file.bar_ms, _HOUR_MS)
            self._timelines[symbol] = Timeline(anchor, start, self.speed)
            return
        self._paths[symbol] = GeneratedPath(
            seed=self.seed,
            symbol=symbol,
            price=instrument.typical_price,
            annual_volatility=instrument.annual_volatility,
            hourly_volume=instrument.hourly_volume,
        )
        origin = self.anchor_ms if self.speed == 1 else PATH_ORIGIN_MS
        self._timelines[symbol] = Timeline(self.anchor_ms, origin, self.speed)

    def relist(self, instrument: Instrument) -> None:
        """Replaces the filters or the status of a listed contract."""
        self.instruments[instrument.symbol] = instrument
        self._quotes.pop(instrument.symbol, None)

    # Prices

    def post(self, posted: PostedPrice) -> None:
        """Moves a market to exactly this price; posts of a symbol must come in order of time."""
        self._factors[posted.symbol].append(
            float(posted.price) / self._path_price(posted.symbol, posted.time_ms)
        )
        self._posts[posted.symbol].append(posted)
        self._quotes.pop(posted.symbol, None)

    def clear_posts(self) -> None:
        """Forgets all posted prices; the markets return to their paths."""
        for symbol in self.instruments:
            self._posts[symbol].clear()
            self._factors[symbol].clear()
        self._quotes.clear()
        self._candles.clear()

    def stands_still(self) -> bool:
        """Whether only posted prices move the markets."""
        return self.speed == 0

    def last(self, symbol: str, at_ms: int) -> Decimal:
        """The price of the latest trade, on the tick."""
        return self._on_tick(symbol, self._price(symbol, at_ms))

    def quote(self, symbol: str, at_ms: int) -> Quote:
        """Last, mark and index price of this moment."""
        posts = bisect_right(self._posts[symbol], at_ms, key=_time_of)
        second = at_ms // 1000
        cached = self._quotes.get(symbol)
        if cached is not None and cached[:2] == (second, posts):
            return cached[2]
        since = (
            self._posts[symbol][posts - 1].time_ms if posts else self._timelines[symbol].steady_since(at_ms)
        )
        quote = Quote(
            last=self.last(symbol, at_ms),
            mark=self._average(symbol, at_ms, window_ms=_MARK_WINDOW_MS, since_ms=since),
            index=self._average(symbol, at_ms, window_ms=_INDEX_WINDOW_MS, since_ms=since),
        )
        self._quotes[symbol] = (second, posts, quote)
        return quote

    def _average(self, symbol: str, at_ms: int, *, window_ms: int, since_ms: int) -> Decimal:
        moments = (at_ms - step * window_ms // _WINDOW_SAMPLES for step in range(_WINDOW_SAMPLES))
        prices = [self._price(symbol, max(moment, since_ms)) for moment in moments]
        return self._on_tick(symbol, math.fsum(prices) / _WINDOW_SAMPLES)

    def _price(self, symbol: str, at_ms: int) -> float:
        return self._path_price(symbol, at_ms) * self._factor(symbol, at_ms)

    def _path_price(self, symbol: str, at_ms: int) -> float:
        return self._paths[symbol].at(self._timelines[symbol].path_ms(at_ms // 1000 * 1000))

    def _factor(self, symbol: str, at_ms: int) -> float:
        factors = self._factors[symbol]
        if not factors:
            return 1.0
        index = bisect_right(self._posts[symbol], at_ms, key=_time_of) - 1
        return factors[index] if index >= 0 else 1.0

    def _on_tick(self, symbol: str, price: float) -> Decimal:
        tick = self.instruments[symbol].tick
        return max(round(Decimal(price) / tick) * tick, tick)

    # Funding

    def next_funding_ms(self, at_ms: int) -> int:
        """The next time at which funding is paid: 00:00, 08:00 and 16:00 UTC."""
        return (at_ms // FUNDING_INTERVAL_MS + 1) * FUNDING_INTERVAL_MS

    def funding_rate(self, symbol: str, at_ms: int) -> Decimal:
        """The rate that is paid at the next funding time; longs pay when it is positive."""
        period = at_ms // FUNDING_INTERVAL_MS
        draw = blake2b(f"{self.seed}:{symbol}:{period}".encode(), digest_size=2, person=b"funding").digest()
        return Decimal(int.from_bytes(draw, "big") % 40_001 - 10_000) / Decimal(10**8)

    # Candles

    def history_begins_ms(self, symbol: str) -> int:
        """The first moment for which this market has a price."""
        beginning = self._paths[symbol].begins_at()
        if beginning is None:
            return interval_opening("1d", self.anchor_ms - HISTORY_MS)
        timeline = self._timelines[symbol]
        return timeline.anchor_ms + beginning - timeline.origin_ms

    def candles(
        self,
        symbol: str,
        interval: str,
        *,
        now_ms: int,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
        shift_ms: int = 0,
    ) -> list[Candle]:
        """Candles in order of time, the unfinished one included.

        Args:
            interval: A key of `INTERVALS_MS`, or "1M".
            start_ms: Open time of the first, inclusive; None: the latest `limit`.
            end_ms: Open time of the last, inclusive; None: now.
            shift_ms: How much earlier than in UTC they open: of a time zone to the east.
        """
        last = interval_opening(interval, min(now_ms, now_ms if end_ms is None else end_ms) + shift_ms)
        earliest = max(self.history_begins_ms(symbol), 0 if start_ms is None else start_ms) + shift_ms
        if start_ms is None:
            openings = _backwards(interval, last, earliest, limit)
        else:
            openings = _forwards(interval, earliest, last, limit)
        return [
            self._candle(symbol, opening - shift_ms, next_opening(interval, opening) - shift_ms, now_ms)
            for opening in openings
        ]

    def _candle(self, symbol: str, open_ms: int, end_ms: int, now_ms: int) -> Candle:
        bar = self._merged(symbol, open_ms, end_ms, now_ms)
        opening, high, low, close = (
            self._on_tick(symbol, price) for price in (bar.open, bar.high, bar.low, bar.close)
        )
        step = self.instruments[symbol].step
        volume = round(Decimal(bar.volume) / step) * step
        quote_volume = (volume * (opening + high + low + close) / 4).quantize(Decimal("0.00001"))
        trades = max(int((end_ms - open_ms) / MINUTE_MS * 40), 1)
        return Candle(open_ms, end_ms - 1, opening, high, low, close, volume, quote_volume, trades)

    def _merged(self, symbol: str, open_ms: int, end_ms: int, now_ms: int) -> Bar:
        """One bar for the span, from the largest pieces that are known; finished ones are remembered."""
        key = (symbol, open_ms, end_ms)
        if (known := self._candles.get(key)) is not None:
            return known
        bar = self._uncached_bar(symbol, open_ms, end_ms, now_ms)
        if end_ms <= now_ms:
            if len(self._candles) >= _CACHED_CANDLES:
                self._candles.clear()
            self._candles[key] = bar
        return bar

    def _uncached_bar(self, symbol: str, open_ms: int, end_ms: int, now_ms: int) -> Bar:
        length = end_ms - open_ms
        if length <= _HOUR_MS:
            bars = self._path_bars(symbol, open_ms, end_ms, now_ms)
            if bars:
                return _merge(bars)
            if length <= MINUTE_MS:
                return self._sampled(symbol, open_ms, min(end_ms, now_ms + 1))
        piece_ms = _HOUR_MS if length > _HOUR_MS else MINUTE_MS
        pieces = range(open_ms, min(end_ms, now_ms + 1), piece_ms)
        return _merge([self._merged(symbol, piece, piece + piece_ms, now_ms) for piece in pieces])

    def _path_bars(self, symbol: str, open_ms: int, end_ms: int, now_ms: int) -> list[Bar] | None:
        """The path's own bars for a finished span that no posted price touches."""
        timeline, posts = self._timelines[symbol], self._posts[symbol]
        if end_ms > now_ms or not timeline.is_natural(end_ms):
            return None
        first, after = (bisect_left(posts, moment, key=_time_of) for moment in (open_ms, end_ms))
        if first != after:
            return None
        factor = self._factors[symbol][first - 1] if first else 1.0
        bars = self._paths[symbol].bars(timeline.path_ms(open_ms), timeline.path_ms(end_ms))
        return [_scaled(bar, factor) for bar in bars] if bars and factor != 1.0 else bars

    def _sampled(self, symbol: str, open_ms: int, end_ms: int) -> Bar:
        """A bar of what the market showed, second by second, and at each posted price."""
        posts = self._posts[symbol]
        posted = posts[bisect_left(posts, open_ms, key=_time_of) : bisect_left(posts, end_ms, key=_time_of)]
        moments = sorted({*range(open_ms, end_ms, 1000), *(post.time_ms for post in posted)})
        prices = [self._price(symbol, moment) for moment in moments]
        timeline = self._timelines[symbol]
        path_start = timeline.path_ms(open_ms)
        path_length = max(min(timeline.path_ms(end_ms) - path_start, MINUTE_MS), 0)
        return Bar(
            open=prices[0],
            high=max(prices),
            low=min(prices),
            close=prices[-1],
            volume=self._paths[symbol].volume(path_start, path_start + path_length),
            high_second=0,
            low_second=0,
            seconds=60,
        )


def _time_of(posted: PostedPrice) -> int:
    return posted.time_ms


def _scaled(bar: Bar, factor: float) -> Bar:
    return Bar(
        open=bar.open * factor,
        high=bar.high * factor,
        low=bar.low * factor,
        close=bar.close * factor,
        volume=bar.volume,
        high_second=bar.high_second,
        low_second=bar.low_second,
        seconds=bar.seconds,
    )


def _merge(bars: list[Bar]) -> Bar:
    if len(bars) == 1:
        return bars[0]
    return Bar(
        open=bars[0].open,
        high=max(bar.high for bar in bars),
        low=min(bar.low for bar in bars),
        close=bars[-1].close,
        volume=math.fsum(bar.volume for bar in bars),
        high_second=0,
        low_second=0,
        seconds=sum(bar.seconds for bar in bars),
    )


def _backwards(interval: str, last: int, earliest: int, limit: int) -> list[int]:
    openings: list[int] = []
    while last >= earliest and len(openings) < limit:
        openings.append(last)
        last = previous_opening(interval, last)
    return openings[::-1]


def _forwards(interval: str, earliest: int, last: int, limit: int) -> list[int]:
    return list(_openings(interval, earliest, last, limit))


def _openings(interval: str, earliest: int, last: int, limit: int) -> Iterator[int]:
    opening = interval_opening(interval, earliest)
    if opening < earliest:
        opening = next_opening(interval, opening)
    while opening <= last and limit > 0:
        yield opening
        opening, limit = next_opening(interval, opening), limit - 1
