"""The registry."""

import pytest

from strategy_service.errors import StrategyNotAvailable, StrategyNotFound
from strategy_service.language import Strategy
from strategy_service.strategies import KEYS, OUTLINES, find


def test_the_six_strategies_are_listed() -> None:
    assert sorted(KEYS) == [
        "bollinger_rsi",
        "ema_crossover",
        "ichimoku",
        "macd_stochastic",
        "rsi_ema",
        "supertrend",
    ]


def test_what_has_rules_is_found_and_the_rest_says_so() -> None:
    for outline in OUTLINES:
        if isinstance(outline, Strategy):
            assert find(outline.key) is outline
        else:
            with pytest.raises(StrategyNotAvailable, match=outline.key):
                find(outline.key)


@pytest.mark.parametrize("key", ["", "EMA_CROSSOVER", "ema-crossover", "../etc/passwd"])
def test_another_name_is_not_found(key: str) -> None:
    with pytest.raises(StrategyNotFound):
        find(key)


def test_every_strategy_protects_its_positions() -> None:
    for outline in OUTLINES:
        names = [parameter.name for parameter in outline.parameters]
        assert {"stop_atr", "target_atr"} <= set(names)
        assert len(names) == len(set(names))


def test_groups_that_ascend_are_of_the_strategy_and_their_defaults_do() -> None:
    for outline in OUTLINES:
        for group in outline.ascending:
            assert set(group) <= set(outline.parameters)
            defaults = [parameter.default for parameter in group]
            assert defaults == sorted(set(defaults))
