"""One WebSocket connection to an exchange: text messages, in order, until it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp

from execution_service.exchanges.errors import Unreachable
from execution_service.exchanges.events import StreamEnded

CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
MAX_MESSAGE_BYTES = 1024 * 1024
# Our pings find a connection that is dead although nobody has closed it.
PING_EVERY_S = 20.0


class WebSocket:
    """An open connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, text: str) -> None:
        """Sends a text message.

        Raises:
            StreamEnded: The connection is gone.
        """
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, ConnectionError):
            raise StreamEnded("connection_lost") from None

    async def receive(self) -> str:
        """The next text message.

        Raises:
            StreamEnded: The connection is gone, or speaks no text.
        """
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise StreamEnded("connection_lost")
        return str(message.data)

    async def close(self) -> None:
        """Ends it; who receives is told."""
        await self._socket.close()


@asynccontextmanager
async def connect(session: aiohttp.ClientSession, url: str) -> AsyncIterator[WebSocket]:
    """Opens a connection for as long as the block lasts.

    Raises:
        Unreachable: It cannot be opened.
    """
    timeout = aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            socket = await session.ws_connect(
                url, heartbeat=PING_EVERY_S, max_msg_size=MAX_MESSAGE_BYTES, timeout=timeout
            )
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise Unreachable("The exchange's stream cannot be reached.") from None
    try:
        yield WebSocket(socket)
    finally:
        await socket.close()


def parsed(text: str) -> Any:
    """The message's JSON, decimals exact.

    Raises:
        StreamEnded: It is none.
    """
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise StreamEnded("unreadable") from None
