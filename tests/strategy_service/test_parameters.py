"""What a user may set."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_service.errors import ParameterInvalid, ParameterUnknown
from strategy_service.parameters import plain, resolve
from strategy_service.strategies import OUTLINES
from strategy_service.strategies.ema_crossover import EMA_CROSSOVER


def test_what_is_not_given_has_its_default() -> None:
    assert resolve(EMA_CROSSOVER, {"fast": "9"}) == {
        "fast": 9,
        "slow": 26,
        "stop_atr": Decimal("1.5"),
        "target_atr": 3,
    }


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ParameterUnknown) as refusal:
        resolve(EMA_CROSSOVER, {"fats": "9"})
    assert (
        refusal.value.message
        == "ema_crossover has no parameter 'fats'; it has fast, slow, stop_atr, target_atr."
    )


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("fast", "0", "must be from 1 to 400"),
        ("fast", "401", "must be from 1 to 400"),
        ("fast", "9.5", "must be a whole number"),
        ("fast", "", "must be a whole number"),
        ("fast", " 9", "must be a whole number"),
        ("fast", "९", "must be a whole number"),
        ("stop_atr", "NaN", "must be a decimal number"),
        ("stop_atr", "1e1", "must be a decimal number"),
        ("stop_atr", "inf", "must be a decimal number"),
        ("stop_atr", "-1", "must be from 0.1 to 20"),
        ("stop_atr", '1"', "must be a decimal number"),
    ],
)
def test_a_wrong_value_is_refused(name: str, text: str, problem: str) -> None:
    with pytest.raises(ParameterInvalid) as refusal:
        resolve(EMA_CROSSOVER, {name: text})
    assert refusal.value.metadata == {"parameter": name, "problem": problem}


@pytest.mark.parametrize("fast", ["26", "27"])
def test_the_fast_average_must_be_faster(fast: str) -> None:
    with pytest.raises(ParameterInvalid, match="fast must be below slow"):
        resolve(EMA_CROSSOVER, {"fast": fast})


def test_every_default_is_accepted_when_it_is_given() -> None:
    for outline in OUTLINES:
        texts = {parameter.name: plain(parameter.default) for parameter in outline.parameters}
        assert resolve(outline, texts) == resolve(outline, {})


@given(st.text(max_size=20))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        values = resolve(EMA_CROSSOVER, {"stop_atr": text})
    except ParameterInvalid:
        return
    assert Decimal("0.1") <= values["stop_atr"] <= 20


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=6))
def test_plain_text_keeps_the_value(value: Decimal) -> None:
    assert Decimal(plain(value)) == value
    assert "E" not in plain(value)
