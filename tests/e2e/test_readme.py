"""A new user: a fresh copy of the repository, an empty home, and only the README's own commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("e2e")]

ROOT = Path(__file__).parents[2]
# Any free port, so that it runs beside a system that is up.
ADDRESSES = {
    f"{name}_{kind}ADDRESS": "127.0.0.1:0"
    for name in ("GATEWAY", "VAULT", "EXECUTION", "STRATEGY", "PAPER")
    for kind in ("", "ADMIN_")
    if (name, kind) != ("PAPER", "ADMIN_")
}
READY_WITHIN_S = 300


def commands_of_readme() -> list[str]:
    """The README's shell blocks, in their order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [
        re.sub(r"^ +", "", block, flags=re.M) for block in re.findall(r"```sh\n(.*?)```", text, flags=re.S)
    ]


class Run:
    """`make run` in a folder, with what it prints."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self._ready = threading.Event()
        self.process = subprocess.Popen(
            ["make", "run"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if "Ctrl-C stops everything" in line:
                self._ready.set()
        self._ready.set()

    def wait_until_ready(self) -> None:
        assert self._ready.wait(READY_WITHIN_S), "".join(self.lines)
        assert self.process.poll() is None, "".join(self.lines)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def url(self, name: str) -> str:
        """An address that was printed."""
        found = re.search(rf"^{name} +(http://\S+)", self.output, flags=re.M)
        assert found, self.output
        return found[1]

    def stop(self) -> None:
        """Ctrl-C, as the terminal sends it to the whole group; `make` itself then ends by the signal."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(60)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def shell(command: str) -> Any:
    """What a command of the README prints, as JSON."""
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)


def paper_state(url: str) -> Any:
    request = urllib.request.Request(f"{url}/paper/state", headers={"X-Paper-Control": "1"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def printed_curl(run: Run) -> str:
    (line,) = (line for line in run.lines if line.startswith("curl "))
    return line


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as it stands, without anything that was installed or left by hand."""
    folder = tmp_path_factory.mktemp("clone") / "tradingbot"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A shell's environment with an empty home; no virtual environment, no settings of ours."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTEST"))
    }
    path = os.pathsep.join(part for part in kept["PATH"].split(os.pathsep) if ".venv" not in part)
    return kept | ADDRESSES | {"HOME": str(tmp_path_factory.mktemp("home")), "PATH": path}


@pytest.fixture(scope="module")
def run(clone: Path, environment: dict[str, str]) -> Iterator[Run]:
    started = Run(clone, environment)
    try:
        started.wait_until_ready()
        yield started
    finally:
        started.stop()


def test_the_two_commands_stand_first(run: Run) -> None:
    first = commands_of_readme()[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make run", "make test"]


def test_the_printed_curl_gives_a_filled_protected_order(run: Run) -> None:
    answer = shell(printed_curl(run))

    assert answer["success"] is True
    results = answer["order_details"]["results"]
    assert results["entry"]["status"] == "filled"
    assert (results["stop_loss"]["status"], results["take_profit"]["status"]) == ("open", "open")
    state = paper_state(run.url(" +paper exchange"))
    ids = {results[name]["client_order_id"] for name in ("entry", "stop_loss", "take_profit")}
    orders = {order["client_order_id"]: order["status"] for order in state["orders"]}
    assert sorted(orders[name] for name in ids) == ["FILLED", "NEW", "NEW"]
    assert len(state["positions"]) == 1


def test_the_readme_leads_a_new_user_to_a_first_alert(run: Run) -> None:
    """Its own commands, with the values of the answers put in where it says "…"."""
    sign_up_and_register, alert = commands_of_readme()[1:3]
    api = f"{run.url('ready')}/api/v1"
    sign_up, register = re.split(r"^TOKEN=.*$", sign_up_and_register, flags=re.M)
    sign_up = sign_up.replace("http://127.0.0.1:8001/api/v1", api)
    user = shell(sign_up)
    account = shell(f"API={api}\nTOKEN={user['access_token']}\n{register}")
    alert = alert.replace('"account_id": "…"', f'"account_id": "{account["id"]}"')
    alert = alert.replace('"secret": "…"', f'"secret": "{account["webhook"]["secret"]}"')

    answer = shell(f"API={api}\n{alert}")

    assert answer["message"] == "LONG order executed on binance"
    assert answer["order_details"]["results"]["leverage"] == {"leverage": 10, "status": "filled"}


def test_ctrl_c_stops_everything_and_the_next_start_goes_on(
    run: Run, clone: Path, environment: dict[str, str]
) -> None:
    before = paper_state(run.url(" +paper exchange"))
    run.stop()
    assert "stopped\n" in run.lines

    again = Run(clone, environment)
    try:
        again.wait_until_ready()
        account = re.search(r'"account_id": "([^"]+)"', printed_curl(again))
        assert account
        assert account[1] in printed_curl(run)
        after = paper_state(again.url(" +paper exchange"))
        assert [p["quantity"] for p in after["positions"]] == [p["quantity"] for p in before["positions"]]
        closing = printed_curl(again).replace('"action": "long"', '"action": "close_long"')
        assert shell(closing)["message"] == "LONG position closed on binance"
    finally:
        again.stop()
