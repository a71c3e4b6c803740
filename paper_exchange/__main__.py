"""`python -m paper_exchange`: the paper exchange alone."""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from paper_exchange.candles import CandlesUnreadable, FilePath, read_candle_file
from paper_exchange.faults import ClockOffset, Rule, RuleInvalid, parse_rules
from paper_exchange.instruments import LISTED
from paper_exchange.log import log_json
from paper_exchange.server import DEFAULT_PORT, start
from paper_exchange.store import StoreUnusable

_FAILED = 1
_MISUSED = 2
_MAX_SPEED = 10_000

log = logging.getLogger("paper_exchange")


class Misuse(Exception):
    """The command line or a file it names is wrong; the message is for the user."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the paper exchange until SIGTERM or SIGINT.

    Returns:
        Exit code: 0 stopped as asked, 1 it could not run, 2 the command line or a file is wrong.
    """
    arguments = _parser().parse_args(argv)
    log_json(logging.INFO)
    try:
        candles = _candles(arguments.candles)
        rules = _rules(arguments.faults)
        uvloop.run(_run(arguments, candles, rules))
    except Misuse as error:
        sys.stderr.write(f"paper-exchange: {error}\n")
        return _MISUSED
    except (StoreUnusable, OSError) as error:
        sys.stderr.write(f"paper-exchange: {error}\n")
        return _FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="paper-exchange",
        description="A futures exchange to practise on: real protocols, simulated market.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port, 0: any (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated market (default: %(default)s)")
    parser.add_argument(
        "--speed", type=_speed, default=1.0, help="of the simulated market; 0 stands still (default: 1)"
    )
    parser.add_argument(
        "--candles", type=Path, nargs="+", action="extend", default=[], metavar="FILE",
        help="replay candles, CSV or Parquet, named like ETHUSDT-15m.csv",
    )  # fmt: skip
    parser.add_argument("--faults", type=Path, metavar="FILE", help="fault rules, as for POST /paper/faults")
    parser.add_argument("--state", type=Path, metavar="DIR", help="folder that outlives the process")
    return parser


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 <= speed <= _MAX_SPEED:
        raise argparse.ArgumentTypeError(f"must be from 0 to {_MAX_SPEED}")
    return speed


def _candles(files: Sequence[Path]) -> dict[str, FilePath]:
    paths: dict[str, FilePath] = {}
    for file in files:
        try:
            symbol, path = read_candle_file(file)
        except CandlesUnreadable as error:
            raise Misuse(str(error)) from error
        if symbol not in LISTED:
            raise Misuse(f"{file.name}: {symbol} is not listed; listed are {', '.join(LISTED)}")
        paths[symbol] = path
    return paths


def _rules(file: Path | None) -> list[Rule | ClockOffset]:
    if file is None:
        return []
    try:
        return parse_rules(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, RuleInvalid) as error:
        raise Misuse(f"{file}: {error}") from error


async def _run(
    arguments: argparse.Namespace, candles: dict[str, FilePath], rules: list[Rule | ClockOffset]
) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = await start(
        host=arguments.host,
        port=arguments.port,
        seed=arguments.seed,
        speed=arguments.speed,
        candles=candles,
        faults=rules,
        state=arguments.state,
    )
    log.info("paper_exchange.ready", extra={"url": server.url, "seed": arguments.seed})
    try:
        await server.wait_until(stopped)
    finally:
        await server.close()
    log.info("paper_exchange.stopped")


if __name__ == "__main__":
    sys.exit(main())
