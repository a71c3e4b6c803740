"""Candle files: what is read, and what is refused with the row."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategy_service import candles as candles_module
from strategy_service.candles import Candles, Column, checked, load
from strategy_service.errors import CandlesInvalid

HEADER = "time,open,high,low,close,volume"
START = 1_700_000_100_000
GOOD = [f"{START + index * 900_000},10,12,9,11,5" for index in range(10)]

MakeColumns = Callable[[list[tuple[float, float, float, float]]], dict[str, Column]]


def write(folder: Path, *lines: str) -> Path:
    path = folder / "candles.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def refusal_of(path: Path) -> CandlesInvalid:
    with pytest.raises(CandlesInvalid) as refusal:
        load(path)
    return refusal.value


def test_a_csv_file_is_read(tmp_path: Path) -> None:
    candles = load(write(tmp_path, HEADER, f"{START},10,12,9,11,5", f"{START + 900_000},11.5,13,11,12.25,0"))
    assert len(candles) == 2
    assert candles.open.tolist() == [10, 11.5]
    assert candles.high.tolist() == [12, 13]
    assert candles.low.tolist() == [9, 11]
    assert candles.close.tolist() == [11, 12.25]
    assert candles.volume.tolist() == [5, 0]
    assert candles.open_time(1) == datetime(2023, 11, 14, 22, 30, tzinfo=UTC)
    assert candles.interval == timedelta(minutes=15)
    assert candles.warnings == ()


def test_the_order_of_the_columns_does_not_count(tmp_path: Path) -> None:
    rows = [f"5,11,9,12,10,{START + index * 900_000}" for index in range(2)]
    candles = load(write(tmp_path, "volume,close,low,high,open,time", *rows))
    assert (candles.open[0], candles.high[0], candles.low[0], candles.close[0]) == (10, 12, 9, 11)


def test_parquet_and_csv_give_the_same(
    tmp_path: Path,
    seeded_columns: Callable[[int, int], dict[str, Column]],
    candle_file: Callable[[dict[str, Column]], Path],
) -> None:
    columns = seeded_columns(300, 1)
    parquet = tmp_path / "candles.bin"  # by its content, not by its name
    pyarrow.parquet.write_table(pa.table(columns), parquet)
    from_parquet, from_csv = load(parquet), load(candle_file(columns))
    for name in ("time", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(from_parquet, name), getattr(from_csv, name))


def test_real_candles_are_read(real_candles: Candles) -> None:
    assert len(real_candles) == 26_000
    assert real_candles.open_time(0) == datetime(2024, 10, 19, 21, 0, tzinfo=UTC)
    assert real_candles.interval == timedelta(minutes=15)
    assert real_candles.tick_size() == Decimal("0.01")
    assert real_candles.warnings == ()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{time},10,12,9,NaN,5", "close is not a finite number"),
        ("{time},10,inf,9,11,5", "high is not a finite number"),
        ("{time},1e400,12,9,11,5", "open is not a finite number"),
        ("{time},0,12,0,11,5", "open is not above 0"),
        ("{time},10,12,-9,11,5", "low is not above 0"),
        ("{time},10,12,9,11,-5", "volume is below 0"),
        ("{time},10,8,9,11,5", "high is below low"),
        ("{time},8,12,9,11,5", "open is not between low and high"),
        ("{time},10,12,9,12.5,5", "close is not between low and high"),
        ("{time},ten,12,9,11,5", "open is 'ten', and must be a number"),
        ("{time},,12,9,11,5", "open is '', and must be a number"),
        ("2023-11-14,10,12,9,11,5", "time is '2023-11-14', and must be Unix milliseconds, a whole number"),
        ("{time}.5,10,12,9,11,5", "time is '{time}.5', and must be Unix milliseconds, a whole number"),
        ("-1,10,12,9,11,5", "time is not in Unix milliseconds"),
        ("{time}000,10,12,9,11,5", "time is not in Unix milliseconds"),
        ("{before},10,12,9,11,5", "time is the same as in the row before"),
        ("{early},10,12,9,11,5", "time is before that of the row before"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, problem: str) -> None:
    times = {"time": START + 3 * 900_000, "before": START + 2 * 900_000, "early": START + 900_000}
    rows = [*GOOD[:3], row.format(**times), *GOOD[4:]]
    refusal = refusal_of(write(tmp_path, HEADER, *rows))
    assert refusal.message == f"Row 4: {problem.format(**times)}."
    assert refusal.metadata["row"] == "4"


def test_the_first_wrong_row_is_named(tmp_path: Path) -> None:
    rows = [*GOOD[:3], GOOD[3].replace(",12,", ",1,"), GOOD[4].replace(",12,", ",1,"), *GOOD[5:]]
    assert refusal_of(write(tmp_path, HEADER, *rows)).metadata["row"] == "4"


@pytest.mark.parametrize(
    "header", ["time,open,high,low,close", f"{HEADER},vwap", "Time,open,high,low,close,volume", "1,2,3,4,5,6"]
)
def test_other_columns_are_refused(tmp_path: Path, header: str) -> None:
    values = ",".join(["10"] * (header.count(",") + 1))
    message = refusal_of(write(tmp_path, header, values, values)).message
    assert message == f"the columns must be {HEADER}, and are {header}."


def test_a_ragged_row_is_refused(tmp_path: Path) -> None:
    assert "Expected 6 columns, got 5" in refusal_of(write(tmp_path, HEADER, GOOD[0], "1,2,3,4,5")).message


def test_a_missing_value_in_parquet_is_named(tmp_path: Path) -> None:
    columns = {name: pa.array([10.0, None, 10.0]) for name in HEADER.split(",")[1:]}
    path = tmp_path / "candles.parquet"
    pyarrow.parquet.write_table(pa.table({"time": [START, START + 1, START + 2], **columns}), path)
    assert refusal_of(path).message == "Row 2: open is missing."


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 and more", b"\x00\xff\xfe\n\x01", b"\n\n"])
def test_what_is_no_candle_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "candles.csv"
    path.write_bytes(content)
    assert refusal_of(path).reason == "CANDLES_INVALID"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal_of(tmp_path / "none.csv").message
    assert "cannot be read" in refusal_of(tmp_path).message


def test_one_candle_is_too_few(tmp_path: Path) -> None:
    assert "there are 1 candles" in refusal_of(write(tmp_path, HEADER, GOOD[0])).message


def test_too_many_candles_are_refused(make_columns: MakeColumns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candles_module, "MAX_BARS", 3)
    with pytest.raises(CandlesInvalid, match="there are 4 candles; 2 to 3 are needed"):
        checked(make_columns([(10, 12, 9, 11)] * 4))


def test_columns_of_different_lengths_are_refused(make_columns: MakeColumns) -> None:
    columns = make_columns([(10, 12, 9, 11)] * 4)
    with pytest.raises(CandlesInvalid, match="not of one length"):
        checked({**columns, "low": columns["low"][:-1]})


def test_gaps_are_a_warning(make_columns: MakeColumns) -> None:
    columns = make_columns([(10, 12, 9, 11)] * 30)
    kept = np.delete(np.arange(30), [10, 20, 21])
    candles = checked({name: column[kept] for name, column in columns.items()})
    assert candles.interval == timedelta(minutes=15)
    assert candles.warnings == (
        "3 candles are missing in 2 gaps, the first at 2023-11-15T00:45:00+00:00, before row 11.",
    )


def test_a_step_off_the_grid_is_another_timeframe(make_columns: MakeColumns) -> None:
    columns = make_columns([(10, 12, 9, 11)] * 10)
    columns["time"][6:] += 60_000
    with pytest.raises(CandlesInvalid, match="Row 7: time does not follow in steps of 900000 ms: mixed"):
        checked(columns)


@pytest.mark.parametrize("hours", [5, 40])
def test_hours_after_quarters_are_another_timeframe(make_columns: MakeColumns, hours: int) -> None:
    columns = make_columns([(10, 12, 9, 11)] * (20 + hours))
    columns["time"][20:] = columns["time"][19] + np.arange(1, hours + 1) * 3_600_000
    with pytest.raises(CandlesInvalid, match="mixed timeframes") as refusal:
        checked(columns)
    assert refusal.value.metadata["row"] == ("21" if hours == 5 else "2")


@pytest.mark.parametrize(
    ("prices", "tick"),
    [((10, 12, 9, 11), "1"), ((10.5, 12, 9, 11), "0.1"), ((0.00012, 0.0002, 0.0001, 0.00015), "0.00001")],
)
def test_the_tick_is_the_finest_step_seen(
    make_columns: MakeColumns, prices: tuple[float, float, float, float], tick: str
) -> None:
    assert checked(make_columns([prices] * 2)).tick_size() == Decimal(tick)


@settings(max_examples=40, deadline=None)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_no_file_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("candles") / "any"
    path.write_bytes(content)
    with pytest.raises(CandlesInvalid):
        load(path)
