"""The socket that the gateway answers on."""

import socket
from dataclasses import replace

import httpx
import pytest

from gateway.__main__ import serve
from gateway.config import Settings
from gateway.listener import open_listener
from tests.gateway.conftest import FAST_HASHER


@pytest.mark.parametrize(
    ("address", "family"), [("127.0.0.1:0", socket.AF_INET), ("[::1]:0", socket.AF_INET6)]
)
def test_own_socket_listens(address: str, family: socket.AddressFamily) -> None:
    with open_listener(address, None) as listener:
        assert listener.family == family
        assert listener.proto == socket.IPPROTO_TCP
        with socket.create_connection(listener.getsockname()[:2], timeout=5):
            pass


def test_address_that_somebody_has() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        open_listener(f"127.0.0.1:{taken.getsockname()[1]}", None)


@pytest.mark.anyio
async def test_two_gateways_take_turns_on_one_socket_and_leave_it_open(settings: Settings) -> None:
    """What waits while nobody takes it is answered by the next one."""
    with socket.create_server(("127.0.0.1", 0)) as shared:
        address = f"127.0.0.1:{shared.getsockname()[1]}"
        for _ in range(2):
            with socket.create_connection(shared.getsockname(), timeout=5) as early:
                early.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                inherited = replace(settings, listen_descriptor=shared.dup().detach())
                async with (
                    serve(inherited, hasher=FAST_HASHER) as running,
                    httpx.AsyncClient(base_url=f"http://{running.address}") as http,
                ):
                    assert running.address == address
                    assert (await http.get("/health")).status_code == 200
                assert early.recv(100).startswith(b"HTTP/1.1 200 OK")
