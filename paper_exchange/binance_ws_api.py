"""Binance's WebSocket API, /ws-fapi/v1: the REST endpoints by other names, over one connection.

`{"id", "method", "params"}` is answered `{"id", "status", "result" | "error", "rateLimits"}`. A signed
request carries `apiKey`, `timestamp` and `signature` among its parameters; the signature is over the others,
sorted by name. Clients spell them plainly (ccxt) or percent-encoded (Binance's SDK, python-binance): both are
taken. `session.logon` is not served.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from paper_exchange.binance_api import BinanceApi, Outcome, RawRequest
from paper_exchange.binance_limits import RequestLimits
from paper_exchange.binance_stream_connection import Connection
from paper_exchange.binance_wire import Json
from paper_exchange.clock import Clock
from paper_exchange.exchange import Exchange

PATH = "/ws-fapi/v1"
# Methods as Binance's SDK 18.0.1 and python-binance 1.0.37 send them.
_ENDPOINTS = {
    "order.place": ("POST", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.status": ("GET", "/fapi/v2/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
    "depth": ("GET", "/fapi/v1/depth"),
    "ticker.price": ("GET", "/fapi/v2/ticker/price"),
    "ticker.book": ("GET", "/fapi/v1/ticker/bookTicker"),
    "userDataStream.start": ("POST", "/fapi/v1/listenKey"),
    "userDataStream.ping": ("PUT", "/fapi/v1/listenKey"),
    "userDataStream.stop": ("DELETE", "/fapi/v1/listenKey"),
}


class BinanceWsApi:
    """All connections of the WebSocket API."""

    def __init__(self, api: BinanceApi, exchange: Exchange, clock: Clock, limits: RequestLimits) -> None:
        self._api = api
        self._clock = clock
        self._limits = limits
        self._open: set[Connection] = set()
        exchange.books.feed.subscribe_ticks(self._tick)

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self._handle)]

    async def close(self, app: web.Application) -> None:
        """Cuts all connections; the exchange stops."""
        for connection in list(self._open):
            connection.abort()

    def _tick(self, now_ms: int) -> None:
        for connection in list(self._open):
            connection.tick(now_ms)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        # Requests are limited by weight and orders, as those of REST, not by the second.
        connection = Connection(request, self._clock, messages_per_second=None)
        running: set[asyncio.Task[None]] = set()

        def received(text: str) -> None:
            task = asyncio.create_task(self._answer(connection, text, request.remote or ""))
            running.add(task)
            task.add_done_callback(running.discard)

        try:
            return await connection.serve(lambda: self._open.add(connection), received)
        finally:
            self._open.discard(connection)
            await asyncio.gather(*running)

    async def _answer(self, connection: Connection, text: str, address: str) -> None:
        request_id, method, parameters = _parsed(text)
        endpoint = _ENDPOINTS.get(method or "")
        if endpoint is None or parameters is None:
            connection.send({"id": request_id, "status": 400, "error": _bad_request(method)})
            return
        outcome = await self._api.perform(_raw(endpoint, parameters, address))
        if outcome is None:
            connection.abort()
            return
        answer = _answer(request_id, outcome)
        if parameters.get("returnRateLimits", "true") != "false":
            answer["rateLimits"] = self._rate_limits(outcome.headers)
        connection.send(answer)

    def _rate_limits(self, headers: Mapping[str, str]) -> list[Json]:
        """What the headers of a REST answer tell, as a list."""
        limits = self._limits.limits
        rows = (
            ("X-MBX-USED-WEIGHT-1M", "REQUEST_WEIGHT", "MINUTE", 1, limits.weight_per_minute),
            ("X-MBX-ORDER-COUNT-10S", "ORDERS", "SECOND", 10, limits.orders_per_10s),
            ("X-MBX-ORDER-COUNT-1M", "ORDERS", "MINUTE", 1, limits.orders_per_minute),
        )
        return [
            {
                "rateLimitType": kind,
                "interval": interval,
                "intervalNum": number,
                "limit": limit,
                "count": int(headers[name]),
            }
            for name, kind, interval, number, limit in rows
            if name in headers
        ]


def _answer(request_id: Any, outcome: Outcome) -> Json:
    head = {"id": request_id, "status": outcome.status}
    if outcome.status == 200:
        return head | {"result": outcome.body}
    error = outcome.body if isinstance(outcome.body, dict) else {"code": -1000, "msg": str(outcome.body)}
    if "Retry-After" in outcome.headers:
        error = error | {"data": {"retryAfter": int(outcome.headers["Retry-After"]) * 1000}}
    return head | {"error": error}


def _bad_request(method: str | None) -> Json:
    if method is None:
        return {"code": -1104, "msg": "Malformed request."}
    return {"code": -1113, "msg": f"Unsupported method: {method}"}


def _parsed(text: str) -> tuple[Any, str | None, dict[str, str] | None]:
    """Id, method and parameters as text; None where there are none that make sense."""
    try:
        # Numbers keep the spelling that was signed.
        request = json.loads(text, parse_float=str, parse_int=str)
    except ValueError:
        return None, None, None
    if not isinstance(request, dict):
        return None, None, None
    request_id, method = json.loads(text).get("id"), request.get("method")
    if not isinstance(method, str):
        return request_id, None, None
    parameters = request.get("params", {})
    if not isinstance(parameters, dict):
        return request_id, None, None
    known = {name: value for name, value in parameters.items() if value is not None}
    if not all(isinstance(value, str | bool) for value in known.values()):
        return request_id, None, None
    return request_id, method, {name: _text(value) for name, value in known.items()}


def _text(value: str | bool) -> str:
    return value if isinstance(value, str) else str(value).lower()


def _raw(endpoint: tuple[str, str], parameters: Mapping[str, str], address: str) -> RawRequest:
    method, path = endpoint
    sent = {name: value for name, value in parameters.items() if name not in ("apiKey", "returnRateLimits")}
    signed = sorted((name, value) for name, value in parameters.items() if name != "signature")
    return RawRequest(
        method=method,
        path=path,
        query=urlencode(sent),
        body="",
        signed=("&".join(f"{name}={value}" for name, value in signed), urlencode(signed)),
        api_key=parameters.get("apiKey"),
        address=address,
    )
