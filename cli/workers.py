"""The gateway's processes: one, or several that answer on one port."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from cli.errors import CommandFailed
from cli.ports import port_of, reserve
from gateway.listener import BACKLOG
from tradekit.service.admin import host_and_port


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One gateway process.

    Attributes:
        admin_address: Where it alone answers /healthz and /metrics.
        variables: What it is told beyond the gateway's settings.
        descriptors: What it inherits.
    """

    name: str
    admin_address: str
    variables: Mapping[str, str] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()


@contextmanager
def gateway_workers(count: int, *, keeper: socket.socket, admin_address: str) -> Iterator[tuple[Worker, ...]]:
    """Yields the workers; what they need stays open while the block runs, through all their restarts.

    A single worker listens by itself. Several share a socket that this process holds and never reads from:
    while one of them is dead, the others take what comes.

    Args:
        keeper: Keeps the gateway's port.
        admin_address: The first worker's; the others get free ports of the same host.
    """
    if count == 1:
        yield (Worker(name="gateway", admin_address=admin_address),)
        return
    host = admin_address.rpartition(":")[0]
    with ExitStack() as kept:
        admins = [admin_address, *(f"{host}:{_free_port(host, kept)}" for _ in range(count - 1))]
        keeper.listen(BACKLOG)
        descriptor = keeper.fileno()
        yield tuple(
            Worker(
                name="gateway" if number == 1 else f"gateway-{number}",
                admin_address=admin,
                variables={"ADMIN_ADDRESS": admin, "LISTEN_FD": str(descriptor)},
                descriptors=(descriptor,),
            )
            for number, admin in enumerate(admins, start=1)
        )


def _free_port(host: str, kept: ExitStack) -> int:
    keeper = reserve(host_and_port(f"{host}:0")[0], 0)
    if keeper is None:
        raise CommandFailed(f"there is no free port on {host} for a gateway worker's /metrics")
    return port_of(kept.enter_context(keeper))
