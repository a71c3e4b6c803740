"""States, legs and client order ids."""

import re
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_service.signals import (
    Leg,
    LegKind,
    LegState,
    OrderSide,
    Signal,
    SignalState,
    StepNotAllowed,
    client_order_id,
)
from tradekit.market.alert import parse_alert
from tradekit.market.sizing import Side

ALERT = parse_alert(b'{"account_id": "a", "secret": "s", "action": "long", "symbol": "BTCUSDT"}').alert
ORDERS = [kind for kind in LegKind if kind is not LegKind.LEVERAGE]

signal_ids = st.uuids()
kinds = st.sampled_from(ORDERS)
indexes = st.integers(0, 35)
attempts = st.integers(0, 1295)


def signal(**fields: object) -> Signal:
    defaults: dict[str, object] = {
        "id": uuid.UUID(int=1),
        "user_id": uuid.UUID(int=2),
        "account_id": uuid.UUID(int=3),
        "exchange": "binance",
        "symbol": "BTCUSDT",
        "alert": ALERT,
        "receive_time": datetime(2026, 11, 24, tzinfo=UTC),
    }
    return Signal(**(defaults | fields))  # type: ignore[arg-type]  # fields of Signal


@given(signal_ids, kinds, indexes, attempts)
def test_a_client_order_id_is_what_every_exchange_takes(
    signal_id: uuid.UUID, kind: LegKind, index: int, attempt: int
) -> None:
    assert re.fullmatch(r"tb[a-z0-9]{30}", client_order_id(signal_id, kind, index, attempt))


@given(st.lists(st.tuples(signal_ids, kinds, indexes, attempts), unique=True, max_size=50))
def test_no_two_orders_share_a_client_order_id(
    orders: list[tuple[uuid.UUID, LegKind, int, int]],
) -> None:
    ids = {client_order_id(*order) for order in orders}

    assert len(ids) == len(orders)


def test_a_client_order_id_is_the_same_whenever_it_is_asked_for() -> None:
    """Worked out by hand: 16 zero bytes are 26 letters a in base 32."""
    assert client_order_id(uuid.UUID(int=0), LegKind.STOP_LOSS, 0, 37) == "tb" + "a" * 26 + "s011"


@given(st.lists(st.sampled_from(SignalState), max_size=12))
def test_a_signal_that_is_final_stays_what_it_is(states: list[SignalState]) -> None:
    current = signal()
    for state in states:
        before = current
        try:
            current = current.moved_to(state)
        except StepNotAllowed:
            assert current is before
        if before.state.final:
            assert current.state is before.state


@given(st.lists(st.sampled_from(LegState), max_size=12))
def test_a_leg_that_has_ended_never_opens_again(states: list[LegState]) -> None:
    current = Leg(uuid.UUID(int=1), LegKind.ENTRY)
    for state in states:
        before = current
        try:
            current = current.moved_to(state)
        except StepNotAllowed:
            continue
        if before.state.final:
            assert current.state is before.state


def test_an_order_that_is_open_is_never_sent_again() -> None:
    leg = Leg(uuid.UUID(int=1), LegKind.ENTRY, state=LegState.OPEN)

    with pytest.raises(StepNotAllowed):
        leg.moved_to(LegState.INTENDED)


def test_an_entry_without_protection_is_not_skipped_to_received() -> None:
    protecting = signal(state=SignalState.PROTECTING)

    for state in (SignalState.RECEIVED, SignalState.EXECUTING, SignalState.REJECTED, SignalState.EXPIRED):
        with pytest.raises(StepNotAllowed):
            protecting.moved_to(state)


@given(st.lists(st.tuples(kinds, st.integers(0, 3), st.integers(0, 3)), max_size=20))
def test_legs_keep_their_places_and_the_newest_attempt_counts(
    keys: list[tuple[LegKind, int, int]],
) -> None:
    current = signal()
    for kind, index, attempt in keys:
        current = current.with_leg(Leg(current.id, kind, index=index, attempt=attempt))

    stored = [(leg.kind, leg.index, leg.attempt) for leg in current.legs]
    assert stored == list(dict.fromkeys(keys))
    for kind, index, _ in keys:
        newest = current.leg(kind, index)
        assert newest is not None
        assert newest.attempt == max(other[2] for other in keys if other[:2] == (kind, index))


def test_a_leg_that_changed_takes_its_own_place() -> None:
    first, second = Leg(uuid.UUID(int=1), LegKind.ENTRY), Leg(uuid.UUID(int=1), LegKind.STOP_LOSS)
    filled = Leg(uuid.UUID(int=1), LegKind.ENTRY, state=LegState.FILLED, filled_quantity=Decimal(1))

    assert signal().with_leg(first).with_leg(second).with_leg(filled).legs == (filled, second)


@pytest.mark.parametrize("side", list(Side))
def test_what_opens_a_position_does_not_close_it(side: Side) -> None:
    assert OrderSide.opening(side) is not OrderSide.closing(side)
    assert OrderSide.opening(side) is OrderSide.closing(side.opposite)
