"""What can be written down, and what cannot."""

import pytest

from strategy_service.language import (
    Comparison,
    Condition,
    Number,
    close,
    condition_node,
    crossover,
    decimal,
    ema,
    history,
    integer,
    number_node,
)

length = integer("length", "Bars", default=3, minimum=1, maximum=9)


@pytest.mark.parametrize("bars", [0, -1, -26])
def test_looking_ahead_cannot_be_written(bars: int) -> None:
    with pytest.raises(ValueError, match="looks back"):
        history(close, bars)


def test_equal_expressions_are_one() -> None:
    assert crossover(ema(close, length), close) == crossover(ema(close, length), close)
    assert len({ema(close, length), ema(close, length), close}) == 2


def test_comparisons_read_as_they_are_written() -> None:
    assert (close > length) == Comparison(close, ">", length)
    assert (close <= length) == Comparison(close, "<=", length)


@pytest.mark.parametrize("name", ["Fast", "fast length", "1st", 'a"b', "", "a" * 40])
def test_a_parameter_needs_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        integer(name, "Bars", default=3, minimum=1, maximum=9)


def test_a_default_is_in_its_range() -> None:
    with pytest.raises(ValueError, match="out of its range"):
        decimal("width", "Deviations", default="0.05", minimum="0.1", maximum="9")


def test_what_is_not_of_the_language_is_refused() -> None:
    class Tomorrow(Number, Condition):
        pass

    with pytest.raises(TypeError, match="Tomorrow is no number"):
        number_node(Tomorrow())
    with pytest.raises(TypeError, match="Tomorrow is no condition"):
        condition_node(Tomorrow())
