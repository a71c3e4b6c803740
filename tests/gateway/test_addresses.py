"""T14: where a request comes from, whatever its headers say."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.addresses import client_address, is_in, parse_address
from gateway.config import parse_networks

PROXIES = parse_networks("10.0.0.0/8, ::1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("6.6.6.6", [], "6.6.6.6"),
        ("6.6.6.6", ["52.89.214.238"], "6.6.6.6"),
        ("10.0.0.1", ["52.89.214.238"], "52.89.214.238"),
        ("10.0.0.1", ["52.89.214.238, 6.6.6.6"], "6.6.6.6"),
        ("10.0.0.1", ["52.89.214.238", "6.6.6.6"], "6.6.6.6"),
        ("10.0.0.1", ["6.6.6.6, 10.0.0.2 ,10.0.0.3"], "6.6.6.6"),
        ("10.0.0.1", ["6.6.6.6:4711"], "6.6.6.6"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:6.6.6.6"], "6.6.6.6"),
        ("::ffff:10.0.0.1", ["6.6.6.6"], "6.6.6.6"),
        ("::1", ["6.6.6.6"], "6.6.6.6"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [], "10.0.0.1"),
    ],
)
def test_T14_walks_from_the_right(peer: str, forwarded: list[str], expected: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == ip_address(expected)


@pytest.mark.parametrize("hop", ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "[::1", "٦.٦.٦.٦"])
def test_T14_unreadable_hop_is_nobody(hop: str) -> None:
    address = client_address("10.0.0.1", ["52.89.214.238, " + hop], PROXIES)

    assert address is None or not is_in(address, parse_networks("tradingview"))


def test_no_peer_is_nobody() -> None:
    assert client_address(None, ["52.89.214.238"], PROXIES) is None


@given(st.text(max_size=60))
def test_T14_an_untrusted_peer_cannot_become_another(header: str) -> None:
    assert client_address("6.6.6.6", [header], PROXIES) == ip_address("6.6.6.6")


@given(st.ip_addresses(), st.integers(1, 65_535))
def test_addresses_with_ports(address: object, port: int) -> None:
    expected = ip_address(str(address))
    text = f"[{address}]:{port}" if expected.version == 6 else f"{address}:{port}"

    mapped = getattr(expected, "ipv4_mapped", None)
    assert parse_address(text) == (mapped or expected)


def test_tradingview_stands_for_its_addresses() -> None:
    networks = parse_networks("tradingview, 192.0.2.0/24")

    assert is_in(ip_address("34.212.75.30"), networks)
    assert is_in(ip_address("192.0.2.7"), networks)
    assert not is_in(ip_address("34.212.75.31"), networks)
    assert not is_in(ip_address("::1"), networks)
