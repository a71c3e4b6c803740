"""The signer's connections: what heals by itself, and what must not be tried twice."""

import threading
from collections.abc import Awaitable, Callable

import pytest

from tests.conftest import TestDatabase
from tests.vault_service.conftest import MovableClock, as_admin, execute
from vault_service.audit import AuditEvent
from vault_service.commands import audit_verify
from vault_service.errors import AuditUnavailable
from vault_service.signing_journal import SigningJournal, open_signing_journal

pytestmark = pytest.mark.anyio

EVENT = AuditEvent("execution", "sign", "GET /fapi/v3/balance")
TERMINATE = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'vault signer'"
)


async def append_and(journal: SigningJournal, act: Callable[[], Awaitable[object]]) -> None:
    """Appends a row and does something more before the transaction ends."""
    async with journal.transaction() as transaction:
        await transaction.append([EVENT], now=MovableClock().now())
        await act()


async def bug() -> None:
    """Fails with nothing to do with the database."""
    raise KeyError


async def test_F18_connection_that_died_unnoticed_is_replaced(
    database: TestDatabase, clock: MovableClock
) -> None:
    """The server ends the connection while this process is busy and cannot see it."""
    async with open_signing_journal(database.roles["vault"]) as journal:
        await journal.append(EVENT, now=clock.now())
        elsewhere = threading.Thread(target=execute, args=(database.admin, TERMINATE))
        elsewhere.start()
        elsewhere.join()

        await journal.append(EVENT, now=clock.now())

        assert journal.problem is None
    assert (await audit_verify(database.roles["vault"])).entry_count == 2


async def test_connection_that_dies_inside_a_transaction_records_nothing(
    database: TestDatabase, clock: MovableClock
) -> None:
    async with open_signing_journal(database.roles["vault"]) as journal:
        with pytest.raises(AuditUnavailable):
            await append_and(journal, lambda: as_admin(database, TERMINATE))
        assert journal.problem is not None
        assert (await audit_verify(database.roles["vault"])).entry_count == 0

        await journal.append(EVENT, now=clock.now())

        assert journal.problem is None


async def test_error_of_ours_rolls_back_and_is_not_blamed_on_the_audit(
    database: TestDatabase, clock: MovableClock
) -> None:
    async with open_signing_journal(database.roles["vault"]) as journal:
        with pytest.raises(KeyError):
            await append_and(journal, bug)

        assert journal.problem is None
        await journal.append(EVENT, now=clock.now())
    assert (await audit_verify(database.roles["vault"])).entry_count == 1


async def test_process_that_stands_still_in_a_transaction_frees_the_others(
    database: TestDatabase, clock: MovableClock
) -> None:
    """The server ends a transaction that idles; who held it cannot commit any more, so nothing was signed."""
    async with (
        open_signing_journal(database.roles["vault"]) as frozen,
        open_signing_journal(database.roles["vault"]) as other,
    ):
        with pytest.raises(AuditUnavailable):
            await append_and(frozen, lambda: other.append(EVENT, now=clock.now()))
    assert (await audit_verify(database.roles["vault"])).entry_count == 1
