"""Migrations of all services: they make what the models say, and no role may do more than it needs."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, MetaData

from tests.conftest import TestDatabase
from tradekit.service.migrations import SERVICES, alembic_config, role_of
from tradekit.service.secret import Secret

every_service = pytest.mark.parametrize("service", SERVICES)

KEEP = {"SELECT", "INSERT", "UPDATE"}
EVERYTHING = KEEP | {"DELETE"}
APPEND = {"SELECT", "INSERT"}

# A right that a service gains is a line here, and a reason in the review.
RIGHTS = {
    "gateway": {
        "users": EVERYTHING,
        "sessions": EVERYTHING,
        "token_families": EVERYTHING,
        "refresh_tokens": EVERYTHING,
        "login_attempts": EVERYTHING,
        "webhook_secrets": EVERYTHING,
        "event_cursors": KEEP,
    },
    "vault": {"api_keys": EVERYTHING, "signed_orders": KEEP, "audit_entries": APPEND},
    "execution": {"signals": KEEP, "legs": KEEP, "events": APPEND, "guards": EVERYTHING},
    "strategy": {"backtests": APPEND},
}


def models_of(service: str) -> MetaData:
    package = service if service == "gateway" else f"{service}_service"
    metadata = importlib.import_module(f"{package}.models").Base.metadata
    assert isinstance(metadata, MetaData)
    return metadata


@asynccontextmanager
async def connected(url: Secret) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url.reveal())
    try:
        yield connection
    finally:
        await connection.close()


async def column(url: Secret, query: str, *arguments: object) -> set[str]:
    """The values of the only column of `query`."""
    async with connected(url) as connection:
        return {row[0] for row in await connection.fetch(query, *arguments)}


@every_service
def test_models_and_migrations_agree(database: TestDatabase, service: str) -> None:
    command.check(alembic_config(service, database.admin))


@every_service
def test_checks_of_the_models_are_checks_of_the_database(database: TestDatabase, service: str) -> None:
    """Which Alembic does not compare."""
    query = """
        SELECT conname FROM pg_constraint JOIN pg_namespace ON pg_namespace.oid = connamespace
        WHERE nspname = $1 AND contype = 'c'
    """
    modelled = {
        str(constraint.name)
        for table in models_of(service).tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert asyncio.run(column(database.admin, query, service)) == modelled


@every_service
def test_down_leaves_nothing_and_up_makes_it_again(database: TestDatabase, service: str) -> None:
    left = """
        SELECT relname::text FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind <> 'i'
        UNION SELECT proname::text FROM pg_proc WHERE pronamespace = $1::regnamespace
        UNION SELECT typname::text FROM pg_type
            WHERE typnamespace = $1::regnamespace AND typtype IN ('e', 'd')
    """
    config = alembic_config(service, database.admin)
    before = asyncio.run(column(database.admin, left, service))

    command.downgrade(config, "base")
    assert asyncio.run(column(database.admin, left, service)) == {"alembic_version"}

    command.upgrade(config, "head")
    command.check(config)
    assert asyncio.run(column(database.admin, left, service)) == before
    assert asyncio.run(_rights(database.admin, service)) == RIGHTS[service]


@every_service
def test_migrations_are_one_line(service: str, database: TestDatabase) -> None:
    """Two heads would leave open which is the newest."""
    script = ScriptDirectory.from_config(alembic_config(service, database.admin))
    assert len(script.get_heads()) == len(script.get_bases()) == 1


async def _rights(admin: Secret, service: str) -> dict[str, set[str]]:
    query = """
        SELECT table_name, array_agg(privilege_type::text) FROM information_schema.role_table_grants
        WHERE table_schema = $1 AND grantee = $2 GROUP BY table_name
    """
    async with connected(admin) as connection:
        rows = await connection.fetch(query, service, role_of(service))
    return {row[0]: set(row[1]) for row in rows}


@every_service
def test_a_role_has_the_rights_that_are_listed(database: TestDatabase, service: str) -> None:
    assert asyncio.run(_rights(database.admin, service)) == RIGHTS[service]


@every_service
def test_every_table_has_its_line(service: str) -> None:
    assert {table.name for table in models_of(service).tables.values()} == set(RIGHTS[service])


@every_service
def test_nobody_but_the_role_has_rights(database: TestDatabase, service: str) -> None:
    query = """
        SELECT DISTINCT grantee::text FROM information_schema.role_table_grants
        WHERE table_schema = $1 AND grantee <> current_user
    """
    assert asyncio.run(column(database.admin, query, service)) == {role_of(service)}


@every_service
def test_the_administrator_owns_everything(database: TestDatabase, service: str) -> None:
    """So that a service cannot change or drop what it uses."""
    query = "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = $1"
    owners = asyncio.run(column(database.admin, query, service))
    assert role_of(service) not in owners
    assert len(owners) == 1


REFUSED = {
    "gateway": (
        "DELETE FROM event_cursors",
        "UPDATE alembic_version SET version_num = 'x'",
        "SELECT * FROM vault.api_keys",
        "SELECT * FROM execution.signals",
    ),
    "vault": (
        "UPDATE audit_entries SET outcome = 'allowed'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "ALTER TABLE audit_entries DISABLE TRIGGER ALL",
        "DROP TABLE audit_entries",
        "DELETE FROM signed_orders",
        "SELECT * FROM execution.signals",
    ),
    "execution": (
        "UPDATE events SET user_id = user_id",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM signals",
        "DELETE FROM legs",
        "SELECT * FROM vault.api_keys",
    ),
    "strategy": (
        "UPDATE backtests SET symbol = 'X'",
        "DELETE FROM backtests",
        "SELECT * FROM gateway.users",
    ),
}


@pytest.mark.anyio
@every_service
async def test_T08_what_a_role_may_not_do_is_refused(database: TestDatabase, service: str) -> None:
    async with connected(database.roles[service]) as connection:
        for statement in REFUSED[service]:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


@pytest.mark.anyio
@pytest.mark.parametrize("replication", ["origin", "replica"])
async def test_T08_the_audit_refuses_its_owner_too(database: TestDatabase, replication: str) -> None:
    async with connected(database.admin) as connection:
        await connection.execute(f"SET session_replication_role = {replication}")
        for change in ("UPDATE {} SET outcome = 'x'", "DELETE FROM {}", "TRUNCATE {}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await connection.execute(change.format("vault.audit_entries"))
