"""OKX's account channels: its words -> ours.

Orders, positions and balance are on the private socket, conditional orders on the business socket, trailing
stops there on a channel of their own. Each socket is logged in on with a message that the vault signs; it
signs none for an inactive account, whose streams then stay closed.

`account` and `positions` show themselves on subscribing and every few seconds ("snapshot"); told is only
what has changed ("event_update"). Orders tell changes only. A silent socket is closed after 30 s: `ping`
is answered with `pong`. Notice 64008 says that the connection will be closed for an upgrade.
Source: OKX API guide, "WebSocket" and the channels' pages.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from execution_service.exchanges import errors, okx_answers
from execution_service.exchanges.events import (
    BalanceUpdate,
    Event,
    OrderUpdate,
    PositionUpdate,
    Receive,
    StreamEnded,
)
from execution_service.exchanges.http import Host
from execution_service.exchanges.okx_contracts import Contract
from execution_service.exchanges.okx_limits import connection_cost
from execution_service.exchanges.okx_market import OKXMarket
from execution_service.exchanges.reading import decimal, read
from execution_service.exchanges.requests import SignedRequests
from execution_service.exchanges.websocket import WebSocket, parsed

LOGIN = "/users/self/verify"
PING_AFTER_S = 15.0
SILENT_AFTER_S = 30.0
ANSWERED_WITHIN_S = 5.0

_SWAPS = {"instType": "SWAP"}
_PRIVATE = ({"channel": "orders", **_SWAPS}, {"channel": "positions", **_SWAPS}, {"channel": "account"})
_BUSINESS = ({"channel": "orders-algo", **_SWAPS}, {"channel": "algo-advance", **_SWAPS})
_SOCKETS = (("/ws/v5/private", _PRIVATE), ("/ws/v5/business", _BUSINESS))

Arguments = Sequence[dict[str, str]]


class OKXStream:
    """The account channels of one account.

    Args:
        requests: The account's requests, for its login.
        host: Where it trades.
        market: What contracts are worth.
        url: Where its sockets are, for example "wss://ws.okx.com:8443".
    """

    def __init__(self, requests: SignedRequests, host: Host, market: OKXMarket, url: str) -> None:
        self._requests = requests
        self._host = host
        self._market = market
        self._url = url.rstrip("/")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Receive]:
        """See `UserStream.open`."""
        inbox: asyncio.Queue[Sequence[Event] | BaseException] = asyncio.Queue()
        async with AsyncExitStack() as stack:
            sockets = [
                await stack.enter_async_context(self._subscribed(path, arguments))
                for path, arguments in _SOCKETS
            ]
            tasks = [asyncio.create_task(self._read(socket, inbox)) for socket in sockets]
            tasks += [asyncio.create_task(_ping(socket)) for socket in sockets]

            async def receive() -> Sequence[Event]:
                told = await inbox.get()
                if isinstance(told, BaseException):
                    raise told
                return told

            try:
                yield receive
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def _subscribed(self, path: str, arguments: Arguments) -> AsyncIterator[WebSocket]:
        async with self._host.connect(self._url + path, connection_cost()) as socket:
            login = await self._requests.login(LOGIN)
            try:
                async with asyncio.timeout(ANSWERED_WITHIN_S):
                    await socket.send(login.reveal())
                    await _answered(socket, "login", 1)
                    await socket.send(json.dumps({"op": "subscribe", "args": list(arguments)}))
                    await _answered(socket, "subscribe", len(arguments))
            except TimeoutError:
                raise StreamEnded("not_subscribed") from None
            yield socket

    async def _read(self, socket: WebSocket, inbox: asyncio.Queue[Sequence[Event] | BaseException]) -> None:
        """Puts what a socket tells into the inbox, and in the end why it tells no more."""
        try:
            while True:
                async with asyncio.timeout(SILENT_AFTER_S):
                    text = await socket.receive()
                if text != "pong":
                    inbox.put_nowait(await self._events_of(text))
        except TimeoutError:
            inbox.put_nowait(StreamEnded("silent"))
        except (StreamEnded, errors.ExchangeError) as error:
            inbox.put_nowait(error)

    async def _events_of(self, text: str) -> Sequence[Event]:
        message = parsed(text)
        if not isinstance(message, dict):
            raise StreamEnded("unreadable")
        if "event" in message:
            check_event(message)
            return []
        rows = message.get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise StreamEnded("unreadable")
        names = {row["instId"] for row in rows if isinstance(row.get("instId"), str)}
        contracts = await self._market.contracts(names) if names else {}
        try:
            return read(lambda message: events_of(message, contracts), message)
        except errors.OutcomeUnknown:
            raise StreamEnded("unreadable") from None


async def _ping(socket: WebSocket) -> None:
    while True:
        await asyncio.sleep(PING_AFTER_S)
        try:
            await socket.send("ping")
        except StreamEnded:
            return  # who reads is told


async def _answered(socket: WebSocket, event: str, count: int) -> None:
    """Waits until so many requests are granted; what is pushed meanwhile is asked for afterwards anyway."""
    while count:
        message = parsed(await socket.receive())
        if isinstance(message, dict) and "event" in message:
            check_event(message)
            count -= message["event"] == event


def check_event(message: dict[str, Any]) -> None:
    """Raises when the exchange says that it will not, or not for long, go on telling."""
    match message["event"]:
        case "error":
            raise StreamEnded("refused")
        case "login" if str(message.get("code")) != "0":
            raise StreamEnded("refused")
        case "notice":
            raise StreamEnded("upgrade")
        case "channel-conn-count-error":
            raise StreamEnded("too_many_connections")


def events_of(message: dict[str, Any], contracts: Mapping[str, Contract]) -> Sequence[Event]:
    """What a push tells; rows of markets that we do not trade are left out.

    Args:
        message: `arg` and `data` as documented for the channel.
        contracts: By OKX's names.
    """
    rows = message["data"]
    known = [(row, contracts[row["instId"]]) for row in rows if row.get("instId") in contracts]
    match message["arg"]["channel"]:
        case "orders":
            return [OrderUpdate(okx_answers.order(*row), conditional=False) for row in known]
        case "orders-algo" | "algo-advance":
            return [OrderUpdate(okx_answers.algo_order(*row), conditional=True) for row in known]
        case "positions" if message.get("eventType") != "snapshot":
            return [_position(*row) for row in known]
        case "account" if message.get("eventType") != "snapshot":
            details = [detail for row in rows for detail in row["details"]]
            return [BalanceUpdate(detail["ccy"], decimal(detail["cashBal"])) for detail in details]
    return []


def _position(row: dict[str, Any], contract: Contract) -> PositionUpdate:
    held = okx_answers.position(row, contract)
    gone = not held.quantity and row["posSide"] == "net"
    return PositionUpdate(held.symbol, None if gone else held.side, held.quantity)
