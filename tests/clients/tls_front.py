"""TLS in front of the paper exchange, for clients that refuse to speak without."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cli.certificates import CertificateAuthority
from tradekit.service.clock import UtcClock

_CHUNK_BYTES = 65_536


@contextmanager
def tls_front(port: int, folder: Path) -> Iterator[tuple[int, Path]]:
    """Takes TLS connections on a free port of `localhost` and passes them on to `port`.

    Yields:
        The port, and the certificate of the authority that a client must trust.
    """
    files = CertificateAuthority(folder, UtcClock()).files("gateway")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(_listen(port, context), loop).result(10)
        yield server.sockets[0].getsockname()[1], folder / "ca.crt"
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _listen(port: int, context: ssl.SSLContext) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, behind_writer), _copy(behind_reader, writer))

    return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _end(server: asyncio.Server) -> None:
    server.close()
    own = asyncio.current_task()
    for task in asyncio.all_tasks():
        if task is not own:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
