"""Binance's WebSocket streams on the exchange's port, in the paths of 2026: /public, /market and /private.

`…/ws` sends payloads as they are, `…/stream` wraps them; streams are named in the path, in the query or by
SUBSCRIBE. The user stream opens with a listen key: `/private/ws?listenKey=KEY[&events=A/B]`,
`/private/ws/KEY`, or SUBSCRIBE of the key. The paths without a category are retired, as on the real exchange
since 2026-04-23: they answer 404.

A key or a stream that nobody knows is accepted and stays silent.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from aiohttp import web

from paper_exchange.binance_stream_connection import Connection
from paper_exchange.binance_stream_market import MarketStreams
from paper_exchange.binance_stream_requests import StreamRequests
from paper_exchange.binance_stream_subscriptions import MarketSubscriptions, UserSubscriptions
from paper_exchange.clock import Clock
from paper_exchange.connections import UserConnections
from paper_exchange.events import Event, InstrumentChanged, OrderChanged, PriceSet
from paper_exchange.exchange import Exchange
from paper_exchange.journal import Journal, RequestRecord
from paper_exchange.listen_keys import ListenKeys
from paper_exchange.orders import OrderType

CONNECTIONS_PER_WINDOW = 300
_WINDOW_MS = 300_000
_CATEGORY = "{category:public|market|private}"


class BinanceStreams:
    """All stream connections."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        clock: Clock,
        listen_keys: ListenKeys,
        connections: UserConnections,
        journal: Journal,
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._listen_keys = listen_keys
        self._connections = connections
        self._journal = journal
        self._market = MarketStreams(exchange.market)
        self._open: dict[Connection, MarketSubscriptions | UserSubscriptions] = {}
        self._arrivals: dict[str, deque[int]] = defaultdict(deque)
        exchange.books.feed.subscribe_ticks(self._tick)
        self._stop_listening: Callable[[], None] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(f"/{_CATEGORY}/{{mode:ws|stream}}", self._handle),
            web.get(f"/{_CATEGORY}/{{mode:ws}}/{{names:.*}}", self._handle),
        ]

    async def close(self, app: web.Application) -> None:
        """Cuts all connections; the exchange stops."""
        for connection in list(self._open):
            connection.abort()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        now_ms = self._clock.now_ms()
        if not web.WebSocketResponse().can_prepare(request).ok:
            return self._refused(request, 400, "this path speaks WebSocket only")
        if self._is_too_many(request.remote or "", now_ms):
            return self._refused(request, 429, "too many connections")
        private = request.match_info["category"] == "private"
        names = _key_names(request) if private else _stream_names(request)
        if private and any(self._is_blocked(key, now_ms) for key, _ in names):
            return self._refused(request, 503, "user streams are cut")
        self._record(request, 101, self._account_of(names[0][0], now_ms) if private and names else None)
        connection = Connection(request, self._clock)
        subscriptions = self._subscriptions(
            connection, request.match_info["category"], wraps=request.match_info["mode"] == "stream"
        )
        return await self._serve(connection, subscriptions, names)

    def _subscriptions(
        self, connection: Connection, category: str, *, wraps: bool
    ) -> MarketSubscriptions | UserSubscriptions:
        if category != "private":
            return MarketSubscriptions(connection, self._market, category, self._clock, wraps=wraps)
        return UserSubscriptions(
            connection, self._exchange, self._clock, self._listen_keys, self._connections, wraps=wraps
        )

    async def _serve(
        self,
        connection: Connection,
        subscriptions: MarketSubscriptions | UserSubscriptions,
        names: list[tuple[str, frozenset[str]]],
    ) -> web.StreamResponse:
        requests = StreamRequests(connection, subscriptions)

        def opened() -> None:
            self._open[connection] = subscriptions
            self._listen_if_needed()
            for name, events in names:
                subscriptions.add(name, events)

        try:
            return await connection.serve(opened, requests.answer)
        finally:
            self._open.pop(connection, None)
            subscriptions.clear()
            self._listen_if_needed()

    def _listen_if_needed(self) -> None:
        """Listens to all accounts only while somebody listens to the market."""
        needed = any(isinstance(entry, MarketSubscriptions) for entry in self._open.values())
        if needed and self._stop_listening is None:
            self._stop_listening = self._exchange.books.feed.subscribe(self._happened)
        elif not needed and self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None

    def _happened(self, batch: Sequence[Event]) -> None:
        public = [event for event in batch if _is_public(event)]
        if public:
            now_ms = self._clock.now_ms()
            for subscriptions in list(self._open.values()):
                if isinstance(subscriptions, MarketSubscriptions):
                    subscriptions.push(now_ms, public)

    def _tick(self, now_ms: int) -> None:
        for connection, subscriptions in list(self._open.items()):
            subscriptions.push(now_ms)
            connection.tick(now_ms)

    # Before a connection opens

    def _account_of(self, key: str, now_ms: int) -> int | None:
        return self._listen_keys.account_of(key, now_ms)

    def _is_blocked(self, key: str, now_ms: int) -> bool:
        account_id = self._account_of(key, now_ms)
        return account_id is not None and self._connections.is_blocked(account_id, now_ms)

    def _is_too_many(self, address: str, now_ms: int) -> bool:
        arrivals = self._arrivals[address]
        while arrivals and arrivals[0] <= now_ms - _WINDOW_MS:
            arrivals.popleft()
        if len(arrivals) >= CONNECTIONS_PER_WINDOW:
            return True
        arrivals.append(now_ms)
        return False

    def _refused(self, request: web.Request, status: int, why: str) -> web.Response:
        self._record(request, status, None)
        return web.json_response({"error": why}, status=status)

    def _record(self, request: web.Request, status: int, account_id: int | None) -> None:
        """Only the first two parts of the path: the rest may be a listen key."""
        path = "/".join(request.path.split("/")[:3])
        self._journal.add(
            RequestRecord(
                time=self._clock.now_ms(),
                method="GET",
                path=path,
                account_id=account_id,
                status=status,
                code=None,
                fault=None,
            )
        )


def _is_public(event: Event) -> bool:
    if isinstance(event, OrderChanged):
        return event.order.type is OrderType.LIQUIDATION
    return isinstance(event, PriceSet | InstrumentChanged)


def _stream_names(request: web.Request) -> list[tuple[str, frozenset[str]]]:
    """The streams of the path or of `streams` in the query."""
    given = [request.match_info.get("names", ""), *request.query.getall("streams", [])]
    return [(name, frozenset()) for part in given for name in part.split("/") if name]


def _key_names(request: web.Request) -> list[tuple[str, frozenset[str]]]:
    """The listen keys of the path or query; `events` narrows the key before it."""
    keys = [(name, frozenset[str]()) for name in request.match_info.get("names", "").split("/") if name]
    for name, value in request.query.items():
        if name == "listenKey" and value:
            keys.append((value, frozenset()))
        elif name == "events" and keys:
            keys[-1] = (keys[-1][0], frozenset(value.split("/")))
    return keys
