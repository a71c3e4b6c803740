"""A lean HTTP/1.1 client on loopback: cheap enough that the load does not hide what it loads."""

import asyncio
from dataclasses import dataclass
from typing import cast

HEADER_END = b"\r\n\r\n"
ANSWER_TIMEOUT_S = 30.0


def request_bytes(method: str, path: str, body: bytes = b"", *, token: str = "") -> bytes:
    """A whole request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + HEADER_END + body


def content_length(head: bytes) -> int:
    """The length of the body behind `head` (everything up to the empty line)."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A status and a body."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One kept connection; one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._waiting: asyncio.Future[HttpAnswer] | None = None

    async def send(self, request: bytes) -> HttpAnswer:
        """Sends a request and waits for its answer.

        Raises:
            ConnectionError: The other side hung up.
        """
        assert self._transport is not None
        assert self._waiting is None, "one request at a time"
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self._waiting
        finally:
            self._waiting = None

    def close(self) -> None:
        """Hangs up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Both loops' own kind; uvloop's is no subclass.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(HEADER_END)
        if not found or len(rest) < (length := content_length(head)):
            return
        self._received = rest[length:]
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(HttpAnswer(int(head[9:12]), rest[:length]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the other side hung up"))


async def connect(port: int) -> Connection:
    """A connection to a port of this machine."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection
