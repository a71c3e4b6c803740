"""Settings of the vault; read once."""

from dataclasses import dataclass

from tradekit.service.channel import TlsFiles
from tradekit.service.config import Environment
from tradekit.service.secret import Secret
from vault_service.keyring import Keyring, KeyUnusable


@dataclass(frozen=True)
class Settings:
    """What the vault needs to run.

    Attributes:
        database_url: As the role `tradingbot_vault`.
        listen_address: "host:port" for gRPC.
        admin_address: "host:port" for /healthz and /metrics; plain HTTP, loopback.
        keyring: ENCRYPTION_KEY and ENCRYPTION_KEYS_RETIRED.
    """

    database_url: Secret
    listen_address: str
    admin_address: str
    tls: TlsFiles
    keyring: Keyring
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, env: Environment) -> "Settings":
        """Reads the settings.

        Raises:
            ConfigurationError: Names everything that is missing or wrong, and no value of a secret.
        """
        database_url = env.secret("DATABASE_URL")
        listen_address = env.text("LISTEN_ADDRESS", "127.0.0.1:50051")
        admin_address = env.text("ADMIN_ADDRESS", "127.0.0.1:50061")
        tls = TlsFiles.from_environment(env)
        keyring = _keyring(env)
        log_level = env.text("LOG_LEVEL", "INFO")
        env.check()
        assert keyring is not None
        return cls(
            database_url=database_url,
            listen_address=listen_address,
            admin_address=admin_address,
            tls=tls,
            keyring=keyring,
            log_level=log_level,
        )


def _keyring(env: Environment) -> Keyring | None:
    current, retired = env.secret("ENCRYPTION_KEY"), env.optional_secret("ENCRYPTION_KEYS_RETIRED")
    if not current:
        return None
    try:
        return Keyring.from_settings(current, retired)
    except KeyUnusable as error:
        env.problems.append(f"ENCRYPTION_KEY or one of ENCRYPTION_KEYS_RETIRED {error}")
        return None
