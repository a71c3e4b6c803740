"""Rounding goes to the named side, always, by less than a step."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tradekit.market.instruments import BTC, PEPE
from tradekit.market.instrument import Rounding, round_to_step

values = st.decimals(min_value=-(10**12), max_value=10**12, places=18)
steps = st.sampled_from([Decimal(text) for text in ("0.1", "0.001", "1", "10", "0.0000001", "0.25", "1e-18")])


@pytest.mark.parametrize(
    ("value", "step", "down", "up"),
    [
        ("65000.57", "0.10", "65000.5", "65000.6"),
        ("65000.5", "0.10", "65000.5", "65000.5"),
        ("0.0129999", "0.001", "0.012", "0.013"),
        ("0.0009", "0.001", "0", "0.001"),
        ("7", "5", "5", "10"),
        ("-1.05", "0.1", "-1.1", "-1.0"),
        ("0.0000123456", "0.0000001", "0.0000123", "0.0000124"),
    ],
)
def test_worked_by_hand(value: str, step: str, down: str, up: str) -> None:
    assert round_to_step(Decimal(value), Decimal(step), Rounding.DOWN) == Decimal(down)
    assert round_to_step(Decimal(value), Decimal(step), Rounding.UP) == Decimal(up)


@given(values, steps)
def test_the_result_is_on_the_step_and_less_than_a_step_away(value: Decimal, step: Decimal) -> None:
    down = Fraction(round_to_step(value, step, Rounding.DOWN))
    up = Fraction(round_to_step(value, step, Rounding.UP))
    assert (down / Fraction(step)).denominator == (up / Fraction(step)).denominator == 1
    assert 0 <= Fraction(value) - down < Fraction(step)
    assert 0 <= up - Fraction(value) < Fraction(step)


def test_more_digits_than_the_usual_arithmetic_has_do_not_round_up() -> None:
    """29 nines: a quotient of 28 digits would be the next whole number."""
    below, above = Decimal("99999999999.999999999999999999"), Decimal("100000000000.000000000000000001")
    assert round_to_step(below, Decimal(1), Rounding.DOWN) == 99_999_999_999
    assert round_to_step(above, Decimal(1), Rounding.UP) == 100_000_000_001


def test_an_instrument_rounds_prices_to_the_tick_and_quantities_down_to_the_lot() -> None:
    assert BTC.price(Decimal("65000.57"), Rounding.DOWN) == Decimal("65000.5")
    assert BTC.price(Decimal("65000.57"), Rounding.UP) == Decimal("65000.6")
    assert BTC.quantity(Decimal("0.0159")) == Decimal("0.015")
    assert PEPE.quantity(Decimal("12345.9")) == 12345
