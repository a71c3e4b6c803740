"""The whole system under `tradingbot up`: ready, restarts, stops, and comes back with the same data."""

import asyncio
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.postgres import EmbeddedPostgres
from cli.settings import new_encryption_key, new_token
from gateway.users import DEMO_EMAIL
from tests.cli.whole_system import COMMAND, PROCESSES, System, is_alive, until
from tradekit.service.secret import Secret

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("up")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "state"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One running system for all tests that leave it running."""
    system = System(tmp_path_factory.mktemp("running") / "state")
    try:
        system.wait_ready()
        yield system
    finally:
        if system.process.poll() is None:
            system.stop()


def test_starts_says_how_to_use_it_and_ends_in_order(home: Path) -> None:
    system = System(home)
    system.wait_ready()
    children = system.children()
    assert set(children) == set(PROCESSES)
    assert re.search(r"^ready  http://127\.0\.0\.1:\d+ ", system.output, re.MULTILINE)
    assert re.search(r"demo login \S+@\S+  password \S+", system.output)
    assert system.stop() == 0
    assert not any(is_alive(child) for child in children.values())
    assert system.output.endswith("stopped\n")
    assert "killed" not in system.output


def test_printed_curl_is_a_filled_order_with_stop_and_target(system: System) -> None:
    done = subprocess.run(system.curl(), capture_output=True, text=True, check=True, timeout=30)
    answer = json.loads(done.stdout)
    assert answer["success"] is True
    assert {"entry", "stop_loss", "take_profit"} <= set(answer["order_details"]["results"])


def test_demo_works_again_when_its_note_was_lost(home: Path) -> None:
    (home / "demo.json").unlink(missing_ok=True)
    system = System(home)
    system.wait_ready()
    done = subprocess.run(system.curl(), capture_output=True, text=True, check=True, timeout=30)
    system.stop()
    assert json.loads(done.stdout)["success"] is True


def test_second_start_has_the_same_demo(home: Path) -> None:
    """How quick it is, `make bench` measures."""
    first = System(home)
    first.wait_ready()
    first.stop()
    second = System(home)
    second.wait_ready()
    second.stop()
    alerts = [json.loads(system.curl()[-1]) for system in (first, second)]
    assert alerts[0] == alerts[1]


@pytest.mark.parametrize("name", PROCESSES)
def test_process_that_is_killed_comes_back(system: System, name: str) -> None:
    first = system.children()[name]
    os.kill(first, signal.SIGKILL)
    until(lambda: system.children().get(name, first) != first)
    url = re.search(r"^ready  (\S+)", system.output, re.MULTILINE)
    assert url is not None
    until(lambda: _answers(f"{url[1]}/ready"))


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  # our own http address
            return bool(response.status == 200)
    except OSError:
        return False


def test_F15_kill_9_of_everything_needs_one_command_to_come_back(home: Path) -> None:
    system = System(home)
    system.wait_ready()
    children = system.children()
    os.kill(system.process.pid, signal.SIGKILL)
    system.process.wait()
    until(lambda: not any(is_alive(child) for child in children.values()))
    again = System(home)
    again.wait_ready()
    assert again.stop(signal.SIGTERM) == 0


def test_T10_no_secret_in_any_environment_command_line_or_log(tmp_path: Path) -> None:
    canary = f"canary-{new_token()}"
    system = System(tmp_path / "state", SECRET_KEY=canary, WEBHOOK_SECRET=f"hook-{canary}")
    system.wait_ready()
    secrets = [canary, *(path.read_text().strip() for path in (system.home / "secrets").iterdir())]
    seen = [
        Path(f"/proc/{process_id}/{file}").read_text(errors="replace")
        for process_id in (system.process.pid, *system.children().values())
        for file in ("environ", "cmdline")
    ]
    limits = [Path(f"/proc/{child}/limits").read_text() for child in system.children().values()]
    system.stop()
    seen += [path.read_text(errors="replace") for path in (system.home / "logs").iterdir()]
    assert len(secrets) >= 8
    assert [secret for secret in secrets for text in seen if secret in text] == []
    assert all(re.search(r"Max core file size +0 ", limit) for limit in limits)


def test_state_is_for_its_owner_only(system: System) -> None:
    modes = {path: path.lstat().st_mode & 0o077 for path in system.home.rglob("*")}
    assert [path for path, mode in modes.items() if mode and not path.is_symlink()] == []


def test_embedded_audit_is_verified_while_it_runs_and_after(home: Path) -> None:
    system = System(home)
    system.wait_ready()
    command = [str(COMMAND), "vault", "audit-verify", "--home", str(home)]
    running = subprocess.run(command, capture_output=True, text=True, check=False)
    system.stop()
    stopped = subprocess.run(command, capture_output=True, text=True, check=False)
    for done in (running, stopped):
        assert (done.returncode, done.stderr) == (0, "")
        assert "all good" in done.stdout


def test_T30_production_has_no_demo_and_takes_its_secrets_from_outside(tmp_path: Path) -> None:
    database = EmbeddedPostgres(tmp_path / "external", password=Secret("external-pw"), fsync=False)
    asyncio.run(database.start())
    try:
        system = System(
            tmp_path / "state",
            DATABASE_URL=database.url().reveal(),
            DEBUG="False",
            ENCRYPTION_KEY=new_encryption_key(),
            SECRET_KEY=new_token(),
        )
        system.wait_ready()
        address = re.search(r"^ready  (\S+)", system.output, re.MULTILINE)
        assert address is not None
        login = {"email": DEMO_EMAIL, "password": "whatever-it-was"}
        request = urllib.request.Request(  # noqa: S310  # our own http address
            f"{address[1]}/api/v1/auth/login",
            json.dumps(login).encode(),
            {"Content-Type": "application/json"},
        )
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request, timeout=10)  # noqa: S310  # our own http address
        assert system.stop() == 0
    finally:
        asyncio.run(database.stop())
    assert "demo" not in system.output
    stored = {path.name for path in (system.home / "secrets").iterdir()}
    assert stored == {f"{name}_DATABASE_PASSWORD" for name in ("GATEWAY", "VAULT", "EXECUTION", "STRATEGY")}
    assert "postgres" not in {path.name for path in system.home.iterdir()}
