"""Which exchanges are signed for."""

import pytest

from vault_service.errors import PathNotAllowed
from vault_service.models import Exchange
from vault_service.rules import binance, venue_of


def test_binance_has_its_rules() -> None:
    assert venue_of(Exchange.BINANCE) is binance


def test_exchange_without_rules_signs_nothing() -> None:
    with pytest.raises(PathNotAllowed):
        venue_of(Exchange.OKX)
