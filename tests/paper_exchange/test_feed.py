"""The feed tells events as they were, in batches, after the commit."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from paper_exchange.accounts import Permissions, Venue
from paper_exchange.events import Event, Execution, OrderChanged, PriceSet
from paper_exchange.orders import OrderStatus
from tests.paper_exchange.conftest import Floor


class Listener:
    def __init__(self) -> None:
        self.batches: list[list[Event]] = []

    def __call__(self, events: Sequence[Event]) -> None:
        self.batches.append(list(events))

    @property
    def orders(self) -> list[tuple[Execution, OrderStatus, Decimal]]:
        events = (event for batch in self.batches for event in batch)
        return [
            (event.execution, event.order.status, event.order.executed)
            for event in events
            if isinstance(event, OrderChanged)
        ]


@pytest.fixture
def listener(floor: Floor) -> Listener:
    floor.exchange.books.committed()
    return Listener()


def test_an_order_is_told_as_it_was_at_each_event(floor: Floor, listener: Listener) -> None:
    floor.exchange.books.feed.subscribe(listener, account_id=floor.account.account_id)

    floor.buy("0.010")
    floor.exchange.books.committed()

    assert listener.orders == [
        (Execution.NEW, OrderStatus.NEW, Decimal(0)),
        (Execution.TRADE, OrderStatus.FILLED, Decimal("0.010")),
    ]
    assert len(listener.batches) == 1


def test_nothing_is_told_before_the_commit(floor: Floor, listener: Listener) -> None:
    floor.exchange.books.feed.subscribe(listener, account_id=floor.account.account_id)

    floor.buy("0.010")

    assert listener.batches == []


def test_another_accounts_events_are_not_told(floor: Floor, listener: Listener) -> None:
    other = floor.exchange.open_account(
        venue=Venue.BINANCE,
        api_key="o" * 64,
        balance=Decimal(1000),
        permissions=Permissions(),
        now_ms=floor.now_ms,
    )
    floor.exchange.books.committed()
    floor.exchange.books.feed.subscribe(listener, account_id=other.account_id)

    floor.buy("0.010")
    floor.exchange.books.committed()

    assert listener.batches == []


def test_a_posted_price_is_told_to_everybody(floor: Floor, listener: Listener) -> None:
    everything = Listener()
    floor.exchange.books.feed.subscribe(listener, account_id=floor.account.account_id)
    floor.exchange.books.feed.subscribe(everything)

    floor.price("61000")
    floor.exchange.books.committed()

    assert [type(event) for event in listener.batches[0]] == [PriceSet]
    assert everything.batches == listener.batches


def test_an_ended_subscription_hears_nothing_more(floor: Floor, listener: Listener) -> None:
    ticks: list[int] = []
    feed = floor.exchange.books.feed
    unsubscribe = feed.subscribe(listener, account_id=floor.account.account_id)
    stop_ticks = feed.subscribe_ticks(ticks.append)
    feed.tick(1)

    unsubscribe()
    stop_ticks()
    floor.buy("0.010")
    floor.exchange.books.committed()
    feed.tick(2)

    assert listener.batches == []
    assert ticks == [1]
