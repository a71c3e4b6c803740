"""The `tradingbot` command. Exit codes: 0 done, 1 failure, 2 wrong command line or input."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cli.errors import CommandFailed
from tradekit.service.config import ConfigurationError

DEFAULT_HOME = Path(".tradingbot")
DONE, FAILURE, WRONG_INPUT = 0, 1, 2
# Each opens up to 18 of the 200 connections that the embedded database has.
MOST_WORKERS = 8

# A command imports what it needs itself: `tradingbot --help` does not wait for databases and servers.


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    command = _COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        _describe().parse_args(arguments or ["--help"])
        return WRONG_INPUT  # not reached with --help or a wrong word: the parser ends the program
    try:
        return command[1](arguments[1:])
    except ConfigurationError as error:
        for problem in error.problems:
            print(f"tradingbot: {problem}", file=sys.stderr)
        return WRONG_INPUT
    except CommandFailed as error:
        print(f"tradingbot: {error}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        return FAILURE


def _describe() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tradingbot",
        description="TradingView alerts become protected futures orders.",
        epilog="`tradingbot COMMAND --help` describes a command.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (purpose, _) in _COMMANDS.items():
        commands.add_parser(name, help=purpose)
    return parser


def _up(argv: list[str]) -> int:
    parser = _parser("up", "Runs the whole system in the foreground; prints `ready` when it can be used.")
    _add_home(parser)
    parser.add_argument(
        "--no-web",
        action="store_true",
        help="without the web app (which does not exist yet: nothing is started for it)",
    )
    parser.add_argument(
        "--workers",
        type=_worker_count,
        default=1,
        metavar="N",
        help="gateway processes that share the gateway's port (default 1)",
    )
    arguments = parser.parse_args(argv)

    from cli.up import up

    up(arguments.home, web=not arguments.no_web, workers=arguments.workers)
    return DONE


def _worker_count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_WORKERS}")
    return int(text)


def _paper_exchange(argv: list[str]) -> int:
    from paper_exchange.__main__ import main as paper_exchange

    return paper_exchange(argv)


def _backtest(argv: list[str]) -> int:
    from strategy_service import commands

    parser = _parser("backtest", "Runs a strategy over a file of candles.")
    commands.add_backtest_arguments(parser)
    return commands.backtest(parser.parse_args(argv))


def _candles(argv: list[str]) -> int:
    from strategy_service import commands

    parser = _parser("candles", "Candles of exchanges.")
    fetch = parser.add_subparsers(metavar="COMMAND", required=True).add_parser(
        "fetch", help="an exchange's history to a Parquet file; may be stopped and run again"
    )
    commands.add_fetch_arguments(fetch)
    return commands.candles_fetch(parser.parse_args(argv))


def _pine(argv: list[str]) -> int:
    from strategy_service import commands

    parser = _parser("pine", "Pine scripts for TradingView.")
    export = parser.add_subparsers(metavar="COMMAND", required=True).add_parser(
        "export", help="a strategy as Pine source on standard output"
    )
    commands.add_pine_arguments(export)
    return commands.pine_export(parser.parse_args(argv))


def _vault(argv: list[str]) -> int:
    from cli import vault_commands

    parser = _parser("vault", "The vault's audit chain and keys.")
    actions = parser.add_subparsers(metavar="COMMAND", dest="action", required=True)
    verify = actions.add_parser("audit-verify", help="check the audit chain; names the first bad row")
    verify.add_argument("--head", help="an exported head: also notices a tail that was cut off")
    rotate = actions.add_parser("rotate-keys", help="re-wrap all keys with the current key-encryption key")
    for action in (verify, rotate):
        _add_home(action)
    arguments = parser.parse_args(argv)
    if arguments.action == "audit-verify":
        return vault_commands.audit_verify(arguments.home, head=arguments.head)
    return vault_commands.rotate_keys(arguments.home)


def _migrate(argv: list[str]) -> int:
    parser = _parser(
        "migrate", "Makes roles and schemas at DATABASE_URL (an administrator's) and runs all migrations."
    )
    parser.parse_args(argv)

    from cli.migrate import migrate_from_shell

    migrate_from_shell()
    return DONE


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"tradingbot {command}", description=description)


def _add_home(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--home",
        type=Path,
        default=DEFAULT_HOME,
        metavar="DIR",
        help=f"folder of all state (default {DEFAULT_HOME})",
    )


def _certificates(argv: list[str]) -> int:
    parser = _parser("certificates", "The internal authority and the certificate of each service, in DIR.")
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder: Path = parser.parse_args(argv).folder
    from cli.certificates import CertificateAuthority
    from cli.settings import SERVICES
    from tradekit.service.clock import UtcClock

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = CertificateAuthority(folder, UtcClock())
    for service in SERVICES:
        authority.files(service)
    return DONE


_COMMANDS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "up": ("run the whole system in the foreground", _up),
    "certificates": ("issue the internal certificates of all services", _certificates),
    "paper-exchange": ("run the paper exchange alone", _paper_exchange),
    "backtest": ("run a strategy over a file of candles", _backtest),
    "candles": ("fetch an exchange's history to a file", _candles),
    "pine": ("export a strategy as a Pine script", _pine),
    "vault": ("check the audit chain, rotate keys", _vault),
    "migrate": ("prepare a database for all services", _migrate),
}

if __name__ == "__main__":
    sys.exit(main())
