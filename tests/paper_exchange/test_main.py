"""The command: starts, tells its address, stops as asked, survives kill -9 with its state."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.paper_exchange.conftest import BTC, Control, Trader

pytestmark = pytest.mark.anyio

Start = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the command on a free port; returns the process and its URL."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> tuple["subprocess.Popen[str]", str]:
        command = [sys.executable, "-m", "paper_exchange", "--port", "0", "--speed", "0", *arguments]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stderr is not None
        line = process.stderr.readline()
        return process, json.loads(line)["url"]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_as_asked(start: Start, number: signal.Signals) -> None:
    process, url = start()
    assert url.startswith("http://127.0.0.1:")
    process.send_signal(number)
    assert process.wait(10) == 0


async def test_kill_9_loses_nothing_that_was_answered(start: Start, tmp_path: Path) -> None:
    process, url = start("--state", str(tmp_path / "state"))
    async with aiohttp.ClientSession(url) as session:
        control = Control(session)
        keys = await control.open_account()
        await control.price("60000")
        trader = Trader(session, url, keys)
        await trader.market("BUY", "0.05", newClientOrderId="entry")
        await trader.algo(
            "STOP_MARKET", "SELL", triggerPrice="59000", closePosition="true", clientAlgoId="sl"
        )
        before = await control.state()
        os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    _, url = start("--state", str(tmp_path / "state"))
    async with aiohttp.ClientSession(url) as session:
        control = Control(session)
        after = await control.state()
        assert {**after, "time": 0} == {**before, "time": 0}
        trader = Trader(session, url, keys)
        assert (await trader.ok("GET", "/fapi/v1/algoOrder", clientAlgoId="sl"))["algoStatus"] == "NEW"
        await control.price("58000")
        assert (await control.state())["positions"] == []


def test_another_seed_does_not_get_the_state(start: Start, tmp_path: Path) -> None:
    process, _ = start("--state", str(tmp_path))
    process.terminate()
    process.wait(10)
    refused = run("--seed", "2", "--state", str(tmp_path))
    assert refused.returncode == 1
    assert "belongs to seed 1" in refused.stderr


async def test_candles_and_faults_from_files(start: Start, tmp_path: Path) -> None:
    candles, faults = tmp_path / "ETHUSDT-1m.csv", tmp_path / "faults.json"
    rows = [
        f"{1_700_000_040_000 + n * 60_000},{1000 + n},{1002 + n},{999 + n},{1001 + n},5" for n in range(500)
    ]
    candles.write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    faults.write_text(json.dumps([{"kind": "error_code", "code": -1001, "path": "/fapi/v1/ping"}]))
    _, url = start("--candles", str(candles), "--faults", str(faults))
    async with aiohttp.ClientSession(url) as session:
        async with session.get("/fapi/v1/ping") as response:
            assert (await response.json())["code"] == -1001
        async with session.get("/fapi/v1/ticker/price?symbol=ETHUSDT") as response:
            assert 1200 < float((await response.json())["price"]) < 1300
        async with session.get(f"/fapi/v1/ticker/price?symbol={BTC}") as response:
            assert float((await response.json())["price"]) > 10_000


def run(*arguments: str) -> Any:
    command = [sys.executable, "-m", "paper_exchange", "--port", "0", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("name", "content", "option"),
    [
        ("NOPEUSDT-1m.csv", "time,open,high,low,close,volume\n1,1,1,1,1,1\n60001,1,1,1,1,1\n", "--candles"),
        ("BTCUSDT.csv", "nothing", "--candles"),
        ("faults.json", "{", "--faults"),
        ("faults.json", '{"kind": "explode"}', "--faults"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, name: str, content: str, option: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    refused = run(option, str(file))
    assert refused.returncode == 2
    assert name in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize("arguments", [("--speed", "-1"), ("--speed", "fast"), ("--colour", "red")])
def test_a_wrong_command_line(arguments: tuple[str, str]) -> None:
    assert run(*arguments).returncode == 2


def test_a_port_in_use_is_told(start: Start) -> None:
    _, url = start()
    refused = run("--port", url.rsplit(":", 1)[1])
    assert refused.returncode == 1
    assert "paper-exchange: " in refused.stderr
