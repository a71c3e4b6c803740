"""The socket that the gateway answers on: one of its own, or one that several workers share."""

import os
import socket

from tradekit.service.admin import host_and_port

BACKLOG = 4_096


def open_listener(address: str, descriptor: int | None) -> socket.socket:
    """Listens at `address`, or takes over the listening socket that the parent process holds.

    Workers that share one socket share its queue: when one of them is killed, the connections that wait in it
    are taken by the others.

    Args:
        address: "host:port"; not looked at with a descriptor.
        descriptor: Of a listening socket; checked by `listening_descriptor`.

    Raises:
        OSError: The address cannot be listened at.
    """
    if descriptor is not None:
        return socket.socket(fileno=descriptor)
    host, port = host_and_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, since asyncio turns off Nagle's delay, 40 ms an answer, for what is named so only.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def listening_descriptor(text: str) -> int:
    """Reads the setting LISTEN_FD.

    Raises:
        ValueError: It is not the number of a listening socket.
    """
    descriptor = int(text)
    try:
        with socket.socket(fileno=os.dup(descriptor)) as shared:
            listens = shared.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except (OSError, OverflowError) as error:
        raise ValueError(text) from error
    if not listens:
        raise ValueError(text)
    return descriptor
