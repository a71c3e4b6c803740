"""`tradingbot backtest`, `tradingbot pine export` and `tradingbot candles fetch`: no server needed.

Exit codes: 0; 2 for a wrong command line or input; 1 for a failure. Errors go to standard error.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from strategy_service.backtest import Plan, Result, plan, run
from strategy_service.candles import Candles, load
from strategy_service.compile_pine import VERSIONS, PineScriptExporter
from strategy_service.errors import ParameterInvalid
from strategy_service.fetch import fetch, moment, told
from strategy_service.fetch_errors import FetchFailed, FetchRefused
from strategy_service.history import BAR_MS, EXCHANGES, open_history
from strategy_service.parameters import plain, resolve
from strategy_service.pine_alert import AlertTarget, checked_account_id
from strategy_service.strategies import KEYS, find
from strategy_service.trade_view import trade_fields
from tradekit.market.symbol import Market, SymbolMalformed, SymbolUnknown, parse_market
from tradekit.market.timeframe import Timeframe, TimeframeMalformed, parse_timeframe
from tradekit.service.config import Environment
from tradekit.service.errors import InvalidArgument, NotFound, ServiceError

INPUT_WRONG = 2
FAILED = 1

# Where candles come from, unless the settings of these names say otherwise.
_HOSTS = {
    "binance": ("BINANCE_BASE_URL", "https://fapi.binance.com"),
    "okx": ("OKX_BASE_URL", "https://www.okx.com"),
}

# The numbers that the table shows; `--json` has all of them.
_TABLE = (
    ("Net profit", "net_profit", ""),
    ("Net profit", "net_profit_percent", " %"),
    ("Buy and hold", "buy_and_hold_percent", " %"),
    ("Trades", "trades_count", ""),
    ("Win rate", "win_rate_percent", " %"),
    ("Profit factor", "profit_factor", ""),
    ("Expectancy a trade", "expectancy", ""),
    ("Maximum drawdown", "max_drawdown_percent", " %"),
    ("Sharpe ratio", "sharpe_ratio", ""),
    ("Sortino ratio", "sortino_ratio", ""),
    ("CAGR", "cagr_percent", " %"),
    ("Time in the market", "exposure_percent", " %"),
    ("Fees", "fees", ""),
)


def add_backtest_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `tradingbot backtest`."""
    _add_strategy(parser)
    parser.add_argument(
        "--candles", metavar="FILE", type=Path, required=True, help="CSV or Parquet of candles"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def add_pine_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `tradingbot pine export`."""
    _add_strategy(parser)
    parser.add_argument("--version", type=int, choices=VERSIONS, default=VERSIONS[0], help="of Pine Script")
    parser.add_argument("--account", metavar="ID", default="", help="account id to write into the script")


def add_fetch_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `tradingbot candles fetch`."""
    parser.add_argument("--exchange", choices=EXCHANGES, required=True)
    parser.add_argument("--symbol", type=_market, required=True, help="for example BTCUSDT")
    parser.add_argument("--timeframe", type=_timeframe, required=True, help="for example 1m, 15m, 4h or 1d")
    parser.add_argument(
        "--start", type=_milliseconds, required=True, metavar="D", help="2026-10-01 or 2026-10-01T12:30, UTC"
    )
    parser.add_argument(
        "--end", type=_milliseconds, required=True, metavar="D", help="likewise; candles open before it"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="Parquet; may be there already"
    )


def backtest(args: argparse.Namespace) -> int:
    """Runs `tradingbot backtest`; the exit code."""
    return _run(lambda: _backtest(args))


def pine_export(args: argparse.Namespace) -> int:
    """Runs `tradingbot pine export`; the exit code."""
    return _run(lambda: _pine_export(args))


def candles_fetch(args: argparse.Namespace) -> int:
    """Runs `tradingbot candles fetch`; the exit code."""
    try:
        sys.stdout.write(_candles_fetch(args))
    except FetchRefused as error:
        sys.stderr.write(f"{error}.\n")
        return INPUT_WRONG
    except FetchFailed as error:
        sys.stderr.write(f"{error}. What came so far is kept: the same command goes on from there.\n")
        return FAILED
    except OSError as error:
        sys.stderr.write(f"{args.out} cannot be written ({error.strerror or error}).\n")
        return FAILED
    return 0


def _candles_fetch(args: argparse.Namespace) -> str:
    exchange, market, timeframe = args.exchange, args.symbol, args.timeframe
    if market.exchange not in (None, exchange):
        raise FetchRefused(f"{market.symbol} was named as a market of {market.exchange}, not of {exchange}")
    if args.start >= args.end:
        raise FetchRefused("--start must be before --end")
    env = Environment()
    base_url = env.text(*_HOSTS[exchange])
    env.check()
    with open_history(exchange, base_url, market, timeframe, wait=time.sleep) as history:
        fetched = fetch(history, timeframe, (args.start, args.end), args.out)
    for line in told(fetched, BAR_MS[str(timeframe)]):
        sys.stderr.write(f"{line}\n")
    start, end = map(moment, fetched.span)
    return f"{fetched.count:,} {timeframe} candles of {market.symbol}, {start} to {end}, in {args.out}\n"


def _market(text: str) -> Market:
    try:
        return parse_market(text)
    except (SymbolMalformed, SymbolUnknown) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _timeframe(text: str) -> Timeframe:
    try:
        return parse_timeframe(text)
    except TimeframeMalformed as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _milliseconds(text: str) -> int:
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no date such as 2026-10-01") from error
    return int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()) * 1000


def _add_strategy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("strategy", metavar="STRATEGY", help=f"one of {', '.join(KEYS)}")
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a parameter of the strategy; may be given several times",
    )


def _run(command: Callable[[], str]) -> int:
    try:
        output = command()
    except ServiceError as error:
        sys.stderr.write(f"{error.message}\n")
        return INPUT_WRONG if isinstance(error, InvalidArgument | NotFound) else FAILED
    sys.stdout.write(output)
    return 0


def _backtest(args: argparse.Namespace) -> str:
    wanted = plan(args.strategy, _pairs(args.settings), symbol=args.candles.stem)
    candles = load(args.candles)
    result = run(wanted, candles)
    if args.json:
        return json.dumps(_json(wanted, candles, result), allow_nan=False) + "\n"
    for warning in result.warnings:
        sys.stderr.write(f"Warning: {warning}\n")
    return _table(wanted, candles, result)


def _pine_export(args: argparse.Namespace) -> str:
    strategy = find(args.strategy)
    values = resolve(strategy, _pairs(args.settings))
    exporter = PineScriptExporter(args.version)
    target = AlertTarget(account_id=checked_account_id(args.account))
    return str(exporter.add_webhook_alerts(exporter.export_strategy(strategy, values), strategy, target))


def _pairs(settings: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ParameterInvalid(setting[:60], "must be given as NAME=VALUE")
        if name in pairs:
            raise ParameterInvalid(name[:60], "is given more than once")
        pairs[name] = value
    return pairs


def _json(wanted: Plan, candles: Candles, result: Result) -> dict[str, object]:
    return {
        "strategy": wanted.strategy.key,
        "parameters": {name: plain(value) for name, value in wanted.values.items()},
        "bars": len(candles),
        "start": candles.open_time(0).isoformat(),
        "end": (candles.open_time(len(candles) - 1) + candles.interval).isoformat(),
        "interval_seconds": int(candles.interval.total_seconds()),
        "statistics": result.statistics,
        "trades": [trade_fields(trade, candles) for trade in result.trades],
        "warnings": list(result.warnings),
    }


def _table(wanted: Plan, candles: Candles, result: Result) -> str:
    values = ", ".join(f"{name} {plain(value)}" for name, value in wanted.values.items())
    first, last = candles.open_time(0), candles.open_time(len(candles) - 1) + candles.interval
    lines = [
        f"{wanted.strategy.name} ({values})",
        f"{len(candles)} candles of {candles.interval}, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC",
        "",
    ]
    for title, name, unit in _TABLE:
        value = result.statistics[name]
        shown = "-" if value is None else f"{value:,.0f}" if name.endswith("_count") else f"{value:,.2f}"
        lines.append(f"{title:<20}{shown:>14}{unit if value is not None else ''}")
    return "\n".join(lines) + "\n"
