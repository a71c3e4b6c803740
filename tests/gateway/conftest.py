"""A running gateway: real HTTP, real PostgreSQL, the real vault; execution is scripted."""

import asyncio
import base64
import os
import statistics
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

import strategy_service.__main__
import strategy_service.config
import vault_service.__main__
import vault_service.config
from gateway.__main__ import Running, serve
from gateway.config import Settings
from tests.conftest import TestDatabase
from tests.gateway.scripted_execution import ScriptedExecution
from tradekit.service.channel import TlsFiles
from tradekit.service.clock import UtcClock
from tradekit.service.secret import Secret
from tradekit.service.server import grpc_server
from tradingbot.execution.v1.execution_pb2_grpc import add_ExecutionServiceServicer_to_server
from vault_service.keyring import Keyring, read_key

Tls = Callable[[str], TlsFiles]
Start = Callable[..., AbstractAsyncContextManager["GatewayUnderTest"]]

API = "/api/v1"
PASSWORD = "a fairly long password"
API_KEY = "canary-api-key-vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14"
API_SECRET = "canary-api-secret-NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XA"
LOOPBACK = "127.0.0.1:0"
# Cheap on purpose: what is tested is what happens with a hash, not how long it takes.
FAST_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for something that another process or the database does in its own time."""
    async with asyncio.timeout(15):
        while not await condition():  # noqa: ASYNC110 - there is no event to wait for outside
            await asyncio.sleep(0.02)


def undisturbed(seconds: Sequence[float]) -> float:
    """How long something takes while nothing else uses the machine: the tenth part that was quickest.

    What others do only adds to it; where the work differs, the quickest differ as the medians do.
    """
    return statistics.quantiles(seconds, n=10)[0]


class MovableClock:
    """The machine's clock, moved by what a test says."""

    def __init__(self) -> None:
        self._offset = timedelta(0)

    def now(self) -> datetime:
        return UtcClock().now() + self._offset

    def advance(self, **duration: float) -> None:
        """Moves on by a timedelta's arguments."""
        self._offset += timedelta(**duration)


@dataclass
class Person:
    """A signed-up user with a client that sends the access token."""

    id: str
    email: str
    tokens: dict[str, str]
    http: httpx.AsyncClient
    accounts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    async def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One request to a route behind /api/v1."""
        headers = self.headers | ({"Content-Type": "application/json"} if "content" in arguments else {})
        return await self.http.request(method, API + path, headers=headers, **arguments)

    async def register(self, **fields: Any) -> dict[str, Any]:
        """Registers an account; the answer with its id and webhook."""
        body = {"exchange": "binance", "api_key": API_KEY, "api_secret": API_SECRET} | fields
        answer = await self.call("POST", "/accounts-secure/register", json=body)
        assert answer.status_code == 200, answer.text
        account: dict[str, Any] = answer.json()
        self.accounts.append(account)
        return account


@dataclass
class GatewayUnderTest:
    """A running gateway and what a test needs of it."""

    running: Running
    http: httpx.AsyncClient
    execution: ScriptedExecution
    clock: MovableClock
    database: TestDatabase

    async def sign_up(self, email: str | None = None, password: str = PASSWORD) -> Person:
        """A fresh user."""
        email = email or f"{uuid.uuid4().hex}@example.com"
        answer = await self.http.post(f"{API}/auth/signup", json={"email": email, "password": password})
        assert answer.status_code == 201, answer.text
        body = answer.json()
        return Person(body["user"]["id"], email, body, self.http)

    async def alert(self, account: dict[str, Any], **fields: Any) -> httpx.Response:
        """Sends a long of BTCUSDT for the account, as TradingView would."""
        message = {
            "account_id": account["id"],
            "secret": account["webhook"]["secret"],
            "action": "long",
            "symbol": "BTCUSDT",
        }
        return await self.http.post(f"{API}/webhook/tradingview", json=message | fields)


@pytest.fixture
async def execution() -> ScriptedExecution:
    return ScriptedExecution()


@pytest.fixture
async def execution_address(execution: ScriptedExecution, tls: Tls) -> AsyncIterator[str]:
    async with grpc_server(
        lambda server: add_ExecutionServiceServicer_to_server(execution, server),
        domain="execution",
        address=LOOPBACK,
        tls=tls("execution"),
        callers={"tradingbot.execution.v1.ExecutionService": frozenset({"gateway"})},
    ) as address:
        yield address


@pytest.fixture
async def vault_address(database: TestDatabase, tls: Tls) -> AsyncIterator[str]:
    key = base64.urlsafe_b64encode(os.urandom(32)).decode()
    settings = vault_service.config.Settings(
        database_url=database.roles["vault"],
        listen_address=LOOPBACK,
        admin_address=LOOPBACK,
        tls=tls("vault"),
        keyring=Keyring(read_key(Secret(key))),
    )
    async with vault_service.__main__.serve(settings) as addresses:
        yield addresses.grpc


@pytest.fixture
async def strategy_address(database: TestDatabase, tls: Tls) -> AsyncIterator[str]:
    settings = strategy_service.config.Settings(
        database_url=database.roles["strategy"],
        listen_address=LOOPBACK,
        admin_address=LOOPBACK,
        tls=tls("strategy"),
    )
    async with strategy_service.__main__.serve(settings) as addresses:
        yield addresses.grpc


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def settings(database: TestDatabase, tls: Tls, vault_address: str, execution_address: str) -> Settings:
    """Of a gateway on one machine, without a strategy service."""
    return Settings(
        database_url=database.roles["gateway"],
        listen_address=LOOPBACK,
        listen_descriptor=None,
        admin_address=LOOPBACK,
        tls=tls("gateway"),
        log_level="INFO",
        production=False,
        vault_address=vault_address,
        execution_address=execution_address,
        strategy_address="127.0.0.1:1",
        secret_key=Secret("canary-secret-key-0123456789abcdef0123456789abcdef"),
        secret_keys_retired=(),
        webhook_secret=None,
        trusted_proxies=(),
        webhook_allowlist=(),
        cors_origins=(),
        public_url="https://bot.example.com",
        paper_base_url="http://127.0.0.1:1",
    )


@pytest.fixture
def start(
    settings: Settings, execution: ScriptedExecution, clock: MovableClock, database: TestDatabase
) -> Start:
    """Starts a gateway with some settings changed."""

    @asynccontextmanager
    async def started(
        hasher: PasswordHasher = FAST_HASHER, **changes: Any
    ) -> AsyncIterator[GatewayUnderTest]:
        async with (
            serve(replace(settings, **changes), clock=clock, hasher=hasher) as running,
            httpx.AsyncClient(base_url=f"http://{running.address}", timeout=10.0) as http,
        ):
            yield GatewayUnderTest(running, http, execution, clock, database)

    return started


@pytest.fixture
async def gateway(start: Start) -> AsyncIterator[GatewayUnderTest]:
    """A gateway as on one machine."""
    async with start() as under_test:
        yield under_test
