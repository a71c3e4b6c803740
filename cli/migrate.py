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


def migrate() -> int:
    """Reads DATABASE_URL and `<SERVICE>_DATABASE_PASSWORD`; returns 0, or 1 when the database refuses.

    Raises:
        ConfigurationError: Names all settings that are missing.
    """
    env = Environment(os.environ)
    admin_url = env.secret("DATABASE_URL")
    passwords = {service: env.secret(f"{service.upper()}_DATABASE_PASSWORD") for service in SERVICES}
    env.check()
    try:
        asyncio.run(_migrate(admin_url, passwords))
    except (asyncpg.PostgresError, SQLAlchemyError, OSError) as error:
        print(f"tradingbot migrate: {error}", file=sys.stderr)
        return 1
    print("the database is up to date")
    return 0


async def _migrate(admin_url: Secret, passwords: Mapping[str, Secret]) -> None:
    await prepare(admin_url, passwords)
    await upgrade(admin_url)
