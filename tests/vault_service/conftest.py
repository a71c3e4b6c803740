"""A running vault: real gRPC with mTLS, real PostgreSQL, a clock that the test moves."""

from __future__ import annotations

import asyncio
import base64
import http.client
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import asyncpg
import pytest

from cli.postgres import EmbeddedPostgres
from tests.conftest import ROLE_PASSWORDS, TEMPLATE, TestDatabase
from tradekit.service.channel import TlsFiles, call, dial
from tradekit.service.migrations import role_of
from tradekit.service.secret import Secret
from tradingbot.vault.v1 import vault_pb2, vault_pb2_grpc
from vault_service.__main__ import serve
from vault_service.config import Settings
from vault_service.keyring import Keyring, read_key

T = TypeVar("T")

API_KEY = "apikey-canary-vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
API_SECRET = "secret-canary-NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
PASSPHRASE = "passphrase-canary-7Yq2"


class MovableClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def set(self, now: datetime) -> None:
        """Moves to an instant."""
        self._now = now

    def advance(self, **duration: float) -> None:
        """Moves on by a timedelta's arguments."""
        self._now += timedelta(**duration)

    @property
    def milliseconds(self) -> int:
        """Unix milliseconds."""
        return int(self._now.timestamp() * 1000)


@dataclass(frozen=True)
class RunningVault:
    """A vault that serves, and stubs of its two real callers."""

    accounts: vault_pb2_grpc.VaultServiceAsyncStub
    signer: vault_pb2_grpc.SignerServiceAsyncStub
    clock: MovableClock
    database: TestDatabase
    address: str
    admin: str

    async def register(self, user_id: uuid.UUID, /, **changes: Any) -> vault_pb2.Account:
        """A new Binance testnet account."""
        fields: dict[str, Any] = {
            "user_id": str(user_id),
            "exchange": vault_pb2.EXCHANGE_BINANCE,
            "environment": vault_pb2.ENVIRONMENT_TESTNET,
            "api_key": API_KEY,
            "api_secret": API_SECRET,
            "label": "main",
        }
        request = vault_pb2.RegisterAccountRequest(**(fields | changes))
        return (await call(self.accounts.RegisterAccount(request, timeout=5))).account

    async def toggle(self, account: vault_pb2.Account) -> vault_pb2.Account:
        """Turns an account over, as its owner."""
        request = vault_pb2.ToggleAccountRequest(user_id=account.user_id, account_id=account.account_id)
        return (await call(self.accounts.ToggleAccount(request, timeout=5))).account

    async def delete(self, account: vault_pb2.Account) -> None:
        """Deletes an account, as its owner."""
        request = vault_pb2.DeleteAccountRequest(user_id=account.user_id, account_id=account.account_id)
        await call(self.accounts.DeleteAccount(request, timeout=5))

    async def sign(self, *items: vault_pb2.SignItem) -> list[vault_pb2.SignResult]:
        """Asks for signatures as execution."""
        return list((await call(self.signer.Sign(vault_pb2.SignRequest(items=items), timeout=10))).results)

    async def sign_one(self, item: vault_pb2.SignItem) -> vault_pb2.SignResult:
        """Asks for one signature."""
        return (await self.sign(item))[0]

    async def refusal(self, item: vault_pb2.SignItem) -> str:
        """The reason why an item is refused; empty when it is signed."""
        return (await self.sign_one(item)).error.reason

    def order(self, account: vault_pb2.Account, client_order_id: str, **changes: str) -> vault_pb2.SignItem:
        """A market order of now; `changes` replace or add parameters, an empty value removes one."""
        parameters = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "MARKET",
            "quantity": "0.050",
            "newClientOrderId": client_order_id,
            "newOrderRespType": "RESULT",
            "timestamp": str(self.clock.milliseconds),
            "recvWindow": "5000",
        }
        parameters |= changes
        return item(account, "POST", "/fapi/v1/order", *((n, v) for n, v in parameters.items() if v))

    def query(self, account: vault_pb2.Account, path: str = "/fapi/v3/balance") -> vault_pb2.SignItem:
        """A read of now without parameters of its own."""
        return item(account, "GET", path, ("timestamp", str(self.clock.milliseconds)))

    async def audit(self, columns: str = "*", where: str = "true") -> list[asyncpg.Record]:
        """Rows of the audit, oldest first."""
        statement = f"SELECT {columns} FROM vault.audit_entries WHERE {where} ORDER BY seq"  # noqa: S608  # ours
        return await self.fetch(statement)

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Runs a statement as the database's administrator."""
        return await as_admin(self.database, statement, *arguments)


def item(
    account: vault_pb2.Account, method: str, path: str, *parameters: tuple[str, str], **fields: Any
) -> vault_pb2.SignItem:
    """A request to sign, as its owner."""
    return vault_pb2.SignItem(
        user_id=account.user_id,
        account_id=account.account_id,
        method=method,
        path=path,
        parameters=[vault_pb2.Parameter(name=name, value=value) for name, value in parameters],
        **fields,
    )


async def as_admin(database: TestDatabase, statement: str, *arguments: object) -> list[asyncpg.Record]:
    """Runs a statement as the database's administrator."""
    connection = await asyncpg.connect(database.admin.reveal())
    try:
        rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
        return rows
    finally:
        await connection.close()


def client_order_id(number: int = 0) -> str:
    """An id of our shape."""
    return f"tb{number:026d}en"


def make_key() -> Secret:
    """A random key-encryption key."""
    return Secret(base64.urlsafe_b64encode(os.urandom(32)).decode())


# The audit's own trigger refuses a TRUNCATE.
_EMPTY = """
    ALTER TABLE vault.audit_entries DISABLE TRIGGER append_only;
    TRUNCATE vault.api_keys, vault.signed_orders, vault.audit_entries;
    ALTER TABLE vault.audit_entries ENABLE ALWAYS TRIGGER append_only;
"""


@pytest.fixture(scope="session")
def vault_database(database_server: EmbeddedPostgres) -> TestDatabase:
    """One migrated database for all tests here: making one for each would take most of their time."""
    name = "vault_tests"
    execute(database_server.url(database="postgres"), f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return TestDatabase(
        admin=database_server.url(database=name),
        roles={
            service: database_server.url(role_of(service), password=password, database=name)
            for service, password in ROLE_PASSWORDS.items()
        },
    )


@pytest.fixture
def database(vault_database: TestDatabase) -> TestDatabase:
    """The database, emptied. A test that changes its rights or tables puts them back."""
    execute(vault_database.admin, _EMPTY)
    return vault_database


def execute(url: Secret, statement: str) -> None:
    """Runs statements where no event loop runs yet."""

    async def connect_and_execute() -> None:
        connection = await asyncpg.connect(url.reveal())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(connect_and_execute())


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(read_key(make_key()))


@pytest.fixture
def settings(database: TestDatabase, tls: Callable[[str], TlsFiles], keyring: Keyring) -> Settings:
    return Settings(
        database_url=database.roles["vault"],
        listen_address="127.0.0.1:0",
        admin_address="127.0.0.1:0",
        tls=tls("vault"),
        keyring=keyring,
    )


VaultStarter = Callable[..., AbstractAsyncContextManager[RunningVault]]


@pytest.fixture
def start_vault(
    database: TestDatabase, tls: Callable[[str], TlsFiles], settings: Settings, clock: MovableClock
) -> VaultStarter:
    """Starts a vault; call it again for a second one on the same database."""

    @asynccontextmanager
    async def start(
        settings: Settings = settings, tls: Callable[[str], TlsFiles] = tls
    ) -> AsyncIterator[RunningVault]:
        async with (
            serve(settings, clock) as addresses,
            dial(addresses.grpc, service="vault", tls=tls("gateway")) as gateway,
            dial(addresses.grpc, service="vault", tls=tls("execution")) as execution,
        ):
            yield RunningVault(
                accounts=vault_pb2_grpc.VaultServiceStub(gateway),
                signer=vault_pb2_grpc.SignerServiceStub(execution),
                clock=clock,
                database=database,
                address=addresses.grpc,
                admin=addresses.admin,
            )

    return start


@pytest.fixture
async def vault(start_vault: VaultStarter) -> AsyncIterator[RunningVault]:
    """One running vault."""
    async with start_vault() as running:
        yield running


@pytest.fixture
def user_id() -> uuid.UUID:
    return uuid.uuid4()


@pytest.fixture
async def account(vault: RunningVault, user_id: uuid.UUID) -> vault_pb2.Account:
    """A registered account."""
    return await vault.register(user_id)


@pytest.fixture
def healthz() -> Callable[[str], tuple[int, str]]:
    """Asks an admin port how its process is: status and text."""

    def ask(address: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(address, timeout=10)
        try:
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    return ask
