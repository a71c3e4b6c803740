"""The vault's process: settings -> keyring -> vault and signer -> serve."""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import uvloop
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from tradekit.service.admin import admin_server
from tradekit.service.clock import Clock, UtcClock
from tradekit.service.config import ConfigurationError, Environment
from tradekit.service.database import Database, open_database
from tradekit.service.log import configure
from tradekit.service.server import grpc_server, until_stopped
from tradingbot.vault.v1 import vault_pb2_grpc
from vault_service.audit import DATABASE_FAILURES, AuditEvent, failure_text
from vault_service.config import Settings
from vault_service.hardening import hide_memory
from vault_service.keyring import KeyMissing, Keyring
from vault_service.models import ExchangeAccount
from vault_service.servicer import SignerServicer, VaultServicer
from vault_service.signer import Signer
from vault_service.signing_journal import SigningJournal, open_signing_journal
from vault_service.vault import Vault

log = logging.getLogger("vault_service")

# "Who may sign" and "who may register" are services of their own, so that the rule is one line each.
CALLERS = {
    "tradingbot.vault.v1.VaultService": frozenset({"gateway"}),
    "tradingbot.vault.v1.SignerService": frozenset({"execution"}),
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running vault really listens, each "host:port"."""

    grpc: str
    admin: str


@asynccontextmanager
async def serve(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Addresses]:
    """Runs the vault as long as the context is open.

    Raises:
        KeyMissing: Stored accounts need a key-encryption key that the settings do not have.
    """
    clock = clock or UtcClock()
    async with (
        open_database(settings.database_url, pool_size=4) as database,
        open_signing_journal(settings.database_url) as journal,
    ):
        settings.keyring.require(await _key_ids_in_use(database))
        vault = Vault(database, settings.keyring, clock)
        signer = Signer(journal, settings.keyring, clock)
        health = Health(database, journal, settings.keyring, clock)

        def register(server: grpc.aio.Server) -> None:
            vault_pb2_grpc.add_VaultServiceServicer_to_server(VaultServicer(vault), server)
            vault_pb2_grpc.add_SignerServiceServicer_to_server(SignerServicer(vault, signer), server)

        async def on_refused(caller: str, method: str) -> None:
            event = AuditEvent(caller=caller, action="call", subject=method, reason="caller_not_allowed")
            await journal.append(event, now=clock.now())

        async with (
            admin_server(settings.admin_address, health.problem) as admin,
            grpc_server(
                register,
                domain="vault",
                address=settings.listen_address,
                tls=settings.tls,
                callers=CALLERS,
                on_refused=on_refused,
            ) as address,
        ):
            started = {"address": address, "admin": admin, "key_id": settings.keyring.current.id}
            log.info("vault.started", extra=started)
            yield Addresses(grpc=address, admin=admin)
            log.info("vault.stopping")


class Health:
    """Says why the vault cannot do its work: for /healthz."""

    def __init__(self, database: Database, journal: SigningJournal, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._journal = journal
        self._keyring = keyring
        self._clock = clock

    async def problem(self) -> str | None:
        """What is wrong; None when nothing is."""
        try:
            self._keyring.require(await _key_ids_in_use(self._database))
        except KeyMissing as missing:
            return str(missing)
        except (SQLAlchemyError, OSError) as error:
            return f"the database does not answer: {type(error).__name__}"
        return await self._journal.check(now=self._clock.now())


async def _key_ids_in_use(database: Database) -> list[str]:
    async with database.begin() as session:
        return list(await session.scalars(select(ExchangeAccount.key_id).distinct()))


async def run() -> int:
    """Runs the vault until it is asked to end; the exit code."""
    try:
        settings = Settings.from_environment(Environment())
    except ConfigurationError as error:
        sys.stderr.write(f"The vault cannot start:\n{error}\n")
        return 2
    configure("vault", settings.log_level)
    try:
        async with serve(settings):
            await until_stopped()
    except KeyMissing as error:
        log.critical("vault.key_missing", extra={"problem": str(error), "needed": error.needed})
        return 2  # a wrong setting: starting again mends nothing
    except DATABASE_FAILURES as error:
        log.critical("vault.database_failed", extra={"problem": failure_text(error)})
        return 1
    return 0


def main() -> int:
    """The entry of `python -m vault_service`."""
    hide_memory()
    return uvloop.run(run())


if __name__ == "__main__":
    sys.exit(main())
