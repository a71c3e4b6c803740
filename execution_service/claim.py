"""One executor at a time: a second process waits until the first one is gone.

The claim is a lock of a database session. It ends with the session, so that a killed process gives it up at
once; a process that loses its session must not go on, since another one may hold the claim by then.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tradekit.service.secret import Secret

log = logging.getLogger(__name__)

PAUSE_S = 0.2
# A session whose other end is cut off without a word is noticed on both sides after this, so that the next
# process can take over.
BEAT_S, BEAT_TIMEOUT_S = 1.0, 3.0
_KEEPALIVE = {"tcp_keepalives_idle": "2", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "3"}
_TRY = "SELECT pg_try_advisory_lock(hashtext('execution.claim'))"
# The database starts, restarts or cannot be reached; anything else (a wrong password) is told at once.
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.InterfaceError,
)


@asynccontextmanager
async def sole_executor(url: Secret) -> AsyncIterator[asyncio.Event]:
    """Waits for the database and the claim; yields an event that is set when the claim is lost."""
    connection = await _claimed(url)
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    beating = asyncio.create_task(_beat(connection, lost))
    try:
        yield lost
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await _close(connection)


async def _claimed(url: Secret) -> "asyncpg.Connection":
    told = ""
    while True:
        try:
            connection = await asyncpg.connect(
                url.reveal(), timeout=5, command_timeout=BEAT_TIMEOUT_S, server_settings=_KEEPALIVE
            )
        except _AWAY:
            told = _tell_once(told, "the database does not answer")
        else:
            if await _wait_for_claim(connection):
                return connection
        await asyncio.sleep(PAUSE_S)


async def _wait_for_claim(connection: "asyncpg.Connection") -> bool:
    """Waits until this session holds the claim; False when the session has ended before."""
    told, claimed = "", False
    try:
        while not (claimed := await connection.fetchval(_TRY)):
            told = _tell_once(told, "another execution process is at work")
            await asyncio.sleep(PAUSE_S)
    except _AWAY:
        return False
    finally:
        if not claimed:
            await _close(connection)
    return True


async def _beat(connection: "asyncpg.Connection", lost: asyncio.Event) -> None:
    """Asks the session for a sign of life, since a connection that was cut off stays silent."""
    try:
        while True:
            await asyncio.sleep(BEAT_S)
            await connection.execute("SELECT")
    except (*_AWAY, asyncpg.PostgresError):
        lost.set()


async def _close(connection: "asyncpg.Connection") -> None:
    with contextlib.suppress(*_AWAY):
        await connection.close(timeout=2)


def _tell_once(told: str, detail: str) -> str:
    if detail != told:
        log.warning("claim.waits", extra={"detail": detail})
    return detail
