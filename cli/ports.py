"""Which ports of this machine are free."""

import socket

from tradekit.service.admin import host_and_port


def is_free(address: str) -> bool:
    """Whether a server could listen on `address` ("host:port") now."""
    return bound_port(*host_and_port(address)) is not None


def free_port(host: str) -> int:
    """A port of `host` that nobody listens on."""
    port = bound_port(host, 0)
    if port is None:
        raise OSError(f"there is no free port on {host}")
    return port


def bound_port(host: str, port: int) -> int | None:
    """The port that a server gets which asks for `port` (0: any) on `host`; None when it gets none."""
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As servers do: a connection that has ended and still lingers does not hold the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
            return int(probe.getsockname()[1])
    except OSError:
        return None
