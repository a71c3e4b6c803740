"""What one stream connection is subscribed to: market streams by their names, user streams by listen keys."""

from collections.abc import Callable, Sequence
from typing import Any

from paper_exchange.binance_stream_connection import Connection
from paper_exchange.binance_stream_events import UserEvents
from paper_exchange.binance_stream_market import MarketStream, MarketStreams
from paper_exchange.binance_wire import Json
from paper_exchange.clock import Clock
from paper_exchange.connections import UserConnections
from paper_exchange.events import Event
from paper_exchange.exchange import Exchange
from paper_exchange.listen_keys import KeyState, ListenKeys


class MarketSubscriptions:
    """The market streams of one connection; `wraps` as in `Subscriptions`."""

    def __init__(
        self, connection: Connection, market: MarketStreams, category: str, clock: Clock, *, wraps: bool
    ) -> None:
        self.wraps = wraps
        self._connection = connection
        self._market = market
        self._category = category
        self._clock = clock
        self._streams: dict[str, MarketStream | None] = {}

    def names(self) -> list[str]:
        return list(self._streams)

    def add(self, name: str, events: frozenset[str] = frozenset()) -> None:
        if name in self._streams:
            return
        now_ms = self._clock.now_ms()
        self._streams[name] = stream = self._market.open(name, self._category, now_ms)
        if stream is not None:
            self._push(name, stream.due(now_ms))

    def remove(self, name: str) -> None:
        self._streams.pop(name, None)

    def clear(self) -> None:
        self._streams.clear()

    def push(self, now_ms: int, events: Sequence[Event] = ()) -> None:
        """Sends what has become due."""
        for name, stream in self._streams.items():
            if stream is not None:
                self._push(name, stream.due(now_ms, events))

    def _push(self, name: str, payloads: Sequence[Any]) -> None:
        for payload in payloads:
            self._connection.send({"stream": name, "data": payload} if self.wraps else payload)


class UserSubscriptions:
    """The user streams of one connection, by their listen keys; `wraps` as in `Subscriptions`."""

    def __init__(
        self,
        connection: Connection,
        exchange: Exchange,
        clock: Clock,
        listen_keys: ListenKeys,
        connections: UserConnections,
        *,
        wraps: bool,
    ) -> None:
        self.wraps = wraps
        self._connection = connection
        self._exchange = exchange
        self._clock = clock
        self._listen_keys = listen_keys
        self._connections = connections
        self._streams: dict[str, _UserStream | None] = {}

    def names(self) -> list[str]:
        return list(self._streams)

    def add(self, name: str, events: frozenset[str] = frozenset()) -> None:
        """Subscribes to the account of a listen key; `events`: only these, none: all."""
        if name in self._streams:
            return
        now_ms = self._clock.now_ms()
        account_id = self._listen_keys.account_of(name, now_ms)
        self._streams[name] = None
        if account_id is None:
            return
        if self._connections.is_blocked(account_id, now_ms):
            self._connection.abort()
            return
        stream = _UserStream(
            self._exchange,
            self._clock,
            account_id,
            lambda payload: self._send(name, payload),
            wanted=events,
        )
        self._streams[name] = stream
        self._connections.add(stream, account_id, self._connection.abort)

    def remove(self, name: str) -> None:
        stream = self._streams.pop(name, None)
        if stream is not None:
            self._end(stream)

    def clear(self) -> None:
        for name in self.names():
            self.remove(name)

    def push(self, now_ms: int) -> None:
        """Sends margin calls, and ends the streams whose key has ended."""
        for name, stream in list(self._streams.items()):
            if stream is None:
                continue
            state = self._listen_keys.state(stream.account_id, name, now_ms)
            if state is KeyState.ALIVE:
                stream.push_margin_calls(now_ms)
                continue
            self._streams[name] = None
            self._end(stream)
            self._send(name, {"e": "listenKeyExpired", "E": now_ms, "listenKey": name})
            if state is KeyState.CLOSED:
                self._connection.close()

    def _send(self, name: str, payload: Json) -> None:
        self._connection.send({"stream": name, "data": payload} if self.wraps else payload)

    def _end(self, stream: "_UserStream") -> None:
        stream.unsubscribe()
        self._connections.remove(stream)


class _UserStream:
    """One account's events on one connection."""

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock,
        account_id: int,
        send: Callable[[Json], None],
        *,
        wanted: frozenset[str],
    ) -> None:
        self.account_id = account_id
        self._clock = clock
        self._send = send
        self._wanted = wanted
        self._events = UserEvents(exchange, exchange.books.accounts[account_id])
        self.unsubscribe = exchange.books.feed.subscribe(self._happened, account_id=account_id)

    def _happened(self, batch: Sequence[Event]) -> None:
        for payload in self._events.of(batch, self._clock.now_ms()):
            self._push(payload)

    def push_margin_calls(self, now_ms: int) -> None:
        for payload in self._events.margin_calls(now_ms):
            self._push(payload)

    def _push(self, payload: Json) -> None:
        if not self._wanted or payload["e"] in self._wanted:
            self._send(payload)
