"""One request to an exchange: send what the vault signed, in time, and read what came back.

It never repeats a request, and sends none before its turn (see `budget`). What the answer means is the
adapter's to say.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from execution_service.exchanges.budget import Budget, Cost, Tariff, Turn
from execution_service.exchanges.errors import OutcomeUnknown, Unreachable
from execution_service.exchanges.websocket import WebSocket, connect
from tradekit.service.clock import Clock
from tradingbot.vault.v1 import vault_pb2

MAX_BODY_BYTES = 16 * 1024 * 1024
CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0
# Many streams begin at once when the process does.
CONNECTION_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP status.
        body: The parsed JSON with decimals exact; None when it is none.
        retry_after: How long the exchange wants us to wait; None when it does not say.
    """

    status: int
    body: Any
    retry_after: timedelta | None


class Host:
    """One base URL of an exchange, with its clock and its limits."""

    def __init__(self, base_url: str, session: aiohttp.ClientSession, clock: Clock, tariff: Tariff) -> None:
        self._base_url = base_url.rstrip("/")
        self._session = session
        self._clock = clock
        self._tariff = tariff
        self.budget = Budget(tariff)
        self.clock_offset = timedelta(0)

    def now(self) -> datetime:
        """Our clock."""
        return self._clock.now()

    def exchange_time(self) -> datetime:
        """The exchange's clock as well as we know it."""
        return self._clock.now() + self.clock_offset

    def hold_back(self, wait: timedelta) -> None:
        """Sends nothing for `wait`."""
        self.budget.hold_back(wait)

    def turn(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str],
        *,
        account_id: str = "",
        patience_s: float = ANSWER_TIMEOUT_S,
    ) -> AbstractAsyncContextManager[Turn]:
        """The turn of a request: wait for it before the time is stamped and the request is signed.

        Sign, send, and judge the answer inside: a `RateLimited` that leaves it is obeyed.

        Raises:
            RateLimited: It does not come within `patience_s`; nothing was sent.
        """
        cost = self._tariff.cost_of(method, path, parameters, account_id)
        return self.budget.turn(cost, patience_s=patience_s)

    async def get(self, path: str, parameters: Mapping[str, str], *, turn: Turn) -> Answer:
        """A public question; it may be repeated, so that a lost answer is `Unreachable`."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        try:
            return await self._exchange("GET", path + query, "", {}, turn)
        except OutcomeUnknown as error:
            raise Unreachable(error.message) from error

    async def send(
        self, method: str, signed: vault_pb2.SignedRequest, *, timeout_s: float, turn: Turn
    ) -> Answer:
        """Sends a signed request, byte for byte.

        Args:
            method: HTTP method.
            signed: What the vault signed.
            timeout_s: How long the answer is waited for.
            turn: The request's own.

        Raises:
            Unreachable: No connection could be made; nothing was sent.
            OutcomeUnknown: The connection broke or no answer came.
        """
        headers = {header.name: header.value for header in signed.headers}
        return await self._exchange(method, signed.target, signed.body, headers, turn, timeout_s)

    @asynccontextmanager
    async def connect(self, url: str, cost: Cost) -> AsyncIterator[WebSocket]:
        """Opens a WebSocket for as long as the block lasts.

        Raises:
            RateLimited: Too many were opened of late.
            Unreachable: It cannot be opened.
        """
        async with AsyncExitStack() as stack:
            async with self.budget.turn(cost, patience_s=CONNECTION_PATIENCE_S):
                socket = await stack.enter_async_context(connect(self._session, url))
            yield socket

    async def _exchange(
        self,
        method: str,
        target: str,
        body: str,
        headers: Mapping[str, str],
        turn: Turn,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> Answer:
        try:
            async with self._session.request(
                method,
                URL(self._base_url + target, encoded=True),
                data=body or None,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            ) as response:
                turn.answered(response.headers)
                return Answer(response.status, _parse(await _read(response)), _retry_after(response))
        except aiohttp.ClientConnectorError as error:
            raise Unreachable("The exchange cannot be reached.") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OutcomeUnknown("The exchange did not answer.") from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks, length = [], 0
    async for chunk in response.content.iter_chunked(65_536):
        length += len(chunk)
        if length > MAX_BODY_BYTES:
            raise OutcomeUnknown("The exchange's answer was too large to read.")
        chunks.append(chunk)
    return b"".join(chunks)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _retry_after(response: aiohttp.ClientResponse) -> timedelta | None:
    text = response.headers.get("Retry-After", "")
    return timedelta(seconds=min(int(text), 86_400)) if text.isdecimal() else None


@asynccontextmanager
async def open_hosts(clock: Clock) -> AsyncIterator[Callable[[str, Tariff], Host]]:
    """Yields a function that gives an exchange's `Host` at a base URL; one pool, closed on exit."""
    connector = aiohttp.TCPConnector(limit=256, limit_per_host=128, ttl_dns_cache=300, keepalive_timeout=60)
    headers = {"User-Agent": "tradingbot", "Accept": "application/json"}
    # What an exchange sets for one account must not be sent for another one.
    cookies = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=cookies, headers=headers) as session:
        hosts: dict[tuple[str, str], Host] = {}

        def host(base_url: str, tariff: Tariff) -> Host:
            key = (tariff.name, base_url)
            if key not in hosts:
                hosts[key] = Host(base_url, session, clock, tariff)
            return hosts[key]

        yield host
