"""A definition, written: Pine Script for TradingView, version 6 or 5, with the alerts that the webhook takes.

The script decides as the backtest does: at confirmed bar closes, entries by market order, stop loss and
take profit measured in ticks from the fill.

Alerts are sent by `alert()` at the close of the bar that decides, and not as messages of order fills:

- `alert()` needs nothing from the alert dialog but its URL; an order fill's text reaches the webhook only
  if the user types a placeholder into the dialog, and is lost with its next edit.
- It comes when the decision is made. A fill in TradingView's emulator comes with the next tick, later than
  that.
- Stop loss and take profit are real orders at the exchange from the entry on. An emulated fill of them on
  the chart needs no alert, and as an order-fill alert could not be left out.
- Never both: the webhook would see two entries.

The price is that TradingView's emulator and the exchange may differ about a stop that was just touched;
the webhook
settles this: an entry reverses, and a close only reduces.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import assert_never

from strategy_service.broker import BrokerSettings
from strategy_service.errors import PineVersionUnsupported
from strategy_service.language import (
    Call,
    Comparison,
    Condition,
    Cross,
    Function,
    History,
    Logic,
    Number,
    Outline,
    Parameter,
    Source,
    Strategy,
    condition_node,
    number_node,
)
from strategy_service.parameters import Values, plain
from strategy_service.pine_alert import AlertTarget, alert_functions, alert_inputs, pine_text
from strategy_service.setup_guide import Language, setup_guide
from tradekit.market.sizing import ATR_PERIOD

VERSIONS = (6, 5)
FUNCTIONS = {Function.EMA: "ta.ema", Function.SMA: "ta.sma", Function.RMA: "ta.rma"}

# Names that a variable of the script cannot have: Pine's words and the script's own.
_TAKEN = frozenset(
    """
    account_id alert alert_fields and array atr bool box break catch chart close close_alert color const
    continue do else enter_long enter_short entry_alert enum exit_long exit_short export extend false float
    for go_long go_short high if import in indicator input int json_text label leave_long leave_short leverage
    leverage_field library line log low map math matrix method na not open or plot polyline range ready
    request return runtime series simple stop_ticks str strategy string struct switch syminfo ta table
    target_ticks text this throw ticker time timeframe timenow to true try type var varip volume
    webhook_secret while
    """.split()  # noqa: SIM905  a list would take a screen
)


@dataclass(frozen=True)
class Branch:
    """What the script does when one of its decisions is true.

    Attributes:
        condition: Name of the script's variable.
        orders: Calls of `strategy.*`, a line each.
        message: Pine expression of the alert.
    """

    condition: str
    orders: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class PineScript:
    """A script in parts; `str()` is its source.

    Attributes:
        head: Version, comments and the `strategy()` declaration.
        inputs, checks, series, decisions: Lines.
        branches: At most one of them is carried out on a bar.
        alerts: Functions that build the messages; empty: the script sends none.
    """

    head: str
    inputs: tuple[str, ...]
    checks: tuple[str, ...]
    series: tuple[str, ...]
    decisions: tuple[str, ...]
    branches: tuple[Branch, ...]
    alerts: str = ""

    def __str__(self) -> str:
        parts = [
            self.head,
            "// Inputs",
            *self.inputs,
            "",
            *self.checks,
            "",
            "// Every series is computed on every bar.",
            *self.series,
            "",
            "// Decisions, when a bar has closed",
            *self.decisions,
            "",
            *([f"// Alert messages, JSON\n{self.alerts}"] if self.alerts else []),
            *self._branch_lines(),
        ]
        return "\n".join(parts) + "\n"

    def _branch_lines(self) -> list[str]:
        lines = []
        for index, branch in enumerate(self.branches):
            lines.append(f"{'else if' if index else 'if'} {branch.condition}")
            lines.extend(f"    {order}" for order in branch.orders)
            if self.alerts:
                lines.append(f"    alert({branch.message}, alert.freq_once_per_bar_close)")
        return lines


class PineScriptExporter:
    """Writes strategies as Pine Script of one version.

    Raises:
        PineVersionUnsupported: Neither 6 nor 5.
    """

    def __init__(self, version: int = 6, settings: BrokerSettings | None = None) -> None:
        if version not in VERSIONS:
            raise PineVersionUnsupported(version, VERSIONS)
        self._version = version
        self._settings = settings or BrokerSettings()

    def export_strategy(self, strategy: Strategy, values: Values) -> PineScript:
        """The strategy without alerts.

        Args:
            strategy: The definition.
            values: Of every parameter, by name; they become the defaults of the script's inputs.
        """
        series = _SeriesNames(strategy)
        decisions = _decisions(strategy, series)
        return PineScript(
            head=_head(strategy, self._version, self._settings),
            inputs=tuple(_input(parameter, values[parameter.name]) for parameter in strategy.parameters),
            checks=tuple(_checks(strategy)),
            series=(*series.lines, *_protection(strategy)),
            decisions=decisions,
            branches=tuple(_branches(strategy)),
        )

    def add_webhook_alerts(self, script: PineScript, strategy: Strategy, target: AlertTarget) -> PineScript:
        """The script with an alert for each decision."""
        return replace(
            script,
            inputs=(*script.inputs, *alert_inputs(target)),
            alerts=alert_functions(strategy, target),
        )

    def generate_webhook_setup_guide(
        self, strategy: Strategy, target: AlertTarget, language: Language
    ) -> str:
        """The steps in TradingView, Markdown."""
        return setup_guide(strategy.name, target, language)


class _SeriesNames:
    """Gives every function call and crossing of a strategy a variable, in the order of their need.

    Pine evaluates `and` and `or` lazily: a `ta.*` call inside of them would miss bars and lose its state.
    """

    def __init__(self, strategy: Outline) -> None:
        self.lines: list[str] = []
        self._names: dict[Number | Condition, str] = {}
        self._used = {variable(parameter) for parameter in strategy.parameters}

    def number(self, number: Number) -> str:
        node = number_node(number)
        match node:
            case Source(column=column):
                return column
            case Parameter():
                return variable(node)
            case History(source=source, bars=bars):
                return f"{self.number(source)}[{bars}]"
            case Call(function=function, source=source, length=length):
                arguments = f"{self.number(source)}, {variable(length)}"
                return self._named(node, _call_name(node), f"{FUNCTIONS[function]}({arguments})")
            case _:
                assert_never(node)

    def condition(self, condition: Condition) -> str:
        node = condition_node(condition)
        match node:
            case Comparison(left=left, operator=operator, right=right):
                return f"({self.number(left)} {operator} {self.number(right)})"
            case Cross(left=left, direction=direction, right=right):
                arguments = f"{self.number(left)}, {self.number(right)}"
                return self._named(node, f"crosses_{direction}", f"ta.cross{direction}({arguments})")
            case Logic(left=one, operator=operator, right=other):
                return f"({self.condition(one)} {operator} {self.condition(other)})"
            case _:
                assert_never(node)

    def _named(self, node: Number | Condition, wish: str, definition: str) -> str:
        if node not in self._names:
            name, count = wish, 1
            while name in self._used or name in _TAKEN:
                count += 1
                name = f"{wish}_{count}"
            self._used.add(name)
            self._names[node] = name
            self.lines.append(f"{name} = {definition}")
        return self._names[node]


def variable(parameter: Parameter) -> str:
    """The script's name of a parameter."""
    return f"{parameter.name}_input" if parameter.name in _TAKEN else parameter.name


def _call_name(node: Call) -> str:
    column = (
        f"_{node.source.column}" if isinstance(node.source, Source) and node.source.column != "close" else ""
    )
    return f"{node.function}{column}_{node.length.name}"


def _head(strategy: Strategy, version: int, settings: BrokerSettings) -> str:
    fee_percent = plain(settings.fee_rate * 100)
    declaration = [
        f"{pine_text(strategy.name)}, overlay=true, initial_capital={plain(settings.initial_capital)}",
        f"default_qty_type=strategy.percent_of_equity, default_qty_value={plain(settings.size_percent)}",
        f"commission_type=strategy.commission.percent, commission_value={fee_percent}",
        f"slippage={settings.slippage_ticks}, pyramiding=0, margin_long=100, margin_short=100",
        "process_orders_on_close=false, calc_on_every_tick=false, calc_on_order_fills=false",
    ]
    return "\n".join(
        [
            f"//@version={version}",
            f"// {strategy.name}. {strategy.description}",
            "// Written by TradingBot AI from the definition that its backtest runs.",
            "// The settings of this script hold your webhook secret: do not publish or share it with them.",
            # Wrapped lines are indented by 5: a multiple of 4 would begin a block.
            f"strategy({(',' + chr(10) + '     ').join(declaration)})",
            "",
        ]
    )


def _input(parameter: Parameter, value: Decimal) -> str:
    kind = "int" if parameter.integer else "float"
    step = "" if parameter.integer else ", step=0.1"
    limits = f"minval={plain(parameter.minimum)}, maxval={plain(parameter.maximum)}"
    title = pine_text(parameter.description)
    return f"{variable(parameter)} = input.{kind}({plain(value)}, {title}, {limits}{step})"


def _checks(strategy: Strategy) -> list[str]:
    lines = []
    for group in strategy.ascending:
        for smaller, larger in pairwise(group):
            message = pine_text(f"{smaller.description} must be below: {larger.description}")
            lines += [f"if {variable(smaller)} >= {variable(larger)}", f"    runtime.error({message})"]
    message = pine_text("Put this script on a standard chart: others trade at prices that no exchange has.")
    return [*lines, "if not chart.is_standard", f"    runtime.error({message})"]


def _protection(strategy: Strategy) -> list[str]:
    # Whole ticks, rounded away from the entry as the exchange's are.
    return [
        f"atr = ta.atr({ATR_PERIOD})",
        f"stop_ticks = math.ceil(atr * {variable(strategy.stop_atr)} / syminfo.mintick)",
        f"target_ticks = math.ceil(atr * {variable(strategy.target_atr)} / syminfo.mintick)",
    ]


def _decisions(strategy: Strategy, series: _SeriesNames) -> tuple[str, ...]:
    held = {"long": "strategy.position_size > 0", "short": "strategy.position_size < 0"}
    lines = [
        # Not true for na either.
        "ready = barstate.isconfirmed and atr > 0",
        f"enter_long = {series.condition(strategy.enter_long)}",
        f"enter_short = {series.condition(strategy.enter_short)}",
        "go_long = ready and enter_long and strategy.position_size <= 0",
        "go_short = ready and enter_short and not enter_long and strategy.position_size >= 0",
    ]
    for side, condition in _exits(strategy):
        lines.append(
            f"leave_{side} = barstate.isconfirmed and {series.condition(condition)} and {held[side]}"
        )
    return tuple(lines)


def _branches(strategy: Strategy) -> list[Branch]:
    branches = [_entry(side) for side in ("long", "short")]
    for side, _ in _exits(strategy):
        close = f"strategy.close({pine_text(side.capitalize())})"
        branches.append(Branch(f"leave_{side}", (close,), f'close_alert("close_{side}")'))
    return branches


def _entry(side: str) -> Branch:
    name = side.capitalize()
    orders = (
        f'strategy.entry("{name}", strategy.{side})',
        # In force from the fill on, so that the bar of the entry can already end it.
        f'strategy.exit("{name} exit", "{name}", loss=stop_ticks, profit=target_ticks)',
    )
    return Branch(f"go_{side}", orders, f'entry_alert("{side}")')


def _exits(strategy: Strategy) -> Sequence[tuple[str, Condition]]:
    both = (("long", strategy.exit_long), ("short", strategy.exit_short))
    return [(side, condition) for side, condition in both if condition is not None]
