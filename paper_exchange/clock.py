"""The exchange's own clock: Unix milliseconds, which is what both protocols speak."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time.

    Attributes:
        offset_ms: How wrong the clock is that the protocols show and judge timestamps by. What happens on the
            exchange itself is not touched by it.
    """

    offset_ms: int

    def now_ms(self) -> int:
        """Returns Unix milliseconds, UTC; never less than before."""
        ...


class SystemClock:
    """The machine's clock; it stands still where the machine's goes back."""

    def __init__(self) -> None:
        self.offset_ms = 0
        self._latest_ms = 0

    def now_ms(self) -> int:
        self._latest_ms = max(self._latest_ms, time.time_ns() // 1_000_000)
        return self._latest_ms
