"""One WebSocket connection to OKX: `ping` and `pong` are texts, 30 s of silence end it."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from paper_exchange.clock import Clock

SILENCE_MS = 30_000
SILENT = 4004
_MAX_MESSAGE_BYTES = 64 * 1024
_MOST_WAITING = 20_000


@dataclass(frozen=True, slots=True)
class _Closing:
    code: int
    reason: str


class OkxSocket:
    """Sends what it is given, and hands on what comes but pings.

    Attributes:
        connection_id: Eight hexadecimal digits that its events carry.
    """

    def __init__(self, request: web.Request, clock: Clock, *, connection_id: str) -> None:
        self.connection_id = connection_id
        self.address = request.remote or ""
        self._request = request
        self._clock = clock
        self._socket = web.WebSocketResponse(compress=False, max_msg_size=_MAX_MESSAGE_BYTES, timeout=1.0)
        self._outgoing: asyncio.Queue[str | _Closing] = asyncio.Queue()
        self._active_ms = clock.now_ms()

    async def serve(self, received: Callable[[str], None]) -> web.WebSocketResponse:
        """Accepts the connection and hands texts on until either side ends it."""
        await self._socket.prepare(self._request)
        writing = asyncio.create_task(self._write())
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self._receive(message.data, received)
        finally:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing
        return self._socket

    def send(self, body: Any) -> None:
        """Queues a message; a reader who has fallen hopelessly behind is cut."""
        if self._outgoing.qsize() >= _MOST_WAITING:
            self.abort()
            return
        self._active_ms = self._clock.now_ms()
        self._outgoing.put_nowait(json.dumps(body, separators=(",", ":")))

    def close(self, code: int, reason: str) -> None:
        """Ends the connection after what is queued."""
        self._outgoing.put_nowait(_Closing(code, reason))

    def abort(self) -> None:
        """Cuts the connection without a word."""
        if self._request.transport is not None:
            self._request.transport.abort()

    def tick(self, now_ms: int) -> None:
        """Ends the connection when nothing has gone either way for too long."""
        if now_ms - self._active_ms > SILENCE_MS:
            self._active_ms = now_ms
            self.close(SILENT, "No data received in 30s.")

    def _receive(self, text: str, received: Callable[[str], None]) -> None:
        self._active_ms = self._clock.now_ms()
        if text == "ping":
            self._outgoing.put_nowait("pong")
        else:
            received(text)

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                match await self._outgoing.get():
                    case _Closing(code=code, reason=reason):
                        await self._socket.close(code=code, message=reason.encode())
                        return
                    case str() as text:
                        await self._socket.send_str(text)
