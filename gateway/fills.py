"""Users' numbers move when their orders fill: execution's events, each applied exactly once.

One process acts at a time (an advisory lock that ends with its connection). The cursor moves in the
transaction that changes the user, and only from where this process read it: even two that both believe to
hold the lock apply an event once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.models import EventCursor
from gateway.users import GAINS, apply_gain
from tradekit.service.channel import call_metadata
from tradekit.service.database import Database
from tradekit.service.secret import Secret
from tradingbot.execution.v1 import execution_pb2 as pb

if TYPE_CHECKING:
    from tradingbot.execution.v1.execution_pb2_grpc import ExecutionServiceAsyncStub

log = logging.getLogger(__name__)

STREAM = "execution"
LOCK = "tradingbot.gateway.fills"
RETRY_S = 1.0
DATABASE_TIMEOUT_S = 5.0
# Events that change nobody's numbers move the cursor now and then only.
SKIPPED_PER_COMMIT = 200

_TRY = "SELECT pg_try_advisory_lock(hashtext($1))"


class CursorMoved(Exception):
    """Another process has applied events since this one read the cursor."""


class Fills:
    """Applies execution's fills to the users."""

    def __init__(self, database: Database, execution: "ExecutionServiceAsyncStub") -> None:
        self._database = database
        self._execution = execution

    @asynccontextmanager
    async def followed(self, url: Secret) -> AsyncIterator[None]:
        """Follows execution's events while the block runs."""
        follower = asyncio.create_task(self._follow(url))
        try:
            yield
        finally:
            follower.cancel()
            with suppress(asyncio.CancelledError):
                await follower

    async def _follow(self, url: Secret) -> None:
        while True:
            try:
                async with _only_one(url):
                    await self.apply_events()
            except Exception as error:
                # Nobody stands above this task: whatever it was, the next try begins at the stored cursor.
                log.warning("fills.interrupted", extra={"error": type(error).__name__})
            await asyncio.sleep(RETRY_S)

    async def apply_events(self) -> None:
        """Applies the events behind the stored cursor, then new ones as they happen, until the stream ends.

        Raises:
            CursorMoved: Somebody else applies them too.
        """
        cursor = await self._stored_cursor()
        request = pb.WatchEventsRequest(after_cursor=cursor)
        skipped = 0
        async for response in self._execution.WatchEvents(request, metadata=call_metadata()):
            event = response.event
            skipped = 0 if event.step.kind in GAINS else skipped + 1
            if skipped % SKIPPED_PER_COMMIT == 0:
                await self._apply(event, after=cursor)
                cursor = event.cursor

    async def _apply(self, event: pb.Event, *, after: str) -> None:
        async with self._database.begin() as session:
            await _move_cursor(session, after, event.cursor)
            gain = GAINS.get(event.step.kind)
            if gain is not None:
                await apply_gain(session, UUID(event.user_id), gain)

    async def _stored_cursor(self) -> str:
        async with self._database.begin() as session:
            await session.execute(insert(EventCursor).values(stream=STREAM).on_conflict_do_nothing())
            cursor = await session.scalar(select(EventCursor.cursor).where(EventCursor.stream == STREAM))
            return cursor or ""


async def _move_cursor(session: AsyncSession, before: str, after: str) -> None:
    moved = await session.execute(
        update(EventCursor)
        .where(EventCursor.stream == STREAM, EventCursor.cursor == before)
        .values(cursor=after)
        .returning(EventCursor.stream)
    )
    if moved.one_or_none() is None:
        raise CursorMoved


@asynccontextmanager
async def _only_one(url: Secret) -> AsyncIterator[None]:
    """Waits until no other process acts; lets the next one go when the block ends."""
    timeouts = {"timeout": DATABASE_TIMEOUT_S, "command_timeout": DATABASE_TIMEOUT_S}
    connection = await asyncpg.connect(url.reveal(), **timeouts)
    try:
        # Asked again and again: a wait inside the database would not notice that the connection is dead.
        while not await connection.fetchval(_TRY, LOCK):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(RETRY_S)
        yield
    finally:
        await connection.close(timeout=1.0)
