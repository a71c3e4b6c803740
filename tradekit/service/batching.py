"""Group work without a timer: while one batch is under way, what arrives waits and goes out with the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Overloaded(Exception):
    """More is waiting than may wait; nothing was done for this item."""


class Batcher(Generic[Item, Result]):
    """Does many small pieces of work as few large ones: one commit, one message.

    At low load a batch holds one item and waits for nothing; under load it grows by itself.

    Args:
        work: Does a batch; returns one result (or exception to raise) per item, in order. An exception that
            it raises itself, or results that are not as many, go to every item of the batch as an error.
        largest: Most items of a batch.
        at_once: Most batches under way.
        waiting: Most items that wait.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | BaseException]]],
        *,
        largest: int = 256,
        at_once: int = 1,
        waiting: int = 4_096,
    ) -> None:
        self._work = work
        self._largest = largest
        self._at_once = at_once
        self._most_waiting = waiting
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Result:
        """Does `item` with whatever else is waiting; returns its result.

        A caller that is cancelled takes nothing back: its item is done all the same.

        Raises:
            Overloaded: Too much is waiting.
        """
        if len(self._waiting) >= self._most_waiting:
            raise Overloaded
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._start()
        return await future

    def _start(self) -> None:
        while self._waiting and len(self._running) < self._at_once:
            batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task.cancelled():
            # Only the end of the loop cancels it: what waits has nobody to do it.
            waiting, self._waiting = self._waiting, []
            for _, future in waiting:
                future.cancel()
        self._start()

    async def _run(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results: Sequence[Result | BaseException] = await self._work([item for item, _ in batch])
            if len(results) != len(batch):
                raise ValueError(f"{len(results)} results for a batch of {len(batch)}")
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue  # whoever waited for it is gone
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
