"""One WebSocket connection to Binance: its messages, pings and limits.

By Binance's documentation and the exchange's clock: pings every 3 minutes, closes after 10 without an answer,
ends after 24 hours, takes at most 10 messages (pings and pongs included) in a second.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from paper_exchange.clock import Clock

PING_INTERVAL_MS = 180_000
PONG_WITHIN_MS = 600_000
LIFETIME_MS = 24 * 3_600_000
MESSAGES_PER_SECOND = 10
_MAX_MESSAGE_BYTES = 64 * 1024
_MOST_WAITING = 20_000


@dataclass(frozen=True, slots=True)
class _Closing:
    code: WSCloseCode
    reason: str


class Connection:
    """Sends what it is given, in order, and hands on what comes.

    Args:
        messages_per_second: Beyond these it is closed; None: never.
    """

    def __init__(
        self, request: web.Request, clock: Clock, *, messages_per_second: int | None = MESSAGES_PER_SECOND
    ) -> None:
        self._messages_per_second = messages_per_second
        self._request = request
        self._clock = clock
        # Pings are answered here because they count as messages.
        self._socket = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=_MAX_MESSAGE_BYTES, timeout=1.0
        )
        self._outgoing: asyncio.Queue[str | bytes | _Closing] = asyncio.Queue()
        self._opened_ms = self._pinged_ms = clock.now_ms()
        self._unanswered_ms: int | None = None
        self._second = self._messages = 0

    async def serve(
        self, opened: Callable[[], None], received: Callable[[str], None]
    ) -> web.WebSocketResponse:
        """Accepts the connection, calls `opened`, and hands texts on until either side ends it."""
        await self._socket.prepare(self._request)
        writing = asyncio.create_task(self._write())
        try:
            opened()
            async for message in self._socket:
                self._receive(message, received)
        finally:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing
        return self._socket

    # Sending

    def send(self, body: Any) -> None:
        """Queues a message; a reader who has fallen hopelessly behind is cut."""
        if self._outgoing.qsize() >= _MOST_WAITING:
            self.abort()
            return
        self._outgoing.put_nowait(json.dumps(body, separators=(",", ":")))

    def close(self, code: WSCloseCode = WSCloseCode.OK, reason: str = "") -> None:
        """Ends the connection after what is queued."""
        self._outgoing.put_nowait(_Closing(code, reason))

    def abort(self) -> None:
        """Cuts the connection without a word."""
        if self._request.transport is not None:
            self._request.transport.abort()

    def tick(self, now_ms: int) -> None:
        """Pings when it is time, and ends what is silent or too old."""
        if now_ms - self._opened_ms >= LIFETIME_MS:
            self._opened_ms = now_ms
            self.close(WSCloseCode.GOING_AWAY, "24 hours")
        elif self._unanswered_ms is not None and now_ms - self._unanswered_ms >= PONG_WITHIN_MS:
            self.abort()
        elif now_ms - self._pinged_ms >= PING_INTERVAL_MS:
            self._pinged_ms = now_ms
            self._unanswered_ms = self._unanswered_ms or now_ms
            self._outgoing.put_nowait(str(now_ms).encode())

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                match await self._outgoing.get():
                    case _Closing(code=code, reason=reason):
                        await self._socket.close(code=code, message=reason.encode())
                        return
                    case bytes() as ping:
                        await self._socket.ping(ping)
                    case str() as text:
                        await self._socket.send_str(text)

    # Receiving

    def _receive(self, message: WSMessage, received: Callable[[str], None]) -> None:
        if self._is_too_many():
            self.close(WSCloseCode.POLICY_VIOLATION, "Too many requests")
            return
        if message.type is WSMsgType.PONG:
            self._unanswered_ms = None
        elif message.type is WSMsgType.PING:
            pong = asyncio.ensure_future(self._socket.pong(message.data))
            pong.add_done_callback(lambda done: done.cancelled() or done.exception())
        elif message.type is WSMsgType.TEXT:
            received(message.data)

    def _is_too_many(self) -> bool:
        second = self._clock.now_ms() // 1000
        self._messages = self._messages + 1 if second == self._second else 1
        self._second = second
        return self._messages_per_second is not None and self._messages > self._messages_per_second
