"""What a person sees while the system runs."""

import contextlib
from typing import TextIO


class Terminal:
    """Prints lines; a terminal that has gone away (`tradingbot up | head`) stops nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str = "") -> None:
        """Prints one line at once."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text + "\n")
            self._stream.flush()


def printable(text: str) -> str:
    """`text` with control characters escaped: a log line must not steer the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
