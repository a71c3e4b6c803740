"""Binance's user data stream: its words -> ours.

A listen key opens it (POST /fapi/v1/listenKey, by the API key alone), lives for an hour and is extended by
PUT. Three forms of the private stream are documented since 2026-03-06: `/private/ws?listenKey=KEY`,
`/private/ws/KEY`, and `/private/stream` with SUBSCRIBE of the key. Ours is the last one, which Binance's SDK
uses too: who has the key can read the account, so that it stays out of URLs. A key that Binance does not
know is accepted and stays silent; that is found by orders of ours that are not told (see `streams`).

The connection ends after 24 hours, and nothing is replayed. Fills may be told twice (TRADE_LITE first):
TRADE_LITE is not read, and nothing here is summed up.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from execution_service.exchanges import binance_answers as answers
from execution_service.exchanges import errors
from execution_service.exchanges.binance_limits import connection_cost
from execution_service.exchanges.events import (
    BalanceUpdate,
    Event,
    LeverageUpdate,
    OrderUpdate,
    PositionUpdate,
    Receive,
    StreamEnded,
)
from execution_service.exchanges.http import Host
from execution_service.exchanges.reading import decimal, read
from execution_service.exchanges.requests import SignedRequests
from execution_service.exchanges.types import Order
from execution_service.exchanges.websocket import WebSocket, parsed
from tradekit.market.sizing import Side
from tradekit.service.secret import Secret

log = logging.getLogger(__name__)

LISTEN_KEY = "/fapi/v1/listenKey"
# A key lives for an hour: one attempt may fail, and one more.
EXTEND_EVERY_S = 25 * 60.0
EXTEND_AGAIN_S = 60.0
SUBSCRIBED_WITHIN_S = 5.0


class BinanceStream:
    """The user data stream of one account.

    Args:
        requests: The account's requests, for its listen key.
        host: Where it trades.
        url: Where its streams are, for example "wss://fstream.binance.com".
    """

    def __init__(self, requests: SignedRequests, host: Host, url: str) -> None:
        self._requests = requests
        self._host = host
        self._url = url.rstrip("/") + "/private/stream"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Receive]:
        """See `UserStream.open`."""
        key = await self._requests.ask_by_key("POST", LISTEN_KEY, _listen_key)
        async with self._host.connect(self._url, connection_cost()) as socket:
            await _subscribe(socket, key)
            extending = asyncio.create_task(self._keep_alive(socket))

            async def receive() -> Sequence[Event]:
                return events_of(await socket.receive())

            try:
                yield receive
            finally:
                extending.cancel()
                await asyncio.gather(extending, return_exceptions=True)

    async def _keep_alive(self, socket: WebSocket) -> None:
        """Extends the key; ends the stream when Binance has none to extend."""
        pause_s = EXTEND_EVERY_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self._requests.ask_by_key("PUT", LISTEN_KEY, lambda body: None)
                pause_s = EXTEND_EVERY_S
            except errors.NotSent:
                pause_s = EXTEND_AGAIN_S
            except errors.ExchangeError as error:
                log.info("stream.key_not_extended", extra={"reason": error.reason})
                await socket.close()
                return


def _listen_key(body: Any) -> Secret:
    return Secret(_text(body["listenKey"]))


async def _subscribe(socket: WebSocket, key: Secret) -> None:
    """Subscribes, and waits for the answer.

    Raises:
        StreamEnded: It is refused, or no answer comes.
    """
    await socket.send(json.dumps({"method": "SUBSCRIBE", "params": [key.reveal()], "id": 1}))
    try:
        async with asyncio.timeout(SUBSCRIBED_WITHIN_S):
            answer: Any = {}
            while not (isinstance(answer, dict) and answer.get("id") == 1):
                answer = parsed(await socket.receive())
    except TimeoutError:
        raise StreamEnded("not_subscribed") from None
    if answer.get("result", answer) is not None:
        raise StreamEnded("not_subscribed")


def events_of(text: str) -> Sequence[Event]:
    """What a message tells; nothing when it is about something else.

    Raises:
        StreamEnded: The stream is over, or the message is not of the documented shape.
    """
    try:
        return read(_events, parsed(text))
    except errors.OutcomeUnknown:
        raise StreamEnded("unreadable") from None


def _events(message: Any) -> Sequence[Event]:
    payload = message.get("data", message)
    match payload.get("e"):
        case "ORDER_TRADE_UPDATE":
            return [OrderUpdate(_order(payload["o"]), conditional=False)]
        case "ALGO_UPDATE":
            return [OrderUpdate(_algo_order(payload["o"]), conditional=True)]
        case "ACCOUNT_UPDATE":
            account = payload["a"]
            return [*map(_balance, account.get("B", [])), *map(_position, account.get("P", []))]
        case "ACCOUNT_CONFIG_UPDATE" if "ac" in payload:
            return [LeverageUpdate(_text(payload["ac"]["s"]), int(payload["ac"]["l"]))]
        case "listenKeyExpired":
            raise StreamEnded("key_expired")
    return []


# How the orders of a liquidation are told while they are open.
_OPEN = {"NEW_INSURANCE": "NEW", "NEW_ADL": "NEW"}


def _order(fields: dict[str, Any]) -> Order:
    """The order's fields under their names in answers, so that both are read alike."""
    return answers.order(
        {
            "symbol": fields["s"],
            "side": fields["S"],
            "type": fields["o"],
            "status": _OPEN.get(fields["X"], fields["X"]),
            "clientOrderId": _text(fields["c"]),
            "orderId": fields["i"],
            "origQty": fields["q"],
            "executedQty": fields["z"],
            "avgPrice": fields["ap"],
            "price": fields["p"],
            "reduceOnly": fields["R"],
        }
    )


def _algo_order(fields: dict[str, Any]) -> Order:
    return answers.algo_order(
        {
            "symbol": fields["s"],
            "side": fields["S"],
            "orderType": fields["o"],
            "algoStatus": fields["X"],
            "clientAlgoId": _text(fields["caid"]),
            "algoId": fields["aid"],
            "closePosition": fields["cp"],
            "quantity": fields["q"],
            "actualQty": fields.get("aq"),
            "actualPrice": fields.get("ap"),
            "price": fields.get("p"),
            "triggerPrice": fields.get("tp"),
            "reduceOnly": fields["R"],
        }
    )


def _balance(row: dict[str, Any]) -> BalanceUpdate:
    return BalanceUpdate(_text(row["a"]), decimal(row["wb"]))


def _position(row: dict[str, Any]) -> PositionUpdate:
    amount = decimal(row["pa"])
    side = {"LONG": Side.LONG, "SHORT": Side.SHORT}.get(row["ps"])
    if side is None and amount:
        side = Side.LONG if amount > 0 else Side.SHORT
    return PositionUpdate(_text(row["s"]), side, abs(amount))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("not a text")
    return value
