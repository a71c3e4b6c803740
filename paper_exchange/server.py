"""Puts the exchange together and serves it: both protocols' edges and control on one port."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiohttp import web

from paper_exchange.binance_api import PREFIXES, BinanceApi
from paper_exchange.binance_auth import BinanceAuthentication
from paper_exchange.binance_limits import Limits, RequestLimits
from paper_exchange.binance_streams import BinanceStreams
from paper_exchange.binance_ws_api import BinanceWsApi
from paper_exchange.books import Books
from paper_exchange.candles import FilePath
from paper_exchange.clock import Clock, SystemClock
from paper_exchange.connections import UserConnections
from paper_exchange.control import Control
from paper_exchange.credentials import Credentialing, master_key
from paper_exchange.exchange import Exchange
from paper_exchange.faults import ClockOffset, Faults, Rule
from paper_exchange.instruments import LISTED
from paper_exchange.journal import Journal
from paper_exchange.listen_keys import ListenKeys
from paper_exchange.market import Market
from paper_exchange.okx_edge import OkxEdge
from paper_exchange.store import Store

DEFAULT_PORT = 9001
_TICK_S = 0.25
_MAX_REQUEST_BYTES = 1024 * 1024


class PaperExchange:
    """A running paper exchange.

    Attributes:
        url: Where it answers, for example "http://127.0.0.1:9001".
        exchange: Its inside, for tests that look behind the protocol.
    """

    def __init__(self, *, exchange: Exchange, clock: Clock, store: Store | None) -> None:
        self.exchange = exchange
        self.url = ""
        self._clock = clock
        self._store = store
        self._runner: web.AppRunner | None = None
        self._ticking: asyncio.Task[None] | None = None

    def commit(self) -> None:
        """Makes everything that has happened durable."""
        books = self.exchange.books
        if books.pending and self._store is not None:
            self._store.commit(books.pending, books.counters)
        books.committed()

    async def serve(self, app: web.Application, host: str, port: int) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound_host, bound_port = self._runner.addresses[0][:2]
        self.url = f"http://{f'[{bound_host}]' if ':' in bound_host else bound_host}:{bound_port}"
        self._ticking = asyncio.create_task(self._tick())

    async def wait_until(self, stopped: asyncio.Event) -> None:
        """Waits until it is to stop; raises what stopped the exchange's time, if that comes first."""
        assert self._ticking is not None, "waits only for an exchange that serves"
        asked = asyncio.create_task(stopped.wait())
        try:
            done, _ = await asyncio.wait({asked, self._ticking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        if self._ticking in done:
            self._ticking.result()

    async def close(self) -> None:
        """Stops answering and closes the store; nothing that was answered is lost."""
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        if self._runner is not None:
            await self._runner.cleanup()
        if self._store is not None:
            self.commit()
            self._store.close()

    async def _tick(self) -> None:
        """Lets time pass on the exchange when no request does."""
        while True:
            await asyncio.sleep(_TICK_S)
            now_ms = self._clock.now_ms()
            self.exchange.advance(now_ms)
            self.commit()
            self.exchange.books.feed.tick(now_ms)


async def start(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 1,
    speed: float = 1.0,
    candles: Mapping[str, FilePath] | None = None,
    faults: Sequence[Rule | ClockOffset] = (),
    state: Path | None = None,
    limits: Limits | None = None,
    clock: Clock | None = None,
) -> PaperExchange:
    """Starts a paper exchange in this event loop.

    Args:
        port: 0 takes a free one; see `url`.
        seed: Of the simulated market.
        speed: Of the simulated market; 0 stands still.
        candles: Symbols whose market replays a file.
        faults: Rules in force from the first request on.
        state: Folder that outlives the process; None keeps everything in memory.
        limits: Request limits other than Binance's.

    Raises:
        StoreUnusable: the state folder is another exchange's, or in use.
        OSError: the port is taken.
    """
    clock = clock or SystemClock()
    now_ms = clock.now_ms()
    store = Store(state) if state is not None else None
    anchor_ms = store.first_start(seed=seed, now_ms=now_ms) if store is not None else now_ms
    market = Market(LISTED, seed=seed, anchor_ms=anchor_ms, speed=speed, files=candles)
    books = Books(seed=seed)
    if store is not None:
        store.load(books, market)
    waiting = Faults(lambda account_id: books.accounts[account_id].api_key)
    exchange = Exchange(books, market, waiting.take_partial_fill, now_ms=now_ms)
    server = PaperExchange(exchange=exchange, clock=clock, store=store)
    credentialing = Credentialing(master_key(state))
    request_limits = RequestLimits(limits or Limits())
    journal = Journal()
    connections = UserConnections()
    listen_keys = ListenKeys()
    okx = OkxEdge(
        exchange,
        clock=clock,
        credentialing=credentialing,
        faults=waiting,
        journal=journal,
        connections=connections,
        commit=server.commit,
    )

    def forget_limits() -> None:
        request_limits.clear()
        okx.forget_limits()

    control = Control(
        exchange,
        clock=clock,
        credentialing=credentialing,
        faults=waiting,
        journal=journal,
        connections=connections,
        commit=server.commit,
        forget_limits=forget_limits,
    )
    binance = BinanceApi(
        exchange,
        clock=clock,
        authentication=BinanceAuthentication(books, credentialing),
        limits=request_limits,
        faults=waiting,
        listen_keys=listen_keys,
        journal=journal,
        commit=server.commit,
    )
    streams = BinanceStreams(
        exchange, clock=clock, listen_keys=listen_keys, connections=connections, journal=journal
    )
    ws_api = BinanceWsApi(binance, exchange, clock, request_limits)
    for rule in faults:
        control.apply(rule)
    app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
    app.add_routes(control.routes())
    app.add_routes(streams.routes())
    app.add_routes(okx.routes())
    app.add_routes(ws_api.routes())
    app.on_shutdown.extend((streams.close, ws_api.close, okx.close))
    for prefix in PREFIXES:
        app.router.add_route("*", f"{prefix}{{rest:.*}}", binance.handle)
    await server.serve(app, host, port)
    return server
