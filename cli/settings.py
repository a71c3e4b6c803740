"""The settings of the whole system, and which of them each process gets.

A person sets them in the environment of `tradingbot up`. No process gets more than it needs, and none gets a
secret in its environment: those come through pipes (see `cli.process`).
"""

import base64
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit, urlunsplit

from cli.home import Home, HomeUnusable
from cli.ports import free_port
from cli.process import PIPE_HOLDS_BYTES
from gateway.config import MIN_SECRET_KEY_BYTES, MIN_WEBHOOK_SECRET_CHARACTERS
from tradekit.service.admin import host_and_port
from tradekit.service.channel import TlsFiles
from tradekit.service.config import ConfigurationError, Environment
from tradekit.service.example_values import is_example
from tradekit.service.secret import Secret
from vault_service.keyring import KeyUnusable, read_key

PAPER = "paper"
SERVICES = ("vault", "execution", "strategy", "gateway")

_ADDRESSES = {
    "gateway": "127.0.0.1:8001",
    "vault": "127.0.0.1:50051",
    "execution": "127.0.0.1:50052",
    "strategy": "127.0.0.1:50053",
    PAPER: "127.0.0.1:9001",
}
_ADMIN_ADDRESSES = {
    "gateway": "127.0.0.1:50060",
    "vault": "127.0.0.1:50061",
    "execution": "127.0.0.1:50062",
    "strategy": "127.0.0.1:50063",
}
# Settings of one process alone that are passed on as they are, when they are set.
_PASSED_ON = {
    "vault": (),
    "execution": (
        "BINANCE_BASE_URL",
        "BINANCE_SPOT_BASE_URL",
        "BINANCE_WS_URL",
        "BINANCE_TESTNET_BASE_URL",
        "BINANCE_TESTNET_WS_URL",
        "OKX_BASE_URL",
        "OKX_WS_URL",
    ),
    "strategy": (),
    "gateway": ("TRUSTED_PROXIES", "WEBHOOK_IP_ALLOWLIST", "CORS_ORIGINS"),
}
# Which other services a service calls.
_CALLS = {"vault": (), "execution": ("vault",), "strategy": (), "gateway": ("vault", "execution", "strategy")}
_SECRETS_OF = {
    "vault": ("ENCRYPTION_KEY", "ENCRYPTION_KEYS_RETIRED"),
    "execution": (),
    "strategy": (),
    "gateway": ("SECRET_KEY", "SECRET_KEYS_RETIRED", "WEBHOOK_SECRET"),
}
# What a process needs of the machine; everything else of the caller's environment stays with the caller.
_MACHINE = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, kw_only=True)
class _SecretRule:
    """How a secret is checked, and made when nobody gave it."""

    problem: Callable[[str], str | None]
    # None: a secret that may be missing and is never made; somebody may store one.
    make: Callable[[], str] | None


def new_encryption_key() -> str:
    """32 random bytes, urlsafe base64."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode("ascii")


def new_token() -> str:
    """256 random bits as text that may stand in a URL."""
    return secrets.token_urlsafe(32)


def _at_least(length: int) -> Callable[[str], str | None]:
    def problem(value: str) -> str | None:
        if is_example(value):
            return "is a well-known example value"
        return None if len(value) >= length else f"is shorter than {length} characters"

    return problem


def encryption_key_problem(value: str) -> str | None:
    """What is wrong with a value of ENCRYPTION_KEY, in the vault's words; None when it can be used."""
    if is_example(value):
        return "is a well-known example value"
    try:
        read_key(Secret(value))
    except KeyUnusable as error:
        return str(error)
    return None


def _each(problem_of_one: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """The check of a list, separated by commas."""

    def problem(value: str) -> str | None:
        problems = (problem_of_one(key.strip()) for key in value.split(","))
        return next((f"holds a key that {problem}" for problem in problems if problem), None)

    return problem


_SECRETS = {
    "ENCRYPTION_KEY": _SecretRule(problem=encryption_key_problem, make=new_encryption_key),
    "ENCRYPTION_KEYS_RETIRED": _SecretRule(problem=_each(encryption_key_problem), make=None),
    "SECRET_KEY": _SecretRule(problem=_at_least(MIN_SECRET_KEY_BYTES), make=new_token),
    "SECRET_KEYS_RETIRED": _SecretRule(problem=_each(_at_least(MIN_SECRET_KEY_BYTES)), make=None),
    "NEXTAUTH_SECRET": _SecretRule(problem=_at_least(MIN_SECRET_KEY_BYTES), make=new_token),
    "WEBHOOK_SECRET": _SecretRule(problem=_at_least(MIN_WEBHOOK_SECRET_CHARACTERS), make=None),
}
SECRET_NAMES = (*_SECRETS, "DATABASE_URL")


@dataclass(frozen=True, kw_only=True)
class SystemSettings:
    """What the whole system runs with; made by `read_settings`."""

    deployment: str
    debug: bool
    log_level: str
    # The administrator's URL of an external server; None: the embedded one.
    database_url: Secret | None
    addresses: Mapping[str, str]
    admin_addresses: Mapping[str, str]
    public_url: str
    paper_url: str
    passed_on: Mapping[str, Mapping[str, str]]
    machine: Mapping[str, str]
    # Those that the environment gave; `all_secrets` adds what is stored.
    given_secrets: Mapping[str, Secret]

    def local_address(self, name: str) -> str:
        """Where this machine reaches the process `name`."""
        return _reachable(self.addresses[name])

    @property
    def runs_paper(self) -> bool:
        """Whether the paper exchange is ours; PAPER_BASE_URL names another one."""
        return self.paper_url == f"http://{self.local_address(PAPER)}"

    @property
    def is_local(self) -> bool:
        """Whether the demo may exist."""
        return self.deployment == "local"


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """What one process gets."""

    variables: Mapping[str, str]
    secrets: Mapping[str, Secret] = field(default_factory=dict)


def read_settings(variables: Mapping[str, str], *, web: bool) -> SystemSettings:
    """Reads and checks all settings.

    Args:
        variables: The environment of the command.
        web: Whether the web app is wanted; its secret is needed then.

    Raises:
        ConfigurationError: Names every problem at once; no value of a secret stands in it.
    """
    env = Environment(variables)
    debug = env.flag("DEBUG", False)
    database_url = _database_url(env)
    local = database_url is None or debug
    given = _given_secrets(env, needed=() if local else _needed_in_production(web))
    addresses = {
        name: _address(env, f"{name.upper()}_ADDRESS", default) for name, default in _ADDRESSES.items()
    }
    settings = SystemSettings(
        deployment="local" if local else "production",
        debug=debug,
        log_level=_log_level(env),
        database_url=database_url,
        addresses=addresses,
        admin_addresses={
            name: _address(env, f"{name.upper()}_ADMIN_ADDRESS", default)
            for name, default in _ADMIN_ADDRESSES.items()
        },
        public_url=env.text("PUBLIC_URL", f"http://{_reachable(addresses['gateway'])}").rstrip("/"),
        paper_url=env.text("PAPER_BASE_URL", f"http://{_reachable(addresses[PAPER])}").rstrip("/"),
        passed_on={
            service: {name: value for name in names if (value := env.optional_text(name))}
            for service, names in _PASSED_ON.items()
        },
        # Output at once, also of what is only printed.
        machine={
            "PYTHONUNBUFFERED": "1",
            **{name: variables[name] for name in _MACHINE if name in variables},
        },
        given_secrets=given,
    )
    if env.optional_text("AWS_SECRET_NAME"):
        env.problems.append("AWS_SECRET_NAME: secrets from AWS Secrets Manager are not supported yet")
    env.check()
    return settings


def all_secrets(settings: SystemSettings, home: Home) -> dict[str, Secret]:
    """The given secrets, and for those that nobody gave the stored ones, made at the first start.

    A given secret is not stored. In production nothing is made: `read_settings` has refused to go on.

    Raises:
        ConfigurationError: A stored secret is damaged.
    """
    found, problems = dict(settings.given_secrets), []
    for name, rule in _SECRETS.items():
        if name in found or not settings.is_local:
            continue
        try:
            stored = home.secret(name, rule.make)
        except HomeUnusable as error:
            problems.append(str(error))
            continue
        if stored is None:
            continue
        found[name] = stored
        if problem := rule.problem(stored.reveal()):
            problems.append(f"{name}, as stored in {home.root / 'secrets'}, {problem}")
    if problems:
        raise ConfigurationError(problems)
    return found


def service_settings(
    service: str,
    settings: SystemSettings,
    *,
    database_url: Secret,
    tls: TlsFiles,
    secrets: Mapping[str, Secret],
) -> ProcessSettings:
    """What `service` gets: its own addresses, certificate, database role and secrets, and whom it calls."""
    variables = {
        **settings.machine,
        "LISTEN_ADDRESS": settings.addresses[service],
        "ADMIN_ADDRESS": settings.admin_addresses[service],
        "TLS_CA_FILE": str(tls.authority),
        "TLS_CERT_FILE": str(tls.certificate),
        "TLS_KEY_FILE": str(tls.key),
        "LOG_LEVEL": settings.log_level,
        "DEPLOYMENT": settings.deployment,
        **{f"{other.upper()}_ADDRESS": _reachable(settings.addresses[other]) for other in _CALLS[service]},
        **settings.passed_on[service],
    }
    if service in ("execution", "gateway"):
        variables["PAPER_BASE_URL"] = settings.paper_url
    if service == "gateway":
        variables |= {"PUBLIC_URL": settings.public_url, "DEBUG": str(settings.debug).lower()}
    own = {name: secrets[name] for name in _SECRETS_OF[service] if name in secrets}
    return ProcessSettings(variables=variables, secrets={"DATABASE_URL": database_url, **own})


def role_url(admin_url: Secret, *, role: str, password: Secret) -> Secret:
    """The administrator's URL with another role and its password."""
    parts = urlsplit(admin_url.reveal())
    host = parts.netloc.rpartition("@")[2]
    login = f"{quote(role, safe='')}:{quote(password.reveal(), safe='')}"
    return Secret(urlunsplit(parts._replace(netloc=f"{login}@{host}")))


def _needed_in_production(web: bool) -> tuple[str, ...]:
    return ("ENCRYPTION_KEY", "SECRET_KEY", *(("NEXTAUTH_SECRET",) if web else ()))


def _given_secrets(env: Environment, *, needed: tuple[str, ...]) -> dict[str, Secret]:
    given = {}
    for name, rule in _SECRETS.items():
        secret = env.secret(name) if name in needed else env.optional_secret(name)
        if not secret:
            continue
        if len(secret.reveal().encode()) > PIPE_HOLDS_BYTES:
            env.problems.append(f"{name} is longer than {PIPE_HOLDS_BYTES} bytes")
        elif problem := rule.problem(secret.reveal()):
            env.problems.append(f"{name} {problem}")
        given[name] = secret
    return given


def _database_url(env: Environment) -> Secret | None:
    url = env.optional_secret("DATABASE_URL")
    if url is None:
        return None
    scheme, _, rest = url.reveal().partition("://")
    if scheme.partition("+")[0] not in ("postgresql", "postgres") or not _names_a_database(rest):
        env.problems.append("DATABASE_URL must be postgresql://user:password@host:port/database")
    return Secret(f"postgresql://{rest}")


def _names_a_database(rest: str) -> bool:
    """Whether "user:password@host:port/database" has a host, a database and a port that is a number."""
    try:
        parts = urlsplit(f"postgresql://{rest}")
        return bool(parts.hostname and parts.path.strip("/") and (parts.port is None or parts.port))
    except ValueError:
        return False


def _log_level(env: Environment) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    return env.parsed(
        "LOG_LEVEL", lambda text: levels[levels.index(text.upper())], "INFO", f"one of {levels}"
    )


def _address(env: Environment, name: str, default: str) -> str:
    def parse(text: str) -> str:
        host, port = host_and_port(text)
        port = port or free_port(host)
        if not re.fullmatch(r"[A-Za-z0-9.:-]+", host):
            raise ValueError(host)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    try:
        return env.parsed(name, parse, default, "host:port")
    except ConfigurationError:
        env.problems.append(f"{name} must be host:port")
        return default


def _reachable(address: str) -> str:
    """Where to connect to, for a server that may listen on every address."""
    host, port = host_and_port(address)
    local = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # compared with, not bound
    return f"{local.get(host, f'[{host}]' if ':' in host else host)}:{port}"
