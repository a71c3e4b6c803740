"""What the vault signs: a closed schema for each (exchange, method, path); everything else is refused.

A venue's module holds its rules and builds the exact text that the exchange checks. Nothing that a caller
hands over is signed as it is: names must be known, values must match their pattern, and the text is put
together here.
"""

from collections.abc import Mapping

from vault_service.models import Exchange
from vault_service.rules import binance, okx
from vault_service.rules.schema import Venue

VENUES: Mapping[Exchange, Venue] = {Exchange.BINANCE: binance, Exchange.OKX: okx}


def venue_of(exchange: Exchange) -> Venue:
    """The rules of an exchange."""
    return VENUES[exchange]
