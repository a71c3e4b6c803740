"""OKX v5 over HTTP: from the raw request to the answer.

Order of the checks: key, time, passphrase and signature, permission, body, request limits, then the endpoint
itself. The exchange commits before the answer is sent.
"""

from collections.abc import Callable

from paper_exchange.accounts import Account
from paper_exchange.clock import Clock
from paper_exchange.exchange import Exchange
from paper_exchange.faults import ErrorCode
from paper_exchange.http_edge import Outcome, RawRequest
from paper_exchange.okx_account import OkxAccount
from paper_exchange.okx_algo import OkxAlgo
from paper_exchange.okx_auth import KEY_HEADER, OkxAuthentication
from paper_exchange.okx_candles import OkxCandles
from paper_exchange.okx_contracts import Listing, inst_id_code, symbol_of
from paper_exchange.okx_errors import FIRST_ORDER_CODE, OkxError, batch_body, error_of, wrong
from paper_exchange.okx_fields import Fields, body_fields, query_fields
from paper_exchange.okx_history import OkxHistory
from paper_exchange.okx_limits import OkxLimits, Scope
from paper_exchange.okx_orders import OkxOrders
from paper_exchange.okx_public import OkxPublic
from paper_exchange.okx_request import Endpoint, Json, OkxRequest, Permission, Routes, Rows
from paper_exchange.okx_settings import OkxSettings
from paper_exchange.okx_trade import OkxTrade
from paper_exchange.refusals import Refused

PREFIX = "/api/v5/"


class OkxApi:
    """The protocol edge. `commit` makes what a request changed durable."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        clock: Clock,
        authentication: OkxAuthentication,
        limits: OkxLimits,
        commit: Callable[[], None],
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._authentication = authentication
        self._limits = limits
        self._commit = commit
        listing = self._listing = Listing(exchange.market.instruments)
        self._routes: Routes = {
            **OkxPublic(exchange, listing).routes(),
            **OkxCandles(exchange, listing).routes(),
            **OkxAccount(exchange, listing).routes(),
            **OkxSettings(exchange, listing).routes(),
            **OkxHistory(exchange, listing).routes(),
            **OkxTrade(exchange, listing).routes(),
            **OkxOrders(exchange, listing).routes(),
            **OkxAlgo(exchange, listing).routes(),
        }
        self._paths = {path for _, path in self._routes}

    def paths(self) -> set[tuple[str, str]]:
        """Method and path of every endpoint."""
        return set(self._routes)

    def forget_limits(self) -> None:
        self._limits.clear()

    def execute(self, raw: RawRequest) -> Outcome:
        """Runs the request to its end; nothing else happens meanwhile."""
        now_ms = self._clock.now_ms()
        try:
            self._exchange.advance(now_ms)
            return _answered(self._answer(raw, now_ms))
        except Refused as refused:
            return _failed(error_of(refused))
        except OkxError as error:
            return _failed(error)
        finally:
            self._commit()

    def _answer(self, raw: RawRequest, now_ms: int) -> Json:
        endpoint = self._endpoint(raw)
        shown_ms = now_ms + self._clock.offset_ms
        sender = self._sender(endpoint, raw, shown_ms)
        items = self._items(endpoint, raw)
        user = raw.address if sender is None else str(sender.account_id)
        self._use_limits(endpoint, sender, user, items, now_ms)
        if endpoint.permission is Permission.TRADE:
            _check_expiry(raw, shown_ms)
        requests = [OkxRequest(fields, sender, now_ms, shown_ms) for fields in items]
        if endpoint.rows is Rows.DATA:
            return {"code": "0", "data": endpoint.answer(requests[0]), "msg": ""}
        return self.place(endpoint, requests)

    def place(self, endpoint: Endpoint, requests: list[OkxRequest]) -> Json:
        """Runs one or several orders; each is refused by itself."""
        rows = [_order_row(endpoint, request) for request in requests]
        microseconds = str(requests[0].shown_ms * 1000)
        return batch_body(rows, {"inTime": microseconds, "outTime": microseconds})

    def socket_orders(self, path: str, items: list[Fields], account: Account) -> Json:
        """Runs orders that came over a WebSocket; they count with those of the REST endpoint of this path."""
        now_ms = self._clock.now_ms()
        endpoint = self._routes["POST", path]
        named = [self._with_name(fields) for fields in items]
        try:
            self._exchange.advance(now_ms)
            check_permission(account, endpoint)
            _check_number(endpoint, named)
            self._use_limits(endpoint, account, str(account.account_id), named, now_ms)
            shown_ms = now_ms + self._clock.offset_ms
            return self.place(endpoint, [OkxRequest(f, account, now_ms, shown_ms) for f in named])
        except OkxError as error:
            return dict(error.body)
        finally:
            self._commit()

    def _with_name(self, fields: Fields) -> Fields:
        """An instrument may be named by its `instIdCode`."""
        code = fields.optional("instIdCode")
        if code is None or fields.optional("instId") is not None:
            return fields
        names = {str(inst_id_code(contract)): contract.inst_id for contract in self._listing.all()}
        return fields.with_value("instId", names.get(code, code))

    def _endpoint(self, raw: RawRequest) -> Endpoint:
        endpoint = self._routes.get((raw.method, raw.path))
        if endpoint is None:
            raise OkxError(50115 if raw.path in self._paths else 404)
        return endpoint

    def _sender(self, endpoint: Endpoint, raw: RawRequest, shown_ms: int) -> Account | None:
        if endpoint.permission is Permission.NONE:
            return None
        account = self._authentication.sender(
            raw.headers, signed_target=f"{raw.method}{raw.target}", body=raw.body, now_ms=shown_ms
        )
        check_permission(account, endpoint)
        return account

    def _items(self, endpoint: Endpoint, raw: RawRequest) -> list[Fields]:
        if raw.method == "GET":
            return [query_fields(raw.query)]
        if not raw.headers.get("Content-Type", "application/json").lower().startswith("application/json"):
            raise OkxError(50006)
        items = body_fields(raw.body, many=endpoint.rows is Rows.ORDERS)
        _check_number(endpoint, items)
        return items

    def _use_limits(
        self, endpoint: Endpoint, sender: Account | None, user: str, items: list[Fields], now_ms: int
    ) -> None:
        if endpoint.limit.scope is Scope.INSTRUMENT:
            for fields in items:
                self._limits.use(endpoint.limit, f"{user}:{fields.optional('instId')}", 1, now_ms)
        else:
            self._limits.use(endpoint.limit, user, 1, now_ms)
        if endpoint.counts_as_order and sender is not None:
            self._limits.use_orders(sender.account_id, len(items), now_ms)

    # Faults

    def error(self, raw: RawRequest, fault: ErrorCode) -> Outcome:
        """The error in the place where OKX puts it: of the request, or of each order."""
        error = OkxError(fault.code, fault.msg, status=fault.status, headers=dict(fault.headers))
        endpoint = self._routes.get((raw.method, raw.path))
        of_orders = endpoint is not None and endpoint.rows is not Rows.DATA
        if not of_orders or fault.code < FIRST_ORDER_CODE or error.status != 200:
            return _failed(error)
        rows = [_refused_row(fields, error, 0) for fields in _named(raw)]
        return Outcome(200, batch_body(rows, {}), dict(fault.headers), fault.code)

    def api_key_of(self, raw: RawRequest) -> str | None:
        return raw.headers.get(KEY_HEADER)

    def symbol_of(self, raw: RawRequest) -> str | None:
        return next((symbol_of(f.optional("instId") or "") or None for f in _named(raw)), None)


def check_permission(account: Account, endpoint: Endpoint) -> None:
    """Refuses what the key may not do."""
    trades = endpoint.permission is Permission.TRADE
    if not (account.permissions.futures if trades else account.permissions.reading):
        raise OkxError(50120)


def _check_number(endpoint: Endpoint, items: list[Fields]) -> None:
    if len(items) > endpoint.most:
        raise OkxError(51111, f"You can place a maximum of {endpoint.most} orders in bulk.")


def _named(raw: RawRequest) -> list[Fields]:
    """The orders of a request, as far as it can be read."""
    try:
        return [query_fields(raw.query)] if raw.method == "GET" else body_fields(raw.body, many=True)
    except OkxError:
        return [Fields({})]


def _check_expiry(raw: RawRequest, shown_ms: int) -> None:
    """`expTime` (ms): when an order that arrives later must not be placed."""
    expiry = raw.headers.get("expTime")
    if expiry is None:
        return
    if not expiry.isdecimal():
        raise wrong("expTime")
    if int(expiry) < shown_ms:
        raise OkxError(50036)


def _order_row(endpoint: Endpoint, request: OkxRequest) -> dict[str, str]:
    try:
        row: dict[str, str] = endpoint.answer(request)
    except Refused as refused:
        return _refused_row(request.fields, error_of(refused), request.shown_ms)
    except OkxError as error:
        if endpoint.rows is Rows.ORDER and error.status == 400 and error.code < FIRST_ORDER_CODE:
            raise
        return _refused_row(request.fields, error, request.shown_ms)
    return row


def _refused_row(fields: Fields, error: OkxError, shown_ms: int) -> dict[str, str]:
    given = {name: _given(fields, name) for name in ("clOrdId", "algoClOrdId", "ordId", "algoId", "tag")}
    return {
        **{name: value for name, value in given.items() if value or name in ("clOrdId", "ordId", "tag")},
        "sCode": str(error.code),
        "sMsg": error.msg,
        "ts": str(shown_ms),
    }


def _given(fields: Fields, name: str) -> str:
    try:
        return fields.optional(name) or ""
    except OkxError:
        return ""


def _answered(body: Json) -> Outcome:
    if body["code"] == "0":
        return Outcome(200, body, {})
    return Outcome(200, body, {}, next(int(row["sCode"]) for row in body["data"] if row["sCode"] != "0"))


def _failed(error: OkxError) -> Outcome:
    return Outcome(error.status, error.body, error.headers, error.code)
