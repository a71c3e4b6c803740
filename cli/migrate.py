"""`tradingbot migrate`: roles, schemas and tables of all services on a server of one's own."""

import asyncio
import os
import sys
from collections.abc import Mapping

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from tradekit.service.config import Environment
from tradekit.service.migrations import SERVICES, prepare, upgrade
from tradekit.service.secret import Secret

DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError, OSError)


def migrate_from_shell() -> int:
    """Reads DATABASE_URL and `<SERVICE>_DATABASE_PASSWORD`; returns 0, or 1 when the database refuses.

    Raises:
        ConfigurationError: Names all settings that are missing.
    """
    env = Environment(os.environ)
    admin_url = env.secret("DATABASE_URL")
    passwords = {service: env.secret(f"{service.upper()}_DATABASE_PASSWORD") for service in SERVICES}
    env.check()
    try:
        asyncio.run(migrate(admin_url, passwords))
    except DATABASE_ERRORS as error:
        print(f"tradingbot migrate: {error}", file=sys.stderr)
        return 1
    print("the database is up to date")
    return 0


async def migrate(admin_url: Secret, passwords: Mapping[str, Secret]) -> None:
    """Makes roles and schemas and runs all migrations. Repeatable.

    Args:
        admin_url: Of an administrator.
        passwords: Service name -> password of its role.
    """
    await prepare(admin_url, passwords)
    await upgrade(admin_url)
