"""Exported scripts: what stands in them, and the rules of Pine versions 5 and 6 that they keep."""

import re
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from strategy_service.broker import BrokerSettings
from strategy_service.compile_pine import FUNCTIONS, PineScriptExporter, variable
from strategy_service.errors import PineVersionUnsupported
from strategy_service.language import (
    Function,
    Strategy,
    close,
    crossover,
    high,
    history,
    integer,
    rma,
    sma,
    volume,
)
from strategy_service.parameters import resolve
from strategy_service.pine_alert import AlertTarget
from strategy_service.strategies.ema_crossover import EMA_CROSSOVER

length = integer("length", "Bars", default=20, minimum=1, maximum=99)
time = integer("time", "Bars of time", default=20, minimum=1, maximum=99)
RICH = replace(
    EMA_CROSSOVER,
    parameters=(*EMA_CROSSOVER.parameters, length, time),
    enter_long=crossover(close, sma(high, length)) & (sma(high, length) > history(rma(volume, time), 3)),
    exit_long=(close < sma(high, length)) | crossover(close, sma(close, length)),
)


def script_of(strategy: Strategy = EMA_CROSSOVER, *, version: int = 6, **texts: str) -> str:
    exporter = PineScriptExporter(version)
    script = exporter.export_strategy(strategy, resolve(strategy, texts))
    return str(exporter.add_webhook_alerts(script, strategy, AlertTarget()))


@pytest.mark.parametrize("version", [5, 6])
def test_the_version_is_the_first_line(version: int) -> None:
    assert script_of(version=version).splitlines()[0] == f"//@version={version}"


@pytest.mark.parametrize("version", [4, 7, 0, -6])
def test_B50_other_versions_are_refused(version: int) -> None:
    with pytest.raises(PineVersionUnsupported, match="6 and 5 are"):
        PineScriptExporter(version)


def test_values_become_the_defaults_of_the_inputs() -> None:
    script = script_of(fast="9", stop_atr="2.25")
    assert 'fast = input.int(9, "Length of the fast average, bars", minval=1, maxval=400)' in script
    assert re.search(r"^stop_atr = input\.float\(2\.25, .*minval=0\.1, maxval=20, step=0\.1\)$", script, re.M)


def test_the_declaration_states_the_broker_of_the_backtest() -> None:
    broker = BrokerSettings(Decimal("5000"), Decimal("12.5"), Decimal("0.0004"), 2)
    exporter = PineScriptExporter(6, broker)
    script = str(exporter.export_strategy(EMA_CROSSOVER, resolve(EMA_CROSSOVER, {})))
    for argument in (
        "initial_capital=5000",
        "default_qty_type=strategy.percent_of_equity",
        "default_qty_value=12.5",
        "commission_type=strategy.commission.percent",
        "commission_value=0.04",
        "slippage=2",
        "pyramiding=0",
        "margin_long=100",
        "margin_short=100",
        "process_orders_on_close=false",
        "calc_on_every_tick=false",
    ):
        assert argument in script


def test_a_script_without_alerts_has_none() -> None:
    script = str(PineScriptExporter().export_strategy(EMA_CROSSOVER, resolve(EMA_CROSSOVER, {})))
    assert "alert" not in script
    assert "secret =" not in script


def test_a_plain_strategy_reads_as_a_person_would_write_it() -> None:
    lines = script_of().splitlines()
    for line in (
        "ema_fast = ta.ema(close, fast)",
        "ema_slow = ta.ema(close, slow)",
        "crosses_over = ta.crossover(ema_fast, ema_slow)",
        "enter_long = crosses_over",
        "if go_long",
        "else if go_short",
        '    strategy.entry("Long", strategy.long)',
    ):
        assert line in lines


def test_nested_expressions_are_written_once_each() -> None:
    lines = script_of(RICH).splitlines()
    series = lines[
        lines.index("// Every series is computed on every bar.") + 1 : lines.index("atr = ta.atr(14)")
    ]
    assert series == [
        "sma_high_length = ta.sma(high, length)",
        "crosses_over = ta.crossover(close, sma_high_length)",
        "rma_volume_time = ta.rma(volume, time_input)",
        "ema_fast = ta.ema(close, fast)",
        "ema_slow = ta.ema(close, slow)",
        "crosses_under = ta.crossunder(ema_fast, ema_slow)",
        "sma_length = ta.sma(close, length)",
        "crosses_over_2 = ta.crossover(close, sma_length)",
    ]
    assert "enter_long = (crosses_over and (sma_high_length > rma_volume_time[3]))" in lines
    assert (
        "leave_long = barstate.isconfirmed and ((close < sma_high_length) or crosses_over_2) and "
        in script_of(RICH)
    )


def test_a_parameter_cannot_take_a_name_of_pine() -> None:
    assert variable(time) == "time_input"
    assert variable(length) == "length"


def test_parameters_that_must_ascend_are_checked_in_the_script_too() -> None:
    assert "if fast >= slow\n    runtime.error(" in script_of()


def test_every_function_of_the_language_is_written() -> None:
    assert set(FUNCTIONS) == set(Function)


@pytest.mark.parametrize("version", [5, 6])
@pytest.mark.parametrize("strategy", [EMA_CROSSOVER, RICH], ids=["ema_crossover", "rich"])
class TestRulesOfPine:
    """Rules that a real compiler of TradingView has and that no open runtime checks."""

    def test_series_functions_are_called_at_the_top_level(self, strategy: Strategy, version: int) -> None:
        for line in script_of(strategy, version=version).splitlines():
            if "ta." in line:
                assert re.fullmatch(r"\w+ = ta\.\w+\([\w, .\[\]]+\)", line)

    def test_wrapped_lines_are_not_indented_like_a_block(self, strategy: Strategy, version: int) -> None:
        lines = script_of(strategy, version=version).splitlines()
        for before, line in pairwise(lines):
            indent = len(line) - len(line.lstrip())
            continues = before.rstrip().endswith((",", "+"))
            assert bool(indent % 4) == continues

    def test_what_a_version_does_not_know_is_not_used(self, strategy: Strategy, version: int) -> None:
        script = script_of(strategy, version=version)
        assert "when=" not in script
        assert "NaN" not in script
        assert "lookahead" not in script
        assert "\t" not in script

    def test_no_argument_is_given_twice(self, strategy: Strategy, version: int) -> None:
        declaration = re.search(r"^strategy\((.*?)\)\n", script_of(strategy, version=version), re.M | re.S)
        assert declaration
        names = re.findall(r"(\w+)=", declaration[1])
        assert len(names) == len(set(names))

    def test_brackets_and_quotes_are_closed(self, strategy: Strategy, version: int) -> None:
        for line in script_of(strategy, version=version).replace(",\n", ",").splitlines():
            if line.startswith("//"):
                continue
            bare = re.sub(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", "", line)
            assert bare.count("(") == bare.count(")")
            assert '"' not in bare
            assert "'" not in bare

    def test_names_are_given_once(self, strategy: Strategy, version: int) -> None:
        names = re.findall(r"^(\w+) = ", script_of(strategy, version=version), re.M)
        assert len(names) == len(set(names))

    def test_one_alert_a_bar_at_its_close(self, strategy: Strategy, version: int) -> None:
        lines = script_of(strategy, version=version).splitlines()
        branches = [line for line in lines if re.match(r"(else )?if (go|leave)_", line)]
        alerts = [line for line in lines if line.startswith("    alert(")]
        assert len(branches) == len(alerts)
        assert all(line.endswith(", alert.freq_once_per_bar_close)") for line in alerts)
        assert all(branch.startswith("else if") for branch in branches[1:])
        assert "alert_message" not in "\n".join(lines)
