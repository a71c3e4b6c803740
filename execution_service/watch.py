"""Watches the positions that we opened until they are gone.

When a stop or target (or a person) has closed a position, what is left of its orders is cancelled, so that
it can never touch the next one; when a resting entry begins to fill, its position is protected.
"""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace

from execution_service.accounts import Account, Accounts
from execution_service.closing import clear_leftovers
from execution_service.exchanges import errors
from execution_service.exchanges.types import Order, OrderRef, OrderStatus, Position
from execution_service.executor import OrderExecutor
from execution_service.journal import Guard, Journal
from execution_service.orders import updated
from execution_service.progress import Progress
from execution_service.signals import Leg, LegKind, LegState, Signal
from tradekit.service.errors import ServiceError

log = logging.getLogger(__name__)

PAUSE_S = 2.0
# A question about an account's positions counts 5 of the 2,400 that Binance allows an address in a minute;
# what is watched may take a quarter of that.
ACCOUNTS_PER_SECOND = 2.0


class Watch:
    """Looks at every watched position, again and again."""

    def __init__(self, executor: OrderExecutor, accounts: Accounts, journal: Journal) -> None:
        self._executor = executor
        self._accounts = accounts
        self._journal = journal

    async def run(self) -> None:
        """Watches until it is cancelled."""
        while True:
            try:
                guards = await self._journal.guards()
                await self.look(guards)
            except ServiceError as error:
                log.warning("watch.waits", extra={"reason": error.reason})
                guards = []
            accounts = len({guard.account_id for guard in guards})
            await asyncio.sleep(max(PAUSE_S, accounts / ACCOUNTS_PER_SECOND))

    async def look(self, guards: Sequence[Guard]) -> None:
        """Looks at these positions once."""
        by_account: dict[tuple[uuid.UUID, uuid.UUID], list[Guard]] = {}
        for guard in guards:
            by_account.setdefault((guard.user_id, guard.account_id), []).append(guard)
        for (user_id, account_id), watched in by_account.items():
            try:
                account = await self._accounts.get(str(user_id), str(account_id))
                await self._look_at(account, watched)
            except (errors.ExchangeError, ServiceError) as error:
                log.warning("watch.account", extra={"account_id": str(account_id), "reason": error.reason})

    async def _look_at(self, account: Account, guards: Sequence[Guard]) -> None:
        positions = await account.exchange.get_positions()
        for guard in guards:
            if self._executor.busy(guard.account_id, guard.symbol):
                continue
            if guard.entry_open:
                await self._follow_entry(account, guard, held=_held(positions, guard))
            elif not _held(positions, guard):
                await self._end(account, guard)

    async def _follow_entry(self, account: Account, guard: Guard, *, held: bool) -> None:
        """An entry that rests: protects what it fills, and ends it with its position."""
        signal = await self._journal.get(guard.signal_id)
        entry = signal.leg(LegKind.ENTRY)
        assert entry is not None
        ref = OrderRef(guard.symbol, entry.client_order_id, conditional=False)
        if entry.filled_quantity and not held:
            await account.exchange.cancel_order(ref, signal_id=str(signal.id))
        order = await account.exchange.find_order(ref)
        if order is None or updated(entry, order) == entry:
            return

        async def story(progress: Progress) -> None:
            await self._entry_moved(progress, account, order, entry)

        await self._executor.run_beside(signal, story)

    async def _entry_moved(self, progress: Progress, account: Account, order: Order, entry: Leg) -> None:
        await progress.put([updated(entry, order)])
        account.traded()
        if order.filled_quantity == 0:
            await progress.record(unguard=True)
        elif entry.filled_quantity == 0 or order.filled_quantity > entry.filled_quantity:
            await self._executor.protect_late(progress)
        elif order.status is not OrderStatus.OPEN:
            await progress.record(guard=progress.guard(entry_open=False))

    async def _end(self, account: Account, guard: Guard) -> None:
        """The position is gone: notes why, and cancels what is left of its orders."""
        signal = await self._journal.get(guard.signal_id)

        async def story(progress: Progress) -> None:
            # Looked at again, now that no signal of this market can be on its way.
            if _held(await account.exchange.get_positions(guard.symbol), guard):
                return
            await self._settle(progress, account)

        await self._executor.run_beside(signal, story)

    async def _settle(self, progress: Progress, account: Account) -> None:
        ended = [await self._ended(account, progress.signal, leg) for leg in progress.signal.legs]
        changed = [leg for leg in ended if leg is not None]
        filled = [leg for leg in changed if leg.state is LegState.FILLED]
        await clear_leftovers(
            self._journal, account, progress.signal, keep=frozenset(leg.client_order_id for leg in changed)
        )
        account.traded()
        attributes = {"by": filled[0].kind.value if filled else "somebody_else"}
        if filled and filled[0].average_price is not None:
            attributes["price"] = str(filled[0].average_price.normalize())
        if changed:
            await progress.put(changed)
        progress.note("position.closed", **attributes)
        await progress.record(unguard=True)
        log.info("position.closed", extra={"signal_id": str(progress.signal.id)} | attributes)

    async def _ended(self, account: Account, signal: Signal, leg: Leg) -> Leg | None:
        """The leg as it ended on the exchange; None when it is not one that waited there, or still does."""
        if leg.state is not LegState.OPEN or not leg.kind.conditional:
            return None
        ref = OrderRef(signal.symbol, leg.client_order_id, conditional=True)
        order = await account.exchange.find_order(ref)
        if order is None:
            return replace(leg, state=LegState.CANCELED)
        return None if order.status is OrderStatus.OPEN else updated(leg, order)


def _held(positions: Sequence[Position], guard: Guard) -> bool:
    return any(held.symbol == guard.symbol and held.side is guard.side for held in positions)
