"""Watches the positions that we opened and the entries that rest, until they are gone.

When a stop or target (or a person) has closed a position, what is left of its orders is cancelled, so that
it can never touch the next one. When a resting entry fills, its position is protected. A position whose
protection was interrupted, or whose stop a person has cancelled, is protected again.
"""

import asyncio
import logging
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from execution_service.accounts import Account, Accounts
from execution_service.exchanges import errors
from execution_service.exchanges.types import OrderRef, OrderStatus, Position
from execution_service.executor import OrderExecutor
from execution_service.journal import Guard, Journal
from execution_service.leftovers import Leftovers, protection_of
from execution_service.orders import updated
from execution_service.progress import Progress
from execution_service.signals import Leg, LegKind, LegState, Signal
from tradekit.market.sizing import Side
from tradekit.service.errors import ServiceError

log = logging.getLogger(__name__)

PAUSE_S = 2.0
# An account whose stream tells what happens is looked at this seldom, and as often as the others for a while
# after its stream has told something: what we are just doing ourselves hides what is not ours.
LIVE_PAUSE_S = 20.0
ATTENTIVE_S = 10.0
# Several events of one trade are looked into once.
WAKE_GAP_S = 0.25
# What the questions of one round count of the 2,400 that Binance allows an address in a minute, and how much
# of it all rounds may take: a quarter.
POSITIONS_WEIGHT, ENTRY_WEIGHT = 5, 1
WEIGHT_PER_SECOND = 10.0
# A list of positions may lag behind a fill: gone is what two lists, this far apart, do not hold.
SECOND_LOOK_S = 0.4

AccountName = tuple[uuid.UUID, uuid.UUID]


@dataclass(slots=True)
class Watched:
    """What is watched of one account.

    Attributes:
        asks_for_stops: Whether it is time to ask whether the stops are still there.
    """

    asks_for_stops: bool = False
    guards: list[Guard] = field(default_factory=list)
    entries: list[Signal] = field(default_factory=list)


class Watch:
    """Looks at everything that is watched, again and again; a slow account does not hold up the others."""

    def __init__(self, executor: OrderExecutor, accounts: Accounts, journal: Journal) -> None:
        self._executor = executor
        self._accounts = accounts
        self._journal = journal
        self._looks: dict[AccountName, asyncio.Task[None]] = {}
        self._looked_at: dict[AccountName, float] = {}
        self._stops_asked_at: dict[AccountName, float] = {}
        self._told_at: dict[AccountName, float] = {}
        self._told = asyncio.Event()

    async def run(self) -> None:
        """Watches until it is cancelled."""
        try:
            while True:
                self._told.clear()
                pause_s = await self._begin_round()
                await asyncio.sleep(WAKE_GAP_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._told.wait()
        finally:
            looks = list(self._looks.values())
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)

    def told(self, account: Account) -> None:
        """Something has, or may have, happened to an account: it is looked at at once, then closely."""
        name = (uuid.UUID(account.key.user_id), uuid.UUID(account.key.account_id))
        self._told_at[name] = _now()
        self._told.set()

    async def _begin_round(self) -> float:
        """Begins to look at each account whose time has come; returns how long to wait for the next round."""
        try:
            accounts = await self._watched()
        except ServiceError as error:
            log.warning("watch.waits", extra={"reason": error.reason})
            return PAUSE_S
        closely = {name: watched for name, watched in accounts.items() if self._is_looked_at_closely(name)}
        entries = sum(len(watched.entries) for watched in closely.values())
        weight = POSITIONS_WEIGHT * len(closely) + ENTRY_WEIGHT * entries
        pause_s = max(PAUSE_S, weight / WEIGHT_PER_SECOND)
        for name, watched in accounts.items():
            if name not in self._looks and self._is_due(name, pause_s if name in closely else LIVE_PAUSE_S):
                watched.asks_for_stops = self._is_time_for_stops(name)
                self._looked_at[name] = _now()
                self._looks[name] = asyncio.create_task(self._look(name, watched))
        self._forget_all_but(accounts)
        return pause_s

    def _is_looked_at_closely(self, name: AccountName) -> bool:
        is_live = self._accounts.is_live(*map(str, name))
        return not is_live or _now() - self._told_at.get(name, 0.0) < ATTENTIVE_S

    def _is_due(self, name: AccountName, pause_s: float) -> bool:
        looked_at = self._looked_at.get(name, -pause_s)
        # A round may begin a little before a pause is over: it is that round, not the next one.
        return looked_at + pause_s <= _now() + WAKE_GAP_S or self._told_at.get(name, 0.0) > looked_at

    def _is_time_for_stops(self, name: AccountName) -> bool:
        """Now and then, and whenever something has been told."""
        asked_at = self._stops_asked_at.get(name, -LIVE_PAUSE_S)
        if asked_at + LIVE_PAUSE_S > _now() and self._told_at.get(name, 0.0) + ATTENTIVE_S < _now():
            return False
        self._stops_asked_at[name] = _now()
        return True

    def _forget_all_but(self, watched: Iterable[AccountName]) -> None:
        for instants in (self._looked_at, self._stops_asked_at, self._told_at):
            for name in instants.keys() - set(watched):
                if _now() - instants[name] > ATTENTIVE_S:
                    del instants[name]

    async def _watched(self) -> dict[AccountName, Watched]:
        accounts: dict[AccountName, Watched] = {}
        for guard in await self._journal.guards():
            accounts.setdefault((guard.user_id, guard.account_id), Watched()).guards.append(guard)
        for signal in await self._journal.resting_entries():
            accounts.setdefault((signal.user_id, signal.account_id), Watched()).entries.append(signal)
        return accounts

    async def _look(self, name: AccountName, watched: Watched) -> None:
        try:
            account = await self._accounts.get(*map(str, name))
            positions = await account.positions_now()
            for signal in watched.entries:
                await self._look_at_entry(account, signal, positions)
            for guard in watched.guards:
                await self._look_at_position(account, guard, positions, asks_for_stop=watched.asks_for_stops)
        except (errors.ExchangeError, ServiceError) as error:
            log.warning("watch.account", extra={"account_id": str(name[1]), "reason": error.reason})
        except Exception:
            # Nobody stands above this task, and the next round begins anew.
            log.exception("watch.broke_down", extra={"account_id": str(name[1])})
        finally:
            del self._looks[name]
            if self._told_at.get(name, 0.0) > self._looked_at[name]:
                self._told.set()

    async def _look_at_entry(self, account: Account, signal: Signal, positions: Sequence[Position]) -> None:
        entry, plan = signal.leg(LegKind.ENTRY), signal.plan
        if entry is None or plan is None or self._executor.busy(signal.account_id, signal.symbol):
            return
        orphan = entry.filled_quantity > 0 and not _held(positions, signal.symbol, plan.side)
        if not orphan:
            order = await account.exchange.find_order(_ref(signal, entry))
            if order is None or updated(entry, order) == entry:
                return

        async def story(progress: Progress) -> None:
            await self._entry_moved(progress, account, plan.side)

        await self._executor.run_beside(signal, story)

    async def _entry_moved(self, progress: Progress, account: Account, side: Side) -> None:
        """An entry that rests has filled some more, has ended, or has lost the position that it opened."""
        entry = progress.signal.leg(LegKind.ENTRY)
        if entry is None or entry.state is not LegState.OPEN:
            return
        if entry.filled_quantity and await self._is_gone(account, progress.signal.symbol, side):
            leftovers = Leftovers(progress, account, self._journal)
            moved = await leftovers.cancelled(progress.signal, entry)
        else:
            order = await account.exchange.find_order(_ref(progress.signal, entry))
            if order is None:
                return
            moved = updated(entry, order)
        if moved == entry:
            return
        grown = moved.filled_quantity > entry.filled_quantity
        # Filled and watched in one write: whatever happens next, the position will get its stop.
        await progress.put([moved], guard=progress.guard() if grown else None)
        if grown:
            account.traded()
            await self._executor.protect_late(progress, account)

    async def _look_at_position(
        self, account: Account, guard: Guard, positions: Sequence[Position], *, asks_for_stop: bool
    ) -> None:
        if self._executor.busy(guard.account_id, guard.symbol):
            return
        if (
            _held(positions, guard.symbol, guard.side)
            and guard.has_stop
            and not (asks_for_stop and await self._is_stop_gone(account, guard))
        ):
            return

        async def story(progress: Progress) -> None:
            if not await self._is_guarded(guard):
                return  # a close of ours ended just now
            if not await self._is_gone(account, guard.symbol, guard.side):
                await self._protect_again(progress, account)
            else:
                await self._settle(progress, account, guard.side)

        await self._executor.run_beside(await self._journal.get(guard.signal_id), story)
        await account.renew_quietly()

    async def _is_guarded(self, guard: Guard) -> bool:
        """Whether it still is what is watched, now that no signal of this market can be on its way."""
        place = (guard.signal_id, guard.symbol, guard.side)
        return any((now.signal_id, now.symbol, now.side) == place for now in await self._journal.guards())

    async def _is_gone(self, account: Account, symbol: str, side: Side) -> bool:
        """Looked at again, now that no signal of this market can be on its way."""
        if _held(await account.exchange.get_positions(symbol), symbol, side):
            return False
        await asyncio.sleep(SECOND_LOOK_S)
        return not _held(await account.exchange.get_positions(symbol), symbol, side)

    async def _is_stop_gone(self, account: Account, guard: Guard) -> bool:
        signal = await self._journal.get(guard.signal_id)
        return await self._cancelled_stop(account, signal) is not None

    async def _cancelled_stop(self, account: Account, signal: Signal) -> Leg | None:
        """The signal's stop as it ended, if it has ended without closing anything."""
        stop = signal.leg(LegKind.STOP_LOSS)
        ended = None if stop is None else await self._ended(account, signal, stop)
        # One that has triggered closes the position, which may be on its way.
        return None if ended is None or ended.state is LegState.FILLED else ended

    async def _protect_again(self, progress: Progress, account: Account) -> None:
        if not progress.signal.state.final:
            return  # its own story protects it
        cancelled = await self._cancelled_stop(account, progress.signal)
        if cancelled is not None:
            await progress.put([cancelled])
        stop = progress.signal.leg(LegKind.STOP_LOSS)
        if stop is not None and stop.state is LegState.OPEN:
            return
        await self._executor.protect_late(progress, account)

    async def _settle(self, progress: Progress, account: Account, side: Side) -> None:
        """The position is gone: notes why, and cancels what is left of its orders."""
        ended = [await self._ended(account, progress.signal, leg) for leg in progress.signal.legs]
        changed = [leg for leg in ended if leg is not None]
        if changed:
            await progress.put(changed)
        leftovers = Leftovers(progress, account, self._journal)
        await leftovers.withdraw(protection_of(frozenset({side})))
        account.traded()
        filled = [leg for leg in changed if leg.state is LegState.FILLED]
        attributes = {"by": filled[0].kind.value if filled else "somebody_else"}
        if filled and filled[0].average_price is not None:
            attributes["price"] = str(filled[0].average_price.normalize())
        progress.note("position.closed", **attributes)
        await progress.record(unguard=frozenset({side}))
        log.info("position.closed", extra={"signal_id": str(progress.signal.id)} | attributes)

    async def _ended(self, account: Account, signal: Signal, leg: Leg) -> Leg | None:
        """The leg as it ended on the exchange; None when it is not one that waited there, or still does."""
        if leg.state is not LegState.OPEN or not leg.kind.conditional:
            return None
        order = await account.exchange.find_order(_ref(signal, leg))
        if order is None:
            return replace(leg, state=LegState.CANCELED)
        return None if order.status is OrderStatus.OPEN else updated(leg, order)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _ref(signal: Signal, leg: Leg) -> OrderRef:
    return OrderRef(signal.symbol, leg.client_order_id, leg.kind.conditional)


def _held(positions: Sequence[Position], symbol: str, side: Side) -> bool:
    return any(held.symbol == symbol and held.side is side for held in positions)
