"""`candles fetch` against the paper exchange's process: equal files, whatever stopped it in between."""

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_service import commands
from strategy_service.candle_archive import Identity, PageLog
from strategy_service.candles import load
from strategy_service.fetch import Fetched, _uncovered, fetch, told
from strategy_service.fetch_errors import FetchFailed, FetchRefused
from strategy_service.history import BAR_MS, BINANCE_WEIGHT, open_history, opening
from tests.paper_process import PaperProcess, running_paper
from tradekit.market.symbol import parse_market
from tradekit.market.timeframe import parse_timeframe

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
KLINES = "/fapi/v1/klines"


@pytest.fixture(scope="module")
def process() -> Iterator[PaperProcess]:
    with running_paper() as paper:
        yield paper


@pytest.fixture
def paper(process: PaperProcess) -> PaperProcess:
    # Faults of the test before, and the requests that it used up.
    process.control("POST", "/paper/reset")
    return process


@pytest.fixture
def yesterday(paper: PaperProcess) -> int:
    """A midnight behind which there are whole days."""
    return int(paper.get("/fapi/v1/time")["serverTime"]) // DAY * DAY


def run(
    paper: PaperProcess,
    path: Path,
    start_ms: int,
    end_ms: int,
    *,
    exchange: str = "binance",
    symbol: str = "BTCUSDT",
    timeframe: str = "1m",
    waited: list[float] | None = None,
) -> Fetched:
    """One fetch; what it would have waited goes to `waited`."""
    bar = parse_timeframe(timeframe)
    waits: list[float] = [] if waited is None else waited
    with open_history(exchange, paper.url, parse_market(symbol), bar, wait=waits.append) as history:
        return fetch(history, bar, (start_ms, end_ms), path, stream=io.StringIO())


def command(paper: PaperProcess, path: Path, start: str, end: str, *more: str) -> list[str]:
    wanted = ["--exchange", "binance", "--symbol", "BTCUSDT", "--timeframe", "1m", *more]
    return ["candles", "fetch", *wanted, "--start", start, "--end", end, "--out", str(path)]


def shell(paper: PaperProcess, arguments: list[str]) -> "subprocess.Popen[str]":
    environment = {**os.environ, "BINANCE_BASE_URL": paper.url}
    return subprocess.Popen(
        [Path(sys.executable).with_name("tradingbot"), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def date(at_ms: int) -> str:
    return np.datetime_as_string(np.datetime64(at_ms, "ms"), unit="s")


# --- What comes into the file -------------------------------------------------------------------------------


def test_the_file_holds_what_the_exchange_shows(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT.parquet"
    done = run(paper, path, yesterday - DAY, yesterday - DAY + 1_200 * MINUTE)

    shown = [
        row
        for start in (0, 1_000)
        for row in paper.get(
            f"{KLINES}?symbol=BTCUSDT&interval=1m&limit=1000&startTime={yesterday - DAY + start * MINUTE}"
        )
    ][:1_200]
    candles = load(path)
    assert done == Fetched(1_200, (yesterday - DAY, yesterday - DAY + 1_200 * MINUTE), ())
    assert candles.time.tolist() == [row[0] for row in shown]
    assert candles.close.tolist() == [float(row[4]) for row in shown]
    assert candles.volume.tolist() == [float(row[5]) for row in shown]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["BTCUSDT.parquet"]


@pytest.mark.parametrize("timeframe", ["15m", "1h", "4h", "1d"])
def test_every_length_of_bar_is_on_its_grid(
    paper: PaperProcess, yesterday: int, tmp_path: Path, timeframe: str
) -> None:
    path = tmp_path / "x.parquet"
    run(paper, path, yesterday - 8 * DAY + 7, yesterday, timeframe=timeframe)
    candles = load(path)
    assert candles.interval.total_seconds() * 1000 == BAR_MS[timeframe]
    assert yesterday - 8 * DAY + 7 <= candles.time[0] < yesterday - 8 * DAY + 7 + BAR_MS[timeframe]
    assert candles.time[-1] == yesterday - BAR_MS[timeframe]


def test_weeks_open_on_monday(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    run(paper, tmp_path / "x.parquet", yesterday - 30 * DAY, yesterday, timeframe="1w")
    opened = load(tmp_path / "x.parquet").time
    assert {np.datetime64(int(at), "ms").item().weekday() for at in opened} == {0}


def test_a_candle_that_is_not_finished_is_not_written(
    paper: PaperProcess, yesterday: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.parquet"
    before = int(paper.get("/fapi/v1/time")["serverTime"])
    done = run(paper, path, yesterday - DAY, yesterday + 30 * DAY)
    after = int(paper.get("/fapi/v1/time")["serverTime"])
    assert before - 1 - MINUTE < load(path).time[-1] + MINUTE <= after
    assert done.span[1] == load(path).time[-1] + MINUTE


def test_it_begins_where_the_market_began(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    done = run(paper, tmp_path / "x.parquet", DAY * 366 * 40, yesterday, timeframe="1d")
    first = paper.get(f"{KLINES}?symbol=BTCUSDT&interval=1d&limit=1&startTime=0")[0][0]
    assert done.span == (first, yesterday)
    assert done.gaps == ()


# --- A stop in the middle -----------------------------------------------------------------------------------


def test_kill_9_in_the_middle_and_again_gives_an_equal_file(
    paper: PaperProcess, yesterday: int, tmp_path: Path
) -> None:
    start, end = yesterday - 5 * DAY, yesterday
    whole, stopped = tmp_path / "whole.parquet", tmp_path / "stopped.parquet"
    run(paper, whole, start, end)

    # The first question looks for the first candle; the fourth page never comes.
    paper.fault("delay", delay_s=60, when="before", path=KLINES, skip=4)
    process = shell(paper, command(paper, stopped, date(start), date(end)))
    part = stopped.with_name("stopped.parquet.part")
    deadline = time.monotonic() + 30
    while not part.exists() or part.read_bytes().count(b"\n") < 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not stopped.exists()
    paper.control("DELETE", "/paper/faults")

    before = paper.asked(KLINES)
    again = shell(paper, command(paper, stopped, date(start), date(end)))
    output, shown = again.communicate(timeout=60)
    assert again.returncode == 0, shown
    assert "7,200 1m candles of BTCUSDT" in output
    assert "100% [" in shown
    # 7,200 candles are eight pages; three were there.
    assert paper.asked(KLINES) - before == 1 + 5
    assert stopped.read_bytes() == whole.read_bytes()
    assert not part.exists()


def test_what_is_there_is_not_asked_for_again(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    path, whole = tmp_path / "x.parquet", tmp_path / "whole.parquet"
    run(paper, path, yesterday - 3 * DAY, yesterday - 2 * DAY)
    before = paper.asked(KLINES)
    run(paper, path, yesterday - 3 * DAY, yesterday - 2 * DAY)
    assert paper.asked(KLINES) - before == 1

    # Later and earlier days join it, with everything between.
    run(paper, path, yesterday - DAY, yesterday)
    run(paper, path, yesterday - 4 * DAY, yesterday - 3 * DAY)
    run(paper, whole, yesterday - 4 * DAY, yesterday)
    assert path.read_bytes() == whole.read_bytes()


IDENTITY = Identity("binance", "BTCUSDT", "1m", "http://example.com")


@given(cut=st.integers(min_value=0), pages=st.integers(1, 4))
def test_a_page_log_may_be_cut_off_anywhere(
    tmp_path_factory: pytest.TempPathFactory, cut: int, pages: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "x.part"
    with PageLog(path, IDENTITY) as log:
        for number in range(pages):
            log.add((number * 10, number * 10 + 10), [(number * 10, "1", "2", "0.5", "1.5", "7")])
    content = path.read_bytes()
    kept = content[: cut % (len(content) + 1)]
    path.write_bytes(kept)

    with PageLog(path, IDENTITY) as log:
        whole = max(kept.count(b"\n") - 1, 0)
        assert log.spans == [(number * 10, number * 10 + 10) for number in range(whole)]
        assert [row[0] for row in log.rows] == [number * 10 for number in range(whole)]
        log.add((90, 100), [])
    with PageLog(path, IDENTITY) as log:
        assert log.spans[-1] == (90, 100)
        assert len(log.spans) == whole + 1


spans = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(whole=spans, covered=st.lists(spans, max_size=6))
def test_what_is_uncovered_is_all_that_is_not_covered(
    whole: tuple[int, int], covered: list[tuple[int, int]]
) -> None:
    def points(parts: list[tuple[int, int]]) -> list[int]:
        return [point for start, end in parts for point in range(start, end)]

    assert points(_uncovered(whole, covered)) == sorted(set(range(*whole)) - set(points(covered)))


# --- What must not be mixed ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [({"symbol": "ETHUSDT"}, "ETHUSDT 1m candles"), ({"timeframe": "5m"}, "BTCUSDT 5m candles")],
)
def test_another_market_is_refused_and_the_file_stays(
    paper: PaperProcess, yesterday: int, tmp_path: Path, change: dict[str, str], named: str
) -> None:
    path = tmp_path / "x.parquet"
    run(paper, path, yesterday - DAY, yesterday)
    content = path.read_bytes()
    with pytest.raises(FetchRefused, match=r"holds BTCUSDT 1m candles of binance .* not " + named):
        run(paper, path, yesterday - DAY, yesterday, **change)  # type: ignore[arg-type]  # only strings
    assert path.read_bytes() == content


def test_the_same_market_of_another_exchange_is_another_market(
    paper: PaperProcess, yesterday: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.parquet"
    run(paper, path, yesterday - DAY, yesterday)
    other = PaperProcess(paper.url.replace("127.0.0.1", "localhost"))
    with pytest.raises(FetchRefused, match=r"localhost"):
        run(other, path, yesterday - DAY, yesterday)


def test_a_half_fetched_other_market_is_refused(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with PageLog(tmp_path / "x.parquet.part", IDENTITY):
        pass
    with pytest.raises(FetchRefused, match=r"holds a part of BTCUSDT 1m candles of binance \(http://example"):
        run(paper, path, yesterday - DAY, yesterday)


@pytest.mark.parametrize("made", ["csv", "parquet"])
def test_a_file_of_somebody_else_is_not_touched(
    paper: PaperProcess, yesterday: int, tmp_path: Path, made: str
) -> None:
    path = tmp_path / "x.parquet"
    if made == "csv":
        path.write_text("time,open,high,low,close,volume\n")
    else:
        table = pyarrow.table({"time": [1], "open": [1.0]})
        pyarrow.parquet.write_table(table, path)
    content = path.read_bytes()
    with pytest.raises(FetchRefused, match="is there and"):
        run(paper, path, yesterday - DAY, yesterday)
    assert path.read_bytes() == content


def test_two_fetches_do_not_write_one_file(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with (
        PageLog(tmp_path / "x.parquet.part", IDENTITY),
        pytest.raises(FetchRefused, match="another fetch is writing"),
    ):
        run(paper, path, yesterday - DAY, yesterday)


# --- Gaps ---------------------------------------------------------------------------------------------------


def test_gaps_are_told(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    start, end = yesterday - DAY, yesterday - DAY + 600 * MINUTE
    rows = paper.get(f"{KLINES}?symbol=BTCUSDT&interval=1m&limit=600&startTime={start}")
    holes = [0, 1, 100, 300, 301, 302]
    page = [row for number, row in enumerate(rows) if number not in holes]
    paper.fault("http_status", status=200, body=page, path=KLINES, skip=1)
    done = run(paper, tmp_path / "x.parquet", start, end)

    assert done.count == 594
    assert done.gaps == tuple(
        (start + first * MINUTE, start + after * MINUTE) for first, after in ((0, 2), (100, 101), (300, 303))
    )
    lines = told(done, MINUTE)
    assert [line.split(",")[0] for line in lines] == [
        f"Gap: {count} candles are missing" for count in (2, 1, 3)
    ]
    assert "3 candles are missing in" not in load(tmp_path / "x.parquet").warnings[0]


def test_of_many_gaps_the_rest_is_counted() -> None:
    gaps = tuple((number * 10 * MINUTE, (number * 10 + 1) * MINUTE) for number in range(25))
    lines = told(Fetched(1, (0, 1), gaps), MINUTE)
    assert (len(lines), lines[-1]) == (11, "Gap: and 15 more.")


def test_a_missing_tail_is_asked_for_again(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    start, end = yesterday - DAY, yesterday - DAY + 600 * MINUTE
    rows = paper.get(f"{KLINES}?symbol=BTCUSDT&interval=1m&limit=600&startTime={start}")
    paper.fault("http_status", status=200, body=rows[:590], path=KLINES, skip=1)
    assert run(paper, tmp_path / "x.parquet", start, end).span == (start, end - 10 * MINUTE)
    assert run(paper, tmp_path / "x.parquet", start, end) == Fetched(600, (start, end), ())


def test_other_candles_than_asked_for_are_an_error(
    paper: PaperProcess, yesterday: int, tmp_path: Path
) -> None:
    rows = paper.get(f"{KLINES}?symbol=BTCUSDT&interval=1m&limit=10&startTime={yesterday - 9 * DAY}")
    paper.fault("http_status", status=200, body=rows, path=KLINES, skip=1)
    with pytest.raises(FetchFailed, match="other candles"):
        run(paper, tmp_path / "x.parquet", yesterday - DAY, yesterday)


# --- Manners ------------------------------------------------------------------------------------------------


def test_retry_after_is_obeyed(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    waited: list[float] = []
    paper.fault("http_status", status=429, body={"code": -1003}, retry_after=7, path=KLINES, skip=1)
    done = run(paper, tmp_path / "x.parquet", yesterday - DAY, yesterday, waited=waited)
    assert waited == [7.0]
    assert done.count == 1_440


def test_a_long_ban_is_told_and_not_slept_through(
    paper: PaperProcess, yesterday: int, tmp_path: Path
) -> None:
    waited: list[float] = []
    paper.fault("http_status", status=418, body={"code": -1003}, retry_after=7200, path=KLINES, skip=2)
    with pytest.raises(FetchFailed, match="asks to wait for 7200 s"):
        run(paper, tmp_path / "x.parquet", yesterday - DAY, yesterday, waited=waited)
    assert waited == []
    # The page that came before is kept.
    assert (tmp_path / "x.parquet.part").read_bytes().count(b"\n") == 2


@pytest.mark.parametrize(
    "fault", [{"kind": "drop_before_accept"}, {"kind": "http_status", "status": 502, "body": "<html>"}]
)
def test_what_breaks_is_asked_for_again(
    paper: PaperProcess, yesterday: int, tmp_path: Path, fault: dict[str, object]
) -> None:
    waited: list[float] = []
    paper.control("POST", "/paper/faults", {**fault, "count": 3, "path": KLINES, "skip": 1})
    assert run(paper, tmp_path / "x.parquet", yesterday - DAY, yesterday, waited=waited).count == 1_440
    assert waited == [1.0, 2.0, 4.0]


def test_at_last_it_gives_up(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    waited: list[float] = []
    paper.fault("http_status", status=503, count=7, path=KLINES)
    with pytest.raises(FetchFailed, match="answers 503, also after 7 tries"):
        run(paper, tmp_path / "x.parquet", yesterday - DAY, yesterday, waited=waited)
    assert waited == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]


def test_half_of_the_weight_is_left_to_others(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    waited: list[float] = []
    used = {"X-MBX-USED-WEIGHT-1M": str(BINANCE_WEIGHT), "Date": "Tue, 24 Nov 2026 21:45:42 GMT"}
    rows = paper.get(f"{KLINES}?symbol=BTCUSDT&interval=1m&limit=1&startTime=0")
    paper.fault("http_status", status=200, body=rows, headers=used, path=KLINES)
    run(paper, tmp_path / "x.parquet", yesterday - DAY, yesterday, waited=waited)
    assert waited == [18.0]


# --- OKX ----------------------------------------------------------------------------------------------------

HISTORY = "/api/v5/market/history-candles"


def test_okx_shows_the_same_market(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    """Both protocols of the paper exchange trade one market; volumes are in coins, not in contracts."""
    okx, binance = tmp_path / "okx.parquet", tmp_path / "binance.parquet"
    for exchange, path in (("okx", okx), ("binance", binance)):
        done = run(paper, path, yesterday - DAY, yesterday - DAY + 250 * MINUTE, exchange=exchange)
        assert done.count == 250
    assert load(okx).close.tolist() == load(binance).close.tolist()
    assert load(okx).volume.tolist() == pytest.approx(load(binance).volume.tolist(), abs=0.01)


@pytest.mark.parametrize("timeframe", ["1h", "6h", "1d", "1w"])
def test_okx_bars_are_on_the_grid_of_utc(
    paper: PaperProcess, yesterday: int, tmp_path: Path, timeframe: str
) -> None:
    path = tmp_path / "x.parquet"
    run(paper, path, yesterday - 30 * DAY, yesterday, exchange="okx", timeframe=timeframe)
    bar = parse_timeframe(timeframe)
    assert all(opening(bar, int(at)) == at for at in load(path).time)


def test_okx_is_waited_for(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    waited: list[float] = []
    paper.fault("error_code", code=50011, count=2, path=HISTORY)
    run(paper, tmp_path / "x.parquet", yesterday - DAY, yesterday, exchange="okx", waited=waited)
    assert [pause for pause in waited if pause >= 1] == [1.0, 2.0]


def test_questions_to_okx_have_pauses(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    waited: list[float] = []
    start = yesterday - DAY
    run(paper, tmp_path / "x.parquet", start, start + 500 * MINUTE, exchange="okx", waited=waited)
    # Two first questions and five pages; the first of them waits for nobody.
    assert len(waited) == 6
    assert all(0 < pause <= 0.2 for pause in waited)


def test_an_unknown_swap_is_refused(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    with pytest.raises(FetchRefused, match="okx has no swap NOPE-USDT-SWAP"):
        run(paper, tmp_path / "x.parquet", yesterday - DAY, yesterday, exchange="okx", symbol="NOPEUSDT")


# --- The command --------------------------------------------------------------------------------------------


def in_process(paper: PaperProcess, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setenv("BINANCE_BASE_URL", paper.url)
    parser = argparse.ArgumentParser()
    commands.add_fetch_arguments(parser)
    return commands.candles_fetch(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--symbol": "NOPEUSDT"}, "binance has no perpetual NOPEUSDT"),
        ({"--symbol": "OKX:BTCUSDT.P"}, "a market of okx"),
        ({"--timeframe": "7m"}, "candles come in 1m, 3m, 5m"),
        ({"--start": "2031-01-01", "--end": "2031-02-01"}, "no finished 1m candle in that time"),
        ({"--start": "2026-11-02", "--end": "2026-11-01"}, "--start must be before --end"),
    ],
)
def test_wrong_input_is_2_with_a_sentence(
    paper: PaperProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    message: str,
) -> None:
    given = {
        **{"--exchange": "binance", "--symbol": "BTCUSDT", "--timeframe": "1m"},
        **{"--start": "2026-11-01", "--end": "2026-11-02", "--out": str(tmp_path / "x.parquet")},
        **change,
    }
    assert in_process(paper, monkeypatch, *(word for pair in given.items() for word in pair)) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_1(
    paper: PaperProcess, yesterday: int, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    words = command(paper, tmp_path / "no" / "x.parquet", date(yesterday - DAY), date(yesterday))[2:]
    assert in_process(paper, monkeypatch, *words) == 1
    assert "cannot be written (No such file or directory)" in capsys.readouterr().err


def test_the_shell_sees_2_for_dates_that_are_none(paper: PaperProcess, tmp_path: Path) -> None:
    process = shell(paper, command(paper, tmp_path / "x", "yesterday", "2026-11-01"))
    output, shown = process.communicate(timeout=30)
    assert (process.returncode, output) == (2, "")
    assert "'yesterday' is no date" in shown


def test_the_first_bar_is_not_before_the_start() -> None:
    hour = parse_timeframe("1h")
    assert [opening(hour, at) for at in (0, 1, 3_600_000)] == [0, 3_600_000, 3_600_000]


def test_the_metadata_name_the_market(paper: PaperProcess, yesterday: int, tmp_path: Path) -> None:
    run(paper, tmp_path / "x.parquet", yesterday - DAY, yesterday)
    metadata = pyarrow.parquet.read_schema(tmp_path / "x.parquet").metadata
    assert json.loads(metadata[b"tradingbot.candles"]) == {
        **{"exchange": "binance", "symbol": "BTCUSDT", "timeframe": "1m", "source": paper.url},
        "span": [yesterday - DAY, yesterday],
    }
