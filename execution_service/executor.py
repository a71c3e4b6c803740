"""From an alert to its outcome: made durable, queued behind its market's others, told to its end.

`OrderExecutor.execute_signal` makes an alert durable and waits for its outcome as long as the caller can;
the work belongs to the process, not to the call, and goes on without it. Signals of one account and symbol
run strictly in the order in which they were made durable; others run beside them.

Every step of a story is written before it is taken, so that a story can be told again from the journal after
a crash: what is done is not done twice, what is unclear is found out.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from execution_service.accounts import Account, Accounts
from execution_service.closing import CloseRefused, execute_close
from execution_service.entries import execute_entry
from execution_service.errors import journal_unavailable, unknown_symbol
from execution_service.journal import Arrival, Journal
from execution_service.lanes import Lanes, Story
from execution_service.opened import protect
from execution_service.orders import OutcomeHidden
from execution_service.planning import check_alert
from execution_service.progress import Progress
from execution_service.signals import Signal, SignalState
from tradekit.market.alert import Alert
from tradekit.market.symbol import Market, SymbolMalformed, SymbolUnknown, parse_market
from tradekit.service.clock import Clock
from tradekit.service.errors import NotFound, ServiceError

log = logging.getLogger(__name__)


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
        with self._lanes.lane(request.account_id, market.symbol) as lane:
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

    async def run_beside(self, signal: Signal, story: Story) -> None:
        """Runs `story` in the signal's place in the order of its account and symbol.

        The story gets the signal as the journal has it when its turn comes.
        """
        await self._lanes.run_once(Progress(signal, self._journal, self._clock, behind=True), story)

    async def protect_late(self, progress: Progress, account: Account) -> None:
        """Protects a position whose signal is final: a limit entry that fills, work that was interrupted."""
        await protect(progress, account, self._journal)

    @asynccontextmanager
    async def retiring(self, account_id: uuid.UUID) -> AsyncIterator[None]:
        """Takes no more alerts for an account from now on, unless the body fails.

        The body begins when no alert of the account is half-way into the journal.
        """
        self._retired.add(account_id)
        try:
            await self._lanes.settle_arrivals(account_id)
            yield
        except BaseException:
            self._retired.discard(account_id)
            raise

    async def stop(self, grace_s: float) -> None:
        """Takes no alert any more, and ends the work under way where it stands after `grace_s`.

        The journal knows where to go on.
        """
        await self._lanes.stop(grace_s)

    async def _account(self, request: AlertRequest) -> Account:
        self._check_not_retired(request.account_id)
        return await self._accounts.get(str(request.user_id), str(request.account_id))

    def _check_not_retired(self, account_id: uuid.UUID) -> None:
        if account_id in self._retired:
            raise NotFound("ACCOUNT_NOT_FOUND", "There is no such account.")

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
        recording = self._lanes.beside(self._record(arrival))
        try:
            return await asyncio.shield(recording)
        finally:
            # A caller that goes away takes nothing back: what is on its way into the journal is queued, and
            # before the alerts that came later.
            if not recording.done():
                await asyncio.wait([recording])

    async def _record(self, arrival: Arrival) -> tuple[Signal, bool]:
        if self._lanes.stopping:
            raise journal_unavailable()
        self._check_not_retired(arrival.signal.account_id)
        signal, duplicate = await self._journal.accept(arrival)
        if not signal.state.final:
            self._lanes.put(Progress(signal, self._journal, self._clock, behind=duplicate))
        return signal, duplicate

    async def _run(self, progress: Progress) -> None:
        """Tells a signal's story to its end."""
        account = await self._account_of(progress.signal)
        is_close = progress.signal.alert.action.entry_side is None
        try:
            if is_close:
                await execute_close(progress, account, self._journal)
            else:
                await execute_entry(progress, account, self._journal)
        except CloseRefused as refusal:
            message = (
                "The position could not be closed" if is_close else "The position may be open without a stop"
            )
            await progress.move(
                SignalState.FAILED,
                reason=refusal.error.reason,
                message=f"{message}: {refusal.error.message} Look at it on the exchange.",
            )
        except OutcomeHidden as hidden:
            await progress.move(SignalState.FAILED, reason=hidden.reason, message=hidden.message)
        finally:
            account.traded()
            self._lanes.beside(account.renew_quietly())
