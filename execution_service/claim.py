"""One executor at a time: a second process waits until the first one is gone.

The claim is a lock of a database session. It ends with the session, so that a killed process gives it up at
once; a process that loses its session must not go on, since another one may hold the claim by then.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tradekit.service.secret import Secret

log = logging.getLogger(__name__)

PAUSE_S = 0.2
_TRY = "SELECT pg_try_advisory_lock(hashtext('execution.claim'))"


@asynccontextmanager
async def sole_executor(url: Secret) -> AsyncIterator[asyncio.Event]:
    """Waits for the claim; yields an event that is set when it is lost."""
    connection = await asyncpg.connect(url.reveal(), timeout=5)
    lost = asyncio.Event()
    try:
        connection.add_termination_listener(lambda _: lost.set())
        waiting = False
        while not await connection.fetchval(_TRY):
            if not waiting:
                log.warning("claim.waits", extra={"detail": "another execution process is at work"})
            waiting = True
            await asyncio.sleep(PAUSE_S)
        yield lost
    finally:
        await connection.close(timeout=2)
