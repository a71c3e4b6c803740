"""Binance USD-M futures over HTTP: from the raw request to the answer.

Order of the checks: fault rules, request limits, parameters, key, time, signature, permission, order limits,
then the endpoint itself. The exchange commits before the answer is sent.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from paper_exchange.accounts import Account
from paper_exchange.binance_account import BinanceAccount
from paper_exchange.binance_algo import BinanceAlgo
from paper_exchange.binance_auth import KEY_HEADER, BinanceAuthentication, signed_text
from paper_exchange.binance_errors import BinanceError, error_of
from paper_exchange.binance_history import BinanceHistory
from paper_exchange.binance_limits import RequestLimits
from paper_exchange.binance_market_data import BinanceMarketData
from paper_exchange.binance_parameters import Parameters
from paper_exchange.binance_positions import BinancePositions
from paper_exchange.binance_request import BinanceRequest, Endpoint, Routes, Security
from paper_exchange.binance_trade import BinanceTrade
from paper_exchange.clock import Clock
from paper_exchange.exchange import Exchange
from paper_exchange.faults import Answer, Delay, Drop, ErrorCode, Fault, Faults
from paper_exchange.http_edge import hang_up, prevents, response_of
from paper_exchange.journal import Journal, RequestRecord
from paper_exchange.listen_keys import ListenKeys
from paper_exchange.refusals import Refused

PREFIXES = ("/fapi/", "/sapi/")
_FUNDING_PATHS = ("/fapi/v1/fundingRate", "/fapi/v1/fundingInfo")
_WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it was received.

    Attributes:
        query, body: The very text that came.
        signed: What its signature must be for, in any of these spellings; none: it cannot be signed.
    """

    method: str
    path: str
    query: str
    body: str
    signed: tuple[str, ...]
    api_key: str | None
    address: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended; a text body is padded to `size`."""

    status: int
    body: Any
    headers: dict[str, str]
    size: int = 0

    @property
    def code(self) -> int | None:
        failed = self.status >= 400 and isinstance(self.body, dict)
        return self.body.get("code") if failed else None


class BinanceApi:
    """The protocol edge. `commit` makes what a request changed durable."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        clock: Clock,
        authentication: BinanceAuthentication,
        limits: RequestLimits,
        faults: Faults,
        listen_keys: ListenKeys,
        journal: Journal,
        commit: Callable[[], None],
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._authentication = authentication
        self._limits = limits
        self._faults = faults
        self._journal = journal
        self._commit = commit
        self._routes: Routes = {
            **BinanceMarketData(exchange, limits).routes(),
            **BinanceTrade(exchange).routes(),
            **BinanceAlgo(exchange).routes(),
            **BinancePositions(exchange).routes(),
            **BinanceHistory(exchange).routes(),
            **BinanceAccount(exchange, limits, listen_keys).routes(),
        }
        self._paths = {path for _, path in self._routes}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request, or hangs up on it."""
        outcome = await self.perform(await _received(request))
        if outcome is None:
            return hang_up(request)
        return response_of(outcome.status, outcome.body, outcome.headers, size=outcome.size)

    async def perform(self, raw: RawRequest) -> Outcome | None:
        """Runs a request, or suffers the fault that waits for it; None: its connection is to be cut."""
        arrived_ms = self._clock.now_ms()
        fault = self._fault_of(raw)
        if isinstance(fault, Delay) and not fault.after:
            await asyncio.sleep(fault.delay_s)
        outcome = self._suffer(fault) if prevents(fault) else self._execute(raw)
        if isinstance(fault, Delay) and fault.after:
            await asyncio.sleep(fault.delay_s)
        self._record(raw, arrived_ms, outcome, fault)
        if isinstance(fault, Drop):
            return None
        return self._suffer(fault) if isinstance(fault, Answer | ErrorCode) else outcome

    def _execute(self, raw: RawRequest) -> Outcome:
        """Runs the request to its end; nothing else happens meanwhile."""
        now_ms = self._clock.now_ms()
        headers: dict[str, str] = {}
        try:
            self._exchange.advance(now_ms)
            return Outcome(200, self._answer(raw, now_ms, headers), headers)
        except Refused as refused:
            return _failed(error_of(refused), headers)
        except BinanceError as error:
            return _failed(error, headers)
        finally:
            self._commit()

    def _answer(self, raw: RawRequest, now_ms: int, headers: dict[str, str]) -> Any:
        endpoint = self._routes.get((raw.method, raw.path))
        if endpoint is None:
            raise BinanceError(-5000, f"Path {raw.path}, Method {raw.method} is invalid")
        used = self._limits.use_weight(raw.address, 0, now_ms)
        headers[_WEIGHT_HEADER] = str(used)
        parameters = Parameters.parse(raw.query, raw.body)
        used = self._limits.use_weight(raw.address, endpoint.weight_of(parameters), now_ms)
        headers[_WEIGHT_HEADER] = str(used)
        if raw.path in _FUNDING_PATHS:
            self._limits.use_funding(raw.address, now_ms)
        shown_ms = now_ms + self._clock.offset_ms
        sender = self._sender(endpoint, raw, parameters, shown_ms)
        if sender is not None and endpoint.orders is not None:
            try:
                self._limits.use_orders(sender.account_id, endpoint.orders(parameters), now_ms)
            finally:
                headers |= self._limits.order_headers(sender.account_id, now_ms)
        answer = endpoint.answer(BinanceRequest(parameters, sender, now_ms, shown_ms))
        parameters.finish()
        return answer

    def _sender(
        self, endpoint: Endpoint, raw: RawRequest, parameters: Parameters, shown_ms: int
    ) -> Account | None:
        if endpoint.security is Security.NONE:
            return None
        account = self._authentication.account_of(raw.api_key)
        if endpoint.security is Security.SIGNED:
            self._authentication.check(account, parameters, raw.signed, shown_ms)
        permitted = account.permissions.futures if endpoint.trades else account.permissions.reading
        if not permitted:
            raise BinanceError(-2015)
        return account

    # Faults

    def _fault_of(self, raw: RawRequest) -> Fault | None:
        try:
            symbol = Parameters.parse(raw.query, raw.body).optional("symbol")
        except BinanceError:
            symbol = None
        return self._faults.take(method=raw.method, path=raw.path, account=raw.api_key, symbol=symbol)

    def _suffer(self, fault: Fault | None) -> Outcome:
        match fault:
            case Answer(status=status, body=body, headers=headers, size=size):
                return Outcome(status, body, dict(headers), size)
            case ErrorCode(code=code, msg=msg, status=status, headers=headers):
                return _failed(BinanceError(code, msg, status=status, headers=dict(headers)), {})
            case _:
                return Outcome(0, None, {})

    def _record(self, raw: RawRequest, arrived_ms: int, outcome: Outcome, fault: Fault | None) -> None:
        account = self._exchange.books.account_of_key(raw.api_key or "")
        self._journal.add(
            RequestRecord(
                time=arrived_ms,
                method=raw.method,
                path=raw.path,
                account_id=account.account_id if account else None,
                status=outcome.status,
                code=outcome.code,
                fault=type(fault).__name__ if fault else None,
            )
        )


async def _received(request: web.Request) -> RawRequest:
    path, _, query = request.raw_path.partition("?")
    body = (await request.read()).decode("utf-8", errors="surrogateescape")
    signed = signed_text(query, body)
    return RawRequest(
        method=request.method,
        path=path,
        query=query,
        body=body,
        signed=() if signed is None else (signed,),
        api_key=request.headers.get(KEY_HEADER),
        address=request.remote or "",
    )


def _failed(error: BinanceError, headers: dict[str, str]) -> Outcome:
    return Outcome(error.status, error.body, headers | error.headers)
