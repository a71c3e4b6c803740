"""Settings of the execution service."""

from dataclasses import dataclass

from tradekit.service.channel import TlsFiles
from tradekit.service.config import Environment
from tradekit.service.secret import Secret


@dataclass(frozen=True)
class Settings:
    """What the process needs to know.

    Attributes:
        base_urls: (exchange, environment) -> where that exchange is.
    """

    listen_address: str
    admin_address: str
    database_url: Secret
    vault_address: str
    tls: TlsFiles
    base_urls: dict[tuple[str, str], str]
    log_level: str = "INFO"


def read_settings(env: Environment) -> Settings:
    """Reads the settings from the environment.

    Raises:
        ConfigurationError: Some are missing or wrong; all are named.
    """
    paper = env.text("PAPER_BASE_URL", "http://127.0.0.1:9001")
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
        },
        log_level=env.text("LOG_LEVEL", "INFO"),
    )
    env.check()
    return settings
