"""Settings of the execution service: what an empty environment means, and what can be moved."""

from collections.abc import Callable

import pytest

from execution_service.config import Settings, read_settings
from tradekit.service.channel import TlsFiles
from tradekit.service.config import Environment


@pytest.fixture
def settings(tls: Callable[[str], TlsFiles]) -> Callable[..., Settings]:
    """Reads settings from an environment that has what must be there, and more."""
    files = tls("execution")
    needed = {
        "DATABASE_URL": "postgresql://localhost/tradingbot",
        "TLS_CA_FILE": str(files.authority),
        "TLS_CERT_FILE": str(files.certificate),
        "TLS_KEY_FILE": str(files.key),
    }
    return lambda **more: read_settings(Environment(needed | more))


def test_every_exchange_has_all_environments(settings: Callable[..., Settings]) -> None:
    places = {(name, world) for name in ("binance", "okx") for world in ("paper", "testnet", "live")}

    assert settings().base_urls.keys() == places
    assert settings().stream_urls.keys() == places


def test_the_real_hosts(settings: Callable[..., Settings]) -> None:
    read = settings()

    assert read.base_urls["binance", "live"] == "https://fapi.binance.com"
    assert read.base_urls["okx", "live"] == read.base_urls["okx", "testnet"] == "https://www.okx.com"
    assert read.stream_urls["okx", "live"] == "wss://ws.okx.com:8443"


@pytest.mark.parametrize(
    ("live", "demo"),
    [
        ("wss://ws.okx.com:8443", "wss://wspap.okx.com:8443"),
        ("wss://wseea.okx.com:8443", "wss://wseeapap.okx.com:8443"),
        ("wss://wsus.okx.com:8443", "wss://wsuspap.okx.com:8443"),
        ("ws://127.0.0.1:9001", "ws://127.0.0.1:9001"),
    ],
)
def test_okx_demo_streams_are_those_of_the_region(
    settings: Callable[..., Settings], live: str, demo: str
) -> None:
    read = settings(OKX_WS_URL=live)

    assert (read.stream_urls["okx", "live"], read.stream_urls["okx", "testnet"]) == (live, demo)


def test_a_regional_host_holds_for_demo_trading_too(settings: Callable[..., Settings]) -> None:
    read = settings(OKX_BASE_URL="https://eea.okx.com")

    assert {read.base_urls["okx", world] for world in ("live", "testnet")} == {"https://eea.okx.com"}


@pytest.mark.parametrize(
    ("paper", "streams"),
    [("http://127.0.0.1:9001", "ws://127.0.0.1:9001"), ("https://paper.example", "wss://paper.example")],
)
def test_the_paper_exchange_speaks_both_on_one_port(
    settings: Callable[..., Settings], paper: str, streams: str
) -> None:
    read = settings(PAPER_BASE_URL=paper)

    assert {read.base_urls[name, "paper"] for name in ("binance", "okx")} == {paper}
    assert {read.stream_urls[name, "paper"] for name in ("binance", "okx")} == {streams}
