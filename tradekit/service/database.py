"""A service's own schema in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from tradekit.service.secret import Secret

CONNECT_TIMEOUT_S = 2.0
STATEMENT_TIMEOUT_S = 10.0

# Names that do not depend on the order of creation, so that a migration can name what it changes.
CONSTRAINT_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def metadata(schema: str) -> MetaData:
    """The table registry of one schema; give it to the service's `Base(DeclarativeBase)`."""
    return MetaData(schema=schema, naming_convention=CONSTRAINT_NAMES)


def make_engine(url: Secret, **options: Any) -> AsyncEngine:
    """SQLAlchemy's engine for a `postgresql://…` URL.

    asyncpg reads the URL itself, so that `sslmode` and whatever else libpq knows means the same everywhere.
    """

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url.reveal(), timeout=CONNECT_TIMEOUT_S, command_timeout=STATEMENT_TIMEOUT_S
        )

    # The text of a database error ends up in logs; what was to be stored does not.
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, hide_parameters=True, **options
    )


class Database:
    """The connections of one process to its schema."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._session = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """Yields a session in a transaction: committed at the end, rolled back on an error."""
        async with self._session.begin() as session:
            yield session


@asynccontextmanager
async def open_database(url: Secret, *, pool_size: int = 8) -> AsyncIterator[Database]:
    """Yields the connections to the database at `url`; closes them on exit.

    A connection is tested before it is used, so that a restarted server heals by itself.
    """
    engine = make_engine(
        url, pool_size=pool_size, max_overflow=pool_size, pool_timeout=CONNECT_TIMEOUT_S, pool_pre_ping=True
    )
    try:
        yield Database(engine)
    finally:
        await engine.dispose()
