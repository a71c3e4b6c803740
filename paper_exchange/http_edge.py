"""HTTP as a protocol's edge meets it: the raw request, the fault that may befall it, the answer.

Raw means raw: query and body are the very bytes that were signed.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from paper_exchange.books import Books
from paper_exchange.clock import Clock
from paper_exchange.faults import Answer, Delay, Drop, ErrorCode, Fault, Faults
from paper_exchange.journal import Journal, RequestRecord


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it was received; `target` is path and query as the request line has them."""

    method: str
    target: str
    body: str
    headers: Mapping[str, str] = field(repr=False)
    address: str

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer; `code` is the protocol's error code, None when there is none."""

    status: int
    body: Any
    headers: dict[str, str]
    code: int | None = None


class ProtocolEdge(Protocol):
    """What one protocol does with a request."""

    def execute(self, raw: RawRequest) -> Outcome:
        """Runs the request to its end and commits; nothing else happens meanwhile."""

    def error(self, raw: RawRequest, fault: ErrorCode) -> Outcome:
        """The answer with the protocol's error that a fault asks for."""

    def api_key_of(self, raw: RawRequest) -> str | None:
        """The key that the request names."""

    def symbol_of(self, raw: RawRequest) -> str | None:
        """The market that the request is about."""


class HttpEdge:
    """Serves one protocol over HTTP."""

    def __init__(
        self, protocol: ProtocolEdge, *, books: Books, clock: Clock, faults: Faults, journal: Journal
    ) -> None:
        self._protocol = protocol
        self._books = books
        self._clock = clock
        self._faults = faults
        self._journal = journal

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request, or suffers the fault that waits for it."""
        raw = await _received(request)
        arrived_ms = self._clock.now_ms()
        fault = self._faults.take(
            method=raw.method,
            path=raw.path,
            account=self._protocol.api_key_of(raw),
            symbol=self._protocol.symbol_of(raw),
        )
        if isinstance(fault, Delay) and not fault.after:
            await asyncio.sleep(fault.delay_s)
        outcome = self._suffer(raw, fault) if prevents(fault) else self._protocol.execute(raw)
        if isinstance(fault, Delay) and fault.after:
            await asyncio.sleep(fault.delay_s)
        self._record(raw, arrived_ms, outcome, fault)
        if isinstance(fault, Drop):
            return hang_up(request)
        if isinstance(fault, Answer | ErrorCode):
            outcome = self._suffer(raw, fault)
        size = fault.size if isinstance(fault, Answer) else 0
        return response_of(outcome.status, outcome.body, outcome.headers, size=size)

    def _suffer(self, raw: RawRequest, fault: Fault | None) -> Outcome:
        match fault:
            case Answer(status=status, body=body, headers=headers):
                return Outcome(status, body, dict(headers))
            case ErrorCode():
                return self._protocol.error(raw, fault)
            case _:
                return Outcome(0, None, {})

    def _record(self, raw: RawRequest, arrived_ms: int, outcome: Outcome, fault: Fault | None) -> None:
        account = self._books.account_of_key(self._protocol.api_key_of(raw) or "")
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


def prevents(fault: Fault | None) -> bool:
    """Whether the fault keeps the request from taking effect."""
    return isinstance(fault, Drop | Answer | ErrorCode) and not fault.executed


async def _received(request: web.Request) -> RawRequest:
    body = await request.read()
    return RawRequest(
        method=request.method,
        target=request.raw_path,
        body=body.decode("utf-8", errors="surrogateescape"),
        headers=request.headers,
        address=request.remote or "",
    )


def response_of(status: int, body: Any, headers: Mapping[str, str], *, size: int) -> web.Response:
    """The HTTP answer: text as it is, anything else as compact JSON, padded to `size` characters."""
    if isinstance(body, str):
        text, content_type = body, "text/html" if body.lstrip().startswith("<") else "text/plain"
    else:
        text, content_type = json.dumps(body, separators=(",", ":")), "application/json"
    if size > len(text):
        text += " " * (size - len(text))
    return web.Response(status=status, text=text, content_type=content_type, headers=headers)


def hang_up(request: web.Request) -> web.Response:
    """Closes the connection without a byte of an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
