"""Who runs after whom. The journal is not asked: stories here end a signal by themselves."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_service.journal import Journal
from execution_service.lanes import Lanes
from execution_service.progress import Progress
from execution_service.signals import SignalState
from tests.execution_service.clocks import StillClock
from tests.execution_service.test_signals import signal
from tradekit.service.errors import NotFound, Unavailable

pytestmark = pytest.mark.anyio


class NoJournal:
    """Takes every change; what is written is not of interest here."""

    async def write(self, change: object) -> None:
        await asyncio.sleep(0)


def progress(account: int = 1, symbol: str = "BTCUSDT") -> Progress:
    waiting = signal(id=uuid.uuid4(), account_id=uuid.UUID(int=account), symbol=symbol)
    return Progress(waiting, cast(Journal, NoJournal()), StillClock())


def end(told: Progress) -> None:
    told.signal = replace(told.signal, state=SignalState.DONE)


async def ended(*all_of: Progress) -> None:
    async with asyncio.timeout(5):
        for one in all_of:
            await one.ended.wait()


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["BTCUSDT", "ETHUSDT"])), max_size=15))
def test_a_lane_keeps_its_order_and_tells_one_story_at_a_time(markets: list[tuple[int, str]]) -> None:
    told: dict[tuple[uuid.UUID, str], list[uuid.UUID]] = defaultdict(list)
    under_way: set[tuple[uuid.UUID, str]] = set()

    async def story(one: Progress) -> None:
        key = (one.signal.account_id, one.signal.symbol)
        assert key not in under_way
        under_way.add(key)
        await asyncio.sleep(0)
        told[key].append(one.signal.id)
        under_way.remove(key)
        end(one)

    async def run() -> list[Progress]:
        lanes = Lanes(story)
        queued = [progress(account, symbol) for account, symbol in markets]
        for one in queued:
            lanes.put(one)
        await ended(*queued)
        await asyncio.sleep(0)
        assert len(lanes) == 0
        return queued

    queued = asyncio.run(run())
    assert sum(map(len, told.values())) == len(queued)
    for key, ids in told.items():
        assert ids == [one.signal.id for one in queued if _key(one) == key]


def _key(one: Progress) -> tuple[uuid.UUID, str]:
    return (one.signal.account_id, one.signal.symbol)


async def test_other_lanes_do_not_wait() -> None:
    slow, quick = progress(1), progress(2)
    held = asyncio.Event()

    async def story(one: Progress) -> None:
        if one is slow:
            await held.wait()
        end(one)

    lanes = Lanes(story)
    lanes.put(slow)
    lanes.put(quick)

    await ended(quick)
    assert not slow.ended.is_set()
    held.set()
    await ended(slow)


async def test_a_signal_is_queued_once() -> None:
    one, count = progress(), 0

    async def story(_: Progress) -> None:
        nonlocal count
        count += 1
        await asyncio.sleep(0)
        end(one)

    lanes = Lanes(story)
    lanes.put(one)
    lanes.put(Progress(one.signal, cast(Journal, NoJournal()), StillClock()))
    await ended(one)

    assert count == 1


async def test_who_waits_for_a_signal_that_is_final_already_is_let_go() -> None:
    """A repeat that was read as unfinished a moment before the first one's story ended."""
    final = progress()
    end(final)

    async def story(_: Progress) -> None:
        raise AssertionError("it must not be told again")

    Lanes(story).put(final)

    await ended(final)


async def _broken(times: int, error: Callable[[], Exception]) -> tuple[Progress, int]:
    one, told = progress(), 0

    async def story(_: Progress) -> None:
        nonlocal told
        told += 1
        if told <= times:
            raise error()
        end(one)

    Lanes(story).put(one)
    async with asyncio.timeout(30):
        await one.ended.wait()
    return one, told


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("execution_service.lanes.RETRY_FIRST_S", 0.001)
    monkeypatch.setattr("execution_service.lanes.RETRY_LAST_S", 0.001)


@pytest.mark.usefixtures("no_pauses")
async def test_a_journal_that_is_away_is_waited_for_however_long() -> None:
    one, told = await _broken(20, lambda: Unavailable("JOURNAL_UNAVAILABLE", "away"))

    assert (one.signal.state, told) == (SignalState.DONE, 21)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("error", [ValueError("unforeseen"), NotFound("ACCOUNT_NOT_FOUND", "gone")])
async def test_a_story_that_always_breaks_ends_as_failed(error: Exception) -> None:
    one, told = await _broken(1_000, lambda: error)

    assert (one.signal.state, one.signal.reason, told) == (SignalState.FAILED, "INTERNAL", 5)


@pytest.mark.usefixtures("no_pauses")
async def test_a_broken_story_does_not_block_its_lane() -> None:
    first, second = progress(), progress()

    async def story(one: Progress) -> None:
        if one is first:
            raise ValueError("unforeseen")
        end(one)

    lanes = Lanes(story)
    lanes.put(first)
    lanes.put(second)

    await ended(first, second)
    assert second.signal.state is SignalState.DONE


async def test_a_stop_lets_the_story_under_way_end_and_begins_no_other() -> None:
    first, second = progress(), progress()
    begun = asyncio.Event()

    async def story(one: Progress) -> None:
        assert one is first
        begun.set()
        await asyncio.sleep(0.05)
        end(one)

    lanes = Lanes(story)
    lanes.put(first)
    lanes.put(second)
    await begun.wait()
    await lanes.stop(2)

    assert first.signal.state is SignalState.DONE
    assert second.signal.state is SignalState.RECEIVED
    assert second.ended.is_set()  # whoever waits for it is answered


async def test_a_stop_without_grace_ends_a_story_where_it_stands() -> None:
    one, begun = progress(), asyncio.Event()

    async def story(_: Progress) -> None:
        begun.set()
        await asyncio.Event().wait()

    lanes = Lanes(story)
    lanes.put(one)
    await begun.wait()
    async with asyncio.timeout(1):
        await lanes.stop(0)

    assert one.ended.is_set()


async def test_a_story_beside_waits_for_its_lane() -> None:
    one, order = progress(), list[str]()
    begun = asyncio.Event()

    async def story(_: Progress) -> None:
        begun.set()
        await asyncio.sleep(0.02)
        order.append("signal")
        end(one)

    async def beside(_: Progress) -> None:
        order.append("beside")

    lanes = Lanes(story)
    lanes.put(one)
    await begun.wait()
    await lanes.run_once(progress(), beside)

    assert order == ["signal", "beside"]


async def test_arrivals_of_an_account_can_be_waited_for() -> None:
    lanes = Lanes(cast(Callable[[Progress], Awaitable[None]], None))
    account, order = uuid.UUID(int=1), list[str]()

    async def arrive() -> None:
        with lanes.lane(account, "BTCUSDT") as lane:
            async with lane.arrivals:
                await asyncio.sleep(0.02)
                order.append("durable")

    arriving = asyncio.create_task(arrive())
    await asyncio.sleep(0)
    await lanes.settle_arrivals(account)
    order.append("settled")
    await arriving

    assert order == ["durable", "settled"]
    assert len(lanes) == 0
