"""An exchange that answers at once: `python -m bench.rig.instant_exchange`.

It speaks the words of Binance USD-M futures that our client uses, on one market at one price, and keeps no
books: a buy is a long position of that size, a sell ends it. It checks no signature and has no limits, so
that what is measured is not the exchange: the paper exchange checks everything and allows 2,400 weight a
minute.

It notes when the last byte of each order request came, by CLOCK_MONOTONIC, which all processes of a machine
share: `GET /bench/orders` tells and forgets them, with a count of all requests and the names of unknown ones.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import cast
from urllib.parse import parse_qsl

import uvloop

from bench.rig.http import HEADER_END, content_length

SYMBOL = "BTCUSDT"
PRICE = "50000.00"
HOUR_MS = 3_600_000
BACKLOG = 4096

Parameters = dict[str, str]
Json = object


class InstantExchange:
    """What it knows, and its answers."""

    def __init__(self) -> None:
        self._quantities: dict[str, str] = {}
        self._conditional: dict[str, dict[str, Json]] = {}
        self._order_id = 0
        self._arrivals: list[tuple[int, str]] = []
        self._requests: Counter[str] = Counter()
        self._unknown: set[str] = set()
        self._routes: dict[str, Callable[[str, Parameters], Json]] = {
            "GET /fapi/v1/time": lambda key, asked: {"serverTime": _now_ms()},
            "GET /fapi/v1/exchangeInfo": lambda key, asked: _EXCHANGE_INFO,
            "GET /fapi/v2/ticker/price": lambda key, asked: [{"symbol": SYMBOL, "price": PRICE}],
            "GET /fapi/v1/klines": lambda key, asked: _candles(int(asked["limit"])),
            "GET /fapi/v3/balance": lambda key, asked: [_BALANCE],
            "GET /fapi/v3/positionRisk": lambda key, asked: self._positions(key),
            "GET /fapi/v1/symbolConfig": lambda key, asked: [_CONFIGURATION],
            # What a key may do, asked when it is registered.
            "GET /sapi/v1/account/apiRestrictions": lambda key, asked: _PERMISSIONS,
            "GET /fapi/v1/positionSide/dual": lambda key, asked: {"dualSidePosition": False},
            # It has no user streams: execution polls, and asks for one again after a minute.
            "POST /fapi/v1/listenKey": _no_listen_key,
            "POST /fapi/v1/order": self._place,
            "GET /fapi/v1/order": lambda key, asked: (
                _order(asked, asked["origClientOrderId"]) | {"avgPrice": PRICE}
            ),
            "POST /fapi/v1/algoOrder": self._place_conditional,
            "GET /fapi/v1/algoOrder": lambda key, asked: self._found(asked["clientAlgoId"]),
            "DELETE /fapi/v1/algoOrder": self._cancel_conditional,
            "GET /bench/orders": lambda key, asked: self._told(),
        }

    def answer(self, method: str, target: str, key: str) -> tuple[int, Json]:
        """Status and body for one request."""
        path, _, query = target.partition("?")
        name = f"{method} {path}"
        self._requests[name] += 1
        route = self._routes.get(name)
        if route is None:
            self._unknown.add(name)
            return 404, {"code": -5000, "msg": f"{name} is not known here"}
        try:
            return 200, route(key, dict(parse_qsl(query)))
        except _NoSuchOrder:
            return 400, {"code": -2013, "msg": "Order does not exist."}
        except _NoListenKey:
            return 400, {"code": -1125, "msg": "This listenKey does not exist."}

    def _positions(self, key: str) -> list[Json]:
        quantity = self._quantities.get(key)
        return [] if quantity is None else [_POSITION | {"positionAmt": quantity}]

    def _place(self, key: str, asked: Parameters) -> Json:
        self._arrivals.append((time.monotonic_ns(), asked["newClientOrderId"]))
        if asked["side"] == "BUY":
            self._quantities[key] = asked["quantity"]
        else:
            self._quantities.pop(key, None)
        self._order_id += 1
        return _order(asked, asked["newClientOrderId"]) | {"orderId": self._order_id}

    def _place_conditional(self, key: str, asked: Parameters) -> Json:
        self._order_id += 1
        order: dict[str, Json] = {
            "algoId": self._order_id,
            "clientAlgoId": asked["clientAlgoId"],
            "algoStatus": "NEW",
            "orderType": asked["type"],
            "symbol": asked["symbol"],
            "side": asked["side"],
            "triggerPrice": asked["triggerPrice"],
            "closePosition": asked.get("closePosition") == "true",
            "reduceOnly": asked.get("reduceOnly") == "true",
        }
        self._conditional[asked["clientAlgoId"]] = order
        return order

    def _cancel_conditional(self, key: str, asked: Parameters) -> Json:
        # Forgotten, so that a long run does not grow.
        order = self._found(asked["clientAlgoId"])
        del self._conditional[asked["clientAlgoId"]]
        return {"algoId": order["algoId"], "clientAlgoId": asked["clientAlgoId"], "code": "200"}

    def _found(self, client_algo_id: str) -> dict[str, Json]:
        if client_algo_id not in self._conditional:
            raise _NoSuchOrder
        return self._conditional[client_algo_id]

    def _told(self) -> Json:
        del self._requests["GET /bench/orders"]  # the question itself
        told = {"orders": self._arrivals, "requests": dict(self._requests), "unknown": sorted(self._unknown)}
        self._arrivals, self._requests = [], Counter()
        return told


class _NoSuchOrder(Exception):
    """It was never placed, or is cancelled."""


class _NoListenKey(Exception):
    """No user stream is opened here."""


def _no_listen_key(key: str, asked: Parameters) -> Json:
    raise _NoListenKey


class _Peer(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, exchange: InstantExchange) -> None:
        self._exchange = exchange
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Both loops' own kind; uvloop's is no subclass.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while HEADER_END in self._received:
            head, _, rest = self._received.partition(HEADER_END)
            if len(rest) < (length := content_length(head)):
                return
            self._received = rest[length:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = (line.partition(":") for line in lines)
        key = next((value.strip() for name, _, value in headers if name.lower() == "x-mbx-apikey"), "")
        status, body = self._exchange.answer(method, target, key)
        text = json.dumps(body).encode()
        assert self._transport is not None
        self._transport.write(
            b"HTTP/1.1 %d -\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(text), text)
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _order(asked: Parameters, client_order_id: str) -> dict[str, Json]:
    """A filled market order, in the words of a new order's answer: it has no average price."""
    return {
        "orderId": 1,
        "symbol": asked["symbol"],
        "status": "FILLED",
        "clientOrderId": client_order_id,
        "price": "0.00",
        "origQty": asked.get("quantity", "0.020"),
        "executedQty": asked.get("quantity", "0.020"),
        "type": "MARKET",
        "side": asked.get("side", "BUY"),
        "reduceOnly": asked.get("reduceOnly") == "true",
    }


def _candles(count: int) -> list[Json]:
    newest = _now_ms() // HOUR_MS * HOUR_MS
    opens = (newest - HOUR_MS * back for back in range(count - 1, -1, -1))
    return [[opened, PRICE, "50100.00", "49900.00", PRICE, "10", opened + HOUR_MS - 1] for opened in opens]


_WITHOUT_END = 1_000_000_000
_EXCHANGE_INFO = {
    # Who counts before asking is never held back by these.
    "rateLimits": [
        {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": _WITHOUT_END}
        for kind, interval, number in (
            ("REQUEST_WEIGHT", "MINUTE", 1),
            ("ORDERS", "SECOND", 10),
            ("ORDERS", "MINUTE", 1),
        )
    ],
    "symbols": [
        {
            "symbol": SYMBOL,
            "contractType": "PERPETUAL",
            "status": "TRADING",
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
                {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
                {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "120"},
                {"filterType": "MIN_NOTIONAL", "notional": "100"},
            ],
        }
    ],
}
_PERMISSIONS: Json = {
    "enableReading": True,
    "enableFutures": True,
    "enableWithdrawals": False,
    "permitsUniversalTransfer": False,
    "ipRestrict": True,
}
_CONFIGURATION = {"symbol": SYMBOL, "marginType": "CROSSED", "leverage": 20}
_BALANCE = {"asset": "USDT", "balance": "10000", "availableBalance": "10000", "crossUnPnl": "0"}
_POSITION: dict[str, Json] = {
    "symbol": SYMBOL,
    "positionSide": "BOTH",
    "entryPrice": PRICE,
    "markPrice": PRICE,
    "unRealizedProfit": "0",
    "liquidationPrice": "0",
}


async def _serve() -> None:
    exchange = InstantExchange()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Peer(exchange), "127.0.0.1", 0, backlog=BACKLOG)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
