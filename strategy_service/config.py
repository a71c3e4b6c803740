"""Settings of the strategy service; read once."""

from dataclasses import dataclass

from tradekit.service.channel import TlsFiles
from tradekit.service.config import Environment
from tradekit.service.secret import Secret


@dataclass(frozen=True)
class Settings:
    """What the service needs to run.

    Attributes:
        database_url: As the role `tradingbot_strategy`.
        listen_address: "host:port" for gRPC.
        admin_address: "host:port" for /healthz and /metrics; plain HTTP, loopback.
    """

    database_url: Secret
    listen_address: str
    admin_address: str
    tls: TlsFiles
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, env: Environment) -> "Settings":
        """Reads the settings.

        Raises:
            ConfigurationError: Names everything that is missing or wrong.
        """
        settings = cls(
            database_url=env.secret("DATABASE_URL"),
            listen_address=env.text("LISTEN_ADDRESS", "127.0.0.1:50053"),
            admin_address=env.text("ADMIN_ADDRESS", "127.0.0.1:50063"),
            tls=TlsFiles.from_environment(env),
            log_level=env.text("LOG_LEVEL", "INFO"),
        )
        env.check()
        return settings
