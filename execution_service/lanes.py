"""Who runs after whom: signals of one account and symbol one after another, others beside them."""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

from execution_service.progress import Progress
from execution_service.signals import SignalState
from tradekit.service.errors import DeadlineExceeded, ServiceError, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_FIRST_S, RETRY_LAST_S = 0.2, 2.0
# A story that breaks for a reason that nobody foresaw is begun again so often, then a person must look.
MAX_BREAKDOWNS = 5
# What is under way when the process ends gets this long to come to its end: a position that is open by then
# should have its stop.
STOP_GRACE_S = 4.0

Story = Callable[[Progress], Awaitable[None]]


class Lane:
    """The signals of one account and symbol."""

    def __init__(self) -> None:
        # Held while an alert is made durable, so that alerts keep the order in which they came.
        self.arrivals = asyncio.Lock()
        # Held by the story that is told now.
        self.running = asyncio.Lock()
        self.waiting: deque[Progress] = deque()
        # How many hold on to it; a lane that nobody holds is forgotten.
        self.users = 0


class Lanes:
    """All lanes of this process.

    Args:
        run: Tells a signal's story; it can be told again from the start at any time.
    """

    def __init__(self, run: Story) -> None:
        self._run = run
        self._lanes: dict[tuple[uuid.UUID, str], Lane] = {}
        self._progress: dict[uuid.UUID, Progress] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self.stopping = False

    def __len__(self) -> int:
        """How many lanes are in use."""
        return len(self._lanes)

    @contextmanager
    def lane(self, account_id: uuid.UUID, symbol: str) -> Iterator[Lane]:
        """The lane of an account and symbol, kept as long as somebody uses it."""
        key = (account_id, symbol)
        lane = self._lanes.setdefault(key, Lane())
        lane.users += 1
        try:
            yield lane
        finally:
            lane.users -= 1
            if not lane.users and not lane.waiting:
                del self._lanes[key]

    def put(self, progress: Progress) -> None:
        """Queues a signal behind those of its lane, unless it is queued already."""
        if progress.signal.id in self._progress:
            return
        key = (progress.signal.account_id, progress.signal.symbol)
        with self.lane(*key) as lane:
            self._progress[progress.signal.id] = progress
            lane.waiting.append(progress)
            if len(lane.waiting) == 1:
                self.beside(self._drain(*key))

    def progress(self, signal_id: uuid.UUID) -> Progress | None:
        """A signal that is queued or on its way."""
        return self._progress.get(signal_id)

    def busy(self, account_id: uuid.UUID, symbol: str) -> bool:
        """Whether a signal of this lane is queued or on its way."""
        lane = self._lanes.get((account_id, symbol))
        return lane is not None and bool(lane.waiting)

    async def run_once(self, progress: Progress, story: Story) -> None:
        """Tells another story of a signal, between the stories of its lane; it is read anew before."""
        with self.lane(progress.signal.account_id, progress.signal.symbol) as lane:
            async with lane.running:
                await progress.catch_up()
                await story(progress)

    async def settle_arrivals(self, account_id: uuid.UUID) -> None:
        """Returns when every alert of the account that is being made durable now is durable."""
        for owner, symbol in list(self._lanes):
            if owner == account_id:
                with self.lane(owner, symbol) as lane:
                    async with lane.arrivals:
                        pass

    async def stop(self, grace_s: float) -> None:
        """Begins no story any more; those under way get `grace_s`, then they end where they stand."""
        self.stopping = True
        if grace_s and self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        for progress in self._progress.values():
            progress.ended.set()

    def beside(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Does some work that nobody need wait for; it ends with the lanes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _drain(self, account_id: uuid.UUID, symbol: str) -> None:
        with self.lane(account_id, symbol) as lane:
            while lane.waiting and not self.stopping:
                progress = lane.waiting[0]
                async with lane.running:
                    await self._tell(progress)
                del self._progress[progress.signal.id]
                lane.waiting.popleft()
                progress.ended.set()

    async def _tell(self, progress: Progress) -> None:
        """Tells a story until it has ended; a journal or vault that is away is waited for."""
        pause, breakdowns = RETRY_FIRST_S, 0
        while not progress.signal.state.final and not self.stopping:
            try:
                await progress.catch_up()
                if not progress.signal.state.final:
                    await self._run(progress)
            except (Unavailable, DeadlineExceeded) as error:
                log.warning("signal.waits", extra=_named(progress) | {"reason": error.reason})
            except ServiceError as error:
                breakdowns += 1
                log.error("signal.broke_down", extra=_named(progress) | {"reason": error.reason})
            except Exception:
                breakdowns += 1
                log.exception("signal.broke_down", extra=_named(progress))
            else:
                continue
            if breakdowns >= MAX_BREAKDOWNS:
                await self._give_up(progress)
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_LAST_S)

    async def _give_up(self, progress: Progress) -> None:
        message = "Something went wrong on our side; look at the position on the exchange."
        try:
            await progress.move(SignalState.FAILED, reason="INTERNAL", message=message)
        except Exception:
            # Whatever it was, the signals behind it go on; the next sweep takes this one up again.
            log.exception("signal.not_recorded", extra=_named(progress))


def _named(progress: Progress) -> dict[str, str]:
    return {"signal_id": str(progress.signal.id)}
