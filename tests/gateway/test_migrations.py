"""The gateway's tables are what its models say, and its role may do what it needs and no more."""

import asyncpg
import pytest
from alembic import command

from tests.conftest import TestDatabase
from tradekit.service.migrations import alembic_config

pytestmark = pytest.mark.anyio


def test_models_and_migrations_agree(database: TestDatabase) -> None:
    command.check(alembic_config("gateway", database.admin))


async def test_role_cannot_change_its_tables(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.roles["gateway"].reveal())
    try:
        assert await connection.fetchval("SELECT count(*) FROM users") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DROP TABLE users")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM event_cursors")
    finally:
        await connection.close()


async def test_other_services_cannot_read_users(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.roles["execution"].reveal())
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval("SELECT count(*) FROM gateway.users")
    finally:
        await connection.close()
