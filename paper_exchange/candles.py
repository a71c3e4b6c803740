"""Candles: the value, the intervals, and a market driven by a candle file."""

import csv
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path

from paper_exchange.price_path import Bar

INTERVALS_MS: dict[str, int] = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
    "3d": 259_200_000,
    "1w": 604_800_000,
}
MONTH = "1M"
_MONDAY_OFFSET_MS = 4 * 86_400_000  # 1970-01-01 was a Thursday; weeks open on Monday
_COLUMNS = ("time", "open", "high", "low", "close", "volume")
_Row = tuple[int, float, float, float, float, float]
_FILE_NAME = re.compile(r"^([A-Z0-9]{5,20})(?:-\w+)?$")


class CandlesUnreadable(ValueError):
    """A candle file cannot be used; the message names the file and the row."""


@dataclass(frozen=True, slots=True)
class Candle:
    """Prices in the quote coin on the tick, `volume` in the base coin; `close_ms` is the last millisecond."""

    open_ms: int
    close_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int


def interval_opening(interval: str, at_ms: int) -> int:
    """The open time of the candle that holds this moment, UTC."""
    if interval == MONTH:
        day = datetime.fromtimestamp(at_ms / 1000, UTC)
        return _ms(day.replace(day=1, hour=0, minute=0, second=0, microsecond=0))
    length = INTERVALS_MS[interval]
    offset = _MONDAY_OFFSET_MS if interval == "1w" else 0
    return (at_ms - offset) // length * length + offset


def next_opening(interval: str, open_ms: int) -> int:
    """The open time of the candle after the one that opens at `open_ms`."""
    if interval == MONTH:
        return interval_opening(MONTH, open_ms + 32 * 86_400_000)
    return open_ms + INTERVALS_MS[interval]


def previous_opening(interval: str, open_ms: int) -> int:
    """The open time of the candle before the one that opens at `open_ms`."""
    return interval_opening(interval, open_ms - 1)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


class FilePath:
    """A price path read from a candle file; between bars without data the price stands still."""

    def __init__(self, opens_ms: list[int], bars: list[Bar], bar_ms: int) -> None:
        self.bar_ms = bar_ms
        self._opens_ms = opens_ms
        self._bars = bars

    def at(self, path_ms: int) -> float:
        index = max(bisect_right(self._opens_ms, path_ms) - 1, 0)
        bar = self._bars[index]
        return bar.at(max(path_ms - self._opens_ms[index], 0) // 1000)

    def bars(self, start_ms: int, end_ms: int) -> list[Bar] | None:
        first = bisect_right(self._opens_ms, start_ms) - 1
        count, rest = divmod(end_ms - start_ms, self.bar_ms)
        if rest or first < 0 or first + count > len(self._bars):
            return None
        expected = range(start_ms, end_ms, self.bar_ms)
        if self._opens_ms[first : first + count] != list(expected):
            return None
        return self._bars[first : first + count]

    def volume(self, start_ms: int, end_ms: int) -> float:
        index = bisect_right(self._opens_ms, start_ms) - 1
        if index < 0 or start_ms >= self._opens_ms[index] + self.bar_ms:
            return 0.0
        return self._bars[index].volume * (end_ms - start_ms) / self.bar_ms

    def begins_at(self) -> int | None:
        return self._opens_ms[0]

    def replay_start(self, *, history_ms: int) -> int:
        """Where a replay begins: far enough in to have this much history, at most half of the file."""
        middle = self._opens_ms[len(self._opens_ms) // 2]
        enough = self._opens_ms[0] + history_ms
        return min(middle, self._opens_ms[bisect_right(self._opens_ms, enough) - 1])


def read_candle_file(file: Path) -> tuple[str, FilePath]:
    """Reads `SYMBOL[-timeframe].csv` or `.parquet` with the columns time,open,high,low,close,volume.

    Returns:
        The symbol of the file name, and the path.

    Raises:
        CandlesUnreadable: the name holds no symbol, or a row is not a candle later than the one before.
    """
    name = _FILE_NAME.match(file.stem)
    if file.suffix not in _READERS or name is None:
        raise CandlesUnreadable(f"{file.name}: expected a file named like ETHUSDT-15m.csv or .parquet")
    try:
        rows = list(_checked(file, _READERS[file.suffix](file)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CandlesUnreadable(f"{file.name}: {error}") from error
    if len(rows) < 2:
        raise CandlesUnreadable(f"{file.name}: at least two candles are needed")
    opens = [open_ms for open_ms, *_ in rows]
    bar_ms = min(after - before for before, after in pairwise(opens))
    return name[1], FilePath(opens, [_bar(row, bar_ms) for row in rows], bar_ms)


def _checked(file: Path, rows: Iterable[tuple[str, Sequence[object]]]) -> Iterator[_Row]:
    previous, before = -1, ""
    for where, row in rows:
        candle = _parsed(row)
        if candle is None or candle[0] <= previous:
            follows = f" after {before}" if before else ""
            raise CandlesUnreadable(f"{file.name}: {where} is not a candle{follows}")
        previous, before = candle[0], where
        yield candle


def _csv_rows(file: Path) -> Iterator[tuple[str, Sequence[object]]]:
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.reader(stream)
        if tuple(next(reader, ())) != _COLUMNS:
            raise CandlesUnreadable(f"{file.name}: the header must be {','.join(_COLUMNS)}")
        for number, row in enumerate(reader, start=2):
            yield f"line {number}", row


def _parquet_rows(file: Path) -> Iterator[tuple[str, Sequence[object]]]:
    # Only who replays Parquet waits for this library, and needs it.
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise CandlesUnreadable(f"{file.name}: reading Parquet needs pyarrow") from error
    try:
        table = pyarrow.parquet.read_table(file)
    except pyarrow.ArrowException as error:
        raise CandlesUnreadable(f"{file.name}: this is not a Parquet file") from error
    if not set(_COLUMNS).issubset(table.column_names):
        raise CandlesUnreadable(f"{file.name}: the columns must be {', '.join(_COLUMNS)}")
    columns = [table.column(name).to_pylist() for name in _COLUMNS]
    for number, row in enumerate(zip(*columns, strict=True), start=1):
        yield f"row {number}", row


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, Sequence[object]]]]] = {
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}


def _parsed(row: Sequence[object]) -> _Row | None:
    try:
        open_ms = int(str(row[0]))
        prices = [Decimal(str(value)) for value in row[1:]]
    except (ValueError, InvalidOperation, IndexError):
        return None
    if len(prices) != 5 or not all(price.is_finite() for price in prices):
        return None
    opening, high, low, close, volume = prices
    if not 0 < low <= min(opening, close) <= max(opening, close) <= high or volume < 0:
        return None
    return open_ms, float(opening), float(high), float(low), float(close), float(volume)


def _bar(row: _Row, bar_ms: int) -> Bar:
    """A rising bar visits its low first, a falling one its high: the usual guess from four prices."""
    _, opening, high, low, close, volume = row
    seconds = bar_ms // 1000
    first, second = seconds // 3, 2 * seconds // 3
    rising = close >= opening
    return Bar(
        open=opening,
        high=high,
        low=low,
        close=close,
        volume=volume,
        high_second=second if rising else first,
        low_second=first if rising else second,
        seconds=seconds,
    )
