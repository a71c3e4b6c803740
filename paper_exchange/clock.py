"""The exchange's own clock: Unix milliseconds, which is what both protocols speak."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now_ms(self) -> int:
        """Returns Unix milliseconds, UTC."""
        ...


class SystemClock:
    """The machine's clock plus an offset, so that a test can set the exchange's clock wrong."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms
