"""Settings of the execution service."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tradekit.service.channel import TlsFiles
from tradekit.service.config import Environment
from tradekit.service.secret import Secret


@dataclass(frozen=True)
class Settings:
    """What the process needs to know.

    Attributes:
        base_urls: (exchange, environment) -> where that exchange is.
        stream_urls: (exchange, environment) -> where its WebSockets are; without a path.
        spot_urls: (exchange, environment) -> where a key's permissions are told, where that is another host.
    """

    listen_address: str
    admin_address: str
    database_url: Secret
    vault_address: str
    tls: TlsFiles
    base_urls: dict[tuple[str, str], str]
    log_level: str = "INFO"
    stream_urls: dict[tuple[str, str], str] = field(default_factory=dict)
    spot_urls: dict[tuple[str, str], str] = field(default_factory=dict)


def read_settings(env: Environment) -> Settings:
    """Reads the settings from the environment.

    Raises:
        ConfigurationError: Some are missing or wrong; all are named.
    """
    paper = env.text("PAPER_BASE_URL", "http://127.0.0.1:9001")
    # OKX tells demo trading from real trading by a header, not by the host.
    okx = env.text("OKX_BASE_URL", "https://www.okx.com")
    settings = Settings(
        listen_address=env.text("LISTEN_ADDRESS", "127.0.0.1:50052"),
        admin_address=env.text("ADMIN_ADDRESS", "127.0.0.1:50062"),
        database_url=env.secret("DATABASE_URL"),
        vault_address=env.text("VAULT_ADDRESS", "localhost:50051"),
        tls=TlsFiles.from_environment(env),
        base_urls={
            ("binance", "paper"): paper,
            ("binance", "testnet"): env.text("BINANCE_TESTNET_BASE_URL", "https://demo-fapi.binance.com"),
            ("binance", "live"): env.text("BINANCE_BASE_URL", "https://fapi.binance.com"),
            ("okx", "paper"): paper,
            ("okx", "testnet"): okx,
            ("okx", "live"): okx,
        },
        log_level=env.text("LOG_LEVEL", "INFO"),
        stream_urls=_stream_urls(env, paper),
        spot_urls={
            ("binance", "paper"): paper,
            ("binance", "live"): env.text("BINANCE_SPOT_BASE_URL", "https://api.binance.com"),
        },
    )
    env.check()
    return settings


def _stream_urls(env: Environment, paper: str) -> dict[tuple[str, str], str]:
    paper_streams = urlsplit(paper)._replace(scheme="wss" if paper.startswith("https:") else "ws").geturl()
    okx = env.text("OKX_WS_URL", "wss://ws.okx.com:8443")
    return {
        ("binance", "paper"): paper_streams,
        ("binance", "testnet"): env.text("BINANCE_TESTNET_WS_URL", "wss://fstream.binancefuture.com"),
        ("binance", "live"): env.text("BINANCE_WS_URL", "wss://fstream.binance.com"),
        ("okx", "paper"): paper_streams,
        ("okx", "testnet"): _okx_demo(okx),
        ("okx", "live"): okx,
    }


def _okx_demo(live: str) -> str:
    """Demo trading's WebSocket host: OKX names it after each region's own, ws -> wspap, wseea -> wseeapap."""
    host = urlsplit(live).hostname or ""
    if not host.endswith(".okx.com"):
        return live
    name = host.partition(".")[0]
    return live.replace(f"//{name}.", f"//{name}pap.", 1)
