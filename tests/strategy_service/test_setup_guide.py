"""The steps in TradingView."""

import re

import pytest

from strategy_service.pine_alert import AlertTarget
from strategy_service.setup_guide import Language, setup_guide

TARGET = AlertTarget(account_id="0192-ab", symbol="ETHUSDT.P", interval="60")


@pytest.mark.parametrize("language", Language)
def test_a_guide_names_what_the_user_needs(language: Language) -> None:
    guide = setup_guide("EMA Crossover", TARGET, language)
    for word in (
        "EMA Crossover",
        "**ETHUSDT.P**",
        "**60**",
        "`0192-ab`",
        "alert()",
        "`webhook_url`",
        "443",
        "80",
    ):
        assert word in guide
    assert "{" not in guide


@pytest.mark.parametrize("language", Language)
def test_the_steps_are_counted_without_a_gap(language: Language) -> None:
    steps = re.findall(r"^(\d+)\. ", setup_guide("EMA Crossover", TARGET, language), re.M)
    assert steps == [str(number) for number in range(1, 10)]


def test_without_an_account_the_guide_says_where_to_find_it() -> None:
    assert "from your account list" in setup_guide("EMA Crossover", AlertTarget(), Language.ENGLISH)
    assert "계정 목록" in setup_guide("EMA Crossover", AlertTarget(), Language.KOREAN)
