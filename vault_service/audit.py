"""The audit: append-only rows, each holding the hash of the one before.

A row's hash covers every column and the hash of the row before, so that a changed, removed or reordered row
breaks the chain at a place that `verify` names. What it cannot show by itself is a tail that was cut off:
compare with a head that was written down elsewhere (`tradingbot vault audit-verify` prints it).

Whoever appends holds an advisory lock from reading the head until the commit: rows are numbered without gaps.
"""

import hashlib
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from vault_service.canonical import canonical
from vault_service.errors import AuditUnavailable

LOCK = "SELECT pg_advisory_xact_lock(hashtext('tradingbot.vault.audit'))"
GENESIS = bytes(32)
DONE, REFUSED = "done", "refused"

# What a database that cannot write raises, from a refused connection to a full disk.
DATABASE_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)  # a timeout is an OSError

_DOMAIN = "tradingbot.vault.audit.v1"
_SUBJECT_LENGTH = 200
_HEAD = "SELECT seq, entry_hash FROM vault.audit_entries ORDER BY seq DESC LIMIT 1"
_COLUMNS = (
    "seq, recorded_at, caller, action, subject, outcome, reason, user_id, account_id, signal_id, "
    "request_digest, record_version, previous_hash, entry_hash"
)
_ALL = f"SELECT {_COLUMNS} FROM vault.audit_entries ORDER BY seq"  # noqa: S608  # constants only
_INSERT = f"""
    INSERT INTO vault.audit_entries ({_COLUMNS})
    SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::text[], $8::uuid[], $9::uuid[], $10::text[], $11::bytea[], $12::int[], $13::bytea[], $14::bytea[])
"""  # noqa: S608  # constants only


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something to record; never holds a secret.

    Attributes:
        caller: Which service asked; "operator" for a command.
        action: "sign", "register_account", "toggle_account", "delete_account", "call", "rotate_keys", …
        subject: What it was about, for example "POST /fapi/v1/order".
        reason: Why it was refused, for example "path_not_allowed"; None when it was done.
        request_digest: SHA-256 of the request, to compare with what was sent.
        record_version: The account record's version after a change; None when nothing changed.
    """

    caller: str
    action: str
    subject: str
    reason: str | None = None
    user_id: uuid.UUID | None = None
    account_id: uuid.UUID | None = None
    signal_id: str | None = None
    request_digest: bytes | None = None
    record_version: int | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row of the chain: its number and hash; number 0 for an empty chain."""

    seq: int = 0
    entry_hash: bytes = GENESIS

    def __str__(self) -> str:
        return f"{self.seq}:{self.entry_hash.hex()}"


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a check of the audit found.

    Attributes:
        entry_count: Rows that are good, counted up to the first bad one.
        head: "number:hash" of the last good row; keep it elsewhere to notice a cut-off tail.
        first_bad: Number of the first bad or missing row; None when all are good.
        problem: What is wrong with it.
    """

    entry_count: int
    head: str
    first_bad: int | None = None
    problem: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return self.first_bad is None


async def append(
    connection: asyncpg.Connection, events: Sequence[AuditEvent], *, head: Head, now: datetime
) -> Head:
    """Appends rows behind `head` and returns the new head. The caller holds LOCK and commits."""
    rows = []
    for event in events:
        row = _row(event, seq=head.seq + 1, now=now, previous_hash=head.entry_hash)
        rows.append(row)
        head = Head(seq=row[0], entry_hash=row[-1])
    await connection.execute(_INSERT, *(list(column) for column in zip(*rows, strict=True)))
    return head


async def append_in_session(session: AsyncSession, event: AuditEvent, *, now: datetime) -> None:
    """Appends one row in the transaction of `session`, which commits it together with the change itself.

    Raises:
        AuditUnavailable: The row cannot be written.
    """
    await session.flush()
    await lock_in_session(session)
    raw = await (await session.connection()).get_raw_connection()
    connection = raw.driver_connection
    try:
        await append(connection, [event], head=await read_head(connection), now=now)
    except DATABASE_FAILURES as error:
        raise AuditUnavailable from error


async def lock_in_session(session: AsyncSession) -> None:
    """Takes LOCK in the transaction of `session`; taking it twice is harmless.

    A change of an account takes it first: no signature for the account can then be under way.
    """
    await session.execute(text(LOCK))


async def read_head(connection: asyncpg.Connection) -> Head:
    """The newest row of the chain."""
    row = await connection.fetchrow(_HEAD)
    return Head(row["seq"], row["entry_hash"]) if row else Head()


async def verify(connection: asyncpg.Connection, *, expected_head: Head | None = None) -> AuditReport:
    """Checks every row of the chain, oldest first, in one snapshot.

    Args:
        connection: Of any role that may read the table.
        expected_head: A head written down earlier: its row must still be there.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await _verify_rows(connection.cursor(_ALL, prefetch=1000), expected_head)


async def _verify_rows(rows: AsyncIterator[Sequence[Any]], expected: Head | None) -> AuditReport:
    head = Head()
    async for row in rows:
        problem = _problem_of(tuple(row), head, expected)
        if problem is not None:
            return AuditReport(head.seq, str(head), first_bad=head.seq + 1, problem=problem)
        head = Head(row[0], row[-1])
    if expected is not None and head.seq < expected.seq:
        problem = f"the chain ends at row {head.seq}, the expected head is row {expected.seq}"
        return AuditReport(head.seq, str(head), first_bad=head.seq + 1, problem=problem)
    return AuditReport(head.seq, str(head))


def _problem_of(row: tuple[Any, ...], head: Head, expected: Head | None) -> str | None:
    seq, previous_hash, entry_hash = row[0], row[-2], row[-1]
    if seq != head.seq + 1:
        return f"row {head.seq + 1} is missing"
    if previous_hash != head.entry_hash:
        return f"row {seq} does not follow the row before it"
    if entry_hash != _entry_hash(row[:-1]):
        return f"row {seq} was changed"
    if expected is not None and seq == expected.seq and entry_hash != expected.entry_hash:
        return f"row {seq} is not the one that the expected head names"
    return None


def failure_text(error: BaseException) -> str:
    """What the database said, in one line; the lines behind it may quote whole rows."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def parse_head(text: str) -> Head:
    """Reads "number:hash".

    Raises:
        ValueError: It is none.
    """
    seq, _, entry_hash = text.strip().partition(":")
    head = Head(int(seq), bytes.fromhex(entry_hash))
    if head.seq < 0 or len(head.entry_hash) != len(GENESIS):
        raise ValueError(f"{text!r} is not number:hash")
    return head


def request_digest(method: str, path: str, parameters: Iterable[tuple[str, str]]) -> bytes:
    """SHA-256 of a request as it was asked for, parameters in their order."""
    flat = (part for parameter in parameters for part in parameter)
    return hashlib.sha256(canonical(method, path, *flat)).digest()


def _row(event: AuditEvent, *, seq: int, now: datetime, previous_hash: bytes) -> tuple[Any, ...]:
    columns = (
        seq,
        now,
        event.caller,
        event.action,
        _printable(event.subject),
        DONE if event.reason is None else REFUSED,
        event.reason,
        event.user_id,
        event.account_id,
        event.signal_id,
        event.request_digest,
        event.record_version,
        previous_hash,
    )
    return (*columns, _entry_hash(columns))


def _entry_hash(columns: tuple[Any, ...]) -> bytes:
    return hashlib.sha256(canonical(_DOMAIN, *columns)).digest()


def _printable(subject: str) -> str:
    # A refused path is whatever the caller wrote: no control characters, no megabytes, no NUL.
    return subject[:_SUBJECT_LENGTH].encode("unicode_escape").decode("ascii")[:_SUBJECT_LENGTH]
