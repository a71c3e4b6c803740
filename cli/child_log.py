"""The output of one child: all of it to a file of bounded size, what needs a person to the terminal."""

import json
import logging
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from cli.terminal import Terminal, printable

FILE_LIMIT_BYTES = 10 * 1024 * 1024
KEPT_FILES = 3
LINE_LIMIT_BYTES = 64 * 1024
REMEMBERED_LINES = 20

_QUIET_LEVELS = frozenset({"DEBUG", "INFO"})


def needs_attention(line: str) -> bool:
    """True for a JSON record of level WARNING or above, and for anything that is no JSON record."""
    try:
        record = json.loads(line)
    except ValueError:
        return bool(line.strip())
    if not isinstance(record, dict):
        return True
    return str(record.get("level", "")).upper() not in _QUIET_LEVELS


class ChildLog:
    """Takes the raw output of a child as it comes and splits it into lines.

    Args:
        path: The log file; its predecessors are `path.1` … `path.3`.
        name: What the terminal shows in front of a line.
        attention: Which lines the terminal shows.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        terminal: Terminal,
        attention: Callable[[str], bool] = needs_attention,
        file_limit_bytes: int = FILE_LIMIT_BYTES,
    ) -> None:
        self._file = RotatingFileHandler(
            path, maxBytes=file_limit_bytes, backupCount=KEPT_FILES, encoding="utf-8"
        )
        self._name = name
        self._terminal = terminal
        self._attention = attention
        self._partial = b""
        self.last_lines: list[str] = []

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes; a line without end is cut at 64 KiB."""
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._partial) >= LINE_LIMIT_BYTES:
            self.end_line()

    def end_line(self) -> None:
        """Treats what is left as a line: the child has ended."""
        if self._partial:
            self._line(self._partial)
        self._partial = b""

    def close(self) -> None:
        """Writes what is left and closes the file."""
        self.end_line()
        self._file.close()

    def _line(self, raw: bytes) -> None:
        line = raw.decode("utf-8", errors="replace").rstrip("\r")
        self._file.handle(logging.LogRecord(self._name, logging.INFO, "", 0, line, None, None))
        self.last_lines = [*self.last_lines, line][-REMEMBERED_LINES:]
        if self._attention(line):
            self._terminal.line(f"{self._name}: {printable(line)}")
