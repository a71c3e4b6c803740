"""`tradingbot vault …`: the vault's own commands, on the embedded database or on DATABASE_URL."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from cli.errors import CommandFailed
from cli.home import Home, HomeInUse, HomeUnusable, open_home
from cli.postgres import EmbeddedPostgres
from cli.settings import new_token
from tradekit.service.config import ConfigurationError, Environment
from tradekit.service.migrations import role_of
from tradekit.service.secret import Secret
from vault_service import commands
from vault_service.audit import parse_head
from vault_service.keyring import Keyring, KeyUnusable

DONE, FAILURE = 0, 1


def audit_verify(root: Path, *, head: str | None) -> int:
    """Checks the audit chain and prints its head; returns 0 when it is whole, 1 when not.

    Raises:
        ConfigurationError: `head` is not "number:hash".
        CommandFailed: There is no database, or it does not answer.
    """
    try:
        parse_head(head or "0:" + "00" * 32)
    except ValueError:
        raise ConfigurationError(
            ["--head must be number:hash, as an earlier audit-verify printed it"]
        ) from None

    async def verify(url: Secret) -> int:
        report = await commands.audit_verify(url, head=head)
        if not report.is_good:
            print(f"row {report.first_bad} is bad: {report.problem}", file=sys.stderr)
            return FAILURE
        print(f"{report.entry_count} rows, all good\nhead {report.head}")
        return DONE

    return _on_database(root, verify)


def rotate_keys(root: Path) -> int:
    """Re-wraps all records with ENCRYPTION_KEY; returns 0 when every record needs that key only.

    Raises:
        ConfigurationError: The keys are missing or unusable.
        CommandFailed: There is no database, or it does not answer.
    """
    keyring = _keyring(root)

    async def rotate(url: Secret) -> int:
        report = await commands.rotate_keys(url, keyring=keyring)
        print(f"{report.rewrapped_count} records re-wrapped")
        print(f"{report.current_count} records need key {report.key_id} only")
        for account_id in report.unreadable:
            print(f"the data key of account {account_id} cannot be opened", file=sys.stderr)
        for key_id in report.still_needed:
            print(f"key {key_id} is still needed: do not throw it away", file=sys.stderr)
        return FAILURE if report.unreadable or report.still_needed else DONE

    return _on_database(root, rotate)


def _keyring(root: Path) -> Keyring:
    """The keys that the environment gives, else those that are stored in the state folder."""
    env = Environment(os.environ)
    home = Home(root) if _has_database(root) else None

    def read(name: str) -> Secret | None:
        return env.optional_secret(name) or (home.secret(name, None) if home else None)

    current, retired = read("ENCRYPTION_KEY"), read("ENCRYPTION_KEYS_RETIRED")
    if current is None:
        env.problems.append("ENCRYPTION_KEY (or ENCRYPTION_KEY_FILE) is not set")
    env.check()
    assert current is not None
    try:
        return Keyring.from_settings(current, retired)
    except KeyUnusable as error:
        raise ConfigurationError([f"ENCRYPTION_KEY or one of ENCRYPTION_KEYS_RETIRED {error}"]) from error


def _on_database(root: Path, action: Callable[[Secret], Awaitable[int]]) -> int:
    async def run() -> int:
        async with vault_database(root) as url:
            return await action(url)

    try:
        return asyncio.run(run())
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise CommandFailed(f"the vault's database does not answer: {error}") from error


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
