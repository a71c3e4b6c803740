"""Candles: read from a file, checked, held as columns.

A file is CSV with the header `time,open,high,low,close,volume` or Parquet with the same columns; `time` is
the open time in Unix milliseconds UTC. An error names the row, counted from 1 without the header.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from strategy_service.errors import CandlesInvalid

Column = NDArray[np.float64] | NDArray[np.int64]

COLUMNS = ("time", "open", "high", "low", "close", "volume")
PRICES = ("open", "high", "low", "close")
# Two years of minutes.
MAX_BARS = 1_100_000
# The year 2200; what lies beyond is seconds taken for milliseconds, or nanoseconds.
_LATEST_MS = 7_258_118_400_000
# So many steps of one longer length in a row are another timeframe, not gaps.
_MIXED_RUN = 5
_PARQUET_MAGIC = b"PAR1"
_MAX_DECIMALS = 8


@dataclass(frozen=True)
class Candles:
    """n candles, oldest first; made by `checked` only.

    Attributes:
        time: int64, open times in Unix milliseconds UTC, strictly rising.
        open, high, low, close: float64, > 0, low <= open, close <= high.
        volume: float64, >= 0.
        interval: Length of a bar.
        warnings: Sentences on what a reader of the result should know, for example gaps.
    """

    time: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    interval: timedelta
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.time)

    def open_time(self, index: int) -> datetime:
        """When the bar opened, aware, UTC."""
        return _instant(int(self.time[index]))

    def tick_size(self) -> Decimal:
        """The step of the prices: the fewest decimals, at most 8, that write every one of them."""
        prices = np.concatenate([self.open, self.high, self.low, self.close])
        for decimals in range(_MAX_DECIMALS):
            if np.allclose(np.round(prices, decimals), prices, rtol=1e-12, atol=0):
                return Decimal(1).scaleb(-decimals)
        return Decimal(1).scaleb(-_MAX_DECIMALS)


def load(path: Path) -> Candles:
    """Reads a candle file, CSV or Parquet by its content.

    Raises:
        CandlesInvalid: The file cannot be read or its candles cannot be used.
    """
    try:
        with path.open("rb") as file:
            is_parquet = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
        table = pyarrow.parquet.read_table(path) if is_parquet else _read_csv(path)
        names = table.column_names
    except OSError as error:
        raise CandlesInvalid(f"{path} cannot be read ({error.strerror or error})") from error
    except pa.ArrowException as error:
        raise CandlesInvalid(
            f"{path} is neither CSV nor Parquet of candles ({_first_line(error)})"
        ) from error
    except UnicodeDecodeError as error:  # of the names of its columns
        raise CandlesInvalid(f"{path} is neither CSV nor Parquet of candles (no UTF-8)") from error
    if sorted(names) != sorted(COLUMNS):
        found = ",".join(names)[:200]
        raise CandlesInvalid(f"the columns must be {','.join(COLUMNS)}, and are {found}")
    return checked({name: _column(table[name], name) for name in COLUMNS})


def checked(columns: Mapping[str, Column]) -> Candles:
    """The candles that the columns hold.

    Args:
        columns: One array a name of COLUMNS, of one length; `time` int64, the others float64.

    Raises:
        CandlesInvalid: With the row: not finite, not positive, high below low, price outside of high and low,
            unsorted, duplicated, mixed timeframes. Without: none, only one, too many.
    """
    time = np.ascontiguousarray(columns["time"], dtype=np.int64)
    values = {name: np.ascontiguousarray(columns[name], dtype=np.float64) for name in COLUMNS[1:]}
    if any(len(column) != len(time) for column in values.values()):
        raise CandlesInvalid("the columns are not of one length")
    if not 2 <= len(time) <= MAX_BARS:
        raise CandlesInvalid(f"there are {len(time)} candles; 2 to {MAX_BARS} are needed")
    _check_values(values)
    _check_times(time)
    interval_ms, warnings = _check_steps(time)
    return Candles(time, **values, interval=timedelta(milliseconds=interval_ms), warnings=warnings)


def _read_csv(path: Path) -> pa.Table:
    # As text first: a cell that is no number can then be named with its row.
    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(COLUMNS, pa.string()), strings_can_be_null=False
    )
    return pyarrow.csv.read_csv(path, convert_options=options)


def _column(values: pa.ChunkedArray, name: str) -> Column:
    kind = pa.int64() if name == "time" else pa.float64()
    if values.null_count:
        row = pc.index(pc.is_null(values), True).as_py() + 1
        raise CandlesInvalid(f"{name} is missing", row)
    try:
        return values.cast(kind).to_numpy()  # type: ignore[no-any-return]  # pyarrow has no types
    except pa.ArrowException:
        raise _unreadable(values, kind, name) from None


def _unreadable(values: pa.ChunkedArray, kind: pa.DataType, name: str) -> CandlesInvalid:
    wanted = "Unix milliseconds, a whole number" if name == "time" else "a number"
    for index, value in enumerate(values):
        try:
            value.cast(kind)
        except pa.ArrowException:
            return CandlesInvalid(f"{name} is {str(value)[:40]!r}, and must be {wanted}", index + 1)
    return CandlesInvalid(f"{name} must be {wanted}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]


def _check_values(values: Mapping[str, NDArray[np.float64]]) -> None:
    for name, column in values.items():
        _refuse_first(~np.isfinite(column), f"{name} is not a finite number")
    for name in PRICES:
        _refuse_first(values[name] <= 0, f"{name} is not above 0")
    _refuse_first(values["volume"] < 0, "volume is below 0")
    _refuse_first(values["high"] < values["low"], "high is below low")
    for name in ("open", "close"):
        outside = (values[name] > values["high"]) | (values[name] < values["low"])
        _refuse_first(outside, f"{name} is not between low and high")


def _check_times(time: NDArray[np.int64]) -> None:
    _refuse_first((time < 0) | (time > _LATEST_MS), "time is not in Unix milliseconds")
    steps = np.diff(time, prepend=time[0] - 1)
    _refuse_first(steps == 0, "time is the same as in the row before")
    _refuse_first(steps < 0, "time is before that of the row before")


def _check_steps(time: NDArray[np.int64]) -> tuple[int, tuple[str, ...]]:
    steps = np.diff(time)
    lengths, counts = np.unique(steps, return_counts=True)
    interval = int(lengths[counts.argmax()])
    # The step in row i + 2 is from row i + 1 to it.
    off_grid = np.concatenate([[False], steps % interval != 0])
    _refuse_first(off_grid, f"time does not follow in steps of {interval} ms: mixed timeframes")
    run = _first_run(steps, interval)
    if run is not None:
        raise CandlesInvalid(f"from here on the steps are {int(steps[run])} ms: mixed timeframes", run + 2)
    gaps = np.flatnonzero(steps > interval)
    if not len(gaps):
        return interval, ()
    missing = int((steps[gaps] // interval - 1).sum())
    first = _instant(int(time[gaps[0]]) + interval).isoformat()
    where = f"the first at {first}, before row {int(gaps[0]) + 2}"
    return interval, (f"{missing} candles are missing in {len(gaps)} gaps, {where}.",)


def _first_run(steps: NDArray[np.int64], interval: int) -> int | None:
    """Where `_MIXED_RUN` equal steps longer than `interval` begin; None where there are none."""
    if len(steps) < _MIXED_RUN:
        return None
    windows = np.lib.stride_tricks.sliding_window_view(steps, _MIXED_RUN)
    found = np.flatnonzero((windows > interval).all(axis=1) & (windows == windows[:, :1]).all(axis=1))
    return int(found[0]) if len(found) else None


def _refuse_first(wrong: NDArray[np.bool_], problem: str) -> None:
    if wrong.any():
        raise CandlesInvalid(problem, int(wrong.argmax()) + 1)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
