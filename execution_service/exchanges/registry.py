"""Which exchange is spoken by which client, and where it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from execution_service.exchanges import AccountKey, Exchange, Market, binance_limits, okx_limits
from execution_service.exchanges.binance import BinanceClient, BinanceMarket, BinanceWords
from execution_service.exchanges.binance_stream import BinanceStream
from execution_service.exchanges.budget import Tariff
from execution_service.exchanges.events import UserStream
from execution_service.exchanges.http import Host
from execution_service.exchanges.okx import OKXClient
from execution_service.exchanges.okx_market import OKXMarket, OKXWords
from execution_service.exchanges.okx_stream import OKXStream
from execution_service.exchanges.requests import Sign, SignedRequests
from execution_service.market_data import MarketData
from tradekit.service.clock import Clock
from tradekit.service.errors import FailedPrecondition


@dataclass(frozen=True, slots=True)
class Spoken:
    """An exchange at one host: its market, its clients, and its streams by (account, URL)."""

    market: Market
    client: Callable[[AccountKey], Exchange]
    stream: Callable[[AccountKey, str], UserStream]


def _binance(host: Host, sign: Sign) -> Spoken:
    def stream(account: AccountKey, url: str) -> UserStream:
        return BinanceStream(SignedRequests(account, host, sign, BinanceWords()), host, url)

    return Spoken(BinanceMarket(host), lambda account: BinanceClient(account, host, sign), stream)


def _okx(host: Host, sign: Sign) -> Spoken:
    market = OKXMarket(host)

    def stream(account: AccountKey, url: str) -> UserStream:
        return OKXStream(SignedRequests(account, host, sign, OKXWords()), host, market, url)

    return Spoken(market, lambda account: OKXClient(account, host, sign, market), stream)


# What an exchange allows, and how it is spoken.
EXCHANGES: dict[str, tuple[Tariff, Callable[[Host, Sign], Spoken]]] = {
    "binance": (binance_limits.TARIFF, _binance),
    "okx": (okx_limits.TARIFF, _okx),
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
        self._opened: dict[tuple[str, str], tuple[Spoken, MarketData]] = {}

    def connect(self, account: AccountKey) -> tuple[Exchange, MarketData]:
        """The account's exchange and its market.

        Raises:
            FailedPrecondition: EXCHANGE_UNSUPPORTED.
        """
        spoken, market_data = self._open(account)
        return spoken.client(account), market_data

    def stream(self, account: AccountKey) -> UserStream | None:
        """The stream of the account's events; None when nobody said where it is."""
        url = self._stream_urls.get((account.exchange, account.environment.value))
        return None if url is None else self._open(account)[0].stream(account, url)

    def _open(self, account: AccountKey) -> tuple[Spoken, MarketData]:
        place = (account.exchange, account.environment.value)
        if place not in self._base_urls:
            raise FailedPrecondition(
                "EXCHANGE_UNSUPPORTED", f"Trading on {account.exchange} is not available yet."
            )
        if place not in self._opened:
            tariff, speak = EXCHANGES[account.exchange]
            spoken = speak(self._hosts(self._base_urls[place], tariff), self._sign)
            self._opened[place] = (spoken, MarketData(spoken.market, self._clock))
        return self._opened[place]
