"""A position that an entry has just opened or enlarged: it gets its stop and targets, or it is closed."""

import asyncio
import logging

from execution_service.accounts import Account
from execution_service.closing import BOTH, close_positions, read_positions
from execution_service.exchanges import errors
from execution_service.exchanges.types import Position
from execution_service.journal import Journal
from execution_service.leftovers import Leftovers, protection_of
from execution_service.progress import Progress
from execution_service.protection import NotProtected, Protection
from execution_service.signals import Leg, LegKind, Plan, Signal, SignalState
from tradekit.market.instrument import Instrument
from tradekit.market.sizing import Side

log = logging.getLogger(__name__)

RETRY_PAUSE_S = 0.3
# The exchange's list of positions may lag behind its fills; after this a position that is not in it is gone.
POSITION_LAG_S = 3.0


async def protect(progress: Progress, account: Account, journal: Journal) -> None:
    """Protects what the signal's entry has filled; may be begun again at any time.

    Raises:
        CloseRefused: Nothing could be learnt of the position, or it had to be closed and could not be.
    """
    await _Opened(progress, account, journal).protect()


class _Opened:
    def __init__(self, progress: Progress, account: Account, journal: Journal) -> None:
        plan = progress.signal.plan
        assert plan is not None
        self._plan: Plan = plan
        self._progress = progress
        self._account = account
        self._leftovers = Leftovers(progress, account, journal)

    async def protect(self) -> None:
        signal = self._progress.signal
        entry = signal.leg(LegKind.ENTRY)
        assert entry is not None
        if not signal.state.final and signal.state is not SignalState.PROTECTING:
            await self._progress.move(SignalState.PROTECTING, guard=self._progress.guard())
        position = await self._position()
        if position is None:
            await self._vanished()
            return
        protection = Protection(
            self._progress, self._account, self._leftovers, await self._instrument(), self._plan
        )
        try:
            await protection.place(position, entry.average_price or position.entry_price)
        except NotProtected as problem:
            await self._close(problem)
            return
        message = f"{self._plan.side.value.upper()} order executed on {signal.exchange}"
        await self._finish(SignalState.DONE, message=message)

    async def _position(self) -> Position | None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + POSITION_LAG_S
        while True:
            positions = await read_positions(self._account, self._progress.signal.symbol)
            found = next((held for held in positions if held.side is self._plan.side), None)
            if found is not None or clock() > deadline:
                return found
            await asyncio.sleep(RETRY_PAUSE_S)

    async def _instrument(self) -> Instrument:
        while True:
            try:
                instrument = await self._account.market_data.instrument(self._progress.signal.symbol)
            except errors.ExchangeError:
                await asyncio.sleep(RETRY_PAUSE_S)
                continue
            assert instrument is not None
            return instrument

    async def _vanished(self) -> None:
        """It was closed by hand or netted against a position of the other side while we looked away."""
        await self._leftovers.withdraw(self._own_entry)
        others = await read_positions(self._account, self._progress.signal.symbol)
        other = f" A {others[0].side.value} position is open." if others else ""
        flat = BOTH - {position.side for position in others}
        await self._leftovers.withdraw(protection_of(flat))
        await self._finish(
            SignalState.FAILED,
            reason="POSITION_GONE",
            message=f"The entry has filled, but its position is not there any more.{other}",
            unguard=flat,
        )

    async def _close(self, problem: NotProtected) -> None:
        side = frozenset({self._plan.side})
        self._progress.note("position.unprotected", reason=problem.reason, message=problem.message)
        log.error(
            "position.unprotected",
            extra={"signal_id": str(self._progress.signal.id), "reason": problem.reason},
        )
        await close_positions(self._progress, self._account, self._leftovers, side)
        # What still rests of the entry would open the position again, and may have done so meanwhile.
        await self._leftovers.withdraw(self._own_entry)
        await close_positions(self._progress, self._account, self._leftovers, side)
        await self._leftovers.withdraw(protection_of(side))
        await self._finish(
            SignalState.FAILED,
            reason=problem.reason,
            message=f"No stop could be placed, so the position was closed at market. {problem.message}",
            unguard=side,
        )

    def _own_entry(self, owner: Signal, leg: Leg) -> bool:
        return owner.id == self._progress.signal.id and leg.kind is LegKind.ENTRY

    async def _finish(
        self, state: SignalState, *, message: str, reason: str = "", unguard: frozenset[Side] = frozenset()
    ) -> None:
        if not self._progress.signal.state.final:
            await self._progress.move(state, reason=reason, message=message, unguard=unguard)
            return
        # A limit entry's signal was done when its order rested; what came later is told as a step.
        self._progress.note(f"protection.{state.value}", message=message, reason=reason)
        await self._progress.record(unguard=unguard)
