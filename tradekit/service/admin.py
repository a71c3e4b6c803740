"""The admin port of a process: `/healthz` and `/metrics`, plain HTTP on loopback."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tradekit.service.config import ConfigurationError

log = logging.getLogger(__name__)

Probe = Callable[[], Awaitable[str | None]]


def host_and_port(address: str) -> tuple[str, int]:
    """Splits "host:port".

    Raises:
        ConfigurationError: It is none.
    """
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ConfigurationError([f"{address!r} is not an address; host:port is wanted"])
    return host.strip("[]"), int(port)


@asynccontextmanager
async def admin_server(address: str, probe: Probe) -> AsyncIterator[str]:
    """Serves the admin port; yields the address that it really has.

    Args:
        address: "host:port"; port 0 takes a free one.
        probe: Says what is wrong, or None when the process can do its work.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                request = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
                writer.write(await _answer(request[1] if len(request) > 2 else b"", probe))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # whoever asked is gone or speaks no HTTP
        finally:
            writer.close()

    host, port = host_and_port(address)
    server = await asyncio.start_server(serve, host, port, limit=8_192)
    async with server:
        bound = server.sockets[0].getsockname()
        yield f"{bound[0]}:{bound[1]}"


async def _answer(path: bytes, probe: Probe) -> bytes:
    if path == b"/metrics":
        return _response(b"200 OK", CONTENT_TYPE_LATEST.encode(), generate_latest())
    if path == b"/healthz":
        problem = await _problem(probe)
        status = b"200 OK" if problem is None else b"503 Service Unavailable"
        return _response(status, b"text/plain; charset=utf-8", (problem or "ok").encode() + b"\n")
    return _response(b"404 Not Found", b"text/plain", b"not found\n")


async def _problem(probe: Probe) -> str | None:
    try:
        return await probe()
    except Exception as error:  # the edge of the process: a check that breaks is no good sign
        log.error("probe.failed", exc_info=error)
        return f"the check failed: {type(error).__name__}"


def _response(status: bytes, content_type: bytes, body: bytes) -> bytes:
    length = str(len(body)).encode()
    head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %b\r\nConnection: close\r\n\r\n"
    return head % (status, content_type, length) + body
