"""A bare OKX client of one account: signs and sends, nothing more; and its WebSockets."""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from paper_exchange.server import PaperExchange, start

SWAP = "BTC-USDT-SWAP"
Json = dict[str, Any]


@dataclass
class OkxReply:
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> int:
        """The code of the request, or of the one order in it."""
        code = int(self.body["code"])
        return code if code != 1 or not self.body["data"] else int(self.body["data"][0]["sCode"])

    @property
    def rows(self) -> list[Json]:
        rows: list[Json] = self.body["data"]
        return rows


def iso(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class OkxTrader:
    """Signs as the documentation says, over the very bytes it sends."""

    def __init__(self, session: aiohttp.ClientSession, url: str, keys: Mapping[str, str]) -> None:
        self._session = session
        self._url = url
        self.keys = keys

    def sign(self, payload: str) -> str:
        digest = hmac.new(self.keys["api_secret"].encode(), payload.encode(), sha256).digest()
        return base64.b64encode(digest).decode()

    def headers(self, method: str, target: str, body: str, *, at_ms: int | None = None) -> dict[str, str]:
        timestamp = iso(time.time_ns() // 1_000_000 if at_ms is None else at_ms)
        return {
            "OK-ACCESS-KEY": self.keys["api_key"],
            "OK-ACCESS-SIGN": self.sign(f"{timestamp}{method}{target}{body}"),
            "OK-ACCESS-TIMESTAMP": timestamp,
            "OK-ACCESS-PASSPHRASE": self.keys["passphrase"],
        }

    async def send(
        self, method: str, target: str, body: str = "", headers: Mapping[str, str] | None = None
    ) -> OkxReply:
        """Any request, the target and the body as they stand."""
        sent = dict(self.headers(method, target, body) if headers is None else headers)
        sent.setdefault("Content-Type", "application/json")
        url = URL(f"{self._url}{target}", encoded=True)
        async with self._session.request(method, url, data=body or None, headers=sent) as response:
            is_json = response.content_type == "application/json"
            content = await response.json() if is_json else await response.text()
            return OkxReply(response.status, content, response.headers)

    async def get(self, path: str, **query: Any) -> OkxReply:
        target = f"/api/v5/{path}"
        return await self.send("GET", f"{target}?{urlencode(query)}" if query else target)

    async def post(self, path: str, body: Any) -> OkxReply:
        return await self.send("POST", f"/api/v5/{path}", json.dumps(body))

    async def rows(self, path: str, **query: Any) -> list[Json]:
        """The rows of a GET that must succeed."""
        reply = await self.get(path, **query)
        assert reply.body["code"] == "0", reply.body
        return reply.rows

    async def row(self, path: str, **query: Any) -> Json:
        (row,) = await self.rows(path, **query)
        return row

    async def do(self, path: str, body: Any) -> Json:
        """The first row of a POST that must succeed."""
        reply = await self.post(path, body)
        assert reply.body["code"] == "0", reply.body
        row: Json = reply.rows[0]
        return row

    # Orders

    async def place(self, side: str, sz: str, px: str | None = None, **terms: Any) -> OkxReply:
        order = {"instId": SWAP, "tdMode": "cross", "side": side, "sz": sz, "ordType": "market", **terms}
        if px is not None:
            order = {**order, "ordType": terms.get("ordType", "limit"), "px": px}
        return await self.post("trade/order", order)

    async def order(self, side: str, sz: str, px: str | None = None, **terms: Any) -> Json:
        """An order that must be accepted, as it is afterwards."""
        reply = await self.place(side, sz, px, **terms)
        assert reply.body["code"] == "0", reply.body
        return await self.queried(reply.rows[0]["ordId"], terms.get("instId", SWAP))

    async def queried(self, order_id: str, inst_id: str = SWAP) -> Json:
        return await self.row("trade/order", instId=inst_id, ordId=order_id)

    async def algo(self, kind: str, side: str, **terms: Any) -> OkxReply:
        body = {"instId": SWAP, "tdMode": "cross", "side": side, "ordType": kind, **terms}
        return await self.post("trade/order-algo", body)

    async def algo_order(self, kind: str, side: str, **terms: Any) -> Json:
        """An algo order that must be accepted, as it is afterwards."""
        reply = await self.algo(kind, side, **terms)
        assert reply.body["code"] == "0", reply.body
        return await self.queried_algo(reply.rows[0]["algoId"])

    async def queried_algo(self, algo_id: str) -> Json:
        return await self.row("trade/order-algo", algoId=algo_id)

    async def position(self, **query: Any) -> Json:
        return await self.row("account/positions", instId=SWAP, **query)

    # WebSockets

    @asynccontextmanager
    async def socket(
        self, entrance: str, *, login: bool = False, query: str = ""
    ) -> AsyncIterator["OkxStream"]:
        url = f"{self._url.replace('http', 'ws', 1)}/ws/v5/{entrance}{query}"
        async with self._session.ws_connect(url) as connection:
            stream = OkxStream(connection)
            if login:
                await stream.request("login", self.login_argument())
                assert (await stream.event())["code"] == "0"
            yield stream

    def login_argument(self, *, at_s: int | None = None) -> Json:
        timestamp = str(int(time.time()) if at_s is None else at_s)
        return {
            "apiKey": self.keys["api_key"],
            "passphrase": self.keys["passphrase"],
            "timestamp": timestamp,
            "sign": self.sign(f"{timestamp}GET/users/self/verify"),
        }


@asynccontextmanager
async def serving(**terms: Any) -> AsyncIterator[tuple[PaperExchange, aiohttp.ClientSession]]:
    """An exchange of these terms, whose market stands still, and a session to it."""
    server = await start(speed=0, **terms)
    try:
        async with aiohttp.ClientSession(server.url) as session:
            yield server, session
    finally:
        await server.close()


class OkxStream:
    """One socket; what comes is read in order."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self.connection = connection

    async def request(self, operation: str, *args: Json, **more: Any) -> None:
        await self.connection.send_json({"op": operation, "args": list(args), **more})

    async def event(self) -> Json:
        """The next message."""
        message: Json = await self.connection.receive_json(timeout=5)
        return message

    async def subscribed(self, channel: str, **arg: str) -> None:
        """Subscribes and waits for the confirmation."""
        await self.request("subscribe", {"channel": channel, **arg})
        event = await self.event()
        assert event["event"] == "subscribe", event

    async def pushed(self, channel: str) -> Json:
        """The next push of this channel; others are passed over."""
        while True:
            message = await self.event()
            if "data" in message and message["arg"]["channel"] == channel:
                return message

    async def pushed_row(self, channel: str) -> Json:
        row: Json = (await self.pushed(channel))["data"][0]
        return row
