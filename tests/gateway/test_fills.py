"""Users' numbers move when orders fill, once an event, whatever breaks."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from gateway.fills import SKIPPED_PER_COMMIT, Fills
from tests.gateway.conftest import GatewayUnderTest, Person, Start, until

pytestmark = pytest.mark.anyio

Numbers = dict[str, int]


@pytest.fixture
async def admin(gateway: GatewayUnderTest) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(gateway.database.admin.reveal())
    yield connection
    await connection.close()


async def test_fills_move_the_users_numbers(gateway: GatewayUnderTest) -> None:
    ann, bob = await gateway.sign_up(), await gateway.sign_up()

    for kind in ("signal.received", "entry.filled", "stop_loss.placed", "close.filled", "entry.filled"):
        await gateway.execution.add_event(kind, ann.id)
    await gateway.execution.add_event("entry.filled", bob.id)

    await until(lambda: _numbers_are(bob, xp=10, level=1, trades=1))
    assert await _numbers_are(ann, xp=35, level=1, trades=2)


async def test_levels_rise(gateway: GatewayUnderTest) -> None:
    ann = await gateway.sign_up()

    for _ in range(10):
        await gateway.execution.add_event("entry.filled", ann.id)

    await until(lambda: _numbers_are(ann, xp=100, level=2, trades=10))


async def test_events_are_applied_once_across_restarts(gateway: GatewayUnderTest, start: Start) -> None:
    ann = await gateway.sign_up()
    await gateway.execution.add_event("entry.filled", ann.id)
    await until(lambda: _numbers_are(ann, xp=10, level=1, trades=1))

    async with start():  # a second process, which waits for its turn
        await gateway.execution.add_event("entry.filled", ann.id)
        await until(lambda: _numbers_are(ann, xp=20, level=1, trades=2))

    assert gateway.execution.watchers == 1


async def test_another_process_takes_over(
    start: Start, gateway: GatewayUnderTest, admin: asyncpg.Connection
) -> None:
    ann = await gateway.sign_up()
    await gateway.execution.add_event("entry.filled", ann.id)
    await until(lambda: _numbers_are(ann, xp=10, level=1, trades=1))
    async with start():
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        )
        await gateway.execution.add_event("close.filled", ann.id)
        await until(lambda: _numbers_are(ann, xp=25, level=1, trades=1))


async def test_two_that_both_believe_to_hold_the_lock(gateway: GatewayUnderTest) -> None:
    """The cursor moves from where it was read only, so that an event is applied once all the same."""
    ann = await gateway.sign_up()
    resources = gateway.running.resources
    rivals = [Fills(resources.database, resources.execution) for _ in range(3)]
    tasks = [asyncio.create_task(rival.apply_events()) for rival in rivals]

    for _ in range(20):
        await gateway.execution.add_event("entry.filled", ann.id)

    await until(lambda: _numbers_are(ann, xp=200, level=2, trades=20))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await _numbers_are(ann, xp=200, level=2, trades=20)


async def test_fills_of_users_who_are_gone(gateway: GatewayUnderTest, admin: asyncpg.Connection) -> None:
    ann = await gateway.sign_up()

    await gateway.execution.add_event("entry.filled", str(uuid4()))
    await gateway.execution.add_event("entry.filled", ann.id)

    await until(lambda: _numbers_are(ann, xp=10, level=1, trades=1))
    assert await admin.fetchval("SELECT cursor FROM gateway.event_cursors") == "2"


async def test_many_other_events_move_the_cursor_too(
    gateway: GatewayUnderTest, admin: asyncpg.Connection
) -> None:
    for _ in range(SKIPPED_PER_COMMIT):
        await gateway.execution.add_event("signal.received", str(uuid4()))

    async def moved() -> bool:
        query = "SELECT cursor FROM gateway.event_cursors"
        return bool(await admin.fetchval(query) == str(SKIPPED_PER_COMMIT))

    await until(moved)


async def _numbers_are(person: Person, *, xp: int, level: int, trades: int) -> bool:
    me = (await person.call("GET", "/auth/me")).json()
    return (me["total_xp"], me["level"], me["total_trades"]) == (xp, level, trades)
