"""What tests of every part stand on: a real PostgreSQL with the real migrations, and an internal CA."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from cli.certificates import CertificateAuthority
from cli.postgres import EmbeddedPostgres
from tradekit.service.channel import TlsFiles
from tradekit.service.clock import UtcClock
from tradekit.service.migrations import SERVICES, prepare, role_of, upgrade
from tradekit.service.secret import Secret

# Machines are busy: how long an example takes says nothing about the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

TEMPLATE = "template_tradingbot"
ROLE_PASSWORDS = {service: Secret(f"{service}-role-password") for service in SERVICES}
_numbers = itertools.count()


@dataclass(frozen=True)
class TestDatabase:
    """A migrated database of one test.

    Attributes:
        admin: URL of the administrator, who owns all tables.
        roles: Service name -> URL of its runtime role.
    """

    __test__ = False
    admin: Secret
    roles: dict[str, Secret]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
async def one_event_loop(anyio_backend: str) -> AsyncIterator[None]:
    """Keeps one event loop for the whole run: gRPC's poller goes on waking the loops that it has met."""
    yield  # noqa: PT022  # its life is what it is for


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server of this test process, with a migrated template database."""
    data = tmp_path_factory.mktemp("postgres") / "data"
    server = EmbeddedPostgres(data, password=Secret("administrator-password"), fsync=False)
    asyncio.run(server.start())
    try:
        asyncio.run(_make_template(server))
        yield server
    finally:
        asyncio.run(server.stop())


async def _make_template(server: EmbeddedPostgres) -> None:
    await server.create_database(TEMPLATE)
    url = server.url(database=TEMPLATE)
    await prepare(url, ROLE_PASSWORDS)
    await upgrade(url)


@pytest.fixture
def database(database_server: EmbeddedPostgres) -> Iterator[TestDatabase]:
    """A fresh database with the schemas of all services, empty."""
    name = f"test_{next(_numbers)}"
    asyncio.run(_execute(database_server, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    yield TestDatabase(
        admin=database_server.url(database=name),
        roles={
            service: database_server.url(role_of(service), password=password, database=name)
            for service, password in ROLE_PASSWORDS.items()
        },
    )
    asyncio.run(_execute(database_server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(server: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(server.url(database="postgres").reveal())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TlsFiles]:
    """Certificate files by service name, all of one internal authority."""
    folder: Path = tmp_path_factory.mktemp("ca")
    return CertificateAuthority(folder, UtcClock()).files
