"""Which exchanges are signed for."""

import pytest

from vault_service.models import Exchange
from vault_service.rules import binance, okx, venue_of


def test_each_exchange_has_its_own_rules() -> None:
    assert venue_of(Exchange.BINANCE) is binance
    assert venue_of(Exchange.OKX) is okx


@pytest.mark.parametrize("exchange", Exchange)
def test_every_exchange_that_can_be_registered_is_signed_for(exchange: Exchange) -> None:
    assert venue_of(exchange) in (binance, okx)
