"""One WebSocket connection to Binance's streams: its messages, pings and limits.

By Binance's documentation and the exchange's clock: pings every 3 minutes, closes after 10 without an answer,
ends after 24 hours, takes at most 10 messages (pings and pongs included) in a second, and 200 streams.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from paper_exchange.binance_wire import Json
from paper_exchange.clock import Clock

PING_INTERVAL_MS = 180_000
PONG_WITHIN_MS = 600_000
LIFETIME_MS = 24 * 3_600_000
MESSAGES_PER_SECOND = 10
MAX_STREAMS = 200
_MAX_MESSAGE_BYTES = 64 * 1024
_MOST_WAITING = 20_000
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class Subscriptions(Protocol):
    """What the connection is subscribed to."""

    def names(self) -> list[str]: ...

    def add(self, name: str) -> None: ...

    def remove(self, name: str) -> None: ...


class RequestInvalid(Exception):
    """A message is not a request; `code` 0 to 3 as Binance numbers them."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Closing:
    code: WSCloseCode
    reason: str


class StreamConnection:
    """Sends what it is given, in order, and answers requests.

    Attributes:
        wraps: Whether payloads are wrapped as `{"stream": …, "data": …}`.
    """

    def __init__(self, request: web.Request, clock: Clock, *, wraps: bool) -> None:
        self.wraps = wraps
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

    async def serve(self, subscriptions: Subscriptions, opened: Callable[[], None]) -> web.WebSocketResponse:
        """Accepts the connection, calls `opened`, and serves until either side ends it."""
        await self._socket.prepare(self._request)
        writing = asyncio.create_task(self._write())
        try:
            opened()
            async for message in self._socket:
                self._receive(message, subscriptions)
        finally:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing
        return self._socket

    # Sending

    def push(self, stream: str, payload: Any) -> None:
        """Queues a payload; a reader who has fallen hopelessly behind is cut."""
        self._send({"stream": stream, "data": payload} if self.wraps else payload)

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

    def _send(self, body: Any) -> None:
        if self._outgoing.qsize() >= _MOST_WAITING:
            self.abort()
            return
        self._outgoing.put_nowait(json.dumps(body, separators=(",", ":")))

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

    def _receive(self, message: WSMessage, subscriptions: Subscriptions) -> None:
        if self._is_too_many():
            self.close(WSCloseCode.POLICY_VIOLATION, "Too many requests")
            return
        if message.type is WSMsgType.PONG:
            self._unanswered_ms = None
        elif message.type is WSMsgType.PING:
            pong = asyncio.ensure_future(self._socket.pong(message.data))
            pong.add_done_callback(lambda done: done.cancelled() or done.exception())
        elif message.type is WSMsgType.TEXT:
            self._answer(message.data, subscriptions)

    def _is_too_many(self) -> bool:
        second = self._clock.now_ms() // 1000
        self._messages = self._messages + 1 if second == self._second else 1
        self._second = second
        return self._messages > MESSAGES_PER_SECOND

    def _answer(self, text: str, subscriptions: Subscriptions) -> None:
        request_id: Any = None
        try:
            request = _parsed(text)
            request_id = _id_of(request)
            result = self._perform(request, subscriptions)
        except RequestInvalid as invalid:
            self._send({"error": {"code": invalid.code, "msg": str(invalid)}, "id": request_id})
            return
        self._send({"result": result, "id": request_id})
        for name in result_names(request):
            subscriptions.add(name)

    def _perform(self, request: Json, subscriptions: Subscriptions) -> Any:
        method, parameters = request["method"], request.get("params", [])
        match method:
            case "SUBSCRIBE":
                names = _names(parameters)
                if len({*subscriptions.names(), *names}) > MAX_STREAMS:
                    raise RequestInvalid(2, "Invalid request: too many parameters")
                return None
            case "UNSUBSCRIBE":
                for name in _names(parameters):
                    subscriptions.remove(name)
                return None
            case "LIST_SUBSCRIPTIONS":
                return subscriptions.names()
            case "SET_PROPERTY":
                return self._set_property(parameters)
            case _:
                if parameters != ["combined"]:
                    raise RequestInvalid(0, "Unknown property")
                return self.wraps

    def _set_property(self, parameters: Any) -> None:
        match parameters:
            case ["combined", bool() as combined]:
                self.wraps = combined
            case ["combined", _]:
                raise RequestInvalid(1, "Invalid value type: expected Boolean")
            case _:
                raise RequestInvalid(0, "Unknown property")


def result_names(request: Json) -> Iterable[str]:
    """What a request that was accepted subscribes to: after its answer, so that no payload comes before."""
    return request.get("params", []) if request["method"] == "SUBSCRIBE" else ()


def _parsed(text: str) -> Json:
    try:
        request = json.loads(text)
    except ValueError as error:
        raise RequestInvalid(3, "Invalid JSON: expected value at line 1 column 1") from error
    if not isinstance(request, dict):
        raise RequestInvalid(2, "Invalid request: request must be an object")
    return request


def _id_of(request: Json) -> Any:
    """The id; Binance's SDK sends text, others a number."""
    method, request_id = request.get("method"), request.get("id")
    if method is None:
        raise RequestInvalid(2, "Invalid request: missing field `method`")
    if method not in _METHODS:
        expected = ", ".join(f"`{name}`" for name in _METHODS)
        raise RequestInvalid(2, f"Invalid request: unknown variant `{method}`, expected one of {expected}")
    if isinstance(request_id, bool) or not isinstance(request_id, int | str | None):
        raise RequestInvalid(2, "Invalid request: request ID must be an unsigned integer or a string")
    return request_id


def _names(parameters: Any) -> list[str]:
    if not isinstance(parameters, list) or not all(isinstance(name, str) for name in parameters):
        raise RequestInvalid(2, "Invalid request: params must be a list of stream names")
    return parameters
