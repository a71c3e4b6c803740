"""Ports of this machine that our servers listen on."""

import socket


def reserve(host: str, port: int) -> socket.socket | None:
    """Keeps `port` (0: a free one) of `host` for a server of ours, as long as the returned socket is open.

    Without it a port of the range from which the kernel numbers outgoing connections (most of ours are in
    there) can be lost while its server restarts: to any connection on loopback, also to a client that calls
    just that server. The reserving socket does not listen: a server that sets SO_REUSEADDR, as all of ours
    do, gets the port.

    Returns:
        None when somebody has the port.
    """
    try:
        family, kind, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        return None
    keeper = socket.socket(family, kind)
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        keeper.bind(target)
    except OSError:
        keeper.close()
        return None
    return keeper


def port_of(keeper: socket.socket) -> int:
    """The port that `keeper` keeps."""
    return int(keeper.getsockname()[1])


def free_port(host: str) -> int:
    """A port of `host` that nobody has at the moment.

    Raises:
        OSError: There is none, or `host` is no address of this machine.
    """
    keeper = reserve(host, 0)
    if keeper is None:
        raise OSError(f"there is no free port on {host}")
    with keeper:
        return port_of(keeper)
