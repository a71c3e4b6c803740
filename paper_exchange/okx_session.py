"""What a client says over one OKX socket: login, subscribe, unsubscribe, and orders.

Events carry the `id` of their request and the connection's `connId`. At most 480 logins, subscriptions and
unsubscriptions an hour.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

from paper_exchange.accounts import Account
from paper_exchange.clock import Clock
from paper_exchange.connections import UserConnections
from paper_exchange.events import Event
from paper_exchange.exchange import Exchange
from paper_exchange.feed import Unsubscribe
from paper_exchange.okx_account import config_json
from paper_exchange.okx_api import OkxApi
from paper_exchange.okx_auth import OkxAuthentication
from paper_exchange.okx_channels import Arg, Channel, MarketChannels, Push
from paper_exchange.okx_contracts import Listing
from paper_exchange.okx_errors import OkxError
from paper_exchange.okx_fields import Fields
from paper_exchange.okx_socket import OkxSocket
from paper_exchange.okx_user_channels import UserChannels

_REQUESTS_AN_HOUR = 480
_HOUR_MS = 3_600_000
_ORDER_PATHS = {
    "order": "/api/v5/trade/order",
    "batch-orders": "/api/v5/trade/batch-orders",
    "cancel-order": "/api/v5/trade/cancel-order",
    "batch-cancel-orders": "/api/v5/trade/cancel-batch-orders",
    "amend-order": "/api/v5/trade/amend-order",
    "batch-amend-orders": "/api/v5/trade/amend-batch-orders",
}
_LOGIN_NEEDED = frozenset(
    ("orders", "fills", "positions", "account", "balance_and_position", "orders-algo", "algo-advance")
)


class Entrance(StrEnum):
    """Which of the three sockets it is."""

    PUBLIC = "public"
    PRIVATE = "private"
    BUSINESS = "business"


class OkxSession:
    """One connection's login and subscriptions."""

    def __init__(
        self,
        socket: OkxSocket,
        entrance: Entrance,
        *,
        exchange: Exchange,
        listing: Listing,
        clock: Clock,
        api: OkxApi,
        authentication: OkxAuthentication,
        connections: UserConnections,
    ) -> None:
        self._socket = socket
        self._entrance = entrance
        self._exchange = exchange
        self._listing = listing
        self._clock = clock
        self._api = api
        self._authentication = authentication
        self._connections = connections
        self._market = MarketChannels(exchange, listing)
        self._account: Account | None = None
        self._channels: dict[str, Channel] = {}
        self._stop_listening: Unsubscribe | None = None
        self._hour = self._requests = 0

    def receive(self, text: str) -> None:
        """Answers one message."""
        request = _parsed(text)
        if request is None:
            self._send_error({}, OkxError(60012, f"Invalid request: {text}"))
            return
        try:
            self._answer(request, text)
        except OkxError as error:
            self._send_error(request, error)

    def end(self) -> None:
        """Forgets everything; the connection is gone."""
        self._channels.clear()
        self._connections.remove(self)
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None

    def tick(self, now_ms: int) -> None:
        for channel in list(self._channels.values()):
            self._push(channel.tick(now_ms))
        self._socket.tick(now_ms)

    def _answer(self, request: dict[str, Any], text: str) -> None:
        operation, args = request.get("op"), request.get("args")
        if not isinstance(args, list) or not args or not all(isinstance(arg, dict) for arg in args):
            raise OkxError(60012, f"Invalid request: {text}")
        if operation in _ORDER_PATHS:
            self._order(request, str(operation), args)
            return
        self._count()
        match operation:
            case "login":
                self._login(request, args[0])
            case "subscribe":
                for arg in args:
                    self._subscribe(request, arg)
            case "unsubscribe":
                for arg in args:
                    self._unsubscribe(request, arg)
            case _:
                raise OkxError(60012, f"Invalid request: {text}")

    def _count(self) -> None:
        hour = self._clock.now_ms() // _HOUR_MS
        self._requests = self._requests + 1 if hour == self._hour else 1
        self._hour = hour
        if self._requests > _REQUESTS_AN_HOUR:
            raise OkxError(60014, "Requests too frequent")

    # Login

    def _login(self, request: dict[str, Any], arg: dict[str, Any]) -> None:
        now_ms = self._clock.now_ms()
        fields = Fields(arg)
        account = self._authentication.login(
            api_key=fields.optional("apiKey") or "",
            passphrase=fields.optional("passphrase") or "",
            timestamp=fields.optional("timestamp") or "",
            sign=fields.optional("sign") or "",
            now_ms=now_ms + self._clock.offset_ms,
        )
        if self._entrance is Entrance.PUBLIC:
            raise OkxError(60008, "The current URL does not support login")
        if self._connections.is_blocked(account.account_id, now_ms):
            self._socket.abort()
            return
        self._listen(account)
        self._send({"event": "login", "code": "0", "msg": ""}, request)

    def _listen(self, account: Account) -> None:
        if self._stop_listening is not None:
            self._stop_listening()
        self._account = account
        self._stop_listening = self._exchange.books.feed.subscribe(
            self._happened, account_id=account.account_id
        )
        self._connections.add(self, account.account_id, self._socket.abort)

    def _happened(self, batch: Sequence[Event]) -> None:
        now_ms = self._clock.now_ms()
        for channel in list(self._channels.values()):
            self._push(channel.happened(batch, now_ms))

    # Subscriptions

    def _subscribe(self, request: dict[str, Any], arg: dict[str, Any]) -> None:
        try:
            self._open(request, _strings(arg))
        except OkxError as error:
            self._send_error(request, error)

    def _open(self, request: dict[str, Any], arg: Arg) -> None:
        key = _key(arg)
        channel = self._channels.get(key) or self._make(arg)
        self._send({"event": "subscribe", "arg": arg}, request)
        if key not in self._channels:
            self._channels[key] = channel
            self._push(channel.opened(self._clock.now_ms()))

    def _make(self, arg: Arg) -> Channel:
        """The channel that an argument names.

        Raises:
            OkxError: 60011 without the login it needs, 60018 when there is none such on this socket.
        """
        try:
            channel = self._made(arg)
        except OkxError as error:
            if error.code == 60011:
                raise
            channel = None
        if channel is None:
            named = ",".join(f"{name}:{value}" for name, value in arg.items())
            raise OkxError(
                60018,
                f"Wrong URL or {named} doesn't exist. Please use the correct URL, channel and parameters "
                "referring to API document.",
            )
        return channel

    def _made(self, arg: Arg) -> Channel | None:
        if not arg.get("channel"):
            return None
        if self._entrance is Entrance.PUBLIC:
            return self._market.make_public(arg)
        if arg["channel"] in _LOGIN_NEEDED and self._account is None:
            raise OkxError(60011, "Please log in")
        user = None
        if self._account is not None:
            uid = str(config_json(self._account)["uid"])
            user = UserChannels(self._exchange, self._listing, self._account, uid)
        if self._entrance is Entrance.PRIVATE:
            return user.make_private(arg) if user else None
        return (user.make_business(arg) if user else None) or self._market.make_business(arg)

    def _unsubscribe(self, request: dict[str, Any], arg: dict[str, Any]) -> None:
        named = _strings(arg)
        if self._channels.pop(_key(named), None) is None:
            text = ",".join(f"{name}:{value}" for name, value in named.items())
            self._send_error(request, OkxError(60018, f"Wrong URL or {text} doesn't exist."))
        else:
            self._send({"event": "unsubscribe", "arg": named}, request)

    # Orders

    def _order(self, request: dict[str, Any], operation: str, args: list[dict[str, Any]]) -> None:
        if self._entrance is not Entrance.PRIVATE:
            raise OkxError(60019, f"Invalid op: {operation}")
        if self._account is None:
            raise OkxError(60011, "Please log in")
        answer = self._api.socket_orders(
            _ORDER_PATHS[operation], [Fields(arg) for arg in args], self._account
        )
        self._socket.send({"id": str(request.get("id", "")), "op": operation, **answer})

    # Sending

    def _push(self, pushes: list[Push]) -> None:
        for push in pushes:
            self._socket.send(push)

    def _send(self, event: dict[str, Any], request: dict[str, Any]) -> None:
        identified = {"id": str(request["id"])} if "id" in request else {}
        self._socket.send({**identified, **event, "connId": self._socket.connection_id})

    def _send_error(self, request: dict[str, Any], error: OkxError) -> None:
        self._send({"event": "error", "code": str(error.code), "msg": error.msg}, request)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        request = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


def _strings(arg: dict[str, Any]) -> Arg:
    return {str(name): value if isinstance(value, str) else str(value) for name, value in arg.items()}


def _key(arg: Arg) -> str:
    return json.dumps(arg, sort_keys=True)
