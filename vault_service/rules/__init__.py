"""What the vault signs: a closed schema for each (exchange, method, path); everything else is refused.

A venue's module holds its rules and builds the exact text that the exchange checks. Nothing that a caller
hands over is signed as it is: names must be known, values must match their pattern, and the text is put
together here.
"""

from collections.abc import Mapping

from vault_service.errors import PathNotAllowed
from vault_service.models import Exchange
from vault_service.rules import binance
from vault_service.rules.schema import Venue

# An exchange that is not here has no request that is signed.
VENUES: Mapping[Exchange, Venue] = {Exchange.BINANCE: binance}


def venue_of(exchange: Exchange) -> Venue:
    """The rules of an exchange.

    Raises:
        PathNotAllowed: The vault signs nothing for this exchange.
    """
    venue = VENUES.get(exchange)
    if venue is None:
        raise PathNotAllowed
    return venue
