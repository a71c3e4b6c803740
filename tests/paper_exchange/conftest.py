"""Exchanges for tests: one without HTTP and a clock that the test moves, and one that is served."""

import hmac
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from yarl import URL

from paper_exchange.accounts import Account, Permissions, Venue
from paper_exchange.books import Books
from paper_exchange.exchange import Exchange, NewConditionalOrder, NewOrder
from paper_exchange.instruments import LISTED
from paper_exchange.market import Market
from paper_exchange.matching import PartialFill
from paper_exchange.orders import ConditionalOrder, ConditionalType, Order, OrderType, PositionSide, Side
from paper_exchange.server import PaperExchange, start
from tests.paper_exchange.okx import OkxTrader

START_MS = 1_795_521_600_000  # 2026-11-24 12:00 UTC
BTC = "BTCUSDT"


class StillClock:
    """Stands still until a test moves it."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.offset_ms = 0
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def forward(self, *, ms: int) -> None:
        self._now_ms += ms


@dataclass
class Floor:
    """An exchange without HTTP: one account that trades one market, which stands at 60,000."""

    exchange: Exchange
    account: Account
    thin: list[PartialFill] = field(default_factory=list)
    now_ms: int = START_MS

    def price(self, price: str, symbol: str = BTC) -> None:
        self.now_ms += 1000
        self.exchange.post_price(symbol, Decimal(price), self.now_ms)

    def later(self, *, ms: int) -> None:
        self.now_ms += ms
        self.exchange.advance(self.now_ms)

    def order(
        self,
        side: Side,
        quantity: str,
        price: str | None = None,
        *,
        position_side: PositionSide = PositionSide.BOTH,
        **terms: Any,
    ) -> Order:
        new = NewOrder(
            symbol=terms.pop("symbol", BTC),
            side=side,
            position_side=position_side,
            type=OrderType.MARKET if price is None else OrderType.LIMIT,
            quantity=Decimal(quantity),
            price=Decimal(price or 0),
            **terms,
        )
        return self.exchange.place(self.account, new, self.now_ms)

    def buy(self, quantity: str, price: str | None = None, **terms: Any) -> Order:
        return self.order(Side.BUY, quantity, price, **terms)

    def sell(self, quantity: str, price: str | None = None, **terms: Any) -> Order:
        return self.order(Side.SELL, quantity, price, **terms)

    def conditional(
        self, kind: ConditionalType, side: Side, trigger: str = "0", quantity: str = "0", **terms: Any
    ) -> ConditionalOrder:
        new = NewConditionalOrder(
            symbol=terms.pop("symbol", BTC),
            side=side,
            position_side=terms.pop("position_side", PositionSide.BOTH),
            type=kind,
            trigger_price=Decimal(trigger),
            quantity=Decimal(quantity),
            **terms,
        )
        return self.exchange.place_conditional(self.account, new, self.now_ms)

    def position(self, side: PositionSide = PositionSide.BOTH, symbol: str = BTC) -> Decimal:
        return self.account.position(symbol, side).quantity

    @property
    def prices(self) -> list[Decimal]:
        """What each fill so far cost."""
        return [fill.price for fill in self.exchange.books.fills()]


def status(order: Order | ConditionalOrder) -> str:
    """The status now; a plain attribute would be narrowed for good by the first comparison."""
    return order.status


def make_floor(*, balance: str = "10000", seed: int = 1) -> Floor:
    thin: list[PartialFill] = []
    exchange = Exchange(
        Books(seed=seed),
        Market(LISTED, seed=seed, anchor_ms=START_MS, speed=0),
        lambda order: thin.pop(0) if thin else None,
        now_ms=START_MS,
    )
    account = exchange.open_account(
        venue=Venue.BINANCE,
        api_key="k" * 64,
        balance=Decimal(balance),
        permissions=Permissions(),
        now_ms=START_MS,
    )
    floor = Floor(exchange, account, thin)
    floor.price("60000")
    return floor


@pytest.fixture
def floor() -> Floor:
    return make_floor()


@dataclass
class Reply:
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> int:
        code: int = self.body["code"]
        return code


class Trader:
    """A bare Binance client of one account: signs and sends, nothing more."""

    def __init__(self, session: aiohttp.ClientSession, url: str, keys: dict[str, str]) -> None:
        self._session = session
        self._url = url
        self.api_key = keys["api_key"]
        self.api_secret = keys["api_secret"]

    def signature(self, payload: str) -> str:
        return hmac.new(self.api_secret.encode(), payload.encode(), sha256).hexdigest()

    async def call(self, method: str, path: str, **parameters: Any) -> Reply:
        """A signed request, everything in the query."""
        parameters.setdefault("timestamp", time.time_ns() // 1_000_000)
        query = urlencode(parameters)
        return await self.send(method, f"{path}?{query}&signature={self.signature(query)}")

    async def send(
        self, method: str, target: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Any request, the target as it stands."""
        url = URL(f"{self._url}{target}", encoded=True)
        sent = {"X-MBX-APIKEY": self.api_key} if headers is None else headers
        if body is not None:
            sent = sent | {"Content-Type": "application/x-www-form-urlencoded"}
        async with self._session.request(method, url, data=body, headers=sent) as response:
            is_json = response.content_type == "application/json"
            content = await response.json() if is_json else await response.text()
            return Reply(response.status, content, response.headers)

    async def ok(self, method: str, path: str, **parameters: Any) -> Any:
        """A signed request that must succeed."""
        reply = await self.call(method, path, **parameters)
        assert reply.status == 200, reply.body
        return reply.body

    async def market(self, side: str, quantity: str, **terms: Any) -> Any:
        terms = {"symbol": BTC, "newOrderRespType": "RESULT", **terms}
        return await self.ok("POST", "/fapi/v1/order", side=side, type="MARKET", quantity=quantity, **terms)

    async def limit(self, side: str, quantity: str, price: str, **terms: Any) -> Any:
        terms = {"symbol": BTC, "newOrderRespType": "RESULT", "timeInForce": "GTC", **terms}
        return await self.ok(
            "POST", "/fapi/v1/order", side=side, type="LIMIT", quantity=quantity, price=price, **terms
        )

    async def algo(self, kind: str, side: str, **terms: Any) -> Any:
        terms = {"symbol": BTC, "algoType": "CONDITIONAL", **terms}
        return await self.ok("POST", "/fapi/v1/algoOrder", type=kind, side=side, **terms)


class Control:
    """Speaks to the control routes."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def call(self, method: str, path: str, body: Any = None) -> Reply:
        async with self._session.request(
            method, path, json=body, headers={"X-Paper-Control": "1"}
        ) as response:
            return Reply(response.status, await response.json(), response.headers)

    async def price(self, price: str, symbol: str = BTC) -> None:
        reply = await self.call("POST", "/paper/price", {"symbol": symbol, "price": price})
        assert reply.status == 200, reply.body

    async def fault(self, **rule: Any) -> None:
        reply = await self.call("POST", "/paper/faults", rule)
        assert reply.status == 200, reply.body

    async def state(self) -> Any:
        return (await self.call("GET", "/paper/state")).body

    async def open_account(self, **terms: Any) -> dict[str, str]:
        reply = await self.call("POST", "/paper/accounts", {"exchange": "binance", **terms})
        assert reply.status == 200, reply.body
        keys: dict[str, str] = reply.body
        return keys


@dataclass
class Paper:
    """A served exchange whose market stands at 60,000, with one trader."""

    server: PaperExchange
    session: aiohttp.ClientSession
    control: Control
    trader: Trader


@pytest.fixture
async def paper() -> AsyncIterator[Paper]:
    server = await start(speed=0)
    async with aiohttp.ClientSession(server.url) as session:
        control = Control(session)
        trader = Trader(session, server.url, await control.open_account())
        await control.price("60000")
        yield Paper(server, session, control, trader)
    await server.close()


@dataclass
class OkxPaper:
    """A served exchange whose market stands at 60,000, with one trader who speaks OKX."""

    server: PaperExchange
    session: aiohttp.ClientSession
    control: Control
    trader: OkxTrader

    async def another(self, **terms: Any) -> OkxTrader:
        keys = await self.control.open_account(exchange="okx", **terms)
        return OkxTrader(self.session, self.server.url, keys)


@pytest.fixture
async def okx() -> AsyncIterator[OkxPaper]:
    server = await start(speed=0)
    async with aiohttp.ClientSession(server.url) as session:
        control = Control(session)
        keys = await control.open_account(exchange="okx")
        await control.price("60000")
        yield OkxPaper(server, session, control, OkxTrader(session, server.url, keys))
    await server.close()
