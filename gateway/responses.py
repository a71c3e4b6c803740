"""Raw ASGI answers, for what stands in front of FastAPI."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from gateway.errors import MEDIA_TYPE, Problem

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_S = 2.0


def header(scope: Scope, name: bytes) -> str:
    """The first header of this name (lower case); empty when there is none."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body.

    Raises:
        Problem: 413 payload_too_large, with and without a Content-Length; 408 request_timeout;
            400 incomplete_body when the client has gone.
    """
    stated = header(scope, b"content-length")
    if stated.isdigit() and int(stated) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _read_bounded(receive)
    except TimeoutError:
        raise Problem(408, "request_timeout", "The body of the request did not come in time.") from None


async def _read_bounded(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Problem(400, "incomplete_body", "The body of the request is not complete.")
        body += event.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        if not event.get("more_body", False):
            return bytes(body)


def _too_large() -> Problem:
    # The rest of the body is not read: the connection cannot be used again.
    text = f"The body of a request may have at most {MAX_BODY_BYTES // 1024} KiB."
    return Problem(413, "payload_too_large", text, headers={"Connection": "close"})


async def send_problem(send: Send, problem: Problem) -> None:
    """Sends a problem document."""
    await send_json(send, problem.status, problem.document(), media_type=MEDIA_TYPE, headers=problem.headers)


async def send_json(
    send: Send,
    status: int,
    document: Mapping[str, Any],
    *,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> None:
    """Sends a JSON document."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    fields = {"content-type": media_type, "content-length": str(len(body)), **(headers or {})}
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
