"""The feed: tells subscribers of either protocol what happened, once it can no longer be lost.

Events are copied as they happen, because their orders and accounts go on changing, and told in batches: a
batch is what one commit made durable, so one command or one tick. A listener only renders and queues: it must
neither wait nor change the exchange.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import TypeVar

from paper_exchange.accounts import Account
from paper_exchange.events import (
    AccountChanged,
    ConditionalOrderChanged,
    Event,
    IncomeBooked,
    MarginMoved,
    OrderAmended,
    OrderChanged,
    PositionChanged,
)

Listener = Callable[[Sequence[Event]], None]
TickListener = Callable[[int], None]
Unsubscribe = Callable[[], None]
T = TypeVar("T")


class Feed:
    """Who listens to what happens on the exchange."""

    def __init__(self) -> None:
        self._of_account: dict[int, list[Listener]] = defaultdict(list)
        self._of_all: list[Listener] = []
        self._on_tick: list[TickListener] = []
        self._noted: list[tuple[int | None, Event]] = []

    def subscribe(self, listener: Listener, *, account_id: int | None = None) -> Unsubscribe:
        """Tells a listener of one account's events and of those of no account; without an id, of all.

        Returns:
            What ends it; the listener is not called again afterwards.
        """
        listeners = self._of_all if account_id is None else self._of_account[account_id]
        return _added(listeners, listener)

    def subscribe_ticks(self, listener: TickListener) -> Unsubscribe:
        """Calls a listener with the exchange's time (Unix ms) about four times a second."""
        return _added(self._on_tick, listener)

    def note(self, event: Event) -> None:
        """Keeps an event, as it is now, for those who listen to it."""
        account_id = account_of(event)
        if self._of_all or self._is_heard(account_id):
            self._noted.append((account_id, snapshot(event)))

    def _is_heard(self, account_id: int | None) -> bool:
        if account_id is None:
            return any(self._of_account.values())
        return bool(self._of_account.get(account_id))

    def deliver(self) -> None:
        """Tells what was noted since the last time; it is durable now."""
        noted, self._noted = self._noted, []
        if not noted:
            return
        for account_id, listeners in list(self._of_account.items()):
            batch = [event for whose, event in noted if whose in (None, account_id)]
            for listener in list(listeners) if batch else ():
                listener(batch)
        for listener in list(self._of_all):
            listener([event for _, event in noted])

    def tick(self, now_ms: int) -> None:
        """Tells that time has passed."""
        for listener in list(self._on_tick):
            listener(now_ms)


def _added(listeners: list[T], listener: T) -> Unsubscribe:
    listeners.append(listener)
    return lambda: listeners.remove(listener)


def account_of(event: Event) -> int | None:
    """Whose event it is; None for one that concerns everybody."""
    match event:
        case OrderChanged(order=order) | ConditionalOrderChanged(order=order):
            return order.account_id
        case AccountChanged(account=account):
            return account.account_id
        case PositionChanged(position=position):
            return position.account_id
        case IncomeBooked(income=income):
            return income.account_id
        case OrderAmended(amendment=amendment):
            return amendment.account_id
        case MarginMoved(change=change):
            return change.account_id
        case _:
            return None


def snapshot(event: Event) -> Event:
    """The event with copies of what goes on changing."""
    match event:
        case OrderChanged(order=order):
            return replace(event, order=copy(order))
        case ConditionalOrderChanged(order=conditional):
            return replace(event, order=copy(conditional))
        case AccountChanged(account=account):
            return replace(event, account=account_snapshot(account))
        case PositionChanged(position=position):
            return replace(event, position=copy(position))
        case _:
            return event


def account_snapshot(account: Account) -> Account:
    """A copy of the account that later changes do not touch."""
    positions = {key: copy(position) for key, position in account.positions.items()}
    return replace(account, settings=dict(account.settings), positions=positions)
