"""Bar lengths: "15m" <-> timedelta <-> TradingView's spelling."""

import re
from dataclasses import dataclass
from datetime import timedelta

_TEXT = re.compile(r"(\d{0,8})([smhdwDWMSH]?)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "M": 31 * 86_400}
# Twelve of the longest months: TradingView's longest bar.
_LONGEST = timedelta(days=12 * 31)
# TradingView writes a bare number for minutes and capitals for the rest; a capital H is what people write.
_TRADINGVIEW = {"": "m", "S": "s", "D": "d", "W": "w", "H": "h"}


class TimeframeMalformed(ValueError):
    """The text is no bar length."""


@dataclass(frozen=True, slots=True)
class Timeframe:
    """A bar length.

    Attributes:
        count: >= 1.
        unit: One of s, m, h, d, w, M (a calendar month, 28 to 31 days).
    """

    count: int
    unit: str

    def __str__(self) -> str:
        """For example "15m", "1h", "1d"."""
        return f"{self.count}{self.unit}"

    @property
    def duration(self) -> timedelta:
        """How long a bar is; the longest possible for a month."""
        return timedelta(seconds=self.count * _SECONDS[self.unit])

    @property
    def tradingview(self) -> str:
        """TradingView's spelling, for example "15", "60", "1D"."""
        if self.unit in "mh":
            return str(self.count * (60 if self.unit == "h" else 1))
        return f"{self.count}{self.unit.upper()}"


def parse_timeframe(text: str) -> Timeframe:
    """Reads "15m", "1h", "1d" and TradingView's "15", "60", "D", "1D", "1W", "1M", "30S".

    Whole hours and days are told as such: "60" and "1h" are equal.

    Raises:
        TimeframeMalformed: It is none.
    """
    match = _TEXT.fullmatch(text)
    if not text or not match:
        raise TimeframeMalformed(f"{text[:20]!r} is not a bar length such as 15m, 1h or 1D")
    count = int(match[1] or 1)
    unit = _TRADINGVIEW.get(match[2], match[2])
    if count < 1 or count * _SECONDS[unit] > _LONGEST.total_seconds():
        raise TimeframeMalformed(f"{text!r} is not a bar length: it must be from one second to twelve months")
    for small, factor, large in (("m", 60, "h"), ("h", 24, "d")):
        if unit == small and count % factor == 0:
            count, unit = count // factor, large
    return Timeframe(count, unit)
