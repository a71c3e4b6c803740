"""OKX v5 put together: REST under /api/v5 and WebSockets under /ws/v5."""

from collections.abc import Callable

from aiohttp import web

from paper_exchange.accounts import Venue
from paper_exchange.clock import Clock
from paper_exchange.connections import UserConnections
from paper_exchange.credentials import Credentialing
from paper_exchange.exchange import Exchange
from paper_exchange.faults import Faults
from paper_exchange.http_edge import HttpEdge
from paper_exchange.journal import Journal
from paper_exchange.okx_api import PREFIX, OkxApi
from paper_exchange.okx_auth import OkxAuthentication
from paper_exchange.okx_contracts import terms
from paper_exchange.okx_limits import OkxLimits
from paper_exchange.okx_sockets import OkxSockets


class OkxEdge:
    """One exchange as OKX shows it."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        clock: Clock,
        credentialing: Credentialing,
        faults: Faults,
        journal: Journal,
        connections: UserConnections,
        commit: Callable[[], None],
    ) -> None:
        exchange.risk.terms[Venue.OKX] = terms
        authentication = OkxAuthentication(exchange.books, credentialing)
        self._api = OkxApi(
            exchange, clock=clock, authentication=authentication, limits=OkxLimits(), commit=commit
        )
        self._http = HttpEdge(self._api, books=exchange.books, clock=clock, faults=faults, journal=journal)

        self._sockets = OkxSockets(
            exchange, clock=clock, api=self._api, authentication=authentication, connections=connections
        )

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", f"{PREFIX}{{rest:.*}}", self._http.handle), *self._sockets.routes()]

    async def close(self, app: web.Application) -> None:
        await self._sockets.close()

    def forget_limits(self) -> None:
        self._api.forget_limits()
