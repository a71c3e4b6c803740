"""Contracts: brackets are continuous, filters fit together."""

from decimal import Decimal
from itertools import pairwise

import pytest

from paper_exchange.instruments import LISTED, Instrument, brackets_of

EVERY = pytest.mark.parametrize("instrument", LISTED.values(), ids=LISTED)


@EVERY
def test_maintenance_margin_has_no_steps_between_brackets(instrument: Instrument) -> None:
    for before, after in pairwise(instrument.brackets):
        assert after.floor == before.cap
        at_edge = [before.cap * bracket.maintenance_ratio - bracket.cum for bracket in (before, after)]
        assert at_edge[0] == at_edge[1]
        assert after.max_leverage < before.max_leverage


@EVERY
def test_filters_fit_the_precisions(instrument: Instrument) -> None:
    for value, places in (
        (instrument.tick, instrument.price_precision),
        (instrument.step, instrument.quantity_precision),
    ):
        assert value == round(value, places)
    assert instrument.max_quantity % instrument.step == 0
    assert instrument.max_price % instrument.tick == 0
    assert Decimal(instrument.typical_price) * 2 < instrument.max_price


def test_cum_is_worked_out() -> None:
    """0.4 % up to 50,000, then 0.5 %: cum = 50,000 x 0.1 % = 50."""
    first, second = brackets_of([(125, 50_000, "0.004"), (100, 600_000, "0.005")])
    assert (first.cum, second.cum) == (Decimal(0), Decimal(50))


def test_more_leverage_allows_less() -> None:
    instrument = LISTED["BTCUSDT"]
    assert instrument.max_notional(125) == 300_000
    assert instrument.max_notional(101) == 300_000
    assert instrument.max_notional(100) == 800_000
    assert instrument.max_notional(126) == 0
    assert instrument.bracket(Decimal(300_001)).max_leverage == 100
