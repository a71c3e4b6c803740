"""Orders that the exchange must tell."""

import pytest

from execution_service import echoes
from execution_service.echoes import Echoes

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is expected is overdue at once."""
    monkeypatch.setattr(echoes, "PATIENCE_S", -1.0)


@pytest.fixture
def listening() -> Echoes:
    expected = Echoes()
    expected.begin()
    return expected


async def test_F42_an_order_that_is_not_told_is_overdue(listening: Echoes) -> None:
    listening.expect("tbone")

    assert listening.overdue


async def test_an_order_that_is_told_is_not(listening: Echoes) -> None:
    listening.expect("tbone")
    listening.told("tbone")

    assert not listening.overdue


async def test_an_order_may_be_told_before_it_is_answered(listening: Echoes) -> None:
    listening.told("tbone")
    listening.expect("tbone")

    assert not listening.overdue


async def test_another_order_s_event_does_not_count(listening: Echoes) -> None:
    listening.expect("tbone")
    listening.told("tbtwo")

    assert listening.overdue


async def test_without_a_stream_nothing_is_expected() -> None:
    expected = Echoes()
    expected.expect("tbone")

    assert not expected.overdue


async def test_a_new_stream_owes_nothing_of_the_old_one(listening: Echoes) -> None:
    listening.expect("tbone")
    listening.end()
    listening.begin()

    assert not listening.overdue


async def test_what_is_remembered_is_bounded(listening: Echoes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echoes, "REMEMBERED", 2)
    for client_order_id in ("tbone", "tbtwo", "tbthree"):
        listening.told(client_order_id)

    listening.expect("tbthree")
    assert not listening.overdue
    listening.expect("tbone")
    assert listening.overdue
