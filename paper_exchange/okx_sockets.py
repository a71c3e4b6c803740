"""OKX's three WebSockets: /ws/v5/public, /ws/v5/private, /ws/v5/business. A query is ignored."""

from itertools import count

from aiohttp import WSCloseCode, web

from paper_exchange.clock import Clock
from paper_exchange.connections import UserConnections
from paper_exchange.exchange import Exchange
from paper_exchange.okx_api import OkxApi
from paper_exchange.okx_auth import OkxAuthentication
from paper_exchange.okx_contracts import Listing
from paper_exchange.okx_session import Entrance, OkxSession
from paper_exchange.okx_socket import OkxSocket

PREFIX = "/ws/v5"
_FIRST_CONNECTION = 0xA4D3AE55


class OkxSockets:
    """Serves the sockets and lets time pass on them."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        clock: Clock,
        api: OkxApi,
        authentication: OkxAuthentication,
        connections: UserConnections,
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._api = api
        self._authentication = authentication
        self._connections = connections
        self._open: dict[OkxSession, OkxSocket] = {}
        self._numbers = count(_FIRST_CONNECTION)
        exchange.books.feed.subscribe_ticks(self._tick)

    def routes(self) -> list[web.RouteDef]:
        return [web.get(f"{PREFIX}/{{entrance:public|private|business}}", self._handle)]

    async def close(self) -> None:
        """Says goodbye on every connection."""
        for socket in list(self._open.values()):
            socket.close(WSCloseCode.GOING_AWAY, "The exchange is closing.")

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        number = next(self._numbers) % 2**32
        socket = OkxSocket(request, self._clock, connection_id=f"{number:08x}")
        session = OkxSession(
            socket,
            Entrance(request.match_info["entrance"]),
            exchange=self._exchange,
            listing=Listing(self._exchange.market.instruments),
            clock=self._clock,
            api=self._api,
            authentication=self._authentication,
            connections=self._connections,
        )
        self._open[session] = socket
        try:
            return await socket.serve(session.receive)
        finally:
            del self._open[session]
            session.end()

    def _tick(self, now_ms: int) -> None:
        for session in list(self._open):
            session.tick(now_ms)
