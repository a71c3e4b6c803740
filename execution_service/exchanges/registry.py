"""Which exchange is spoken by which client, and where it is."""

from collections.abc import Callable, Mapping

from execution_service.exchanges import AccountKey, Exchange, binance_limits, okx_limits
from execution_service.exchanges.binance import BinanceClient, BinanceMarket
from execution_service.exchanges.budget import Tariff
from execution_service.exchanges.http import Host
from execution_service.exchanges.requests import Sign
from execution_service.market_data import MarketData
from tradekit.service.clock import Clock
from tradekit.service.errors import FailedPrecondition

_TARIFFS = {tariff.name: tariff for tariff in (binance_limits.TARIFF, okx_limits.TARIFF)}


class Registry:
    """Connects accounts to their exchanges; one `MarketData` per exchange and environment."""

    def __init__(
        self,
        base_urls: Mapping[tuple[str, str], str],
        hosts: Callable[[str, Tariff], Host],
        sign: Sign,
        clock: Clock,
    ) -> None:
        self._base_urls = base_urls
        self._hosts = hosts
        self._sign = sign
        self._clock = clock
        self._markets: dict[tuple[str, str], MarketData] = {}

    def connect(self, account: AccountKey) -> tuple[Exchange, MarketData]:
        """The account's exchange and its market.

        Raises:
            FailedPrecondition: EXCHANGE_UNSUPPORTED.
        """
        place = (account.exchange, account.environment.value)
        if place not in self._base_urls:
            raise FailedPrecondition(
                "EXCHANGE_UNSUPPORTED", f"Trading on {account.exchange} is not available yet."
            )
        host = self._hosts(self._base_urls[place], _TARIFFS[account.exchange])
        if place not in self._markets:
            self._markets[place] = MarketData(BinanceMarket(host), self._clock)
        return BinanceClient(account, host, self._sign), self._markets[place]
