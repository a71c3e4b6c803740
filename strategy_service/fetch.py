"""`tradingbot candles fetch`: an exchange's history to a Parquet file, in pieces that survive a stop.

What is covered already is not asked for again: neither what the file holds nor the pages of a fetch that was
stopped. A file covers one span of time: a fetch before or after it also fetches what is between.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import numpy as np

from strategy_service.candle_archive import (
    Archive,
    Identity,
    PageLog,
    Span,
    joined,
    read_archive,
    write_archive,
)
from strategy_service.candles import MAX_BARS, checked
from strategy_service.errors import CandlesInvalid
from strategy_service.fetch_errors import FetchFailed, FetchRefused
from strategy_service.history import BAR_MS, History, Row, opening
from strategy_service.progress_bar import ProgressBar
from tradekit.market.timeframe import Timeframe


@dataclass(frozen=True)
class Fetched:
    """What the file holds now.

    Attributes:
        count: How many candles.
        span: [start, end) in Unix milliseconds.
        gaps: Where candles are missing, oldest first.
    """

    count: int
    span: Span
    gaps: tuple[Span, ...]


def fetch(
    history: History, timeframe: Timeframe, wanted: Span, path: Path, *, stream: TextIO = sys.stderr
) -> Fetched:
    """Brings the candles that open in `wanted` into the file at `path`.

    Args:
        wanted: [start, end) in Unix milliseconds; candles that are not finished yet are left out.
        stream: Where progress is shown.

    Raises:
        FetchRefused: The file is another market's, the symbol is unknown, there is nothing in that time.
        FetchFailed: The exchange did not give it; the same command goes on from there.
    """
    identity = Identity(history.exchange, history.symbol, str(timeframe), history.base_url)
    present = read_archive(path, identity)
    bar_ms = BAR_MS[str(timeframe)]
    whole = _whole_span(history, timeframe, wanted, present)
    if (whole[1] - whole[0]) // bar_ms > MAX_BARS:
        raise FetchRefused(f"that would be more than the {MAX_BARS:,} candles that a file may hold")
    with PageLog(path.with_name(f"{path.name}.part"), identity) as log:
        _ask(history, log, _uncovered(whole, [*log.spans, *_span_of(present)]), bar_ms, stream)
        archive = _finished(log, present, whole, bar_ms)
        write_archive(path, identity, archive)
        log.remove()
    times = archive.columns["time"]
    return Fetched(len(times), archive.span, tuple(_gaps(times, archive.span[0], bar_ms)))


def _whole_span(history: History, timeframe: Timeframe, wanted: Span, present: Archive | None) -> Span:
    """What the file will cover: bars that have opened and closed, and everything between old and new."""
    bar_ms = BAR_MS[str(timeframe)]
    now_ms = history.now_ms()
    start_ms = opening(timeframe, max(wanted[0], history.first_ms()))
    # The first opening after now less one bar is that of the bar that is still open.
    end_ms = min(opening(timeframe, wanted[1]), opening(timeframe, now_ms - bar_ms + 1))
    if start_ms >= end_ms:
        raise FetchRefused(f"{history.exchange} has no finished {timeframe} candle in that time")
    for span in _span_of(present):
        start_ms, end_ms = min(start_ms, span[0]), max(end_ms, span[1])
    return start_ms, end_ms


def _ask(history: History, log: PageLog, missing: Sequence[Span], bar_ms: int, stream: TextIO) -> None:
    total = sum(end_ms - start_ms for start_ms, end_ms in missing) // bar_ms
    progress = ProgressBar(stream, total=total, unit="candles")
    try:
        for start_ms, end_ms in _windows(missing, history.page_bars * bar_ms):
            rows = history.page(start_ms, end_ms)
            _check_page(rows, (start_ms, end_ms), bar_ms, history)
            log.add((start_ms, end_ms), rows)
            progress.advance((end_ms - start_ms) // bar_ms)
    finally:
        progress.close()


def _check_page(rows: Sequence[Row], span: Span, bar_ms: int, history: History) -> None:
    times = [row[0] for row in rows]
    inside = all(span[0] <= time < span[1] and (time - span[0]) % bar_ms == 0 for time in times)
    if not inside or times != sorted(set(times)):
        raise FetchFailed(f"{history.exchange} answered with other candles than those asked for")


def _finished(log: PageLog, present: Archive | None, whole: Span, bar_ms: int) -> Archive:
    old = _span_of(present)
    rows = [row for row in log.rows if whole[0] <= row[0] < whole[1] and not _in(row[0], old)]
    columns = joined(present.columns if present else None, rows)
    times = columns["time"]
    if len(times) < 2:
        raise FetchFailed("the exchange has fewer than two candles in that time")
    try:
        checked(columns)
    except CandlesInvalid as error:
        raise FetchFailed(f"the exchange's candles cannot be used: {error.message}") from error
    # A tail that is missing may only be late: the next fetch asks for it again.
    return Archive((whole[0], int(times[-1]) + bar_ms), columns)


def _uncovered(whole: Span, covered: Sequence[Span]) -> list[Span]:
    """The parts of `whole` that none of `covered` covers, oldest first."""
    parts, reached = [], whole[0]
    for start_ms, end_ms in sorted(covered):
        if reached < min(start_ms, whole[1]):
            parts.append((reached, min(start_ms, whole[1])))
        reached = max(reached, end_ms)
    if reached < whole[1]:
        parts.append((reached, whole[1]))
    return parts


def _windows(spans: Sequence[Span], length_ms: int) -> Iterator[Span]:
    for start_ms, end_ms in spans:
        for at_ms in range(start_ms, end_ms, length_ms):
            yield at_ms, min(at_ms + length_ms, end_ms)


def _gaps(times: np.ndarray, start_ms: int, bar_ms: int) -> Iterator[Span]:
    """Where candles are missing, from `start_ms` to the last candle."""
    for before in np.flatnonzero(np.diff(times, prepend=start_ms - bar_ms) > bar_ms):
        yield (int(times[before - 1]) + bar_ms if before else start_ms), int(times[before])


def _span_of(present: Archive | None) -> list[Span]:
    return [present.span] if present else []


def _in(at_ms: int, spans: Sequence[Span]) -> bool:
    return any(start_ms <= at_ms < end_ms for start_ms, end_ms in spans)


def told(fetched: Fetched, bar_ms: int) -> list[str]:
    """The gaps in sentences; the first ten, and how many more."""
    lines = [
        f"Gap: {(end_ms - start_ms) // bar_ms} candles are missing, "
        f"from {moment(start_ms)} to {moment(end_ms)}."
        for start_ms, end_ms in fetched.gaps[:10]
    ]
    more = len(fetched.gaps) - len(lines)
    return [*lines, f"Gap: and {more} more."] if more > 0 else lines


def moment(at_ms: int) -> str:
    """A moment for a person, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
