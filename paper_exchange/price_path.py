"""Seeded price paths with random access in time.

A path is a pure function of seed, symbol and time: nothing is accumulated, so a restarted exchange
continues where it was and any history can be asked for. Floats live only in here and in `market`; what
leaves the market is `Decimal` on the tick.
"""

import math
import struct
from functools import lru_cache
from hashlib import blake2b
from statistics import NormalDist
from typing import NamedTuple, Protocol

MINUTE_MS = 60_000
_MINUTES_PER_YEAR = 365.25 * 24 * 60
_TOP_LEVEL = 14  # the top knots are 2**14 minutes (11.4 days) apart
_BLOCK_LEVEL = 6  # blocks of 2**6 = 64 minutes are made in one go and share one level of activity
_BLOCK_MINUTES = 1 << _BLOCK_LEVEL
_FIVE = struct.Struct("<5Q")
_STANDARD_NORMAL = NormalDist()


class Bar(NamedTuple):
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
    """A Brownian path by midpoint displacement, every displacement keyed by a hash of its minute.

    Log prices at knots 2**14 minutes apart are independent around the typical price, with the variance
    that makes their differences those of Brownian motion; each midpoint below is the mean of its
    neighbours plus a normal displacement (Lévy's construction of the Brownian bridge). Within a minute,
    high and low are drawn from the exact law of the bridge's extremes, and activity varies by the hour.
    """

    def __init__(
        self, *, seed: int, symbol: str, price: float, annual_volatility: float, hourly_volume: float
    ) -> None:
        self._key = blake2b(f"{seed}:{symbol}".encode(), digest_size=32).digest()
        self._price = price
        self._sigma = annual_volatility / math.sqrt(_MINUTES_PER_YEAR)
        self._minute_volume = hourly_volume / 60
        self._knot = lru_cache(maxsize=16_384)(self._knot_uncached)
        self._block = lru_cache(maxsize=256)(self._block_uncached)

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

    def _bar(self, minute: int) -> Bar:
        return self._block(minute // _BLOCK_MINUTES)[minute % _BLOCK_MINUTES]

    def _draws(self, minute: int) -> list[float]:
        """Five numbers inside (0, 1), the same ones for each minute: its knot's, then four for its bar."""
        digest = blake2b(minute.to_bytes(8, "little", signed=True), key=self._key, digest_size=40).digest()
        return [(number + 0.5) / 2**64 for number in _FIVE.unpack(digest)]

    def _knot_uncached(self, minute: int, level: int) -> float:
        """Log price relative to the typical price at a minute that is a multiple of 2**level."""
        z = _normal(self._draws(minute)[0])
        if level == _TOP_LEVEL:
            return self._sigma * math.sqrt(2**_TOP_LEVEL / 2) * z
        half = 2**level
        if minute % (2 * half) == 0:
            return self._knot(minute, level + 1)
        middle = (self._knot(minute - half, level + 1) + self._knot(minute + half, level + 1)) / 2
        return middle + self._sigma * math.sqrt(half / 2) * z

    def _block_uncached(self, block: int) -> list[Bar]:
        """The bars of 64 minutes."""
        start = block * _BLOCK_MINUTES
        draws = [self._draws(minute) for minute in range(start, start + _BLOCK_MINUTES)]
        activity = _activity(draws[0][4])
        sigma = self._sigma * activity
        knots = [0.0] * (_BLOCK_MINUTES + 1)
        knots[0] = self._knot(start, _BLOCK_LEVEL)
        knots[-1] = self._knot(start + _BLOCK_MINUTES, _BLOCK_LEVEL)
        half = _BLOCK_MINUTES // 2
        while half:
            spread = sigma * math.sqrt(half / 2)
            for at in range(half, _BLOCK_MINUTES, 2 * half):
                middle = (knots[at - half] + knots[at + half]) / 2
                knots[at] = middle + spread * _normal(draws[at][0])
            half //= 2
        volume = self._minute_volume * activity
        return [
            self._bar_between(knots[at], knots[at + 1], draws[at], sigma=sigma, volume=volume)
            for at in range(_BLOCK_MINUTES)
        ]

    def _bar_between(
        self, start: float, end: float, draws: list[float], *, sigma: float, volume: float
    ) -> Bar:
        """A minute from its first to its last log price."""
        _, u_high, u_low, u_volume, u_seconds = draws
        # The maximum of a Brownian bridge from a to b: (a + b + sqrt((b - a)^2 - 2 s^2 ln u)) / 2.
        span, variance = (end - start) ** 2, 2 * sigma**2
        high = (start + end + math.sqrt(span - variance * math.log(u_high))) / 2
        low = (start + end - math.sqrt(span - variance * math.log(u_low))) / 2
        pick = int(u_seconds * 58 * 57)
        high_second, low_second = 1 + pick // 57, 1 + pick % 57
        return Bar(
            open=self._price * math.exp(start),
            high=self._price * math.exp(high),
            low=self._price * math.exp(low),
            close=self._price * math.exp(end),
            volume=volume * math.exp(0.5 * _normal(u_volume)),
            high_second=high_second,
            low_second=low_second + (low_second >= high_second),
            seconds=60,
        )


def _activity(u: float) -> float:
    """How lively an hour is: log-normal, mean square 1."""
    return math.exp(0.4 * _normal(u) - 0.16)


def _normal(u: float) -> float:
    """The standard normal quantile, kept off the ends where it is infinite."""
    return _STANDARD_NORMAL.inv_cdf(min(max(u, 1e-12), 1 - 1e-12))
