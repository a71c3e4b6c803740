"""The command line, run as a person runs it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cli.home import open_home

COMMAND = Path(sys.executable).with_name("tradingbot")


def _tradingbot(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command() -> None:
    done = _tradingbot("--help")
    assert done.returncode == 0
    for command in ("up", "paper-exchange", "backtest", "candles", "pine", "vault", "migrate"):
        assert f"\n    {command}" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [("down",), ("up", "--nonsense"), ("vault",), ("vault", "sign"), ("--version",), ("migrate", "now")]
    + [("up", "--workers", number) for number in ("0", "9", "-1", "two", "1.5", "")],
)
def test_wrong_command_line_is_2_and_goes_to_standard_error(arguments: tuple[str, ...]) -> None:
    done = _tradingbot(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: tradingbot" in done.stderr


def test_wrong_settings_are_2_all_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    canary = "canary-8sKw"
    done = _tradingbot(
        "up", "--home", tmp_path / "state", SECRET_KEY=canary, ENCRYPTION_KEY="changeme", LOG_LEVEL="loud"
    )
    assert done.returncode == 2
    for name in ("SECRET_KEY", "ENCRYPTION_KEY", "LOG_LEVEL"):
        assert f"tradingbot: {name} " in done.stderr
    assert canary not in done.stderr + done.stdout
    assert not (tmp_path / "state").exists()


def test_missing_secrets_in_production_stop_the_start(tmp_path: Path) -> None:
    done = _tradingbot("up", "--home", tmp_path, DATABASE_URL="postgresql://a:b@127.0.0.1:1/x", DEBUG="False")
    assert done.returncode == 2
    assert [line.split()[1] for line in done.stderr.splitlines()] == [
        "ENCRYPTION_KEY",
        "SECRET_KEY",
        "NEXTAUTH_SECRET",
    ]


def test_ports_in_use_are_named_with_their_settings(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        taken = [f"127.0.0.1:{server.getsockname()[1]}" for server in (one, two)]
        free = dict.fromkeys(_OTHERS, "127.0.0.1:0")
        done = _tradingbot(
            "up", "--home", tmp_path, GATEWAY_ADDRESS=taken[0], VAULT_ADMIN_ADDRESS=taken[1], **free
        )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"tradingbot: {taken[0]} is in use: stop what uses it, or set GATEWAY_ADDRESS",
        f"tradingbot: {taken[1]} is in use: stop what uses it, or set VAULT_ADMIN_ADDRESS",
    ]


_OTHERS = (
    "VAULT_ADDRESS",
    "EXECUTION_ADDRESS",
    "STRATEGY_ADDRESS",
    "PAPER_ADDRESS",
    "GATEWAY_ADMIN_ADDRESS",
    "EXECUTION_ADMIN_ADDRESS",
    "STRATEGY_ADMIN_ADDRESS",
)


def test_second_system_on_one_folder_is_refused(tmp_path: Path) -> None:
    with open_home(tmp_path):
        done = _tradingbot("up", "--home", tmp_path)
    assert done.returncode == 1
    assert f"in use by a running `tradingbot up` (process {os.getpid()})" in done.stderr


def test_vault_commands_need_a_database(tmp_path: Path) -> None:
    done = _tradingbot("vault", "audit-verify", "--home", tmp_path)
    assert done.returncode == 1
    assert "holds no database" in done.stderr


def test_migrate_names_everything_it_needs() -> None:
    done = _tradingbot("migrate")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 5


def test_migrate_tells_that_the_database_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    passwords = {f"{name}_DATABASE_PASSWORD": "x" for name in ("GATEWAY", "VAULT", "EXECUTION", "STRATEGY")}
    done = _tradingbot("migrate", DATABASE_URL=f"postgresql://a:canary@127.0.0.1:{port}/x", **passwords)
    assert done.returncode == 1
    assert done.stderr.startswith("tradingbot: the database cannot be prepared: ")
    assert "canary" not in done.stderr


def test_backtest_and_pine_are_the_strategy_service_s_commands(tmp_path: Path) -> None:
    candles = tmp_path / "ETHUSDT.csv"
    rows = [f"{hour * 3_600_000},100,107,99,{100 + hour % 7},10" for hour in range(300)]
    candles.write_text("\n".join(["time,open,high,low,close,volume", *rows]) + "\n")
    backtest = _tradingbot("backtest", "ema_crossover", "--candles", candles, "--json")
    pine = _tradingbot("pine", "export", "ema_crossover")
    assert (backtest.returncode, json.loads(backtest.stdout)["bars"]) == (0, 300)
    assert (pine.returncode, pine.stdout.startswith("//@version=6")) == (0, True)


@pytest.mark.parametrize(
    "arguments", [("backtest", "nonsense", "--candles", "none.csv"), ("pine", "export", "x")]
)
def test_wrong_input_of_the_strategy_service_is_2(arguments: tuple[str, ...]) -> None:
    done = _tradingbot(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
