"""The commands as a shell sees them: standard output, standard error, exit code."""

import argparse
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from strategy_service import commands
from strategy_service.candles import Column
from strategy_service.strategies import KEYS
from tests.strategy_service.conftest import REAL_CANDLES, random_columns

WriteCandles = Callable[[dict[str, Column]], Path]


@pytest.fixture
def candles(candle_file: WriteCandles) -> str:
    return str(candle_file(random_columns(400, 7)))


def backtest(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    commands.add_backtest_arguments(parser)
    return commands.backtest(parser.parse_args(argv))


def pine_export(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    commands.add_pine_arguments(parser)
    return commands.pine_export(parser.parse_args(argv))


def test_json_is_one_object_and_nothing_else(candles: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        backtest("ema_crossover", "--candles", candles, "--set", "fast=3", "--set", "slow=8", "--json") == 0
    )
    output = capsys.readouterr()
    report = json.loads(output.out)
    assert output.err == ""
    assert report["strategy"] == "ema_crossover"
    assert report["parameters"] == {"fast": "3", "slow": "8", "stop_atr": "1.5", "target_atr": "3"}
    assert (report["bars"], report["interval_seconds"]) == (400, 900)
    assert (report["start"], report["end"]) == ("2023-11-14T22:15:00+00:00", "2023-11-19T02:15:00+00:00")
    assert report["warnings"] == []


def test_the_trades_add_up_to_the_profit(candles: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert backtest("ema_crossover", "--candles", candles, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    profit = sum(Decimal(trade["profit"]) for trade in report["trades"])
    assert report["statistics"]["trades_count"] == len(report["trades"]) > 5
    assert report["statistics"]["net_profit"] == pytest.approx(float(profit))
    assert report["trades"][0].keys() == {
        "side",
        "entry_time",
        "exit_time",
        "entry_price",
        "exit_price",
        "quantity",
        "profit",
        "fees",
        "exit_reason",
    }


def test_the_table_is_for_people(candles: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert backtest("ema_crossover", "--candles", candles) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "EMA Crossover (fast 12, slow 26, stop_atr 1.5, target_atr 3)"
    assert lines[1] == "400 candles of 0:15:00, 2023-11-14 22:15 to 2023-11-19 02:15 UTC"
    assert any(line.startswith("Win rate") and line.endswith(" %") for line in lines)


def test_gaps_are_told_and_change_nothing_else(
    candle_file: WriteCandles, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = random_columns(400, 7)
    path = candle_file({name: column[[*range(200), *range(203, 400)]] for name, column in columns.items()})
    assert backtest("ema_crossover", "--candles", str(path)) == 0
    assert "Warning: 3 candles are missing in 1 gaps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["sma_crossover"], 2, "There is no strategy 'sma_crossover'"),
        (["supertrend"], 1, "supertrend is not available in this version"),
        (["ema_crossover", "--set", "speed=9"], 2, "ema_crossover has no parameter 'speed'"),
        (["ema_crossover", "--set", "fast=0"], 2, "fast must be from 1 to 400"),
        (["ema_crossover", "--set", "fast"], 2, "fast must be given as NAME=VALUE"),
        (["ema_crossover", "--set", "fast=3", "--set", "fast=4"], 2, "fast is given more than once"),
        (["ema_crossover", "--set", "fast=26"], 2, "fast must be below slow"),
        (["ema_crossover", "--set", "slow=450"], 2, "decides on candle 451 at the earliest"),
    ],
)
def test_B51_wrong_input_is_said_and_ends_with_its_code(
    candles: str, argv: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backtest(*argv, "--candles", candles, "--json") == code
    output = capsys.readouterr()
    assert output.out == ""
    assert message in output.err


def test_a_wrong_row_of_the_file_is_named(
    candle_file: WriteCandles, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = random_columns(100, 1)
    columns["close"][41] = float("nan")
    assert backtest("ema_crossover", "--candles", str(candle_file(columns))) == 2
    assert capsys.readouterr().err == "Row 42: close is not a finite number.\n"


def test_real_candles_give_a_full_report(capsys: pytest.CaptureFixture[str]) -> None:
    if not REAL_CANDLES.exists():
        pytest.skip(f"the real candles are not there: {REAL_CANDLES}")
    assert backtest("ema_crossover", "--candles", str(REAL_CANDLES), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bars"] == 26_000
    # As many as an independent Pine runtime makes of the exported script.
    assert report["statistics"]["trades_count"] == 850
    assert None not in report["statistics"].values()


@pytest.mark.parametrize("version", ["5", "6"])
def test_pine_goes_to_standard_output(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert pine_export("ema_crossover", "--version", version, "--set", "fast=9", "--account", "0192-ab") == 0
    script = capsys.readouterr().out
    assert script.startswith(f"//@version={version}\n")
    assert "fast = input.int(9," in script
    assert 'account_id = input.string("0192-ab", "Account id"' in script
    assert 'webhook_secret = input.string("", ' in script


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["none"], 2),
        (["ichimoku"], 1),
        (["ema_crossover", "--set", "fast=x"], 2),
        (["ema_crossover", "--account", 'a"b'], 2),
    ],
)
def test_B50_a_wrong_export_prints_no_script(
    argv: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pine_export(*argv) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1


def test_another_version_is_a_wrong_command_line() -> None:
    with pytest.raises(SystemExit) as ending:
        pine_export("ema_crossover", "--version", "7")
    assert ending.value.code == 2


def test_the_help_names_the_strategies(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        backtest("--help")
    words = capsys.readouterr().out.replace(",", " ").split()
    assert set(KEYS) <= set(words)
