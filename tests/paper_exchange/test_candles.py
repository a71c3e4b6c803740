"""Candle files: what is read and what is refused, with the line that is wrong."""

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from paper_exchange.candles import CandlesUnreadable, read_candle_file

HEADER = "time,open,high,low,close,volume\n"
GOOD = "1700000000000,10,12,9,11,5\n1700000060000,11,13,10,12,6\n"


def write(folder: Path, text: str, name: str = "BTCUSDT-1m.csv") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_symbol_comes_from_the_name_and_length_from_the_rows(tmp_path: Path) -> None:
    symbol, path = read_candle_file(write(tmp_path, HEADER + GOOD))
    assert symbol == "BTCUSDT"
    assert path.bar_ms == 60_000
    bars = path.bars(1_700_000_000_000, 1_700_000_120_000)
    assert bars is not None
    assert [(bar.open, bar.close, bar.volume) for bar in bars] == [(10, 11, 5), (11, 12, 6)]


def test_a_gap_stands_still_at_the_last_close(tmp_path: Path) -> None:
    rows = HEADER + GOOD + "1700000600000,20,21,19,20,1\n"
    _, path = read_candle_file(write(tmp_path, rows))
    assert path.at(1_700_000_300_000) == 12
    assert path.bars(1_700_000_060_000, 1_700_000_180_000) is None
    assert path.volume(1_700_000_300_000, 1_700_000_360_000) == 0


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("1700000120000,10,9,11,10,1", 4),  # high below low
        ("1700000060000,11,13,10,12,6", 4),  # not later
        ("1700000120000,11,13,10,NaN,6", 4),
        ("1700000120000,11,13,10,12,-6", 4),
        ("1700000120000,0,13,0,12,6", 4),
        ("1700000120000,11,13,10", 4),
        ("soon,11,13,10,12,6", 4),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, line: int) -> None:
    with pytest.raises(CandlesUnreadable, match=rf"BTCUSDT-1m\.csv: line {line} "):
        read_candle_file(write(tmp_path, HEADER + GOOD + row + "\n"))


@pytest.mark.parametrize("text", ["", HEADER, HEADER + GOOD.splitlines()[0], "open,time\n1,2\n"])
def test_too_little_or_another_header_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(CandlesUnreadable):
        read_candle_file(write(tmp_path, text))


@pytest.mark.parametrize("name", ["btc.csv", "BTCUSDT.parquet", "-1m.csv"])
def test_a_name_without_symbol_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CandlesUnreadable):
        read_candle_file(write(tmp_path, HEADER + GOOD, name))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CandlesUnreadable):
        read_candle_file(tmp_path / "BTCUSDT-1m.csv")


# Parquet


def write_parquet(folder: Path, name: str = "BTCUSDT-1m.parquet", **changes: list[object]) -> Path:
    columns: dict[str, list[object]] = {
        "time": [1_700_000_000_000, 1_700_000_060_000],
        "open": [10.0, 11.0],
        "high": [12.0, 13.0],
        "low": [9.0, 10.0],
        "close": [11.0, 12.0],
        "volume": [5.0, 6.0],
        **changes,
    }
    file = folder / name
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file


def test_parquet_holds_the_same_market_as_csv(tmp_path: Path) -> None:
    symbol, path = read_candle_file(write_parquet(tmp_path))
    same_symbol, same_path = read_candle_file(write(tmp_path, HEADER + GOOD))

    span = (1_700_000_000_000, 1_700_000_120_000)
    assert (symbol, path.bar_ms, path.bars(*span)) == (same_symbol, same_path.bar_ms, same_path.bars(*span))


def test_a_bad_row_of_parquet_is_named(tmp_path: Path) -> None:
    file = write_parquet(tmp_path, high=[12.0, 1.0])

    with pytest.raises(CandlesUnreadable, match=r"BTCUSDT-1m\.parquet: row 2 is not a candle after row 1"):
        read_candle_file(file)


def test_parquet_without_a_column_and_what_is_not_parquet_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "BTCUSDT.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"time": [1], "open": [1.0]}), file)
    with pytest.raises(CandlesUnreadable, match="the columns must be"):
        read_candle_file(file)

    file.write_text(HEADER + GOOD)
    with pytest.raises(CandlesUnreadable, match="not a Parquet file"):
        read_candle_file(file)
