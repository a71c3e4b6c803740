"""How far a long command is: a bar drawn over itself, or a line now and then where there is no terminal."""

import time
from typing import TextIO

_WIDTH = 30
_DRAW_EVERY_S = 0.1
_LINES = 10


class ProgressBar:
    """Counts up to `total` things.

    Args:
        stream: Where it is drawn; standard error, as a rule.
        unit: What is counted, in the plural.
    """

    def __init__(self, stream: TextIO, *, total: int, unit: str) -> None:
        self._stream = stream
        self._total = total
        self._unit = unit
        self._done = 0
        self._started = time.monotonic()
        self._drawn_at = float("-inf")
        self._lines = 0

    def advance(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        if self._stream.isatty():
            now = time.monotonic()
            if now - self._drawn_at >= _DRAW_EVERY_S or self._done >= self._total:
                self._drawn_at = now
                self._stream.write(f"\r\x1b[K{self._line()}")
                self._stream.flush()
        elif self._done * _LINES // self._total > self._lines:
            self._lines = self._done * _LINES // self._total
            self._stream.write(self._line() + "\n")

    def close(self) -> None:
        """What is written next begins on a line of its own."""
        if self._stream.isatty() and self._done:
            self._stream.write("\n")

    def _line(self) -> str:
        share = self._done / self._total
        bar = ("#" * round(share * _WIDTH)).ljust(_WIDTH, "-")
        elapsed_s = max(time.monotonic() - self._started, 1e-3)
        left_s = int(elapsed_s / share - elapsed_s)
        return (
            f"{share:4.0%} [{bar}] {self._done:,}/{self._total:,} {self._unit}, "
            f"{self._done / elapsed_s:,.0f}/s, {left_s // 3600}:{left_s // 60 % 60:02}:{left_s % 60:02} left"
        )
