"""Who runs after whom: signals of one account and symbol one after another, others beside them."""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine

from execution_service.progress import Progress
from execution_service.signals import SignalState
from tradekit.service.errors import ServiceError

log = logging.getLogger(__name__)

RETRY_FIRST_S, RETRY_LAST_S = 0.2, 2.0
# A story that breaks for a reason that nobody foresaw is begun again so often, then a person must look.
MAX_BREAKDOWNS = 5

Story = Callable[[Progress], Awaitable[None]]


class Lane:
    """The signals of one account and symbol."""

    def __init__(self) -> None:
        # Held while an alert is made durable, so that alerts keep the order in which they came.
        self.arrivals = asyncio.Lock()
        # Held by the story that is told now.
        self.running = asyncio.Lock()
        self.waiting: deque[Progress] = deque()


class Lanes:
    """All lanes of this process.

    Args:
        run: Tells a signal's story; it can be told again from the start at any time.
    """

    def __init__(self, run: Story) -> None:
        self._run = run
        self._lanes: dict[tuple[uuid.UUID, str], Lane] = {}
        self._progress: dict[uuid.UUID, Progress] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def lane(self, account_id: uuid.UUID, symbol: str) -> Lane:
        """The lane of an account and symbol."""
        return self._lanes.setdefault((account_id, symbol), Lane())

    def put(self, progress: Progress) -> None:
        """Queues a signal behind those of its lane, unless it is queued already."""
        if progress.signal.id in self._progress:
            return
        lane = self.lane(progress.signal.account_id, progress.signal.symbol)
        self._progress[progress.signal.id] = progress
        lane.waiting.append(progress)
        if len(lane.waiting) == 1:
            self.beside(self._drain(lane))

    def progress(self, signal_id: uuid.UUID) -> Progress | None:
        """A signal that is queued or on its way."""
        return self._progress.get(signal_id)

    def busy(self, account_id: uuid.UUID, symbol: str) -> bool:
        """Whether a signal of this lane is queued or on its way."""
        lane = self._lanes.get((account_id, symbol))
        return lane is not None and bool(lane.waiting)

    async def run_once(self, progress: Progress, story: Story) -> None:
        """Tells another story of a signal of this lane, between the stories of the others."""
        lane = self.lane(progress.signal.account_id, progress.signal.symbol)
        async with lane.running:
            await story(progress)

    async def stop(self) -> None:
        """Ends all stories where they stand."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def beside(self, work: Coroutine[object, object, None]) -> None:
        """Does some work that nobody waits for; it ends with the lanes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, lane: Lane) -> None:
        while lane.waiting:
            progress = lane.waiting[0]
            async with lane.running:
                await self._tell(progress)
            del self._progress[progress.signal.id]
            lane.waiting.popleft()

    async def _tell(self, progress: Progress) -> None:
        """Tells a story until it has ended; a journal or vault that is away is waited for."""
        pause, breakdowns = RETRY_FIRST_S, 0
        while not progress.signal.state.final:
            try:
                await progress.catch_up()
                if not progress.signal.state.final:
                    await self._run(progress)
            except ServiceError as error:
                log.warning(
                    "signal.waits", extra={"signal_id": str(progress.signal.id), "reason": error.reason}
                )
                breakdowns += error.reason == "ACCOUNT_NOT_FOUND"
            except Exception:
                breakdowns += 1
                log.exception("signal.broke_down", extra={"signal_id": str(progress.signal.id)})
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
        except ServiceError:
            log.exception("signal.not_recorded", extra={"signal_id": str(progress.signal.id)})
