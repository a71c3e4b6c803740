"""Roles, schemas and migrations of all services; the body of every `migrations/env.py`.

Who does what:

1. `prepare(admin_url, passwords)`: makes a schema and a runtime role for each service, repeatable.
2. `upgrade(admin_url)`: runs each service's Alembic migrations up to the newest. The administrator owns
   the tables; each migration grants its service's role what it needs with `grant(...)`, and no more.
3. The services then connect as their own role and see nothing of each other.

From the shell, with the administrator's DATABASE_URL: `alembic --name vault revision --autogenerate -m "…"`.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from tradekit.service.config import Environment
from tradekit.service.secret import Secret

# Alembic and SQLAlchemy are loaded by what uses them: a start that finds nothing to migrate does not wait
# for them.
if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection, MetaData

_REVISION = re.compile(r'^revision(?:: str)? = ["\'](\w+)["\']', re.M)
_DOWN_REVISION = re.compile(r'^down_revision(?:: [^=]+)? = ["\'](\w+)["\']', re.M)
SERVICES = ("gateway", "vault", "execution", "strategy")
_SCRAM_ITERATIONS = 4096


def role_of(service: str) -> str:
    """The database role as which `service` connects."""
    return f"tradingbot_{service}"


async def prepare(admin_url: Secret, passwords: Mapping[str, Secret]) -> None:
    """Makes the schemas and roles, and sets the roles' passwords. Repeatable.

    Args:
        admin_url: A role that may create roles and schemas in this database.
        passwords: Service name -> password of its role.
    """
    connection = await asyncpg.connect(admin_url.reveal())
    try:
        async with connection.transaction():
            # Two starts at once would race for the same role.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('tradingbot.prepare'))")
            database = await connection.fetchval("SELECT quote_ident(current_database())")
            await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
            await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            for service, password in passwords.items():
                await _prepare_service(connection, database, service, password)
    finally:
        await connection.close()


async def _prepare_service(
    connection: "asyncpg.Connection", database: str, service: str, password: Secret
) -> None:
    role = role_of(service)
    exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    verb = "ALTER" if exists else "CREATE"
    # The verifier, not the password: a statement may end up in a server log.
    await connection.execute(f"{verb} ROLE {role} LOGIN PASSWORD '{scram_verifier(password.reveal())}'")
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {service}")
    await connection.execute(f"GRANT USAGE ON SCHEMA {service} TO {role}")
    await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {role}")
    await connection.execute(f"ALTER ROLE {role} SET search_path = {service}")


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """What PostgreSQL stores for a password (RFC 5802 with SHA-256, as in pg_authid)."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{salt_text}${stored_text}:{server_text}"


class MigrationFailed(Exception):
    """A migration did not go through; the schema is as it was before it."""


async def upgrade(admin_url: Secret, services: tuple[str, ...] = SERVICES) -> None:
    """Runs the migrations of `services` up to the newest. Repeatable.

    Raises:
        MigrationFailed: The database refuses one.
    """
    for service in await _behind(admin_url, services):
        # Alembic is synchronous and starts an event loop of its own.
        await asyncio.to_thread(_upgrade_one, service, admin_url)


def _upgrade_one(service: str, admin_url: Secret) -> None:
    from alembic import command
    from alembic.util import CommandError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        command.upgrade(alembic_config(service, admin_url), "head")
    except (SQLAlchemyError, CommandError) as error:
        raise MigrationFailed(f"{service}: {error}") from error


async def _behind(admin_url: Secret, services: tuple[str, ...]) -> list[str]:
    """The services whose schema is not at its newest migration."""
    connection = await asyncpg.connect(admin_url.reveal())
    try:
        return [service for service in services if await _present(connection, service) != newest(service)]
    finally:
        await connection.close()


async def _present(connection: "asyncpg.Connection", schema: str) -> str | None:
    table = f"{schema}.alembic_version"
    if await connection.fetchval("SELECT to_regclass($1)", table) is None:
        return None
    version: str | None = await connection.fetchval(f"SELECT version_num FROM {table}")  # noqa: S608  # our names
    return version


def newest(service: str) -> str:
    """The newest revision of a service's migrations: the one that no other one stands on."""
    texts = [path.read_text(encoding="utf-8") for path in (_folder(service) / "versions").glob("*.py")]
    revisions = {match[1] for text in texts if (match := _REVISION.search(text))}
    stood_on = {match[1] for text in texts if (match := _DOWN_REVISION.search(text))}
    (head,) = revisions - stood_on
    return head


def _folder(service: str) -> Path:
    package = service if service == "gateway" else f"{service}_service"
    return Path(__file__).parents[2] / package / "migrations"


def alembic_config(service: str, admin_url: Secret) -> "Config":
    """Alembic's settings for one service."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_folder(service)))
    config.attributes["url"] = admin_url
    return config


def grant(table: str, privileges: str) -> None:
    """In a migration: lets the service's role use `table` ("schema.name")."""
    from alembic import op

    op.execute(f"GRANT {privileges} ON {table} TO {role_of(table.partition('.')[0])}")


def run(metadata: "MetaData") -> None:
    """The body of `env.py`: runs the migrations of the schema that `metadata` is of."""
    from alembic import context

    url = context.config.attributes.get("url")
    if url is None:
        env = Environment()
        url = env.secret("DATABASE_URL")
        env.check()
    asyncio.run(_run(url, metadata))


async def _run(url: Secret, metadata: "MetaData") -> None:
    from sqlalchemy import pool

    from tradekit.service.database import make_engine

    engine = make_engine(url, poolclass=pool.NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate, metadata)
            await connection.commit()
    finally:
        await engine.dispose()


def _migrate(connection: "Connection", metadata: "MetaData") -> None:
    from alembic import context

    schema = metadata.schema
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=schema,
        include_schemas=True,
        include_name=lambda name, kind, parents: kind != "schema" or name == schema,
        compare_server_default=True,
    )
    with context.begin_transaction():
        # One migration at a time, also when several machines start together.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock(hashtext('tradingbot.migrate.{schema}'))")
        context.run_migrations()
