"""Which exchange is spoken by which client, and where it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from execution_service.exchanges import AccountKey, Exchange, Market, binance_limits, okx_limits
from execution_service.exchanges.binance import BinanceClient, BinanceMarket
from execution_service.exchanges.budget import Tariff
from execution_service.exchanges.events import UserStream
from execution_service.exchanges.http import Host
from execution_service.exchanges.okx import OKXClient
from execution_service.exchanges.okx_market import OKXMarket
from execution_service.exchanges.requests import Sign
from execution_service.market_data import MarketData
from tradekit.service.clock import Clock
from tradekit.service.errors import FailedPrecondition

Connect = Callable[[AccountKey], Exchange]


def _binance(host: Host, sign: Sign) -> tuple[Market, Connect]:
    return BinanceMarket(host), lambda account: BinanceClient(account, host, sign)


def _okx(host: Host, sign: Sign) -> tuple[Market, Connect]:
    market = OKXMarket(host)
    return market, lambda account: OKXClient(account, host, sign, market)


@dataclass(frozen=True, slots=True)
class Spoken:
    """How an exchange is spoken: what it allows, and its market and clients at one host."""

    tariff: Tariff
    open: Callable[[Host, Sign], tuple[Market, Connect]]


EXCHANGES = {
    "binance": Spoken(binance_limits.TARIFF, _binance),
    "okx": Spoken(okx_limits.TARIFF, _okx),
}


class Registry:
    """Connects accounts to their exchanges; one `MarketData` per exchange and environment."""

    def __init__(
        self,
        base_urls: Mapping[tuple[str, str], str],
        hosts: Callable[[str, Tariff], Host],
        sign: Sign,
        clock: Clock,
        stream_urls: Mapping[tuple[str, str], str] = MappingProxyType({}),
    ) -> None:
        self._base_urls = base_urls
        self._hosts = hosts
        self._sign = sign
        self._clock = clock
        self._stream_urls = stream_urls
        self._opened: dict[tuple[str, str], tuple[MarketData, Connect]] = {}

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
        if place not in self._opened:
            spoken = EXCHANGES[account.exchange]
            market, connect = spoken.open(self._hosts(self._base_urls[place], spoken.tariff), self._sign)
            self._opened[place] = (MarketData(market, self._clock), connect)
        market_data, connect = self._opened[place]
        return connect(account), market_data

    def stream(self, account: AccountKey) -> UserStream | None:
        """The stream of the account's events; None when nobody said where it is."""
        url = self._stream_urls.get((account.exchange, account.environment.value))
        return None if url is None else self.connect(account)[0].user_stream(url)
