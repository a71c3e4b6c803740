"""`tradingbot migrate`: roles, schemas and tables of all services on a server of one's own."""

import asyncio
import os
from collections.abc import Mapping

import asyncpg

from cli.errors import CommandFailed
from tradekit.service.config import Environment
from tradekit.service.migrations import SERVICES, MigrationFailed, prepare, upgrade
from tradekit.service.secret import Secret


def migrate_from_shell() -> None:
    """Reads DATABASE_URL and `<SERVICE>_DATABASE_PASSWORD` and prepares that database.

    Raises:
        ConfigurationError: Names all settings that are missing.
        CommandFailed: The database refuses.
    """
    env = Environment(os.environ)
    admin_url = env.secret("DATABASE_URL")
    passwords = {service: env.secret(f"{service.upper()}_DATABASE_PASSWORD") for service in SERVICES}
    env.check()
    asyncio.run(migrate(admin_url, passwords))
    print("the database is up to date")


async def migrate(admin_url: Secret, passwords: Mapping[str, Secret]) -> None:
    """Makes roles and schemas and runs all migrations. Repeatable.

    Args:
        admin_url: Of an administrator.
        passwords: Service name -> password of its role.

    Raises:
        CommandFailed: The database refuses or does not answer.
    """
    try:
        await prepare(admin_url, passwords)
        await upgrade(admin_url)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, MigrationFailed, OSError) as error:
        raise CommandFailed(f"the database cannot be prepared: {error}") from error
