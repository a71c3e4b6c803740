"""A signal's story, top to bottom: from the claim to the outcome.

`OrderExecutor.execute_signal` makes an alert durable and waits for its outcome as long as the caller can;
the work belongs to the process, not to the call, and goes on without it. Signals of one account and symbol
run strictly in the order in which they were made durable; others run beside them.

Every step of a story is written before it is taken, so that a story can be told again from the journal after
a
crash: what is done is not done twice, what is unclear is found out.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from prometheus_client import Histogram

from execution_service.accounts import Account, Accounts
from execution_service.closing import CloseRefused, clear_leftovers, close_positions, read_positions
from execution_service.errors import unknown_symbol
from execution_service.exchanges import errors
from execution_service.exchanges.types import OrderRef, Position
from execution_service.journal import Arrival, Journal
from execution_service.lanes import Lanes
from execution_service.orders import Orders
from execution_service.planning import check_alert, check_reversal, look, make_plan
from execution_service.progress import Progress
from execution_service.protection import NotProtected, Protection
from execution_service.signals import Leg, LegKind, LegState, OrderSide, Signal, SignalState
from tradekit.market.alert import Action, Alert
from tradekit.market.instrument import Instrument
from tradekit.market.sizing import Side
from tradekit.market.symbol import Market, SymbolMalformed, SymbolUnknown, parse_market
from tradekit.service.clock import Clock
from tradekit.service.errors import NotFound, ServiceError

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_PAUSE_S = 0.5
ORDER_SECONDS = Histogram(
    "order_execution_seconds",
    "From the arrival of an alert to the exchange's answer to its entry or close.",
    ["exchange", "action"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


@dataclass(frozen=True, slots=True)
class AlertRequest:
    """An alert on its way into the journal.

    Attributes:
        alert_json: As it came.
        alert_key: What makes two alerts one.
        content_hash: SHA-256 of what it asks for.
        key_from_alert: Whether the key was made of the alert's own id or time.
    """

    user_id: uuid.UUID
    account_id: uuid.UUID
    alert: Alert
    alert_json: str
    alert_key: str
    content_hash: str
    key_from_alert: bool
    receive_time: datetime


class OrderExecutor:
    """Turns alerts into orders, each exactly once."""

    def __init__(
        self,
        journal: Journal,
        accounts: Accounts,
        clock: Clock,
        new_id: Callable[[], uuid.UUID],
    ) -> None:
        self._journal = journal
        self._accounts = accounts
        self._clock = clock
        self._new_id = new_id
        self._lanes = Lanes(self._run)
        self._retired: set[uuid.UUID] = set()

    async def execute_signal(self, request: AlertRequest, *, wait_s: float) -> tuple[Signal, bool]:
        """Makes the alert durable and has it executed; returns when it is final or `wait_s` is over.

        Returns:
            The signal, and whether the alert had come before.

        Raises:
            ServiceError: The alert is not taken, and nothing was recorded for it.
        """
        deadline = asyncio.get_running_loop().time() + wait_s
        account = await self._account(request)
        arrival, market = self._arrival(request, account)
        lane = self._lanes.lane(request.account_id, market.symbol)
        # Alerts of one account and symbol are made durable in the order in which they came.
        async with lane.arrivals:
            signal, duplicate = await self._take(arrival, market, account)
        progress = self._lanes.progress(signal.id)
        if progress is None:
            return signal, duplicate
        with suppress(TimeoutError):  # it goes on without the caller
            async with asyncio.timeout_at(deadline):
                await progress.ended.wait()
        return progress.signal, duplicate

    async def resume(self) -> int:
        """Takes up every signal that is not final and not on its way; returns how many are not final.

        After a start these are all that there are. Later there are none, but for an alert whose insert was
        committed while its answer was lost.
        """
        signals = await self._journal.unfinished()
        for signal in signals:
            self._lanes.put(Progress(signal, self._journal, self._clock, behind=True))
        return len(signals)

    def busy(self, account_id: uuid.UUID, symbol: str) -> bool:
        """Whether a signal of this account and symbol is on its way."""
        return self._lanes.busy(account_id, symbol)

    async def run_beside(self, signal: Signal, story: Callable[[Progress], Awaitable[None]]) -> None:
        """Runs `story` in the signal's place in the order of its account and symbol."""
        await self._lanes.run_once(Progress(signal, self._journal, self._clock), story)

    async def protect_late(self, progress: Progress) -> None:
        """Protects the position of a limit entry that has just begun to fill."""
        account = await self._account_of(progress.signal)
        await self._protect(progress, account)

    @asynccontextmanager
    async def retiring(self, account_id: uuid.UUID) -> AsyncIterator[None]:
        """Takes no more alerts for an account from now on, unless the body fails."""
        self._retired.add(account_id)
        try:
            yield
        except BaseException:
            self._retired.discard(account_id)
            raise

    async def stop(self) -> None:
        """Ends the work under way where it stands; the journal knows where to go on."""
        await self._lanes.stop()

    async def _account(self, request: AlertRequest) -> Account:
        if request.account_id in self._retired:
            raise NotFound("ACCOUNT_NOT_FOUND", "There is no such account.")
        return await self._accounts.get(str(request.user_id), str(request.account_id))

    async def _account_of(self, signal: Signal) -> Account:
        return await self._accounts.get(str(signal.user_id), str(signal.account_id))

    def _arrival(self, request: AlertRequest, account: Account) -> tuple[Arrival, Market]:
        try:
            market = parse_market(request.alert.symbol)
        except (SymbolMalformed, SymbolUnknown) as error:
            raise unknown_symbol(request.alert.symbol, account.key.exchange) from error
        signal = Signal(
            id=self._new_id(),
            user_id=request.user_id,
            account_id=request.account_id,
            exchange=account.key.exchange,
            symbol=market.symbol,
            alert=request.alert,
            receive_time=request.receive_time,
        )
        arrival = Arrival(
            signal, request.alert_json, request.alert_key, request.content_hash, request.key_from_alert
        )
        return arrival, market

    async def _take(self, arrival: Arrival, market: Market, account: Account) -> tuple[Signal, bool]:
        """Checks and journals an alert, and queues its signal."""
        try:
            await check_alert(arrival.signal.alert, market, account, self._accounts, self._clock)
        except ServiceError:
            # What is refused now may have been taken the first time.
            first = await self._journal.find(arrival)
            if first is None:
                raise
            return first, True
        signal, duplicate = await self._journal.accept(arrival)
        if not signal.state.final:
            self._lanes.put(Progress(signal, self._journal, self._clock, behind=duplicate))
        return signal, duplicate

    async def _run(self, progress: Progress) -> None:
        """Tells a signal's story to its end."""
        account = await self._account_of(progress.signal)
        account.used_at = self._clock.now()
        try:
            if progress.signal.alert.action.entry_side is None:
                await self._close(progress, account)
            else:
                await self._enter(progress, account)
        except CloseRefused as error:
            await progress.move(
                SignalState.FAILED,
                reason=error.error.reason,
                message=f"The position could not be closed: {error.error.message} Close it on the exchange.",
            )
        finally:
            account.traded()
            self._lanes.beside(account.renew_quietly())

    # Closes

    async def _close(self, progress: Progress, account: Account) -> None:
        signal = progress.signal
        if signal.state is SignalState.RECEIVED:
            await progress.move(SignalState.EXECUTING)
        wanted = {
            Action.CLOSE_LONG: frozenset({Side.LONG}),
            Action.CLOSE_SHORT: frozenset({Side.SHORT}),
            Action.CLOSE_ALL: frozenset(Side),
        }[signal.alert.action]
        closed, seen = await close_positions(progress, account, lambda position: position.side in wanted)
        self._observe(signal)
        if not await read_positions(account, signal.symbol):
            await self._cancel_resting_entries(progress, account)
            await clear_leftovers(self._journal, account, signal, keep=frozenset())
        side = "/".join(sorted({position.side.value for position in seen})) or _close_word(
            signal.alert.action
        )
        message = (
            f"{side.upper()} position closed on {signal.exchange}"
            if closed
            else f"No {side} position to close on {signal.exchange}"
        )
        await progress.move(SignalState.DONE, message=message, unguard=True)

    async def _cancel_resting_entries(self, progress: Progress, account: Account) -> None:
        """A close also withdraws a limit entry that has not filled."""
        for owner in await self._journal.resting(progress.signal.account_id, progress.signal.symbol):
            for leg in owner.legs:
                if leg.kind is LegKind.ENTRY and leg.state is LegState.OPEN:
                    ref = OrderRef(owner.symbol, leg.client_order_id, conditional=False)
                    await account.exchange.cancel_order(ref, signal_id=str(progress.signal.id))

    # Entries

    async def _enter(self, progress: Progress, account: Account) -> None:
        side = progress.signal.alert.action.entry_side
        assert side is not None
        try:
            entry = await self._fill_entry(progress, account, side)
        except _GaveUp as end:
            await progress.move(end.state, reason=end.reason, message=end.message)
            return
        if entry.state is LegState.OPEN and not entry.filled_quantity:
            message = f"{side.value.upper()} limit order placed on {progress.signal.exchange}"
            await progress.move(SignalState.DONE, message=message, guard=progress.guard(entry_open=True))
            return
        await self._protect(progress, account)

    async def _fill_entry(self, progress: Progress, account: Account, side: Side) -> Leg:
        """Everything up to an entry that rests or has filled at least in part.

        Raises:
            _GaveUp: There is no position of this signal.
        """
        known = progress.signal.leg(LegKind.ENTRY)
        if known is None:
            if not progress.is_fresh():
                raise _GaveUp(
                    SignalState.EXPIRED, "ENTRY_TOO_OLD", "The alert was too old when its turn came."
                )
            await self._prepare_entry(progress, account, side)
        entry = await self._place_entry(progress, account, side)
        self._observe(progress.signal)
        if entry.state is LegState.DEAD:
            raise _GaveUp(
                SignalState.EXPIRED, "ENTRY_TOO_OLD", "The order never reached the exchange in time."
            )
        if entry.state is not LegState.OPEN and not entry.filled_quantity:
            reason = entry.reason or "ENTRY_NOT_FILLED"
            raise _GaveUp(
                SignalState.REJECTED, reason, entry.message or "The exchange did not fill the order."
            )
        return entry

    async def _prepare_entry(self, progress: Progress, account: Account, side: Side) -> None:
        """Turns an opposite position around, decides the numbers, sets the leverage."""
        alert, symbol = progress.signal.alert, progress.signal.symbol
        if progress.signal.state is SignalState.RECEIVED:
            await progress.move(SignalState.EXECUTING)
        picture = await self._asked(progress, lambda: look(alert, symbol, account))
        turning = picture.position is not None and picture.position.side is side.opposite
        if turning or any(leg.kind is LegKind.CLOSE for leg in progress.signal.legs):
            await self._reverse(progress, account, side, picture.position)
            picture = await self._asked(progress, lambda: look(alert, symbol, account))
        try:
            progress.decide(make_plan(alert, side, picture))
        except ServiceError as error:
            raise _GaveUp(SignalState.REJECTED, error.reason, error.message) from error
        if alert.leverage is not None and alert.leverage != await self._asked(
            progress, lambda: account.leverage(symbol)
        ):
            await self._set_leverage(progress, account, alert.leverage)

    async def _reverse(
        self, progress: Progress, account: Account, side: Side, position: Position | None
    ) -> None:
        try:
            check_reversal(progress.signal.alert, side, position)
        except ServiceError as error:
            raise _GaveUp(SignalState.REJECTED, error.reason, error.message) from error
        await close_positions(progress, account, lambda held: held.side is side.opposite)
        await clear_leftovers(self._journal, account, progress.signal, keep=frozenset())
        account.traded()

    async def _set_leverage(self, progress: Progress, account: Account, leverage: int) -> None:
        """No entry at another leverage than asked. Setting it may be repeated: it is not an order."""
        leg = Leg(progress.signal.id, LegKind.LEVERAGE, leverage=leverage)
        await progress.put([leg])
        signal = progress.signal
        try:
            in_force = await self._asked(
                progress,
                lambda: account.exchange.set_leverage(signal.symbol, leverage, signal_id=str(signal.id)),
            )
        except _GaveUp as end:
            await progress.put([replace(leg, state=LegState.REFUSED, reason=end.reason, message=end.message)])
            raise
        account.leverage_is(signal.symbol, in_force)
        if in_force != leverage:
            raise _GaveUp(
                SignalState.REJECTED, "LEVERAGE_REFUSED", f"The exchange set the leverage to {in_force}."
            )
        await progress.put([replace(leg, state=LegState.FILLED)])

    async def _asked(self, progress: Progress, question: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question that may be repeated, while the alert is fresh."""
        pause = RETRY_PAUSE_S
        while True:
            try:
                return await question()
            except errors.Refused as error:
                raise _GaveUp(SignalState.REJECTED, error.reason, error.message) from error
            except errors.ExchangeError as error:
                if not progress.is_fresh():
                    raise _GaveUp(SignalState.EXPIRED, error.reason, error.message) from error
                wait = error.retry_after.total_seconds() if isinstance(error, errors.NotSent) else 0.0
            await asyncio.sleep(max(pause, wait))
            pause = min(pause * 2, 5.0)

    async def _place_entry(self, progress: Progress, account: Account, side: Side) -> Leg:
        orders = Orders(progress, account, side)
        leg = progress.signal.leg(LegKind.ENTRY) or self._entry_leg(progress, orders)
        reloaded = False
        while True:
            try:
                return await orders.place(leg)
            except errors.RulesChanged as error:
                if reloaded:
                    raise _GaveUp(SignalState.REJECTED, error.reason, error.message) from error
                reloaded = True
                await self._plan_again(progress, account, side)
            except errors.NotSent as error:
                await self._wait_out(progress, account, error)
            except errors.Refused as error:
                raise _GaveUp(SignalState.REJECTED, error.reason, error.message) from error
            leg = self._entry_leg(progress, orders)

    def _entry_leg(self, progress: Progress, orders: Orders) -> Leg:
        plan = progress.signal.plan
        assert plan is not None
        return orders.new_leg(
            LegKind.ENTRY,
            side=OrderSide.opening(plan.side),
            quantity=plan.quantity,
            limit_price=progress.signal.alert.limit_price,
        )

    async def _plan_again(self, progress: Progress, account: Account, side: Side) -> None:
        """The rules that we knew are old: asks for new ones and decides anew."""
        account.market_data.forget_rules()
        alert, symbol = progress.signal.alert, progress.signal.symbol
        picture = await self._asked(progress, lambda: look(alert, symbol, account))
        try:
            progress.decide(make_plan(alert, side, picture))
        except ServiceError as error:
            raise _GaveUp(SignalState.REJECTED, error.reason, error.message) from error

    async def _wait_out(self, progress: Progress, account: Account, error: errors.NotSent) -> None:
        if isinstance(error, errors.ClockSkew):
            await self._asked(progress, account.market_data.market.refresh_clock)
        await asyncio.sleep(max(RETRY_PAUSE_S, error.retry_after.total_seconds()))
        if not progress.is_fresh():
            raise _GaveUp(SignalState.EXPIRED, error.reason, error.message) from error

    # Protection

    async def _protect(self, progress: Progress, account: Account) -> None:
        """Stop and targets for what the entry filled; or the position is closed."""
        signal = progress.signal
        assert signal.plan is not None
        entry = signal.leg(LegKind.ENTRY)
        assert entry is not None
        if not signal.state.final and signal.state is not SignalState.PROTECTING:
            await progress.move(
                SignalState.PROTECTING, guard=progress.guard(entry_open=entry.state is LegState.OPEN)
            )
        positions = await read_positions(account, signal.symbol)
        position = next((held for held in positions if held.side is signal.plan.side), None)
        if position is None:
            await self._position_vanished(progress, positions)
            return
        instrument = await self._instrument(account, signal.symbol)
        protection = Protection(progress, account, self._journal, instrument, signal.plan)
        try:
            await protection.place(position, entry.average_price or position.entry_price)
        except NotProtected as problem:
            await self._close_unprotected(progress, account, problem)
            return
        message = f"{signal.plan.side.value.upper()} order executed on {signal.exchange}"
        await self._finish(progress, SignalState.DONE, message=message)

    async def _instrument(self, account: Account, symbol: str) -> Instrument:
        while True:
            try:
                instrument = await account.market_data.instrument(symbol)
            except errors.ExchangeError:
                await asyncio.sleep(RETRY_PAUSE_S)
                continue
            assert instrument is not None
            return instrument

    async def _position_vanished(self, progress: Progress, positions: list[Position]) -> None:
        """It was closed by hand or netted against a position of the other side while we looked away."""
        other = f" A {positions[0].side.value} position is open." if positions else ""
        await self._finish(
            progress,
            SignalState.FAILED,
            reason="POSITION_GONE",
            message=f"The entry has filled, but its position is not there any more.{other}",
            unguard=True,
        )

    async def _close_unprotected(self, progress: Progress, account: Account, problem: NotProtected) -> None:
        plan = progress.signal.plan
        assert plan is not None
        progress.note("position.unprotected", reason=problem.reason, message=problem.message)
        log.error(
            "position.unprotected", extra={"signal_id": str(progress.signal.id), "reason": problem.reason}
        )
        await close_positions(progress, account, lambda held: held.side is plan.side)
        await clear_leftovers(self._journal, account, progress.signal, keep=frozenset())
        await self._finish(
            progress,
            SignalState.FAILED,
            reason=problem.reason,
            message=f"No stop could be placed, so the position was closed at market. {problem.message}",
            unguard=True,
        )

    async def _finish(
        self, progress: Progress, state: SignalState, *, message: str, reason: str = "", unguard: bool = False
    ) -> None:
        if progress.signal.state.final:
            # A limit entry's signal was done when its order rested; what came later is told as a step.
            progress.note(f"protection.{state.value}", message=message, reason=reason)
            entry = progress.signal.leg(LegKind.ENTRY)
            entry_open = entry is not None and entry.state is LegState.OPEN
            guard = None if unguard else progress.guard(entry_open=entry_open)
            await progress.record(guard=guard, unguard=unguard)
            return
        await progress.move(state, reason=reason, message=message, unguard=unguard)

    def _observe(self, signal: Signal) -> None:
        elapsed = (self._clock.now() - signal.receive_time).total_seconds()
        ORDER_SECONDS.labels(signal.exchange, signal.alert.action.value).observe(max(elapsed, 0))


class _GaveUp(Exception):
    """The signal ends without a position of its own."""

    def __init__(self, state: SignalState, reason: str, message: str) -> None:
        super().__init__(message)
        self.state = state
        self.reason = reason
        self.message = message


def _close_word(action: Action) -> str:
    return {Action.CLOSE_LONG: "long", Action.CLOSE_SHORT: "short"}.get(action, "open")
