"""A bare reader of Binance's streams for tests."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.paper_exchange.conftest import Paper

PATIENCE_S = 5.0

Json = dict[str, Any]


class Reader:
    """One connection; remembers everything it has read."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.read: list[Any] = []

    async def next(self) -> Any:
        """The next message; raises TimeoutError when none comes, ConnectionError when the socket ends."""
        message = await self.socket.receive(timeout=PATIENCE_S)
        while message.type is aiohttp.WSMsgType.PING:
            await self.socket.pong(message.data)
            message = await self.socket.receive(timeout=PATIENCE_S)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(f"{message.type.name} {message.data!r}")
        self.read.append(json.loads(message.data))
        return self.read[-1]

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The next message that is wanted."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await self.next()
                if wanted(message):
                    return message

    async def event(self, name: str, **terms: Any) -> Json:
        """The next event of this name, with these values in its `o`."""

        def fits(message: Any) -> bool:
            payload = message.get("data", message) if isinstance(message, dict) else {}
            inner = payload.get("o", {})
            return payload.get("e") == name and all(inner.get(key) == value for key, value in terms.items())

        found = await self.until(fits)
        payload: Json = found.get("data", found)
        return payload

    async def ask(self, method: str, params: Any = None, request_id: Any = 1) -> Any:
        """Sends a request and returns its answer."""
        body = {"method": method, "id": request_id} | ({} if params is None else {"params": params})
        await self.socket.send_json(body)
        return await self.until(lambda message: isinstance(message, dict) and message.get("id") == request_id)

    async def end(self) -> aiohttp.WSMsgType:
        """How the connection ended."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await self.socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return message.type


@asynccontextmanager
async def reading(paper: Paper, path: str) -> AsyncIterator[Reader]:
    async with paper.session.ws_connect(path, autoping=False) as socket:
        yield Reader(socket)


async def listen_key(paper: Paper) -> str:
    reply = await paper.trader.send("POST", "/fapi/v1/listenKey")
    key: str = reply.body["listenKey"]
    return key


@asynccontextmanager
async def user_stream(paper: Paper, extra: str = "") -> AsyncIterator[Reader]:
    """The user stream of the paper's trader, raw."""
    async with reading(paper, f"/private/ws?listenKey={await listen_key(paper)}{extra}") as reader:
        yield reader
