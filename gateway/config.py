"""The gateway's settings."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from gateway.listener import listening_descriptor
from tradekit.service.channel import TlsFiles
from tradekit.service.config import Environment
from tradekit.service.example_values import is_example
from tradekit.service.secret import Secret

Network = IPv4Network | IPv6Network

# https://www.tradingview.com/support/solutions/43000529348: where its webhooks come from.
TRADINGVIEW_ADDRESSES = ("52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7")
MIN_SECRET_KEY_BYTES = 32
MIN_WEBHOOK_SECRET_CHARACTERS = 16


@dataclass(frozen=True)
class Settings:
    """What the gateway is told at its start.

    Attributes:
        listen_descriptor: A listening socket shared with other workers; None: this process opens its own.
        secret_key: Signs access tokens.
        secret_keys_retired: Former ones: what they have signed is still accepted.
        webhook_secret: The operator-wide webhook secret; None: there is none.
        public_url: How users and TradingView reach the gateway; no slash at its end.
        trusted_proxies: Peers whose X-Forwarded-For is believed.
        webhook_allowlist: Where alerts may come from; empty: from everywhere.
        cors_origins: Web pages that may call the API; empty: none.
        production: Whether the demo login is refused.
    """

    database_url: Secret
    listen_address: str
    listen_descriptor: int | None
    admin_address: str
    tls: TlsFiles
    log_level: str
    production: bool
    vault_address: str
    execution_address: str
    strategy_address: str
    secret_key: Secret
    secret_keys_retired: tuple[Secret, ...]
    webhook_secret: Secret | None
    trusted_proxies: tuple[Network, ...]
    webhook_allowlist: tuple[Network, ...]
    cors_origins: tuple[str, ...]
    public_url: str
    paper_base_url: str


def read_settings(env: Environment) -> Settings:
    """Reads the settings.

    Raises:
        ConfigurationError: Some are missing or wrong; it names all of them.
    """
    production = env.parsed("DEPLOYMENT", {"local": False, "production": True}.__getitem__, True, _DEPLOYMENT)
    settings = Settings(
        database_url=env.secret("DATABASE_URL"),
        listen_address=env.text("LISTEN_ADDRESS", "127.0.0.1:8001"),
        listen_descriptor=env.parsed(
            "LISTEN_FD", listening_descriptor, None, "the descriptor of a listening socket"
        ),
        admin_address=env.text("ADMIN_ADDRESS", "127.0.0.1:50060"),
        tls=TlsFiles.from_environment(env),
        log_level=env.text("LOG_LEVEL", "INFO"),
        production=production,
        vault_address=env.text("VAULT_ADDRESS", "127.0.0.1:50051"),
        execution_address=env.text("EXECUTION_ADDRESS", "127.0.0.1:50052"),
        strategy_address=env.text("STRATEGY_ADDRESS", "127.0.0.1:50053"),
        secret_key=env.secret("SECRET_KEY"),
        secret_keys_retired=_secrets(env.optional_secret("SECRET_KEYS_RETIRED")),
        webhook_secret=env.optional_secret("WEBHOOK_SECRET"),
        trusted_proxies=env.parsed("TRUSTED_PROXIES", parse_networks, (), _NETWORKS),
        webhook_allowlist=env.parsed(
            "WEBHOOK_IP_ALLOWLIST", parse_networks, (), f"{_NETWORKS}, or tradingview"
        ),
        cors_origins=env.parsed("CORS_ORIGINS", parse_origins, (), "origins such as https://app.example.com"),
        public_url=env.parsed("PUBLIC_URL", parse_base_url, "http://127.0.0.1:8001", _URL),
        paper_base_url=env.parsed("PAPER_BASE_URL", parse_base_url, "http://127.0.0.1:9001", _URL),
    )
    _check_secrets(env, settings)
    env.check()
    return settings


_DEPLOYMENT = "local or production"
_NETWORKS = "addresses or networks, separated by commas"
_URL = "a URL such as https://bot.example.com"


def _check_secrets(env: Environment, settings: Settings) -> None:
    for name, key in _signing_keys(settings):
        if key and len(key.reveal().encode()) < MIN_SECRET_KEY_BYTES:
            env.problems.append(f"{name} must be at least {MIN_SECRET_KEY_BYTES} bytes long")
    if settings.production:
        _check_for_production(env, settings)


def _check_for_production(env: Environment, settings: Settings) -> None:
    operator = settings.webhook_secret
    for name, secret in (*_signing_keys(settings), ("WEBHOOK_SECRET", operator)):
        # Whoever reads tutorials could sign tokens or send alerts.
        if secret and is_example(secret.reveal()):
            env.problems.append(f"{name} is a published example value: set one of your own")
    if operator and len(operator.reveal()) < MIN_WEBHOOK_SECRET_CHARACTERS:
        env.problems.append(f"WEBHOOK_SECRET must have at least {MIN_WEBHOOK_SECRET_CHARACTERS} characters")


def _signing_keys(settings: Settings) -> list[tuple[str, Secret]]:
    retired = [("Each of SECRET_KEYS_RETIRED", key) for key in settings.secret_keys_retired]
    return [("SECRET_KEY", settings.secret_key), *retired]


def parse_networks(text: str) -> tuple[Network, ...]:
    """Reads "10.0.0.0/8, ::1"; the word "tradingview" stands for TradingView's addresses.

    Raises:
        ValueError: An entry is none of these.
    """
    networks: list[Network] = []
    for entry in _entries(text):
        addresses = TRADINGVIEW_ADDRESSES if entry.lower() == "tradingview" else (entry,)
        networks.extend(ip_network(address) for address in addresses)
    return tuple(networks)


def parse_origins(text: str) -> tuple[str, ...]:
    """Reads "https://a.example, https://b.example".

    Raises:
        ValueError: An entry is no origin; `*` is none.
    """
    return tuple(parse_base_url(entry) for entry in _entries(text))


def parse_base_url(text: str) -> str:
    """An absolute http(s) URL, without the slash at its end.

    Raises:
        ValueError: It is none, or it has a query or a login.
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no absolute URL")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("more than a base URL")
    return text.rstrip("/")


def _secrets(value: Secret | None) -> tuple[Secret, ...]:
    return tuple(map(Secret, _entries(value.reveal()))) if value else ()


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]
