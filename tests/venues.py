"""What tests must name in an exchange's own words: its paths, its codes, and its owner's own client."""

import base64
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from tradekit.service.clock import UtcClock
from tradingbot.vault.v1 import vault_pb2

Keys = Mapping[str, str]
# (method, target, headers, body) -> the parsed answer
Ask = Callable[[str, str, dict[str, str], str], Awaitable[Any]]
Place = dict[str, Any]


@dataclass(frozen=True)
class Venue:
    """How an exchange is spoken.

    Attributes:
        order, algo, cancel, query: What is asked when an order is placed, a conditional one is placed, an
            order is cancelled, or one is asked for: `method` and `path` of a fault rule.
        codes: Meaning -> the codes that have it.
        limited_body: What stands in an answer that says "too many requests".
        nonsense: Answers to an order that tell nothing about ours.
        coarse_step: The market's step that makes 0.01 BTC the smallest lot.
        lots: Quantities that are rounded down to the smallest step: asked -> ordered.
    """

    name: str
    number: vault_pb2.Exchange.ValueType
    order: Place
    algo: Place
    cancel: Place
    query: Place
    positions: str
    balance: str
    prices: str
    rules: str
    clock: str
    leverage: str
    background: frozenset[str]
    codes: Mapping[str, tuple[int, ...]]
    limited_body: Mapping[str, Any]
    nonsense: tuple[object, ...]
    coarse_step: str
    lots: Mapping[str, str]
    by_hand: "type[BinanceHand] | type[OKXHand]"

    def code(self, meaning: str) -> int:
        """One code that has this meaning."""
        return self.codes[meaning][0]


class BinanceHand:
    """The account's owner with a client of his own."""

    def __init__(self, keys: Keys, ask: Ask) -> None:
        self._keys = keys
        self._ask = ask

    async def market(
        self, side: str, quantity: str, *, position_side: str = "", reduce: bool = False
    ) -> None:
        """An order at market."""
        more = {"positionSide": position_side.upper()} if position_side else {}
        more |= {"reduceOnly": "true"} if reduce else {}
        await self._signed(
            "POST",
            "/fapi/v1/order",
            symbol="BTCUSDT",
            side=side.upper(),
            type="MARKET",
            quantity=quantity,
            **more,
        )

    async def cancel(self, order: Mapping[str, Any]) -> None:
        """Cancels an order of the referee's list."""
        if order["kind"] == "algo":
            await self._signed("DELETE", "/fapi/v1/algoOrder", algoId=str(order["algo_id"]))
        else:
            await self._signed(
                "DELETE", "/fapi/v1/order", symbol=order["symbol"], orderId=str(order["order_id"])
            )

    async def hedge(self) -> None:
        """Two positions in one market, from now on."""
        await self._signed("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")

    async def stop_whole_position(self, trigger: str) -> None:
        """A stop of his own for the whole long."""
        await self._signed(
            "POST",
            "/fapi/v1/algoOrder",
            algoType="CONDITIONAL",
            symbol="BTCUSDT",
            side="SELL",
            type="STOP_MARKET",
            triggerPrice=trigger,
            closePosition="true",
        )

    async def _signed(self, method: str, path: str, **parameters: str) -> None:
        query = urlencode(parameters | {"timestamp": str(int(UtcClock().now().timestamp() * 1000))})
        signature = hmac.new(self._keys["api_secret"].encode(), query.encode(), "sha256").hexdigest()
        headers = {"X-MBX-APIKEY": self._keys["api_key"]}
        answer = await self._ask(method, f"{path}?{query}&signature={signature}", headers, "")
        assert answer.get("code", 200) in (200, "200"), answer


class OKXHand:
    """The account's owner with a client of his own."""

    def __init__(self, keys: Keys, ask: Ask) -> None:
        self._keys = keys
        self._ask = ask

    async def market(
        self, side: str, quantity: str, *, position_side: str = "", reduce: bool = False
    ) -> None:
        """An order at market; a contract is 0.01 BTC."""
        more: dict[str, Any] = {"posSide": position_side.lower()} if position_side else {}
        more |= {"reduceOnly": True} if reduce else {}
        await self._signed(
            "/api/v5/trade/order",
            {
                "instId": "BTC-USDT-SWAP",
                "tdMode": "cross",
                "side": side.lower(),
                "ordType": "market",
                "sz": str(Decimal(quantity) * 100),
                **more,
            },
        )

    async def cancel(self, order: Mapping[str, Any]) -> None:
        """Cancels an order of the referee's list."""
        inst_id = "BTC-USDT-SWAP"
        if order["kind"] == "algo":
            await self._signed(
                "/api/v5/trade/cancel-algos", [{"instId": inst_id, "algoId": str(order["algo_id"])}]
            )
        else:
            await self._signed(
                "/api/v5/trade/cancel-order", {"instId": inst_id, "ordId": str(order["order_id"])}
            )

    async def hedge(self) -> None:
        """Two positions in one market, from now on."""
        await self._signed("/api/v5/account/set-position-mode", {"posMode": "long_short_mode"})

    async def stop_whole_position(self, trigger: str) -> None:
        """A stop of his own for the whole long."""
        await self._signed(
            "/api/v5/trade/order-algo",
            {
                "instId": "BTC-USDT-SWAP",
                "tdMode": "cross",
                "side": "sell",
                "ordType": "conditional",
                "slTriggerPx": trigger,
                "slOrdPx": "-1",
                "closeFraction": "1",
                "reduceOnly": True,
            },
        )

    async def _signed(self, path: str, body: object) -> None:
        text = json.dumps(body)
        timestamp = UtcClock().now().replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
        payload = f"{timestamp}POST{path}{text}".encode()
        signature = base64.b64encode(hmac.digest(self._keys["api_secret"].encode(), payload, "sha256"))
        headers = {
            "OK-ACCESS-KEY": self._keys["api_key"],
            "OK-ACCESS-SIGN": signature.decode(),
            "OK-ACCESS-TIMESTAMP": timestamp,
            "OK-ACCESS-PASSPHRASE": self._keys["passphrase"],
            "Content-Type": "application/json",
        }
        answer = await self._ask("POST", path, headers, text)
        assert answer["code"] == "0", answer


BINANCE = Venue(
    name="binance",
    number=vault_pb2.EXCHANGE_BINANCE,
    order={"method": "POST", "path": "/fapi/v1/order"},
    algo={"method": "POST", "path": "/fapi/v1/algoOrder"},
    cancel={"method": "DELETE"},
    query={"method": "GET", "path": "/fapi/v1/order"},
    positions="/fapi/v3/positionRisk",
    balance="/fapi/v3/balance",
    prices="/fapi/v2/ticker/price",
    rules="/fapi/v1/exchangeInfo",
    clock="/fapi/v1/time",
    leverage="/fapi/v1/leverage",
    background=frozenset({"/fapi/v2/ticker/price", "/fapi/v1/time", "/fapi/v1/klines"}),
    codes={
        "timeout": (-1006, -1007),
        "not now": (-1008,),
        "order limit": (-1015,),
        "clock": (-1021,),
        "would trigger": (-2021,),
        "nothing to reduce": (-2022,),
        "refused": (-4131,),
        "leverage": (-4028,),
        "key": (-2014, -2015),
    },
    limited_body={"code": -1003, "msg": "…"},
    nonsense=(
        {"orderId": 1, "symbol": "BTCUSDT", "status": "FILLED"},
        {"orderId": 1, "symbol": "ETHUSDT", "side": "BUY", "status": "FILLED", "clientOrderId": "somebody"},
        {"code": 200, "msg": "ok"},
        '{"executedQty": NaN}',
    ),
    coarse_step="0.01",
    lots={"0.0379": "0.037", "0.03799": "0.037"},
    by_hand=BinanceHand,
)

OKX = Venue(
    name="okx",
    number=vault_pb2.EXCHANGE_OKX,
    order={"method": "POST", "path": "/api/v5/trade/order"},
    algo={"method": "POST", "path": "/api/v5/trade/order-algo"},
    cancel={"method": "POST", "path": "/api/v5/trade/cancel-*"},
    query={"method": "GET", "path": "/api/v5/trade/order"},
    positions="/api/v5/account/positions",
    balance="/api/v5/account/balance",
    prices="/api/v5/market/tickers",
    rules="/api/v5/public/instruments",
    clock="/api/v5/public/time",
    leverage="/api/v5/account/set-leverage",
    background=frozenset({"/api/v5/market/tickers", "/api/v5/public/time", "/api/v5/market/candles"}),
    codes={
        "timeout": (50004, 51149),
        "not now": (50011,),
        "order limit": (50061,),
        "clock": (50102,),
        "would trigger": (51280,),
        "nothing to reduce": (51169,),
        "refused": (51027,),
        "leverage": (59102,),
        "key": (50111, 50113),
    },
    limited_body={"code": "50011", "msg": "Too Many Requests", "data": []},
    nonsense=(
        {"code": "0", "data": [], "msg": ""},
        {"code": "0", "data": [{"ordId": "1", "clOrdId": "somebody", "sCode": "0", "sMsg": ""}], "msg": ""},
        {"code": "1", "data": [{}], "msg": ""},
        '{"code": "0", "data": NaN}',
    ),
    coarse_step="0.1",
    lots={"0.0379": "0.0379", "0.03799": "0.0379"},
    by_hand=OKXHand,
)

VENUES = {venue.name: venue for venue in (BINANCE, OKX)}
