"""What `candles fetch` keeps: the Parquet file, which knows what is in it, and the pages that came so far.

The Parquet file has the columns of a candle file; its schema's metadata says which market it is and which
time it covers. Pages are lines of JSON beside it, each written and synced as a whole: after a crash the last
line may be torn, and is asked for again.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from strategy_service.candles import COLUMNS, Column
from strategy_service.fetch_errors import FetchRefused
from strategy_service.history import Row

_METADATA = b"tradingbot.candles"

Span = tuple[int, int]


@dataclass(frozen=True)
class Identity:
    """What may stand in one file together.

    Attributes:
        source: Base URL: a test exchange's candles are not the real one's.
    """

    exchange: str
    symbol: str
    timeframe: str
    source: str

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe} candles of {self.exchange} ({self.source})"


@dataclass(frozen=True)
class Archive:
    """A finished file.

    Attributes:
        span: [start, end) in Unix milliseconds: what the exchange was asked for.
        columns: By the names of COLUMNS.
    """

    span: Span
    columns: dict[str, Column]


def read_archive(path: Path, identity: Identity) -> Archive | None:
    """The file's candles; None where there is no file.

    Raises:
        FetchRefused: It holds another market's candles, or was not made by `candles fetch`.
    """
    try:
        table = pyarrow.parquet.read_table(path)
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        raise FetchRefused(f"{path} is there and is no Parquet file of candles") from error
    found = _described(table)
    if found is None:
        raise FetchRefused(f"{path} is there and was not made by `candles fetch`: name another file")
    present, span = found
    if present != identity:
        raise FetchRefused(f"{path} holds {present}, not {identity}: name another file")
    return Archive(span, {name: table[name].to_numpy() for name in COLUMNS})


def write_archive(path: Path, identity: Identity, archive: Archive) -> None:
    """Replaces the file as a whole: whoever reads meanwhile sees the old one or the new one."""
    description = json.dumps({**asdict(identity), "span": archive.span}, sort_keys=True)
    schema = pa.schema(
        [(name, pa.int64() if name == "time" else pa.float64()) for name in COLUMNS],
        metadata={_METADATA: description.encode()},
    )
    table = pa.table([archive.columns[name] for name in COLUMNS], schema=schema)
    unfinished = path.with_name(f"{path.name}.new")
    with unfinished.open("wb") as file:
        pyarrow.parquet.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def joined(columns: dict[str, Column] | None, rows: Sequence[Row]) -> dict[str, Column]:
    """All candles, oldest first."""
    added = zip(*rows, strict=True) if rows else ((),) * len(COLUMNS)
    new = dict(zip(COLUMNS, map(_column, COLUMNS, added), strict=True))
    both = {name: np.concatenate([columns[name], new[name]]) for name in COLUMNS} if columns else new
    order = np.argsort(both["time"], kind="stable")
    return {name: column[order] for name, column in both.items()}


def _column(name: str, values: Sequence[int | str]) -> Column:
    if name == "time":
        return np.array(values, dtype=np.int64)
    return np.array(values, dtype=np.float64)


def _described(table: pa.Table) -> tuple[Identity, Span] | None:
    """What the metadata says; None where it says nothing of ours."""
    with suppress(ValueError, TypeError, KeyError):
        description = json.loads((table.schema.metadata or {})[_METADATA])
        start_ms, end_ms = (int(value) for value in description.pop("span"))
        if set(COLUMNS) == set(table.column_names):
            return Identity(**description), (start_ms, end_ms)
    return None


class PageLog:
    """The pages of an unfinished fetch; one process at a time.

    Raises:
        FetchRefused: Another fetch writes to it, or it belongs to another market.
    """

    def __init__(self, path: Path, identity: Identity) -> None:
        self.spans: list[Span] = []
        self.rows: list[Row] = []
        self._path = path
        self._file = _locked(path)
        try:
            self._read(identity)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "PageLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, span: Span, rows: Sequence[Row]) -> None:
        """Makes a page durable."""
        self._append({"span": span, "rows": rows})
        self._take(span, rows)

    def remove(self) -> None:
        """The file has everything."""
        self._path.unlink()

    def _read(self, identity: Identity) -> None:
        lines = self._file.read().split(b"\n")
        # What comes after the last line feed is nothing, or a line that a crash cut off.
        whole = lines[:-1]
        self._file.truncate(sum(len(line) + 1 for line in whole))
        self._file.seek(0, os.SEEK_END)
        if not whole:
            return self._append(asdict(identity))
        try:
            present = Identity(**json.loads(whole[0]))
            pages = [json.loads(line) for line in whole[1:]]
        except (ValueError, TypeError) as error:
            raise FetchRefused(f"{self._path} cannot be read: remove it to begin again") from error
        if present != identity:
            raise FetchRefused(f"{self._path} holds a part of {present}: finish that, or remove it")
        for page in pages:
            self._take((page["span"][0], page["span"][1]), [tuple(row) for row in page["rows"]])

    def _take(self, span: Span, rows: Sequence[Any]) -> None:
        self.spans.append(span)
        self.rows.extend(rows)

    def _append(self, line: Any) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _locked(path: Path) -> BinaryIO:
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gone = os.fstat(file.fileno()).st_nlink == 0
    except BlockingIOError:
        gone = True
    if gone:
        file.close()
        raise FetchRefused(f"another fetch is writing {path}")
    file.seek(0)
    return file
