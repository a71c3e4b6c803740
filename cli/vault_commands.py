"""`tradingbot vault …`: the vault's own commands, on the embedded database or on DATABASE_URL."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cli.home import Home, HomeInUse, HomeUnusable, open_home
from cli.postgres import EmbeddedPostgres
from cli.settings import new_token
from tradekit.service.config import Environment
from tradekit.service.migrations import role_of
from tradekit.service.secret import Secret


@asynccontextmanager
async def vault_database(root: Path) -> AsyncIterator[Secret]:
    """Yields the URL of the vault's database: DATABASE_URL, or the embedded server, started unless it runs.

    Raises:
        HomeUnusable: There is no embedded database in `root`.
    """
    given = Environment(os.environ).optional_secret("DATABASE_URL")
    if given is not None:
        yield given
        return
    if not _has_database(root):
        raise HomeUnusable(f"{root} holds no database: name its folder with --home, or set DATABASE_URL")
    try:
        with open_home(root) as home:
            server = _server(home)
            await server.start()
            try:
                yield _vault_url(server, home)
            finally:
                await server.stop()
    except HomeInUse:
        home = Home(root)
        server = _server(home)
        server.attach()
        yield _vault_url(server, home)


def _has_database(root: Path) -> bool:
    return (root / "postgres").exists()


def _server(home: Home) -> EmbeddedPostgres:
    return EmbeddedPostgres(home.root / "postgres", password=home.secret("POSTGRES_PASSWORD", new_token))


def _vault_url(server: EmbeddedPostgres, home: Home) -> Secret:
    return server.url(role_of("vault"), password=home.secret("VAULT_DATABASE_PASSWORD", new_token))
