"""Where a request comes from, and whether it may come from there."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from gateway.config import Network

Address = IPv4Address | IPv6Address


def client_address(
    peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]
) -> Address | None:
    """The address of the client behind our own proxies.

    Walks X-Forwarded-For from the right: each proxy appends whom it talked to, so that only what a trusted
    peer wrote is believed, and what the client itself wrote never is.

    Args:
        peer: Address of the socket's other end.
        forwarded_for: The values of all X-Forwarded-For headers, in their order.
        trusted: Our proxies.

    Returns:
        None when the peer, or the hop that a trusted proxy names, has no readable address.
    """
    address = parse_address(peer or "")
    hops = [hop for value in forwarded_for for hop in value.split(",")]
    while address is not None and hops and is_in(address, trusted):
        address = parse_address(hops.pop())
    return address


def parse_address(text: str) -> Address | None:
    """Reads "1.2.3.4", "1.2.3.4:5", "2001:db8::1" or "[2001:db8::1]:5"; an IPv4-mapped one as IPv4."""
    text = text.strip()
    if text.startswith("[") and "]" in text:
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    """Whether one of the networks holds the address."""
    return any(address in network for network in networks if network.version == address.version)
