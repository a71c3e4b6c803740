"""Seeded price paths with random access in time.

A path is a pure function of seed, symbol and time: nothing is accumulated, so a restarted exchange
continues where it was and any history can be asked for. Floats live only in here and in `market`; what
leaves the market is `Decimal` on the tick.
"""

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from statistics import NormalDist
from typing import Protocol

MINUTE_MS = 60_000
_MINUTES_PER_YEAR = 365.25 * 24 * 60
_LEVELS = 14  # the top knots are 2**14 minutes (11.4 days) apart
_ACTIVITY_LEVEL = 8  # blocks of 2**(14 - 8) = 64 minutes share one level of activity
_STANDARD_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Bar:
    """Prices of one span of time, and the second in which each extreme is reached."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    high_second: int
    low_second: int
    seconds: int

    def at(self, second: int) -> float:
        """The price in this second: straight lines from open over both extremes to close."""
        corners = [(0, self.open), (self.high_second, self.high), (self.low_second, self.low)]
        corners.sort()
        corners.append((self.seconds - 1, self.close))
        before, price_before = corners[0]
        for after, price_after in corners[1:]:
            if second <= after:
                if after == before:
                    return price_after
                return price_before + (price_after - price_before) * (second - before) / (after - before)
            before, price_before = after, price_after
        return self.close


class PricePath(Protocol):
    """A price for every moment of path time (milliseconds)."""

    def at(self, path_ms: int) -> float:
        """The price in the second that holds this moment."""
        ...

    def bars(self, start_ms: int, end_ms: int) -> list[Bar] | None:
        """The path's own bars that tile this span exactly; None when they do not."""
        ...

    def volume(self, start_ms: int, end_ms: int) -> float:
        """Base coins traded in this span, which lies within one of the path's own bars."""
        ...

    def begins_at(self) -> int | None:
        """The first moment of the path; None when it has no beginning."""
        ...


class GeneratedPath:
    """A Brownian path by midpoint displacement, every displacement keyed by a hash.

    Log prices at knots 2**14 minutes apart are independent around the typical price, with the variance
    that makes their differences those of Brownian motion; each midpoint below is the mean of its
    neighbours plus a normal displacement (Lévy's construction of the Brownian bridge). Within a minute,
    high and low are drawn from the exact law of the bridge's extremes, and activity varies by the hour.
    """

    def __init__(
        self, *, seed: int, symbol: str, price: float, annual_volatility: float, hourly_volume: float
    ):
        self._key = blake2b(f"{seed}:{symbol}".encode(), digest_size=32).digest()
        self._price = price
        self._sigma = annual_volatility / math.sqrt(_MINUTES_PER_YEAR)
        self._minute_volume = hourly_volume / 60
        self._knot = lru_cache(maxsize=65_536)(self._knot_uncached)
        self._bar = lru_cache(maxsize=8_192)(self._bar_uncached)
        self._activity = lru_cache(maxsize=4_096)(self._activity_uncached)

    def at(self, path_ms: int) -> float:
        minute, rest = divmod(path_ms, MINUTE_MS)
        return self._bar(minute).at(rest // 1000)

    def bars(self, start_ms: int, end_ms: int) -> list[Bar] | None:
        if start_ms % MINUTE_MS or end_ms % MINUTE_MS:
            return None
        return [self._bar(minute) for minute in range(start_ms // MINUTE_MS, end_ms // MINUTE_MS)]

    def volume(self, start_ms: int, end_ms: int) -> float:
        return self._bar(start_ms // MINUTE_MS).volume * (end_ms - start_ms) / MINUTE_MS

    def begins_at(self) -> int | None:
        return None

    def _draws(self, purpose: int, index: int) -> tuple[float, float, float, float]:
        """Four numbers in (0, 1), the same ones for the same purpose and index."""
        digest = blake2b(struct.pack("<bq", purpose, index), key=self._key, digest_size=32).digest()
        return tuple((n + 0.5) / 2**64 for n in struct.unpack("<4Q", digest))

    def _knot_uncached(self, level: int, index: int) -> float:
        """Log price relative to the typical price at `index` x 2**(14 - level) minutes."""
        if level == 0:
            spread = self._sigma * math.sqrt(2**_LEVELS / 2)
            return spread * _STANDARD_NORMAL.inv_cdf(_inside(self._draws(0, index)[0]))
        if index % 2 == 0:
            return self._knot(level - 1, index // 2)
        parent_minutes = 2 ** (_LEVELS - level + 1)
        middle = (self._knot(level - 1, index // 2) + self._knot(level - 1, index // 2 + 1)) / 2
        spread = self._sigma * math.sqrt(parent_minutes / 4)
        if level > _ACTIVITY_LEVEL:
            spread *= self._activity(index >> (level - _ACTIVITY_LEVEL))
        return middle + spread * _STANDARD_NORMAL.inv_cdf(_inside(self._draws(level, index)[0]))

    def _activity_uncached(self, block: int) -> float:
        """How lively this hour is: log-normal, mean square 1."""
        z = _STANDARD_NORMAL.inv_cdf(_inside(self._draws(100, block)[0]))
        return math.exp(0.4 * z - 0.16)

    def _bar_uncached(self, minute: int) -> Bar:
        start, end = self._knot(_LEVELS, minute), self._knot(_LEVELS, minute + 1)
        activity = self._activity(minute >> (_LEVELS - _ACTIVITY_LEVEL))
        variance = (self._sigma * activity) ** 2
        u_high, u_low, u_volume, u_seconds = self._draws(101, minute)
        # The maximum of a Brownian bridge from a to b: (a + b + sqrt((b - a)^2 - 2 s^2 ln u)) / 2.
        high = (start + end + math.sqrt((end - start) ** 2 - 2 * variance * math.log(u_high))) / 2
        low = (start + end - math.sqrt((end - start) ** 2 - 2 * variance * math.log(u_low))) / 2
        pick = int(u_seconds * 58 * 57)
        high_second, low_second = 1 + pick // 57, 1 + pick % 57
        return Bar(
            open=self._price * math.exp(start),
            high=self._price * math.exp(high),
            low=self._price * math.exp(low),
            close=self._price * math.exp(end),
            volume=self._minute_volume
            * activity
            * math.exp(0.5 * _STANDARD_NORMAL.inv_cdf(_inside(u_volume))),
            high_second=high_second,
            low_second=low_second + (low_second >= high_second),
            seconds=60,
        )


def _inside(u: float) -> float:
    """Keeps a draw off 0 and 1, where the normal quantile is infinite."""
    return min(max(u, 1e-12), 1 - 1e-12)
