"""What stands in front of every route: the request's id, the host check, security headers, a last catch."""

import logging
import time
from collections.abc import Sequence
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Problem, internal_error
from gateway.responses import header, read_body, send_problem
from tradekit.service.log import request_id

log = logging.getLogger(__name__)

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
# Nothing that we answer is a page, but for /docs, which says what it needs itself.
CONTENT_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
HSTS = (b"strict-transport-security", b"max-age=31536000")


class Front:
    """The outermost ASGI application.

    Args:
        app: Everything else.
        hosts: Names that a request may be addressed to, without ports; a page that made its own name point to
            this machine is refused by it.
        https: Whether users reach us by TLS.
    """

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str], https: bool) -> None:
        self._app = app
        self._hosts = frozenset(name.lower() for name in hosts)
        self._headers = (*SECURITY_HEADERS, HSTS) if https else SECURITY_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, whatever happens."""
        if scope["type"] != "http":
            return
        request_id.set(uuid4().hex)
        started = time.perf_counter()
        answer = _Answer(send, self._headers)
        try:
            if not self._is_for_us(scope):
                raise Problem(421, "misdirected_request", "This host name is not served here.")
            await self._app(scope, receive, answer.send)
        except Problem as problem:
            await answer.refuse(problem)
        except Exception as error:
            log.error("request.failed", extra={"method": scope["method"]}, exc_info=error)
            await answer.refuse(internal_error())
        finally:
            _note(scope, answer.status, time.perf_counter() - started)

    def _is_for_us(self, scope: Scope) -> bool:
        host = header(scope, b"host").lower()
        name = host[: host.rfind("]") + 1] if host.startswith("[") else host.partition(":")[0]
        return name in self._hosts


class _Answer:
    """Sends one answer with our headers, and knows how far it came."""

    def __init__(self, send: Send, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self.status = 0

    async def send(self, event: Message) -> None:
        """Passes an event on."""
        if event["type"] == "http.response.start":
            self.status = event["status"]
            own = [*event["headers"], *self._headers, (b"x-request-id", request_id.get().encode())]
            if not any(name == CONTENT_POLICY[0] for name, _ in own):
                own.append(CONTENT_POLICY)
            event = {**event, "headers": own}
        await self._send(event)

    async def refuse(self, problem: Problem) -> None:
        """Sends a problem document, unless an answer has begun."""
        if not self.status:
            await send_problem(self.send, problem)


def _note(scope: Scope, status: int, seconds: float) -> None:
    # The route's pattern, not the path: what people type into addresses may be anything.
    route = getattr(scope.get("route"), "path", None)
    if route is not None:
        fields = {"method": scope["method"], "route": route, "status": status, "seconds": round(seconds, 4)}
        log.info("request.answered", extra=fields)


class BoundedBody:
    """Reads the whole body before the application does, so that no route can be sent more than it should."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on a request whose body is complete and small enough."""
        body: bytes | None = await read_body(scope, receive)

        async def replay() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            event = {"type": "http.request", "body": body, "more_body": False}
            body = None
            return event

        await self._app(scope, replay, send)
