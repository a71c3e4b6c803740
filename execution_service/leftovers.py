"""Orders of ours that wait on the exchange and are to go: what is left must never touch the next position."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from execution_service.accounts import Account
from execution_service.exchanges import errors
from execution_service.exchanges.types import OrderRef, OrderStatus
from execution_service.journal import Journal
from execution_service.orders import PROOF_PAUSE, updated
from execution_service.progress import Progress
from execution_service.signals import Leg, LegKind, LegState, Signal
from tradekit.market.sizing import Side

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LAST_PAUSE_S = 0.2, 5.0

Wanted = Callable[[Signal, Leg], bool]


def protection_of(sides: frozenset[Side]) -> Wanted:
    """The stops and targets of positions on these sides."""
    return lambda owner, leg: leg.kind.conditional and _side(owner) in sides


def entries_of(sides: frozenset[Side]) -> Wanted:
    """The entries that rest and would open positions on these sides."""
    return lambda owner, leg: leg.kind is LegKind.ENTRY and _side(owner) in sides


def _side(owner: Signal) -> Side | None:
    return None if owner.plan is None else owner.plan.side


class Leftovers:
    """The orders of one market that wait on the exchange, whichever signals they are of.

    Only the story that holds the market's lane may use it.
    """

    def __init__(self, progress: Progress, account: Account, journal: Journal) -> None:
        self._progress = progress
        self._account = account
        self._journal = journal

    async def waiting(self, wanted: Wanted) -> list[tuple[Signal, Leg]]:
        """The wanted orders that are, or may be, open on the exchange, each with the signal that it is of."""
        signal = self._progress.signal
        return [
            (owner, leg)
            for owner in await self._journal.resting(signal.account_id, signal.symbol)
            for leg in owner.legs
            if leg.client_order_id and not leg.state.final and wanted(owner, leg)
        ]

    async def withdraw(self, wanted: Wanted) -> None:
        """Cancels the wanted orders; tries until it is done."""
        await self.cancel(await self.waiting(wanted))

    async def cancel(self, waiting: Iterable[tuple[Signal, Leg]]) -> None:
        """Cancels these orders; tries until it is done.

        An order that has ended by itself is recorded as the exchange says it ended.
        """
        outcomes = await asyncio.gather(
            *(self._end(owner, leg) for owner, leg in waiting), return_exceptions=True
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def cancelled(self, owner: Signal, leg: Leg) -> Leg:
        """Cancels an order; returns the leg as it ended.

        Raises:
            ExchangeError: It may not have ended.
        """
        ref = OrderRef(owner.symbol, leg.client_order_id, leg.kind.conditional)
        exchange = self._account.exchange
        # Unknown: it has filled, or triggers now, or went with the position, or has not arrived yet.
        with suppress(errors.OrderUnknown):
            await exchange.cancel_order(ref, signal_id=str(owner.id))
        order = await exchange.find_order(ref)
        if order is None:
            self._check_proven(leg)
            return replace(leg, state=LegState.CANCELED, reason="", message="")
        if order.status is OrderStatus.OPEN:
            raise errors.Unreachable("The order has not ended yet.")
        return updated(leg, order)

    def _check_proven(self, leg: Leg) -> None:
        """An order whose answer is missing may still arrive as long as the exchange would take it."""
        if leg.state is LegState.OPEN or leg.valid_until is None:
            return
        left = leg.valid_until + PROOF_PAUSE - self._account.market_data.market.exchange_time()
        if left > timedelta(0):
            raise errors.Unreachable("The order may still arrive.", retry_after=left)

    async def _end(self, owner: Signal, leg: Leg) -> None:
        pause = FIRST_PAUSE_S
        while True:
            try:
                ended = await self.cancelled(owner, leg)
                break
            except errors.Refused as error:
                log.error(
                    "leftover.not_cancelled",
                    extra={"client_order_id": leg.client_order_id, "reason": error.reason},
                )
                return
            except errors.ExchangeError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LAST_PAUSE_S)
        own = owner.id == self._progress.signal.id
        progress = self._progress if own else Progress(owner, self._journal, self._journal.clock)
        await progress.put([ended])
