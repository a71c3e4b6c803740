"""A service's own schema in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import MetaData
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from tradekit.service.secret import Secret

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


def sqlalchemy_url(url: Secret) -> URL:
    """A `postgresql://…` URL for SQLAlchemy's asyncpg driver."""
    return make_url(url.reveal()).set(drivername="postgresql+asyncpg")


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
    engine = create_async_engine(
        sqlalchemy_url(url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=2.0,
        pool_pre_ping=True,
        # The text of a database error ends up in logs; what was to be stored does not.
        hide_parameters=True,
        connect_args={"timeout": 2.0, "command_timeout": 10.0},
    )
    try:
        yield Database(engine)
    finally:
        await engine.dispose()
