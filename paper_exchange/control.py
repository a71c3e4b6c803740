"""Control of the paper exchange for tests and demos, and the referee's view of what happened.

Only for peers on this machine that send the header `X-Paper-Control: 1`, which a web page cannot send across
origins, and that name the exchange by address: a page may bind a name of its own to 127.0.0.1. Bad input is
answered 400 `{"error": "…"}` and changes nothing.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from typing import Any

from aiohttp import web

from paper_exchange.accounts import DEFAULT_BALANCE, Environment, Permissions, Venue
from paper_exchange.clock import Clock
from paper_exchange.connections import UserConnections
from paper_exchange.credentials import Credentialing
from paper_exchange.exchange import Exchange
from paper_exchange.faults import ClockOffset, Faults, Rule, RuleInvalid, parse_rules
from paper_exchange.instruments import Instrument, market_symbol
from paper_exchange.journal import Journal
from paper_exchange.public_keys import KeyType, PublicKeyInvalid, key_type_of
from paper_exchange.referee import state_json
from paper_exchange.refusals import Refused

HEADER = "X-Paper-Control"
_LARGEST_BALANCE = Decimal(10) ** 12
_LONGEST_BLOCK_S = 86_400
_STATUSES = ("TRADING", "SETTLING", "CLOSE")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BadControl(ValueError):
    """The control request cannot be understood."""


class Control:
    """The control routes."""

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
        forget_limits: Callable[[], None],
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._credentialing = credentialing
        self._faults = faults
        self._journal = journal
        self._connections = connections
        self._commit = commit
        self._forget_limits = forget_limits

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/paper/price", self._guarded(self._price)),
            web.get("/paper/state", self._guarded(self._state)),
            web.get("/paper/requests", self._guarded(self._requests)),
            web.post("/paper/faults", self._guarded(self._add_faults)),
            web.get("/paper/faults", self._guarded(self._list_faults)),
            web.delete("/paper/faults", self._guarded(self._clear_faults)),
            web.post("/paper/reset", self._guarded(self._reset)),
            web.post("/paper/accounts", self._guarded(self._open_account)),
            web.post("/paper/streams", self._guarded(self._cut_streams)),
            web.post("/paper/instruments", self._guarded(self._change_instrument)),
        ]

    def _guarded(self, answer: Callable[[Any], Any]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if not (_is_local(request) and _names_this_machine(request.url.host)) or (
                request.headers.get(HEADER) != "1"
            ):
                return web.json_response({"error": "control is for this machine only"}, status=403)
            try:
                argument = await _body(request) if request.method == "POST" else dict(request.query)
                self._exchange.advance(self._clock.now_ms())
                return web.json_response(answer(argument), dumps=_dumps)
            except (BadControl, RuleInvalid) as error:
                return web.json_response({"error": str(error)}, status=400)
            except Refused as refused:
                return web.json_response({"error": str(refused.reason)}, status=400)
            finally:
                self._commit()

        return handle

    def _price(self, body: Any) -> Any:
        """`{"symbol", "price"}`: moves the market to exactly this price."""
        _only(body, "symbol", "price")
        symbol, price = market_symbol(_text(body, "symbol")), _decimal(body, "price")
        now_ms = self._clock.now_ms()
        self._exchange.post_price(symbol, price, now_ms)
        return {"symbol": symbol, "price": str(self._exchange.market.last(symbol, now_ms)), "time": now_ms}

    def _state(self, query: dict[str, str]) -> Any:
        """Everything since the start or reset; `?account=<API key>` only of that account."""
        return state_json(self._exchange, self._clock.now_ms(), api_key=query.get("account"))

    def _requests(self, query: dict[str, str]) -> Any:
        return {"requests": self._journal.listing()}

    def _add_faults(self, body: Any) -> Any:
        for rule in parse_rules(body):
            self.apply(rule)
        return {"faults": self._faults.pending()}

    def apply(self, rule: Rule | ClockOffset) -> None:
        """Puts a parsed rule into force."""
        if isinstance(rule, ClockOffset):
            self._clock.offset_ms = rule.offset_ms
        else:
            self._faults.add(rule)

    def _list_faults(self, query: dict[str, str]) -> Any:
        return {"faults": self._faults.pending(), "clock_offset_s": self._clock.offset_ms / 1000}

    def _clear_faults(self, query: dict[str, str]) -> Any:
        self._faults.clear()
        self._clock.offset_ms = 0
        return {"faults": []}

    def _reset(self, body: Any) -> Any:
        """Forgets orders, fills, positions, posted prices, faults and limits; accounts keep their keys."""
        self._clear_faults({})
        self._forget_limits()
        self._connections.unblock()
        self._journal.clear()
        self._exchange.reset(self._clock.now_ms())
        return {"reset": True}

    def _open_account(self, body: Any) -> Any:
        """`{"exchange", "balance"?, "permissions"?}`: a fresh account; its secret is told this once.

        With `public_key` (PEM; `key_type` may say which kind it is) there is no secret: the user signs with
        the private half. `environment` (OKX): `demo` or `live` binds the key to it.
        """
        _only(body, "exchange", "balance", "permissions", "public_key", "key_type", "environment")
        venue = _venue(_text(body, "exchange"))
        public_key = _public_key(body, venue)
        balance = _decimal(body, "balance") if "balance" in body else DEFAULT_BALANCE
        if not 0 <= balance <= _LARGEST_BALANCE:
            raise BadControl("balance must be from 0 to 1e12")
        credentials = self._credentialing.issue(venue)
        self._exchange.open_account(
            venue=venue,
            api_key=credentials.api_key,
            balance=balance,
            permissions=_permissions(body.get("permissions", {})),
            environment=_environment(body),
            now_ms=self._clock.now_ms(),
            public_key=public_key,
        )
        if public_key:
            return {"api_key": credentials.api_key}
        answer = {"api_key": credentials.api_key, "api_secret": credentials.api_secret}
        return answer | ({"passphrase": credentials.passphrase} if credentials.passphrase else {})

    def _cut_streams(self, body: Any) -> Any:
        """`{"drop": true, "account"?, "block_s"?}`: cuts user streams, refuses new ones for so long."""
        _only(body, "drop", "account", "block_s")
        if body.get("drop") is not True:
            raise BadControl("drop must be true")
        block_s = _decimal(body, "block_s") if "block_s" in body else Decimal(0)
        if not 0 <= block_s <= _LONGEST_BLOCK_S:
            raise BadControl(f"block_s must be from 0 to {_LONGEST_BLOCK_S}")
        account_id = self._account_id(_text(body, "account")) if "account" in body else None
        cut = self._connections.drop(account_id, block_ms=int(block_s * 1000), now_ms=self._clock.now_ms())
        return {"dropped": cut}

    def _account_id(self, api_key: str) -> int:
        account = self._exchange.books.account_of_key(api_key)
        if account is None:
            raise BadControl("account must be the API key of an account")
        return account.account_id

    def _change_instrument(self, body: Any) -> Any:
        """`{"symbol", "status"?, "tick"?, "step"?, "min_notional"?}`: changes filters or trading status."""
        _only(body, "symbol", "status", "tick", "step", "min_notional")
        instrument = self._exchange.instrument(market_symbol(_text(body, "symbol")))
        status = body.get("status", instrument.status)
        if status not in _STATUSES:
            raise BadControl(f"status must be one of {', '.join(_STATUSES)}")
        changed = replace(instrument, status=status)
        for name in ("tick", "step", "min_notional"):
            if name in body:
                changed = _with_filter(changed, name, _decimal(body, name))
        self._exchange.relist(changed)
        return {"symbol": changed.symbol, "status": changed.status}


def _is_local(request: web.Request) -> bool:
    try:
        peer = ip_address((request.remote or "").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(peer, "ipv4_mapped", None)
    return (mapped or peer).is_loopback


def _names_this_machine(host: str | None) -> bool:
    """Only an address or `localhost`: a name of somebody's own may have been bound to this machine."""
    try:
        ip_address(host or "")
    except ValueError:
        return host == "localhost"
    return True


async def _body(request: web.Request) -> Any:
    raw = await request.read()
    try:
        return json.loads(raw, parse_float=Decimal) if raw else {}
    except ValueError as error:
        raise BadControl("the body is not JSON") from error


def _only(body: Any, *names: str) -> None:
    if not isinstance(body, dict):
        raise BadControl("the body must be a JSON object")
    unknown = sorted(set(body) - set(names))
    if unknown:
        raise BadControl(f"unknown field {unknown[0]}")


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise BadControl(f"{name} must be a string")
    return value


def _decimal(body: dict[str, Any], name: str) -> Decimal:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise BadControl(f"{name} must be a number")
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise BadControl(f"{name} must be a number") from error
    if not number.is_finite() or abs(number.adjusted()) > 20:
        raise BadControl(f"{name} must be a number")
    return number


def _venue(name: str) -> Venue:
    try:
        return Venue(name)
    except ValueError as error:
        raise BadControl(f"exchange must be one of {', '.join(Venue)}") from error


def _environment(body: dict[str, Any]) -> Environment:
    try:
        return Environment(body.get("environment", Environment.ANY))
    except ValueError as error:
        raise BadControl(f"environment must be one of {', '.join(Environment)}") from error


def _permissions(body: Any) -> Permissions:
    names = {field.name for field in fields(Permissions)}
    if not isinstance(body, dict) or not all(isinstance(value, bool) for value in body.values()):
        raise BadControl("permissions must be an object of true and false")
    if not names.issuperset(body):
        raise BadControl(f"permissions are {', '.join(sorted(names))}")
    return Permissions(**body)


def _public_key(body: dict[str, Any], venue: Venue) -> str:
    """The public key of a new account, empty for one with a secret."""
    named = body.get("key_type")
    if "public_key" not in body:
        if named not in (None, KeyType.HMAC):
            raise BadControl("a key of this key_type needs its public_key")
        return ""
    if venue is not Venue.BINANCE:
        raise BadControl("only binance takes public keys")
    pem = _text(body, "public_key")
    try:
        kind = key_type_of(pem)
    except PublicKeyInvalid as error:
        raise BadControl(f"public_key: {error}") from error
    if named not in (None, kind):
        raise BadControl(f"the public_key is {kind}, not {named}")
    return pem


def _with_filter(instrument: Instrument, name: str, value: Decimal) -> Instrument:
    if value <= 0:
        raise BadControl(f"{name} must be positive")
    places = max(-int(value.as_tuple().exponent), 0)
    match name:
        case "tick":
            return replace(instrument, tick=value, price_precision=max(instrument.price_precision, places))
        case "step":
            return replace(
                instrument,
                step=value,
                min_quantity=value,
                quantity_precision=max(instrument.quantity_precision, places),
            )
        case _:
            return replace(instrument, min_notional=value)


def _dumps(body: Any) -> str:
    return json.dumps(body, default=str)
