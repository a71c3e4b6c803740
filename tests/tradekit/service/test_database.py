"""Connections to PostgreSQL: transactions, healing, and errors that show no values."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tests.conftest import TestDatabase
from tradekit.service.database import Database, make_engine, metadata, open_database
from tradekit.service.secret import Secret

pytestmark = pytest.mark.anyio

BACKEND = text("SELECT pg_backend_pid()")


async def _insert(db: Database, *values: int) -> None:
    async with db.begin() as session:
        for value in values:
            await session.execute(text("INSERT INTO public.n VALUES (:value)"), {"value": value})


async def test_a_block_is_committed_as_a_whole_or_not_at_all(database: TestDatabase) -> None:
    async with open_database(database.admin) as db:
        async with db.begin() as session:
            await session.execute(text("CREATE TABLE public.n (value int PRIMARY KEY)"))
        await _insert(db, 1)
        with pytest.raises(DBAPIError, match="duplicate key"):
            await _insert(db, 2, 1)
        async with db.begin() as session:
            assert (await session.scalars(text("SELECT value FROM public.n"))).all() == [1]


async def test_F18_connections_that_the_server_closed_are_replaced(database: TestDatabase) -> None:
    async with open_database(database.roles["strategy"], pool_size=2) as db:
        async with db.begin() as session:
            before = await session.scalar(BACKEND)
        admin = await asyncpg.connect(database.admin.reveal())
        try:
            await admin.execute("SELECT pg_terminate_backend($1)", before)
            while await admin.fetchval("SELECT 1 FROM pg_stat_activity WHERE pid = $1", before):
                pass
        finally:
            await admin.close()
        async with db.begin() as session:
            assert await session.scalar(BACKEND) != before


async def test_F19_a_pool_that_is_empty_refuses_in_time(database: TestDatabase) -> None:
    async with (
        open_database(database.roles["strategy"], pool_size=1) as db,
        db.begin() as first,
        db.begin() as second,
    ):
        await first.execute(BACKEND)
        await second.execute(BACKEND)
        async with asyncio.timeout(2.5):
            with pytest.raises(PoolTimeout):
                async with db.begin() as third:
                    await third.execute(BACKEND)


async def test_R5_an_error_shows_no_value(database: TestDatabase) -> None:
    async with open_database(database.roles["strategy"]) as db:
        with pytest.raises(DBAPIError) as refused:
            async with db.begin() as session:
                await session.execute(text("SELECT :v FROM nowhere"), {"v": "canary-a317"})
        with pytest.raises(StatementError) as unusable:
            async with db.begin() as session:
                await session.execute(text("SELECT CAST(:v AS int)"), {"v": "canary-a317"})
    assert "nowhere" in str(refused.value)
    assert "canary-a317" not in f"{refused.value} {refused.value!r}"
    assert "[SQL parameters hidden" in str(unusable.value)


async def test_R5_an_engine_does_not_show_its_password(database: TestDatabase) -> None:
    engine = make_engine(database.roles["vault"])
    assert "password" not in f"{engine!r} {engine.url}"
    await engine.dispose()


async def test_a_url_may_say_what_libpq_understands(database: TestDatabase) -> None:
    """Managed databases hand out URLs with `sslmode`."""
    url = Secret(f"{database.roles['vault'].reveal()}?sslmode=prefer&application_name=vault-test")
    async with open_database(url) as db, db.begin() as session:
        assert await session.scalar(text("SHOW application_name")) == "vault-test"


def test_names_of_constraints_do_not_depend_on_their_order() -> None:
    assert metadata("vault").schema == "vault"
    assert metadata("vault").naming_convention["ix"] == "ix_%(table_name)s_%(column_0_N_name)s"
