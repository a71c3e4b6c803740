"""The signer's SQL: one transaction for a whole batch, plain asyncpg, few round trips.

    BEGIN and the audit's lock | accounts and head | second lock (orders only) | audit rows | COMMIT

The accounts are read inside the transaction and behind the lock that every change of an account takes too:
what was toggled or deleted before is seen, also when another vault process did it.
"""

import logging
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from tradekit.service.secret import Secret
from vault_service import audit
from vault_service.audit import DATABASE_FAILURES, AuditEvent, Head, failure_text
from vault_service.cipher import RecordContext, SealedCredentials
from vault_service.errors import AuditUnavailable
from vault_service.models import Exchange

log = logging.getLogger(__name__)

# A signature may still arrive by the exchange's clock a little after its window: clocks are not equal.
GRACE = timedelta(seconds=1)

_STATEMENT_SECONDS = 2.0
# A vault process that stands still inside a transaction must not stop the others: shorter than they wait.
_SESSION = {"idle_in_transaction_session_timeout": "1500ms", "application_name": "vault signer"}

_BEGIN = f"BEGIN; {audit.LOCK}"
_READ = """
    SELECT head.seq, head.entry_hash, account.*, newest.record_version AS newest_version
    FROM (VALUES (1)) AS one
    LEFT JOIN LATERAL (
        SELECT seq, entry_hash FROM vault.audit_entries ORDER BY seq DESC LIMIT 1
    ) AS head ON true
    LEFT JOIN (
        SELECT id, user_id, exchange, environment, is_active, version,
            data_key, api_key, api_secret, passphrase
        FROM vault.api_keys WHERE id = ANY($1::uuid[])
    ) AS account ON true
    LEFT JOIN LATERAL (
        SELECT record_version FROM vault.audit_entries
        WHERE account_id = account.id AND record_version IS NOT NULL
        ORDER BY record_version DESC LIMIT 1
    ) AS newest ON true
"""
_MAY_INSERT = """
    SELECT has_table_privilege('vault.audit_entries', 'INSERT')
        AND NOT current_setting('transaction_read_only')::bool
"""
# The unique key is the lock. A row whose signature is dead by both sides' reckoning is taken over.
_LOCK_ORDERS = """
    INSERT INTO vault.signed_orders AS held
        (account_id, client_order_id, request, valid_until, clock_offset_ms)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::int[])
    ON CONFLICT (account_id, client_order_id) DO UPDATE
    SET request = excluded.request, valid_until = excluded.valid_until,
        clock_offset_ms = excluded.clock_offset_ms
    WHERE held.valid_until + $6::interval
        < $7::timestamptz + least(held.clock_offset_ms, excluded.clock_offset_ms) * interval '1 millisecond'
    RETURNING account_id, client_order_id
"""


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account's record as it is in the database.

    Attributes:
        is_newest: Whether the audit knows no other version of it: an old row that was put back is not.
    """

    exchange: Exchange
    context: RecordContext
    sealed: SealedCredentials
    is_newest: bool


@dataclass(frozen=True, slots=True)
class OrderLock:
    """A create-order that is about to be signed; see models.SignedOrder."""

    account_id: uuid.UUID
    client_order_id: str
    request: str
    valid_until: datetime
    clock_offset_ms: int

    @property
    def key(self) -> tuple[uuid.UUID, str]:
        """What may be held once."""
        return self.account_id, self.client_order_id


class SigningTransaction:
    """One batch: read, lock, append. Commits when `SigningJournal.transaction` ends well."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._head: Head | None = None

    async def accounts(self, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, StoredAccount]:
        """The accounts among `ids` that exist."""
        rows = await self._connection.fetch(_READ, list(ids))
        self._head = Head(rows[0]["seq"], rows[0]["entry_hash"]) if rows[0]["seq"] is not None else Head()
        return {row["id"]: _stored_account(row) for row in rows if row["id"] is not None}

    async def lock_orders(self, locks: Sequence[OrderLock], *, now: datetime) -> set[tuple[uuid.UUID, str]]:
        """Takes the second lock for orders with different keys.

        Returns:
            The keys that were free and are now held.
        """
        if not locks:
            return set()
        rows = await self._connection.fetch(
            _LOCK_ORDERS,
            [lock.account_id for lock in locks],
            [lock.client_order_id for lock in locks],
            [lock.request for lock in locks],
            [lock.valid_until for lock in locks],
            [lock.clock_offset_ms for lock in locks],
            GRACE,
            now,
        )
        return {(row["account_id"], row["client_order_id"]) for row in rows}

    async def append(self, events: Sequence[AuditEvent], *, now: datetime) -> None:
        """Appends to the audit."""
        head = self._head or await audit.read_head(self._connection)
        self._head = await audit.append(self._connection, events, head=head, now=now)


class SigningJournal:
    """The signer's connections. Remembers why the audit could not be written, until it can."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.problem: str | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SigningTransaction]:
        """Yields a transaction that holds the audit's lock; commits at the end.

        Raises:
            AuditUnavailable: Something could not be written. If that was the commit itself, it may have
                happened; whoever waits for a signature has none either way.
        """
        try:
            connection = await self._begin()
            try:
                yield SigningTransaction(connection)
                await connection.execute("COMMIT")
            except BaseException:
                # Whatever state it is in: the server rolls back what a closed connection left open.
                connection.terminate()
                raise
            finally:
                await self._pool.release(connection)
        except DATABASE_FAILURES as error:
            self.problem = f"the audit cannot be written: {failure_text(error)}"
            log.error("audit.unavailable", extra={"problem": self.problem})
            raise AuditUnavailable from error
        self.problem = None

    async def _begin(self) -> asyncpg.Connection:
        # A connection that died while it lay idle is noticed here, where nothing is lost by a second try.
        try:
            return await self._begin_once()
        except TimeoutError:
            raise
        except DATABASE_FAILURES:
            return await self._begin_once()

    async def _begin_once(self) -> asyncpg.Connection:
        connection = await self._pool.acquire(timeout=_STATEMENT_SECONDS)
        try:
            await connection.execute(_BEGIN)
        except BaseException:
            connection.terminate()
            await self._pool.release(connection)
            raise
        return connection

    async def append(self, event: AuditEvent, *, now: datetime) -> None:
        """Appends one row in a transaction of its own.

        Raises:
            AuditUnavailable: It cannot be written.
        """
        async with self.transaction() as transaction:
            await transaction.append([event], now=now)

    async def check(self, *, now: datetime) -> str | None:
        """Why the audit cannot be written, or None.

        The rights are looked at each time; after a failure a row is really written, to know that it is over.
        """
        if self.problem is None and await self._may_insert():
            return None
        with suppress(AuditUnavailable):
            await self.append(AuditEvent("vault", "check_audit", "the audit could not be written"), now=now)
        return self.problem

    async def _may_insert(self) -> bool:
        try:
            return bool(await self._pool.fetchval(_MAY_INSERT))
        except DATABASE_FAILURES:
            return False


@asynccontextmanager
async def open_signing_journal(url: Secret) -> AsyncIterator[SigningJournal]:
    """Yields the signer's connections to the database at `url`; closes them on exit."""
    pool = asyncpg.create_pool(
        url.reveal(),
        min_size=1,
        max_size=2,
        command_timeout=_STATEMENT_SECONDS,
        timeout=_STATEMENT_SECONDS,
        max_inactive_connection_lifetime=0,
        server_settings=_SESSION,
        reset=_nothing_to_reset,
    )
    async with pool:
        yield SigningJournal(pool)


async def _nothing_to_reset(_: asyncpg.Connection) -> None:
    """A connection goes back committed or closed; a reset by the server would double the round trips."""


def _stored_account(row: asyncpg.Record) -> StoredAccount:
    context = RecordContext(
        account_id=row["id"],
        user_id=row["user_id"],
        exchange=row["exchange"],
        environment=row["environment"],
        is_active=row["is_active"],
        version=row["version"],
    )
    sealed = SealedCredentials(row["data_key"], row["api_key"], row["api_secret"], row["passphrase"])
    return StoredAccount(
        Exchange(row["exchange"]), context, sealed, is_newest=row["newest_version"] == row["version"]
    )
