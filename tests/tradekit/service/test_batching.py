"""Batches: every item is done once and gets its own result, whatever else happens."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.service.batching import Batcher, Overloaded

pytestmark = pytest.mark.anyio


class Squares:
    """Squares numbers; refuses negative ones; notes the batches and how many ran at once."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.running = 0
        self.most_running = 0

    async def work(self, items: Sequence[int]) -> Sequence[int | BaseException]:
        self.batches.append(list(items))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        return [item * item if item >= 0 else ValueError(str(item)) for item in items]

    @property
    def items(self) -> list[int]:
        return [item for batch in self.batches for item in batch]


class Gate:
    """Work that waits until it is let go; notes what it got."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun = asyncio.Event()
        self.open = asyncio.Event()

    async def work(self, items: Sequence[str]) -> Sequence[str]:
        self.batches.append(list(items))
        self.begun.set()
        await self.open.wait()
        return [item.upper() for item in items]


@given(
    st.lists(st.integers(-100, 100), max_size=60),
    st.integers(1, 8),
    st.integers(1, 3),
)
def test_every_item_has_its_own_result_and_the_order_is_kept(
    items: list[int], largest: int, at_once: int
) -> None:
    async def run() -> tuple[Squares, list[int | BaseException]]:
        squares = Squares()
        batcher = Batcher(squares.work, largest=largest, at_once=at_once)
        results = await asyncio.gather(*map(batcher.submit, items), return_exceptions=True)
        return squares, results

    squares, results = asyncio.run(run())
    assert squares.items == items
    assert all(1 <= len(batch) <= largest for batch in squares.batches)
    assert squares.most_running <= at_once
    for item, result in zip(items, results, strict=True):
        if item < 0:
            assert isinstance(result, ValueError)
            assert str(result) == str(item)
        else:
            assert result == item * item


async def test_what_arrives_meanwhile_goes_out_together() -> None:
    gate = Gate()
    batcher = Batcher(gate.work)
    first = asyncio.create_task(batcher.submit("a"))
    await gate.begun.wait()
    rest = [asyncio.create_task(batcher.submit(item)) for item in "bcd"]
    await asyncio.sleep(0)
    gate.open.set()
    assert await asyncio.gather(first, *rest) == ["A", "B", "C", "D"]
    assert gate.batches == [["a"], ["b", "c", "d"]]


async def test_a_caller_that_is_cancelled_takes_nothing_back() -> None:
    gate = Gate()
    batcher = Batcher(gate.work)
    first, second, third = (asyncio.create_task(batcher.submit(item)) for item in "abc")
    await gate.begun.wait()
    first.cancel()
    second.cancel()
    gate.open.set()
    assert await third == "C"
    assert [item for batch in gate.batches for item in batch] == ["a", "b", "c"]
    assert first.cancelled()
    assert second.cancelled()


async def test_F19_more_than_may_wait_is_refused_and_not_done() -> None:
    gate = Gate()
    batcher = Batcher(gate.work, waiting=2)
    tasks = [asyncio.create_task(batcher.submit(item)) for item in "a"]
    await gate.begun.wait()
    tasks += [asyncio.create_task(batcher.submit(item)) for item in "bcde"]
    await asyncio.sleep(0)
    gate.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[:3] == ["A", "B", "C"]
    assert [type(result) for result in results[3:]] == [Overloaded, Overloaded]
    assert gate.batches == [["a"], ["b", "c"]]
    assert await batcher.submit("f") == "F"


async def test_work_that_fails_fails_for_all_of_the_batch_and_for_no_other() -> None:
    batches: list[list[int]] = []

    async def work(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        if 2 in items:
            raise OSError("the disk is full")
        return items

    batcher = Batcher(work, largest=2)
    results = await asyncio.gather(*map(batcher.submit, range(5)), return_exceptions=True)
    assert batches == [[0], [1, 2], [3, 4]]
    assert [type(result) for result in results] == [int, OSError, OSError, int, int]


@pytest.mark.parametrize("count", [0, 1, 4])
async def test_results_that_are_not_as_many_as_the_items_leave_nobody_waiting(count: int) -> None:
    async def work(items: Sequence[int]) -> Sequence[int]:
        return [7] * count

    batcher = Batcher(work, at_once=1)
    async with asyncio.timeout(5):
        first = asyncio.gather(batcher.submit(0), return_exceptions=True)
        rest = await asyncio.gather(*map(batcher.submit, (1, 2, 3)), return_exceptions=True)
        await first
    assert [type(result) for result in rest] == [ValueError] * 3


def test_the_end_of_the_loop_leaves_nobody_waiting_and_no_task_behind() -> None:
    async def run() -> list[asyncio.Task[str]]:
        gate = Gate()
        batcher = Batcher(gate.work, largest=1)
        tasks = [asyncio.create_task(batcher.submit(item)) for item in "abc"]
        await gate.begun.wait()
        return tasks

    tasks = asyncio.run(run())
    assert all(task.cancelled() for task in tasks)
