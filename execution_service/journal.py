"""The journal: what was asked for, what is intended, what came of it. All SQL of this service.

Nothing is sent to an exchange before it stands here, and nothing is acknowledged before it stands here.
Writes of many signals share one transaction (`Batcher`), so that a busy second costs a few commits and not
thousands.
"""

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import asyncpg

from execution_service import journal_rows as sql
from execution_service.errors import alert_id_reused, journal_unavailable
from execution_service.signals import Leg, Signal
from tradekit.market.sizing import Side
from tradekit.service.batching import Batcher, Overloaded
from tradekit.service.clock import Clock
from tradekit.service.secret import Secret

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

# An alert without an id that comes again within this of one whose answer was lost is the same alert.
REPEAT_WINDOW = timedelta(seconds=20)
# TradingView waits 3 s for an answer: one that is pending for longer was never delivered.
DELIVERY_PATIENCE = timedelta(seconds=3.5)
STATEMENT_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """An alert that is to be made durable.

    Attributes:
        signal: As it will stand in the journal.
        alert_json: The alert as it came, for the journal.
        alert_key: What makes two alerts one.
        content_hash: SHA-256 of what it asks for.
        key_from_alert: Whether the key was made of the alert's own id or time.
    """

    signal: Signal
    alert_json: str
    alert_key: str
    content_hash: str
    key_from_alert: bool


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened, for the signal's history and the user's stream."""

    kind: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Guard:
    """A position of ours that is watched until it is gone.

    Attributes:
        signal_id: The signal whose stop and targets are in force.
        has_stop: Whether the journal knows that signal's stop as open; not written, only read.
    """

    user_id: uuid.UUID
    account_id: uuid.UUID
    symbol: str
    signal_id: uuid.UUID
    side: Side
    has_stop: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """What one write changes, all or nothing.

    Attributes:
        signal: The signal as it is now; its state, reason, message, plan and finish time are written.
        legs: Those of its legs that changed.
        steps: What to note in its history.
        guard: A position to watch from now on.
        unguard: Sides of the signal's market whose positions are watched no more.
    """

    signal: Signal
    legs: tuple[Leg, ...] = ()
    steps: tuple[Step, ...] = ()
    guard: Guard | None = None
    unguard: frozenset[Side] = frozenset()


@dataclass(frozen=True, slots=True)
class Event:
    """A step with its place in the order of all steps."""

    cursor: str
    id: uuid.UUID
    user_id: uuid.UUID
    account_id: uuid.UUID
    signal_id: uuid.UUID | None
    step: Step
    time: datetime


# What the database says about the content of a row, and says again however often it is asked.
# (A ValueError is what the driver says before it has sent anything.)
_CONTENT_ERRORS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError)


class JournalRefused(Exception):
    """The database does not take this content: our bug, or something that should not have got this far."""


class Journal:
    """Reads and writes the schema `execution`.

    Raises:
        Unavailable: JOURNAL_UNAVAILABLE from every method, when the database does not answer in time.
    """

    def __init__(self, pool: "asyncpg.Pool", clock: Clock) -> None:
        self._pool = pool
        self.clock = clock
        self._arrivals: Batcher[Arrival, bool] = Batcher(self._insert_arrivals, waiting=2_000)
        self._changes: Batcher[Change, None] = Batcher(self._write_changes, waiting=20_000)
        self._changed = asyncio.Event()

    async def accept(self, arrival: Arrival) -> tuple[Signal, bool]:
        """Makes an alert durable.

        Returns:
            The signal, and whether this alert had come before; then it is the first one's signal.

        Raises:
            AlreadyExists: ALERT_ID_REUSED: the key was used for other content.
        """
        if not arrival.key_from_alert:
            first = await self._undelivered_twin(arrival)
            if first is not None:
                return await self.get(first), True
        try:
            added = await self._arrivals.submit(arrival)
        except (Overloaded, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise journal_unavailable() from error
        if added:
            return arrival.signal, False
        first_signal = await self.find(arrival)
        if first_signal is None:
            raise journal_unavailable()
        return first_signal, True

    async def find(self, arrival: Arrival) -> Signal | None:
        """The signal that was made for an alert with the same key; None if there is none.

        Raises:
            AlreadyExists: ALERT_ID_REUSED: the key was used for other content.
        """
        row = await self._row(
            "SELECT id, content_hash FROM signals WHERE account_id = $1 AND alert_key = $2",
            arrival.signal.account_id,
            arrival.alert_key,
        )
        if row is None:
            return None
        if row["content_hash"] != arrival.content_hash:
            raise alert_id_reused()
        return await self.get(row["id"])

    async def write(self, change: Change) -> None:
        """Writes a change; returns when it is durable."""
        try:
            await self._changes.submit(change)
        except (Overloaded, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise journal_unavailable() from error

    async def record_delivery(self, user_id: uuid.UUID, signal_id: uuid.UUID, *, delivered: bool) -> None:
        """Notes whether the sender got our answer."""
        await self._execute(
            "UPDATE signals SET delivery = $3 WHERE id = $1 AND user_id = $2",
            signal_id,
            user_id,
            "delivered" if delivered else "undelivered",
        )

    async def get(self, signal_id: uuid.UUID, user_id: uuid.UUID | None = None) -> Signal:
        """A signal with its legs.

        Args:
            signal_id: Which.
            user_id: Whose it must be; None for our own work.

        Raises:
            KeyError: There is none, or it is another user's.
        """
        signals = await self._signals(
            "WHERE id = $1 AND ($2::uuid IS NULL OR user_id = $2)", signal_id, user_id
        )
        if not signals:
            raise KeyError(signal_id)
        return signals[0]

    async def page(
        self, user_id: uuid.UUID, account_id: uuid.UUID | None, *, before: int | None, size: int
    ) -> list[Signal]:
        """A user's signals, newest first, those before a sequence number."""
        return await self._signals(
            "WHERE user_id = $1 AND ($2::uuid IS NULL OR account_id = $2)"
            " AND ($3::bigint IS NULL OR sequence < $3) ORDER BY sequence DESC LIMIT $4",
            user_id,
            account_id,
            before,
            size,
        )

    async def unfinished(self) -> list[Signal]:
        """All signals that are not final, in the order in which they came."""
        return await self._signals("WHERE finished_at IS NULL ORDER BY sequence")

    async def steps(self, signal_id: uuid.UUID) -> list[tuple[datetime, Step]]:
        """The history of a signal, oldest first."""
        rows = await self._rows(
            "SELECT created_at, kind, attributes FROM events WHERE signal_id = $1 ORDER BY sequence",
            signal_id,
        )
        return [(row["created_at"], Step(row["kind"], json.loads(row["attributes"]))) for row in rows]

    async def guards(self) -> list[Guard]:
        """All positions that are watched."""
        rows = await self._rows(
            "SELECT *, EXISTS (SELECT FROM legs WHERE legs.signal_id = guards.signal_id"
            " AND legs.kind = 'stop_loss' AND legs.state = 'open') AS has_stop"
            " FROM guards ORDER BY account_id, symbol"
        )
        return [
            Guard(
                user_id=row["user_id"],
                account_id=row["account_id"],
                symbol=row["symbol"],
                signal_id=row["signal_id"],
                side=Side(row["side"]),
                has_stop=row["has_stop"],
            )
            for row in rows
        ]

    async def resting_entries(self) -> list[Signal]:
        """Signals that are final while their entry is still open on the exchange, oldest first."""
        return await self._signals(
            "WHERE finished_at IS NOT NULL AND id IN (SELECT signal_id FROM legs"
            " WHERE kind = 'entry' AND state = 'open') ORDER BY sequence"
        )

    async def resting(self, account_id: uuid.UUID, symbol: str) -> list[Signal]:
        """A market's signals with legs that are, or may be, open on the exchange, oldest first."""
        return await self._signals(
            "WHERE account_id = $1 AND symbol = $2 AND id IN (SELECT signal_id FROM legs"
            " WHERE state IN ('intended', 'unknown', 'open')) ORDER BY sequence",
            account_id,
            symbol,
        )

    async def recent_markets(self, since: datetime) -> list[tuple[uuid.UUID, uuid.UUID, str]]:
        """(user, account, symbol) of the signals since then."""
        rows = await self._rows(
            "SELECT DISTINCT user_id, account_id, symbol FROM signals WHERE received_at >= $1", since
        )
        return [(row["user_id"], row["account_id"], row["symbol"]) for row in rows]

    async def unresolved(self, account_id: uuid.UUID) -> bool:
        """Whether the account has a signal that is not final, an entry that rests, or a watched position."""
        return bool(
            await self._value(
                "SELECT EXISTS (SELECT FROM signals WHERE account_id = $1 AND finished_at IS NULL)"
                " OR EXISTS (SELECT FROM guards WHERE account_id = $1)"
                " OR EXISTS (SELECT FROM signals JOIN legs ON legs.signal_id = signals.id"
                " WHERE account_id = $1 AND legs.kind = 'entry' AND legs.state = 'open')",
                account_id,
            )
        )

    async def events_after(self, cursor: str, limit: int) -> list[Event]:
        """The events behind `cursor` ("" for all that are kept), in order.

        An event is shown when every transaction that began before its own has ended: later ones cannot then
        appear in front of it.

        Raises:
            ValueError: It is no cursor of ours.
        """
        transaction, sequence = (int(part) for part in (cursor or "0-0").split("-"))
        if not (0 <= transaction < 2**63 and 0 <= sequence < 2**63):
            raise ValueError(cursor)
        rows = await self._rows(
            "SELECT * FROM events WHERE (transaction_id, sequence) > ($1::text::xid8, $2)"
            " AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())"
            " ORDER BY transaction_id, sequence LIMIT $3",
            str(transaction),
            sequence,
            limit,
        )
        return [
            Event(
                cursor=f"{row['transaction_id']}-{row['sequence']}",
                id=row["id"],
                user_id=row["user_id"],
                account_id=row["account_id"],
                signal_id=row["signal_id"],
                step=Step(row["kind"], json.loads(row["attributes"])),
                time=row["created_at"],
            )
            for row in rows
        ]

    async def wait_for_change(self, longest_s: float) -> None:
        """Returns after the next write of this process, or after `longest_s`."""
        changed = self._changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await changed.wait()

    async def check(self) -> None:
        """Asks the database for an answer."""
        await self._value("SELECT 1")

    async def _undelivered_twin(self, arrival: Arrival) -> uuid.UUID | None:
        now = self.clock.now()
        found = await self._value(
            "SELECT id FROM signals WHERE account_id = $1 AND content_hash = $2 AND NOT key_from_alert"
            " AND received_at > $3"
            " AND (delivery = 'undelivered' OR (delivery = 'pending' AND received_at < $4))"
            " ORDER BY sequence DESC LIMIT 1",
            arrival.signal.account_id,
            arrival.content_hash,
            now - REPEAT_WINDOW,
            now - DELIVERY_PATIENCE,
        )
        return found if isinstance(found, uuid.UUID) else None

    async def _insert_arrivals(self, arrivals: Sequence[Arrival]) -> Sequence[bool | BaseException]:
        return await _isolating(arrivals, self._insert_together)

    async def _insert_together(self, arrivals: Sequence[Arrival]) -> list[bool]:
        columns: list[list[Any]] = [
            [arrival.signal.id for arrival in arrivals],
            [arrival.signal.user_id for arrival in arrivals],
            [arrival.signal.account_id for arrival in arrivals],
            [arrival.signal.exchange for arrival in arrivals],
            [arrival.signal.symbol for arrival in arrivals],
            [arrival.alert_key for arrival in arrivals],
            [arrival.content_hash for arrival in arrivals],
            [arrival.key_from_alert for arrival in arrivals],
            [arrival.alert_json for arrival in arrivals],
            [arrival.signal.receive_time for arrival in arrivals],
        ]
        async with self._connection() as connection:
            rows = await connection.fetch(sql.INSERT_ARRIVALS, *columns, self.clock.now())
        self._announce()
        added = {row["id"] for row in rows}
        return [arrival.signal.id in added for arrival in arrivals]

    async def _write_changes(self, changes: Sequence[Change]) -> Sequence[BaseException | None]:
        return await _isolating(changes, self._write_together)

    async def _write_together(self, changes: Sequence[Change]) -> list[None]:
        now = self.clock.now()
        signals = [sql.signal_values(change.signal) for change in changes]
        legs = [sql.leg_values(leg, now) for change in changes for leg in change.legs]
        steps = [
            (signal.user_id, signal.account_id, signal.id, step.kind, json.dumps(dict(step.attributes)), now)
            for change in changes
            for signal in (change.signal,)
            for step in change.steps
        ]
        async with self._connection() as connection, connection.transaction():
            await connection.executemany(sql.UPDATE_SIGNAL, signals)
            await connection.executemany(sql.UPSERT_LEG, legs)
            await connection.executemany(sql.INSERT_EVENT, steps)
            for change in changes:
                if change.unguard:
                    await connection.execute(sql.DELETE_GUARD, *_unguard_values(change))
                if change.guard is not None:
                    await connection.execute(sql.UPSERT_GUARD, *_guard_values(change.guard), now)
        self._announce()
        return [None] * len(changes)

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _signals(self, condition: str, *arguments: object) -> list[Signal]:
        rows = await self._rows(f"SELECT * FROM signals {condition}", *arguments)  # noqa: S608  # our own text
        legs = await self._rows(
            "SELECT * FROM legs WHERE signal_id = ANY($1) ORDER BY position", [row["id"] for row in rows]
        )
        by_signal: dict[uuid.UUID, list[Leg]] = {}
        for leg in legs:
            by_signal.setdefault(leg["signal_id"], []).append(sql.leg_from(leg))
        return [sql.signal_from(row, tuple(by_signal.get(row["id"], ()))) for row in rows]

    async def _rows(self, statement: str, *arguments: object) -> list["asyncpg.Record"]:
        try:
            async with self._connection() as connection:
                return list(await connection.fetch(statement, *arguments))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise journal_unavailable() from error

    async def _row(self, statement: str, *arguments: object) -> "asyncpg.Record | None":
        rows = await self._rows(statement, *arguments)
        return rows[0] if rows else None

    async def _value(self, statement: str, *arguments: object) -> object:
        row = await self._row(statement, *arguments)
        return row[0] if row is not None else None

    async def _execute(self, statement: str, *arguments: object) -> None:
        await self._rows(statement, *arguments)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["asyncpg.Connection"]:
        async with self._pool.acquire(timeout=STATEMENT_TIMEOUT_S) as connection:
            yield connection


@asynccontextmanager
async def open_journal(url: Secret, clock: Clock) -> AsyncIterator[Journal]:
    """Yields the journal in the database at `url`; closes its connections on exit."""
    # No session-wide settings are made, so that a connection needs no reset query when it is given back.
    pool = await asyncpg.create_pool(
        url.reveal(), min_size=2, max_size=10, timeout=2.0, command_timeout=STATEMENT_TIMEOUT_S, reset=_keep
    )
    try:
        yield Journal(pool, clock)
    finally:
        await pool.close()


async def _keep(_: "asyncpg.Connection") -> None:
    """Leaves the connection as it is."""


async def _isolating(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Awaitable[list[Result]]]
) -> Sequence[Result | BaseException]:
    """Does all items together; when the database refuses what one holds, each alone.

    What one user's alert or one exchange's answer holds must not keep the others' from being written.
    """
    try:
        return await work(items)
    except _CONTENT_ERRORS as error:
        if len(items) == 1:
            log.error("journal.refused", extra={"error": type(error).__name__})
            refusal = JournalRefused()
            refusal.__cause__ = error
            return [refusal]
    return [result for item in items for result in await _isolating([item], work)]


def _guard_values(guard: Guard) -> tuple[Any, ...]:
    return (
        guard.user_id,
        guard.account_id,
        guard.symbol,
        guard.signal_id,
        guard.side.value,
    )


def _unguard_values(change: Change) -> tuple[Any, ...]:
    return (change.signal.account_id, change.signal.symbol, [side.value for side in change.unguard])
