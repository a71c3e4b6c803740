"""Ids carry the time of the clock that made them, and sort by it."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tradekit.service.clock import UtcClock, new_id

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
instants = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=50_000)).map(EPOCH.__add__)


class SetClock:
    """A clock that a test sets."""

    def __init__(self, time: datetime) -> None:
        self.time = time

    def now(self) -> datetime:
        return self.time


@given(instants)
def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front(instant: datetime) -> None:
    made = new_id(SetClock(instant))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    milliseconds = (instant - EPOCH) // timedelta(milliseconds=1)
    assert made.int >> 80 == milliseconds


@given(instants, st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=1)))
def test_a_later_id_sorts_behind(instant: datetime, later: timedelta) -> None:
    first, second = new_id(SetClock(instant)), new_id(SetClock(instant + later))
    assert first < second
    assert str(first) < str(second)


def test_ids_of_one_instant_differ() -> None:
    clock = SetClock(datetime(2026, 11, 24, tzinfo=UTC))
    assert len({new_id(clock) for _ in range(10_000)}) == 10_000


def test_the_machines_clock_is_aware_and_utc() -> None:
    assert UtcClock().now().utcoffset() == timedelta(0)
