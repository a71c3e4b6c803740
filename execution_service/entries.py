"""The story of an entry: from an alert to an order that rests or has filled, and to its protection."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from execution_service.accounts import Account
from execution_service.closing import close_positions, mend_clock
from execution_service.exchanges import errors
from execution_service.journal import Journal
from execution_service.leftovers import Leftovers, entries_of, protection_of
from execution_service.metrics import observe_execution
from execution_service.opened import protect
from execution_service.orders import Orders
from execution_service.planning import Picture, check_reversal, look, make_plan
from execution_service.progress import Progress
from execution_service.signals import Leg, LegKind, LegState, OrderSide, SignalState
from tradekit.market.alert import OrderType
from tradekit.market.sizing import Side
from tradekit.service.errors import ServiceError

T = TypeVar("T")

RETRY_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0


async def execute_entry(progress: Progress, account: Account, journal: Journal) -> None:
    """Opens or enlarges a position as the alert says, and protects it.

    Raises:
        CloseRefused: A position had to be closed and could not be, or could not be read.
        OutcomeHidden: What became of the entry cannot be found out.
    """
    side = progress.signal.alert.action.entry_side
    assert side is not None
    await _Entry(progress, account, journal, side).execute()


class _GaveUp(Exception):
    """The signal ends without a position of its own."""

    def __init__(self, state: SignalState, reason: str, message: str) -> None:
        super().__init__(message)
        self.state = state
        self.reason = reason
        self.message = message

    @classmethod
    def rejected(cls, error: ServiceError | errors.ExchangeError) -> "_GaveUp":
        return cls(SignalState.REJECTED, error.reason, error.message)

    @classmethod
    def expired(cls, reason: str, message: str) -> "_GaveUp":
        return cls(SignalState.EXPIRED, reason, message)


class _Entry:
    def __init__(self, progress: Progress, account: Account, journal: Journal, side: Side) -> None:
        self._progress = progress
        self._account = account
        self._journal = journal
        self._side = side
        self._orders = Orders(progress, account, side)

    async def execute(self) -> None:
        progress = self._progress
        try:
            entry = await self._filled_entry()
        except _GaveUp as end:
            await progress.move(end.state, reason=end.reason, message=end.message)
            return
        if entry.state is LegState.OPEN and not entry.filled_quantity:
            # From now on it is watched by its leg.
            await progress.move(SignalState.DONE, message=self._resting_message())
            return
        await protect(progress, self._account, self._journal)

    def _resting_message(self) -> str:
        signal, side = self._progress.signal, self._side.value.upper()
        if signal.alert.order_type is OrderType.LIMIT:
            return f"{side} limit order placed on {signal.exchange}"
        return f"{side} order accepted by {signal.exchange}, not filled yet"

    async def _filled_entry(self) -> Leg:
        """Everything up to an entry that rests or has filled at least in part.

        Raises:
            _GaveUp: There is no position of this signal.
        """
        progress = self._progress
        if progress.signal.leg(LegKind.ENTRY) is None:
            if not progress.is_fresh():
                raise _GaveUp.expired("ENTRY_TOO_OLD", "The alert was too old when its turn came.")
            await self._prepare()
        entry = await self._placed_entry()
        observe_execution(progress.signal, self._journal.clock.now())
        if entry.state is LegState.DEAD:
            raise _GaveUp.expired("ENTRY_TOO_OLD", "The order never reached the exchange in time.")
        if entry.state is not LegState.OPEN and not entry.filled_quantity:
            reason = entry.reason or "ENTRY_NOT_FILLED"
            message = entry.message or "The exchange did not fill the order."
            raise _GaveUp(SignalState.REJECTED, reason, message)
        return entry

    async def _prepare(self) -> None:
        """Turns an opposite position around, decides the numbers, sets the leverage."""
        progress = self._progress
        if progress.signal.state is SignalState.RECEIVED:
            await progress.move(SignalState.EXECUTING)
        picture = await self._picture()
        turning = picture.opposite(self._side) is not None
        if turning or any(leg.kind is LegKind.CLOSE for leg in progress.signal.legs):
            await self._reverse(picture)
            picture = await self._picture()
        self._decide(picture)
        leverage, symbol = progress.signal.alert.leverage, progress.signal.symbol
        if leverage is not None and leverage != await self._asked(lambda: self._account.leverage(symbol)):
            await self._set_leverage(leverage)

    async def _picture(self) -> Picture:
        signal = self._progress.signal
        return await self._asked(lambda: look(signal.alert, signal.symbol, self._account))

    def _decide(self, picture: Picture) -> None:
        try:
            self._progress.decide(make_plan(self._progress.signal.alert, self._side, picture))
        except ServiceError as error:
            raise _GaveUp.rejected(error) from error

    async def _reverse(self, picture: Picture) -> None:
        try:
            check_reversal(self._progress.signal.alert, self._side, picture)
        except ServiceError as error:
            raise _GaveUp.rejected(error) from error
        leftovers = Leftovers(self._progress, self._account, self._journal)
        opposite = frozenset({self._side.opposite})
        await leftovers.withdraw(entries_of(opposite))
        await close_positions(self._progress, self._account, leftovers, opposite)
        await leftovers.withdraw(protection_of(opposite))
        self._account.traded()

    async def _set_leverage(self, leverage: int) -> None:
        """No entry at another leverage than asked. Setting it may be repeated: it is not an order."""
        progress, account = self._progress, self._account
        symbol, signal_id = progress.signal.symbol, str(progress.signal.id)
        before = progress.signal.leg(LegKind.LEVERAGE)
        attempt = 0 if before is None else before.attempt + before.state.final
        leg = Leg(progress.signal.id, LegKind.LEVERAGE, attempt=attempt, leverage=leverage)
        await progress.put([leg])
        try:
            in_force = await self._asked(
                lambda: account.exchange.set_leverage(symbol, leverage, signal_id=signal_id)
            )
            account.leverage_is(symbol, in_force)
            if in_force != leverage:
                message = f"The exchange set the leverage to {in_force}."
                raise _GaveUp(SignalState.REJECTED, "LEVERAGE_REFUSED", message)
        except _GaveUp as end:
            await progress.put([replace(leg, state=LegState.REFUSED, reason=end.reason, message=end.message)])
            raise
        await progress.put([replace(leg, state=LegState.FILLED)])

    async def _asked(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question that may be repeated, while the alert is fresh."""
        pause = RETRY_PAUSE_S
        while True:
            try:
                return await question()
            except errors.Refused as error:
                self._note_refusal(error)
                raise _GaveUp.rejected(error) from error
            except ServiceError as error:
                raise _GaveUp.rejected(error) from error
            except errors.ExchangeError as error:
                await self._wait(pause, error)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _placed_entry(self) -> Leg:
        leg = self._progress.signal.leg(LegKind.ENTRY) or self._new_leg()
        reloaded = False
        while True:
            try:
                return await self._orders.place(leg)
            except errors.RulesChanged as error:
                if reloaded:
                    raise _GaveUp.rejected(error) from error
                reloaded = True
                self._account.market_data.forget_rules()
                self._decide(await self._picture())
            except errors.NotSent as error:
                await mend_clock(self._account, error)
                await self._wait(RETRY_PAUSE_S, error)
            except errors.Refused as error:
                self._note_refusal(error)
                raise _GaveUp.rejected(error) from error
            leg = self._new_leg()

    def _new_leg(self) -> Leg:
        plan = self._progress.signal.plan
        assert plan is not None
        return self._orders.new_leg(
            LegKind.ENTRY,
            side=OrderSide.opening(plan.side),
            quantity=plan.quantity,
            limit_price=self._progress.signal.alert.limit_price,
        )

    async def _wait(self, pause: float, error: errors.ExchangeError) -> None:
        """Waits until it may be tried again; gives up at once when the alert will be too old by then."""
        wait = timedelta(seconds=pause)
        if isinstance(error, errors.NotSent):
            wait = max(wait, error.retry_after)
        if not self._progress.is_fresh(after=wait):
            raise _GaveUp.expired(error.reason, error.message) from error
        await asyncio.sleep(wait.total_seconds())

    def _note_refusal(self, error: errors.Refused) -> None:
        if isinstance(error, errors.KeyRejected):
            self._account.reject_key(error)
