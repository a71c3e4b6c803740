"""Roles and schemas: each service sees its own and no other's; preparing is repeatable."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from cli.postgres import EmbeddedPostgres
from tests.conftest import TestDatabase
from tradekit.service.migrations import SERVICES, prepare, role_of, scram_verifier
from tradekit.service.secret import Secret

pytestmark = pytest.mark.anyio

# The same as of the databases of all tests: roles belong to the whole server.
PASSWORDS = {service: Secret(f"{service}-role-password") for service in SERVICES}


@asynccontextmanager
async def connected(url: Secret) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url.reveal())
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def empty_database(server: EmbeddedPostgres, name: str) -> AsyncIterator[Secret]:
    """Yields the administrator's URL of a database that nothing was prepared in."""
    async with connected(server.url(database="postgres")) as admin:
        await admin.execute(f"CREATE DATABASE {name}")
        yield server.url(database=name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("service", SERVICES)
async def test_a_role_sees_no_schema_but_its_own(database: TestDatabase, service: str) -> None:
    async with connected(database.roles[service]) as connection:
        for other in SERVICES:
            visible = await connection.fetchval("SELECT has_schema_privilege($1, 'USAGE')", other)
            assert visible == (other == service)
            creates = await connection.fetchval("SELECT has_schema_privilege($1, 'CREATE')", other)
            assert not creates


async def test_a_role_may_do_nothing_with_the_server(database_server: EmbeddedPostgres) -> None:
    async with empty_database(database_server, "rights") as url:
        await prepare(url, PASSWORDS)
        for service, password in PASSWORDS.items():
            own = database_server.url(role_of(service), password=password, database="rights")
            async with connected(own) as connection:
                await _may_do_nothing(connection)


async def _may_do_nothing(connection: asyncpg.Connection) -> None:
    rights = await connection.fetchrow(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles"
        " WHERE rolname = current_user"
    )
    assert not any(rights.values())
    for statement in (
        "CREATE TABLE public.x ()",
        "CREATE TABLE x ()",
        "CREATE SCHEMA x",
        "CREATE TEMP TABLE x ()",
        "SELECT rolpassword FROM pg_authid",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_nobody_else_may_connect(database_server: EmbeddedPostgres) -> None:
    async with empty_database(database_server, "closed") as url:
        await prepare(url, PASSWORDS)
        async with connected(url) as admin:
            await admin.execute("CREATE ROLE outsider LOGIN PASSWORD 'outsider'")
            try:
                outsider = database_server.url("outsider", password=Secret("outsider"), database="closed")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await asyncpg.connect(outsider.reveal())
            finally:
                await admin.execute("DROP ROLE outsider")


async def test_its_own_schema_is_where_a_role_looks(database: TestDatabase) -> None:
    async with connected(database.roles["vault"]) as connection:
        assert await connection.fetchval("SELECT current_schema()") == "vault"


async def test_preparing_again_changes_passwords_and_keeps_everything_else(
    database: TestDatabase, database_server: EmbeddedPostgres
) -> None:
    """Roles belong to the whole server, so that the old password is set again at the end."""
    new = Secret("새 비밀번호 'quoted' $$")
    role = role_of("strategy")
    name = database.admin.reveal().rpartition("/")[2]
    async with connected(database.admin) as admin:
        await admin.execute("CREATE TABLE strategy.kept ()")
    try:
        await prepare(database.admin, {"strategy": new})
        async with connected(database_server.url(role, password=new, database=name)) as connection:
            assert await connection.fetchval("SELECT to_regclass('strategy.kept')::text") == "kept"
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(database.roles["strategy"].reveal())
    finally:
        await prepare(database.admin, {"strategy": PASSWORDS["strategy"]})
    async with connected(database.roles["strategy"]):
        pass


_START = """
import asyncio, sys
from tradekit.service.migrations import SERVICES, prepare, upgrade
from tradekit.service.secret import Secret
url = Secret(sys.stdin.read())
async def main():
    await prepare(url, {name: Secret(f"{name}-role-password") for name in SERVICES})
    await upgrade(url)
asyncio.run(main())
"""


async def _start(url: Secret) -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _START, stdin=pipe, stderr=pipe)
    _, errors = await process.communicate(url.reveal().encode())
    assert process.returncode == 0, errors.decode()


async def test_two_starts_at_once_prepare_and_migrate_once(database_server: EmbeddedPostgres) -> None:
    async with empty_database(database_server, "two_starts") as url:
        await asyncio.gather(_start(url), _start(url))
        async with connected(url) as admin:
            for service in SERVICES:
                await admin.execute(f"SET search_path = {service}")
                assert await admin.fetchval("SELECT count(*) FROM alembic_version") == 1


def test_the_verifier_is_what_postgresql_itself_makes() -> None:
    """PostgreSQL's own documentation of RFC 7677's example: user "user", password "pencil"."""
    salt = b"[m\x99h\x9d\x125\x8e\xec\xa0K\x14\x126\xfa\x81"
    assert scram_verifier("pencil", salt) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


async def test_the_server_keeps_the_verifier_and_lets_the_password_in(
    database: TestDatabase, database_server: EmbeddedPostgres
) -> None:
    verifier = scram_verifier("a password")
    name = database.admin.reveal().rpartition("/")[2]
    async with connected(database.admin) as admin:
        await admin.execute(f"CREATE ROLE verified LOGIN PASSWORD '{verifier}'")
        try:
            await admin.execute(f"GRANT CONNECT ON DATABASE {name} TO verified")
            stored = await admin.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = 'verified'")
            assert stored == verifier
            async with connected(
                database_server.url("verified", password=Secret("a password"), database=name)
            ):
                pass
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(
                    database_server.url("verified", password=Secret("another"), database=name).reveal()
                )
        finally:
            await admin.execute("DROP OWNED BY verified; DROP ROLE verified")


async def test_R5_a_password_is_in_no_statement(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may log every statement."""
    statements: list[str] = []

    async def observed(url: str) -> asyncpg.Connection:
        connection = await connect(url)
        connection.add_query_logger(lambda record: statements.append(f"{record.query} {record.args}"))
        return connection

    connect = asyncpg.connect
    monkeypatch.setattr("tradekit.service.migrations.asyncpg.connect", observed)
    await prepare(database.admin, {"strategy": PASSWORDS["strategy"]})
    sent = "\n".join(statements)
    assert "ALTER ROLE tradingbot_strategy LOGIN PASSWORD 'SCRAM-SHA-256$" in sent
    assert PASSWORDS["strategy"].reveal() not in sent
