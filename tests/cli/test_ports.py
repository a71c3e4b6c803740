"""A port of ours stays ours while its server restarts."""

import socket
import struct
import sys

import pytest

from cli.ports import free_port, port_of, reserve

HOST = "127.0.0.1"
# Linux 6.3: from which ports the kernel numbers the connections of one socket (include/uapi/linux/in.h).
IP_LOCAL_PORT_RANGE = 51


def _kept(port: int = 0) -> socket.socket:
    keeper = reserve(HOST, port)
    assert keeper is not None
    return keeper


def test_server_can_listen_on_a_reserved_port_again_and_again() -> None:
    with _kept() as keeper:
        address = (HOST, port_of(keeper))
        for _ in range(3):
            with socket.create_server(address), socket.create_connection(address, timeout=5):
                pass


def test_port_that_somebody_listens_on_is_not_reserved() -> None:
    with socket.create_server((HOST, 0)) as server:
        assert reserve(HOST, port_of(server)) is None


def test_host_of_another_machine_has_no_port_for_us() -> None:
    assert reserve("192.0.2.1", 0) is None
    with pytest.raises(OSError, match="no free port"):
        free_port("192.0.2.1")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of another system has another rule")
def test_no_outgoing_connection_gets_a_reserved_port() -> None:
    keeper = _kept()
    port = port_of(keeper)
    with socket.create_server((HOST, 0)) as server:
        try:
            with pytest.raises(OSError, match="Cannot assign requested address"):
                _connect_from(port, server)
        finally:
            keeper.close()
        _connect_from(port, server)


def _connect_from(port: int, server: socket.socket) -> None:
    """Connects to `server`, the kernel having `port` alone to choose from."""
    with socket.socket() as client:
        try:
            client.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("=I", port << 16 | port))
        except OSError:
            pytest.skip("this kernel cannot be told which port to choose")
        # Closed by a reset, so that the port is free for the next one at once.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.connect(server.getsockname())
        server.accept()[0].close()
