"""The system of docker-compose.yml takes an alert through the proxy and trades it."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.users import DEMO_EMAIL
from tests.deploy.conftest import make_secrets
from tests.deploy.nginx import Proxy, needs_nginx, running_proxy
from tests.deploy.production import PROCESSES, Production, production

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("production"),
]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    with production(tmp_path_factory.mktemp("production")) as running:
        yield running


@pytest.fixture
def proxy(system: Production, tmp_path: Path) -> Iterator[Proxy]:
    with running_proxy(
        tmp_path, gateway=system.address("gateway:8001"), public_tls=system.secrets / "public-tls"
    ) as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as opened:
        yield opened


class Outside:
    """Somebody on the internet."""

    def __init__(self, proxy: Proxy, session: aiohttp.ClientSession) -> None:
        self._proxy = proxy
        self._session = session

    async def ask(self, method: str, path: str, body: object = None, *, token: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self._proxy.request(self._session, method, path, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)


@pytest.fixture
def outside(proxy: Proxy, session: aiohttp.ClientSession) -> Outside:
    return Outside(proxy, session)


def test_every_process_is_healthy(system: Production) -> None:
    for name in PROCESSES:
        health = system.health(name)
        assert (health.returncode, health.stdout) == (0, "ok\n"), name


@needs_nginx
async def test_an_alert_becomes_a_protected_order(
    system: Production, outside: Outside, session: aiohttp.ClientSession
) -> None:
    login = {"email": "trader@example.com", "password": "a long enough pass phrase"}
    _, user = await outside.ask("POST", "/api/v1/auth/signup", login)
    wanted = {"exchange": "binance", "environment": "paper"}
    status, account = await outside.ask(
        "POST", "/api/v1/accounts-secure/register", wanted, token=user["access_token"]
    )
    assert status == 200, account
    assert account["webhook"]["url"] == "https://bot.example.com/api/v1/webhook/tradingview"

    status, answer = await outside.ask(
        "POST",
        "/api/v1/webhook/tradingview",
        {
            "account_id": account["id"],
            "secret": account["webhook"]["secret"],
            "action": "long",
            "symbol": "BTCUSDT",
            "stop_loss": "2%",
        },
    )

    assert (status, answer["success"]) == (200, True), answer
    state = await _referee(system, session)
    assert [position["symbol"] for position in state["positions"]] == ["BTCUSDT"]
    assert {order["type"] for order in state["orders"]} >= {"MARKET", "STOP_MARKET"}


@needs_nginx
async def test_T30_there_is_no_demo_login(outside: Outside) -> None:
    status, problem = await outside.ask(
        "POST", "/api/v1/auth/login", {"email": DEMO_EMAIL, "password": "whatever it was"}
    )

    assert (status, problem["code"]) == (401, "invalid_credentials")


@needs_nginx
async def test_the_gateway_is_ready(outside: Outside) -> None:
    status, answer = await outside.ask("GET", "/ready")

    assert status == 200
    assert set(answer["checks"]) == {"database", "vault", "execution", "strategy", "webhook"}


async def test_the_paper_exchanges_control_is_closed_from_outside_of_its_machine(
    system: Production, session: aiohttp.ClientSession
) -> None:
    """Execution reaches it by the name of the gateway; by that name nobody controls it."""
    url = f"http://{system.address('gateway:9001')}/paper/state"
    headers = {"Host": "gateway:9001", "X-Paper-Control": "1"}
    async with session.get(url, headers=headers) as response:
        assert response.status == 403


def test_T10_no_secret_in_an_environment_or_a_command_line(system: Production) -> None:
    secrets = [path.read_text().strip() for path in system.secrets.iterdir() if path.is_file()]
    words = [secret.rpartition("@")[0] or secret for secret in secrets if secret]
    assert len(words) == 12

    for name, process in system.processes.items():
        folder = Path(f"/proc/{process.pid}")
        seen = (folder / "cmdline").read_bytes()
        try:
            seen += (folder / "environ").read_bytes()
        except PermissionError:
            assert name == "vault"  # which nobody but root may look at
        assert not [word for word in words if word.encode() in seen], name


def test_R5_no_secret_in_an_output(system: Production) -> None:
    secrets = [path.read_text().strip() for path in system.secrets.iterdir() if path.is_file()]
    passwords = [secret.rpartition("@")[0].rpartition(":")[2] or secret for secret in secrets if secret]

    for name in PROCESSES:
        output = system.output(name)
        assert output
        assert not [secret for secret in passwords if secret in output], name


def test_the_audit_is_checked_and_keys_are_rotated_by_the_operator(system: Production) -> None:
    checked = system.task("vault-admin", "audit-verify")
    rotated = system.task("vault-admin", "rotate-keys")

    assert (checked.returncode, checked.stderr) == (0, "")
    assert "all good\nhead " in checked.stdout
    assert (rotated.returncode, rotated.stderr) == (0, "")


def test_T11_the_key_is_changed_as_the_operator_is_told(system: Production) -> None:
    """docs/operations.md, "Changing the key-encryption key", after an account was stored."""
    key, retired = system.secrets / "encryption_key", system.secrets / "encryption_keys_retired"
    old = key.read_text()
    retired.chmod(0o600)
    retired.write_text(old)
    key.unlink()
    make_secrets(system.secrets)
    assert key.read_text() != old

    system.recreate("vault")
    rotated = system.task("vault-admin", "rotate-keys")
    assert rotated.returncode == 0, rotated.stderr
    assert "still needed" not in rotated.stderr
    retired.write_text("")
    system.recreate("vault")

    assert system.health("vault").returncode == 0
    assert system.health("gateway").returncode == 0


def test_migrations_can_be_run_again_under_running_services(system: Production) -> None:
    done = system.task("migrate")

    assert done.returncode == 0, done.stderr
    assert system.health("gateway").returncode == 0


def test_F52_a_process_ends_in_order_and_comes_back(system: Production) -> None:
    for name in PROCESSES[::-1]:
        assert system.stop(name) == 0, system.output(name)
        assert system.health(name).stdout.startswith("no answer")
    for name in PROCESSES:
        system.start(name)


async def _referee(system: Production, session: aiohttp.ClientSession) -> dict[str, Any]:
    url = f"http://{system.address('gateway:9001')}/paper/state"
    async with session.get(url, headers={"X-Paper-Control": "1"}) as response:
        return dict(json.loads(await response.text()))
