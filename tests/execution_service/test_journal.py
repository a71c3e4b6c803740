"""The journal on a real PostgreSQL: grouped writes, duplicates, isolation of bad content, order of events."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import asyncpg
import pytest

from execution_service.journal import Arrival, Change, Guard, Journal, JournalRefused, Step, open_journal
from execution_service.signals import Leg, LegKind, LegState, OrderSide, Plan, Signal, SignalState
from execution_service.translation import alert_to_json
from tests.conftest import TestDatabase
from tests.execution_service.test_signals import signal
from tradekit.market.alert import parse_alert
from tradekit.market.sizing import Side
from tradekit.service.alert_wire import alert_to_proto
from tradekit.service.clock import UtcClock
from tradekit.service.errors import AlreadyExists

pytestmark = pytest.mark.anyio

ACCOUNT = uuid.UUID(int=3)
PLAN = Plan(Side.LONG, Decimal("0.02"), Decimal(50_000), None, Decimal(0))


@pytest.fixture
async def journal(database: TestDatabase) -> AsyncIterator[Journal]:
    async with open_journal(database.roles["execution"], UtcClock()) as journal:
        yield journal


def arrival(key: str, *, content: str = "a", from_alert: bool = True, **alert: object) -> Arrival:
    body = {"account_id": "a", "secret": "s", "action": "long", "symbol": "BTCUSDT"} | alert
    parsed = parse_alert(json.dumps(body).encode()).alert
    waiting = signal(id=uuid.uuid4(), account_id=ACCOUNT, alert=parsed, receive_time=UtcClock().now())
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Arrival(waiting, alert_to_json(alert_to_proto(parsed)), key, digest, from_alert)


async def accepted(journal: Journal, key: str) -> Signal:
    taken, duplicate = await journal.accept(arrival(key))
    assert not duplicate
    return await journal.get(taken.id)


async def test_the_same_key_many_times_at_once_is_one_signal(journal: Journal) -> None:
    """They meet in one batch and across batches; each caller learns which signal it is."""
    outcomes = await asyncio.gather(*(journal.accept(arrival("id:1")) for _ in range(20)))

    assert len({taken.id for taken, _ in outcomes}) == 1
    assert sorted(duplicate for _, duplicate in outcomes) == [False] + [True] * 19


async def test_signals_are_numbered_in_the_order_in_which_they_came(journal: Journal) -> None:
    outcomes = await asyncio.gather(*(journal.accept(arrival(f"id:{number}")) for number in range(30)))

    stored = [await journal.get(taken.id) for taken, _ in outcomes]
    sequences = [one.sequence for one in stored]
    assert sequences == sorted(sequences)
    assert [one.id for one in await journal.unfinished()] == [one.id for one in stored]


async def test_B27_a_key_with_other_content_is_refused(journal: Journal) -> None:
    await journal.accept(arrival("id:1", content="long"))

    with pytest.raises(AlreadyExists, match="alert_id"):
        await journal.accept(arrival("id:1", content="close"))


async def test_what_one_alert_holds_does_not_keep_the_others_out(journal: Journal) -> None:
    """PostgreSQL takes no NUL in text: only the alert with one is refused, not all that came with it."""
    bad = replace(arrival("id:bad"), alert_json='{"comment": "\\u0000"}')
    arrivals = [arrival("id:1"), bad, arrival("id:2")]

    outcomes = await asyncio.gather(*(journal.accept(one) for one in arrivals), return_exceptions=True)

    assert isinstance(outcomes[1], JournalRefused)
    assert [one.id for one in await journal.unfinished()] == [arrivals[0].signal.id, arrivals[2].signal.id]


async def test_what_one_change_holds_does_not_keep_the_others_out(journal: Journal) -> None:
    first, second = await accepted(journal, "id:1"), await accepted(journal, "id:2")
    bad = Change(first.moved_to(SignalState.REJECTED, reason="X", message="a\x00b"))
    good = Change(second.moved_to(SignalState.REJECTED, reason="X", message="ab"))

    outcomes = await asyncio.gather(journal.write(bad), journal.write(good), return_exceptions=True)

    assert isinstance(outcomes[0], JournalRefused)
    assert (await journal.get(first.id)).state is SignalState.RECEIVED
    assert (await journal.get(second.id)).state is SignalState.REJECTED


async def test_a_signal_comes_back_as_it_was_written(journal: Journal) -> None:
    taken = await accepted(journal, "id:1")
    leg = Leg(
        taken.id,
        LegKind.ENTRY,
        side=OrderSide.BUY,
        quantity=Decimal("0.020"),
        limit_price=Decimal("49999.1"),
        client_order_id="tb" + "a" * 30,
        filled_quantity=Decimal("0.00000001"),
        average_price=Decimal("12345678.87654321"),
        valid_until=UtcClock().now(),
        reason="R",
        message="Größe ✓",
    )
    plan = replace(PLAN, atr=Decimal("0.123456789012345678901234567890"))
    written = replace(taken, plan=plan).moved_to(SignalState.EXECUTING)

    await journal.write(Change(written, legs=(leg,), steps=(Step("entry.intended", {"a": "b"}),)))

    read = await journal.get(taken.id)
    assert replace(read, legs=()) == written
    assert read.legs == (leg,)
    assert [step.kind for _, step in await journal.steps(taken.id)] == ["signal.received", "entry.intended"]


async def test_what_the_exchange_made_of_an_order_replaces_what_was_intended(journal: Journal) -> None:
    """An order for the whole position, that was taken for the size of then, and filled in part."""
    taken = await accepted(journal, "id:1")
    intended = Leg(taken.id, LegKind.TAKE_PROFIT, client_order_id="tb" + "e" * 30)
    await journal.write(Change(taken, legs=(intended,)))
    placed = replace(
        intended,
        state=LegState.OPEN,
        quantity=Decimal("0.02"),
        exchange_order_id="77",
        filled_quantity=Decimal("0.01"),
        average_price=Decimal(3),
    )

    await journal.write(Change(taken, legs=(placed,)))

    assert (await journal.get(taken.id)).legs == (placed,)


async def test_a_change_is_written_whole_or_not_at_all(journal: Journal) -> None:
    taken = await accepted(journal, "id:1")
    twin = Leg(taken.id, LegKind.ENTRY, index=1, client_order_id="tb" + "b" * 30)
    await journal.write(Change(taken, legs=(twin,)))
    clash = replace(twin, index=2)  # the same client order id for another leg

    with pytest.raises(JournalRefused):
        await journal.write(Change(taken.moved_to(SignalState.EXECUTING), legs=(clash,)))

    assert (await journal.get(taken.id)).state is SignalState.RECEIVED


async def test_an_unanswered_alert_without_id_is_the_same_alert_soon_after(journal: Journal) -> None:
    first, _ = await journal.accept(arrival("once:1", from_alert=False))
    await journal.record_delivery(first.user_id, first.id, delivered=False)

    again, duplicate = await journal.accept(arrival("once:2", from_alert=False))

    assert (again.id, duplicate) == (first.id, True)


async def test_an_answered_alert_without_id_is_another_one(journal: Journal) -> None:
    first, _ = await journal.accept(arrival("once:1", from_alert=False))
    await journal.record_delivery(first.user_id, first.id, delivered=True)

    again, duplicate = await journal.accept(arrival("once:2", from_alert=False))

    assert again.id != first.id
    assert not duplicate


async def test_nobody_else_marks_a_delivery(journal: Journal) -> None:
    first, _ = await journal.accept(arrival("once:1", from_alert=False))
    await journal.record_delivery(uuid.uuid4(), first.id, delivered=False)

    _, duplicate = await journal.accept(arrival("once:2", from_alert=False))

    assert not duplicate


async def test_events_are_never_skipped_by_a_reader(journal: Journal, database: TestDatabase) -> None:
    """A transaction that began earlier commits later: its event is not passed over by the cursor."""
    taken = await accepted(journal, "id:1")
    connection = await asyncpg.connect(database.admin.reveal())
    late = connection.transaction()
    await late.start()
    await connection.execute(
        "INSERT INTO execution.events (user_id, account_id, signal_id, kind, attributes, created_at)"
        " VALUES ($1, $2, $3, 'late', '{}', now())",
        taken.user_id,
        taken.account_id,
        taken.id,
    )
    await journal.write(Change(taken, steps=(Step("early", {}),)))

    seen = await journal.events_after("", 10)
    await late.commit()
    await connection.close()
    rest = await journal.events_after(seen[-1].cursor, 10)

    assert [event.step.kind for event in seen] == ["signal.received"]
    assert [event.step.kind for event in rest] == ["late", "early"]


async def test_a_reader_beside_many_writers_sees_each_event_once(journal: Journal) -> None:
    taken = await accepted(journal, "id:1")
    seen: list[str] = []

    async def read() -> None:
        cursor = ""
        while len(seen) < 61:
            for event in await journal.events_after(cursor, 7):
                cursor = event.cursor
                seen.append(event.step.kind)
            await journal.wait_for_change(0.05)

    reading = asyncio.create_task(read())
    steps = [str(number) for number in range(60)]
    await asyncio.gather(*(journal.write(Change(taken, steps=(Step(step, {}),))) for step in steps))
    await asyncio.wait_for(reading, 10)

    assert seen[0] == "signal.received"
    assert sorted(seen[1:]) == sorted(steps)


@pytest.mark.parametrize(
    "cursor", ["x", "1", "1-", "-1-1", "1-2-3", "99999999999999999999-1", "1-99999999999999999999"]
)
async def test_a_cursor_that_is_none_of_ours_is_told_from_an_outage(journal: Journal, cursor: str) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|not enough|too many|\d-\d"):
        await journal.events_after(cursor, 1)


def guard_of(owner: Signal, side: Side = Side.LONG) -> Guard:
    return Guard(owner.user_id, owner.account_id, owner.symbol, owner.id, side)


async def test_a_guard_ends_for_its_own_side_only(journal: Journal) -> None:
    taken = await accepted(journal, "id:1")
    await journal.write(Change(taken, guard=guard_of(taken)))

    await journal.write(Change(taken, unguard=frozenset({Side.SHORT})))
    (kept,) = await journal.guards()
    await journal.write(Change(taken, unguard=frozenset({Side.LONG})))

    assert kept.side is Side.LONG
    assert await journal.guards() == []


async def test_a_guard_tells_whether_its_signal_has_a_stop(journal: Journal) -> None:
    taken = await accepted(journal, "id:1")
    stop = Leg(taken.id, LegKind.STOP_LOSS, client_order_id="tb" + "c" * 30)
    await journal.write(Change(taken, legs=(stop,), guard=guard_of(taken)))
    (intended,) = await journal.guards()

    await journal.write(Change(taken, legs=(replace(stop, state=LegState.OPEN),)))
    (live,) = await journal.guards()

    assert (intended.has_stop, live.has_stop) == (False, True)


async def test_an_account_with_a_resting_entry_is_in_use(journal: Journal) -> None:
    taken = await accepted(journal, "id:1")
    entry = Leg(taken.id, LegKind.ENTRY, state=LegState.OPEN, client_order_id="tb" + "d" * 30)
    done = replace(taken.moved_to(SignalState.DONE), finish_time=UtcClock().now())
    await journal.write(Change(done, legs=(entry,)))

    assert [one.id for one in await journal.resting_entries()] == [taken.id]
    assert await journal.unresolved(ACCOUNT)
    await journal.write(Change(done, legs=(replace(entry, state=LegState.CANCELED),)))
    assert not await journal.unresolved(ACCOUNT)


async def test_a_caller_that_goes_away_takes_nothing_back(journal: Journal) -> None:
    going = arrival("id:1")
    accepting = asyncio.create_task(journal.accept(going))
    await asyncio.sleep(0)
    accepting.cancel()
    with suppress(asyncio.CancelledError):
        await accepting

    _, duplicate = await journal.accept(arrival("id:1"))

    assert duplicate
