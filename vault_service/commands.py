"""What an operator does with the vault from the shell: check the audit, re-wrap the keys."""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tradekit.service.clock import Clock, UtcClock
from tradekit.service.secret import Secret
from vault_service import audit
from vault_service.audit import AuditEvent, AuditReport
from vault_service.cipher import RecordContext, rewrap_data_key
from vault_service.errors import DecryptionFailed
from vault_service.keyring import Keyring

# Signing waits for one batch at most: a few milliseconds.
BATCH = 200

_COLUMNS = "id, user_id, exchange, environment, is_active, version, data_key"
_NEXT = f"""
    SELECT {_COLUMNS} FROM vault.api_keys WHERE key_id <> $1 AND id > $2 ORDER BY id LIMIT $3
"""  # noqa: S608  # constants only
_UPDATE = """
    UPDATE vault.api_keys AS account SET data_key = fresh.data_key
    FROM unnest($1::uuid[], $2::bytea[]) AS fresh (id, data_key) WHERE account.id = fresh.id
"""
_NIL = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class RotationReport:
    """What a rotation did.

    Attributes:
        key_id: The current key-encryption key.
        rewrapped_count: Records that this run re-wrapped.
        current_count: Records that now need the current key only; every one of them was opened to make sure.
        unreadable: Accounts whose data key does not open; they were left as they are.
        still_needed: Ids of other keys that stored records need; such a key must not be thrown away.
    """

    key_id: str
    rewrapped_count: int
    current_count: int
    unreadable: list[uuid.UUID] = field(default_factory=list)
    still_needed: list[str] = field(default_factory=list)


async def audit_verify(database_url: Secret, *, head: str | None = None) -> AuditReport:
    """Checks the audit chain.

    Args:
        database_url: Any role that may read `vault.audit_entries`.
        head: "number:hash" from an earlier report, to notice a tail that was cut off.

    Raises:
        ValueError: `head` is not "number:hash".
    """
    expected = audit.parse_head(head) if head is not None else None
    async with _connection(database_url) as connection:
        return await audit.verify(connection, expected_head=expected)


async def rotate_keys(
    database_url: Secret, *, keyring: Keyring, clock: Clock | None = None
) -> RotationReport:
    """Re-wraps every record's data key with the keyring's current key, in batches.

    The vault may go on signing, with both keys in its own keyring. May be stopped anywhere and run again:
    what is done is done. Records that do not open are reported and left.
    """
    clock = clock or UtcClock()
    async with _connection(database_url) as connection:
        rewrapped, unreadable, after = 0, list[uuid.UUID](), _NIL
        while (batch := await _rotate_batch(connection, keyring, after, clock)) is not None:
            rewrapped += batch.rewrapped_count
            unreadable += batch.unreadable
            after = batch.last
        current_count, broken = await _verify_current(connection, keyring)
        needed = await connection.fetch(
            "SELECT DISTINCT key_id FROM vault.api_keys WHERE key_id <> $1", keyring.current.id
        )
    return RotationReport(
        key_id=keyring.current.id,
        rewrapped_count=rewrapped,
        current_count=current_count,
        unreadable=unreadable + broken,
        still_needed=sorted(row["key_id"] for row in needed),
    )


@dataclass(frozen=True, slots=True)
class _Batch:
    rewrapped_count: int
    unreadable: list[uuid.UUID]
    last: uuid.UUID


async def _rotate_batch(
    connection: asyncpg.Connection, keyring: Keyring, after: uuid.UUID, clock: Clock
) -> _Batch | None:
    async with connection.transaction():
        # Whoever changes an account holds this lock: a record cannot be toggled between our read and write.
        await connection.execute(audit.LOCK)
        rows = await connection.fetch(_NEXT, keyring.current.id, after, BATCH)
        if not rows:
            return None
        fresh, unreadable = _rewrap(rows, keyring)
        await connection.execute(_UPDATE, list(fresh), list(fresh.values()))
        subject = f"{len(fresh)} records re-wrapped with key {keyring.current.id}"
        events = [AuditEvent("operator", "rotate_keys", subject)]
        events += [
            AuditEvent(
                "operator", "rotate_keys", "data key", reason="credential_unreadable", account_id=account_id
            )
            for account_id in unreadable
        ]
        await audit.append(connection, events, head=await audit.read_head(connection), now=clock.now())
    return _Batch(len(fresh), unreadable, rows[-1]["id"])


def _rewrap(rows: list[asyncpg.Record], keyring: Keyring) -> tuple[dict[uuid.UUID, bytes], list[uuid.UUID]]:
    fresh, unreadable = dict[uuid.UUID, bytes](), list[uuid.UUID]()
    for row in rows:
        try:
            fresh[row["id"]] = rewrap_data_key(row["data_key"], _context(row), keyring)
        except DecryptionFailed:
            unreadable.append(row["id"])
    return fresh, unreadable


async def _verify_current(connection: asyncpg.Connection, keyring: Keyring) -> tuple[int, list[uuid.UUID]]:
    """Opens every record of the current key with that key alone: how many open, and which do not."""
    alone = Keyring(keyring.current)
    count, broken = 0, list[uuid.UUID]()
    query = f"SELECT {_COLUMNS} FROM vault.api_keys WHERE key_id = $1"  # noqa: S608  # constant columns
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(query, keyring.current.id, prefetch=1000):
            count += 1
            broken += _rewrap([row], alone)[1]
    return count - len(broken), broken


def _context(row: Mapping[str, Any]) -> RecordContext:
    return RecordContext(
        account_id=row["id"],
        user_id=row["user_id"],
        exchange=row["exchange"],
        environment=row["environment"],
        is_active=row["is_active"],
        version=row["version"],
    )


@asynccontextmanager
async def _connection(url: Secret) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url.reveal(), timeout=5.0)
    try:
        yield connection
    finally:
        await connection.close()
