"""Roles and schemas: each service sees its own, and no other's."""

import asyncpg
import pytest

from tests.conftest import TestDatabase
from tradekit.service.migrations import SERVICES

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("service", SERVICES)
async def test_a_role_sees_no_schema_but_its_own(database: TestDatabase, service: str) -> None:
    connection = await asyncpg.connect(database.roles[service].reveal())
    try:
        for other in SERVICES:
            visible = await connection.fetchval("SELECT has_schema_privilege($1, 'USAGE')", other)
            assert visible == (other == service)
            creates = await connection.fetchval("SELECT has_schema_privilege($1, 'CREATE')", other)
            assert not creates
    finally:
        await connection.close()
