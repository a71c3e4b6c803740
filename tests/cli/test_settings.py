"""Settings: all problems at once, and to each process its own secrets only."""

from pathlib import Path

import pytest

from cli.home import Home
from cli.settings import (
    SERVICES,
    all_secrets,
    new_encryption_key,
    new_token,
    read_settings,
    role_url,
    service_settings,
)
from tradekit.service.channel import TlsFiles
from tradekit.service.config import ConfigurationError
from tradekit.service.secret import Secret

EXTERNAL = "postgresql://admin:pw@db.internal:5432/tradingbot"
TLS = TlsFiles(authority=Path("ca.crt"), certificate=Path("own.crt"), key=Path("own.key"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def _problems(variables: dict[str, str], *, web: bool = False) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        read_settings(variables, web=web)
    return raised.value.problems


def _production(**more: str) -> dict[str, str]:
    good = {"DATABASE_URL": EXTERNAL, "ENCRYPTION_KEY": new_encryption_key(), "SECRET_KEY": new_token()}
    return good | more


def test_nothing_set_is_local_mode_on_the_documented_ports() -> None:
    settings = read_settings({}, web=True)
    assert settings.is_local
    assert settings.addresses == {
        "gateway": "127.0.0.1:8001",
        "vault": "127.0.0.1:50051",
        "execution": "127.0.0.1:50052",
        "strategy": "127.0.0.1:50053",
        "paper": "127.0.0.1:9001",
    }
    assert (settings.public_url, settings.paper_url) == ("http://127.0.0.1:8001", "http://127.0.0.1:9001")


@pytest.mark.parametrize(
    ("variables", "deployment"),
    [
        ({}, "local"),
        ({"DEBUG": "False"}, "local"),
        ({"DATABASE_URL": EXTERNAL, "DEBUG": "True"}, "local"),
        (_production(), "production"),
        (_production(DEBUG="False"), "production"),
    ],
)
def test_external_database_without_debug_is_production(variables: dict[str, str], deployment: str) -> None:
    assert read_settings(variables, web=False).deployment == deployment


def test_missing_secrets_in_production_are_named_together() -> None:
    problems = _problems({"DATABASE_URL": EXTERNAL, "DEBUG": "False"}, web=True)
    for name in ("ENCRYPTION_KEY", "SECRET_KEY", "NEXTAUTH_SECRET"):
        assert f"{name} (or {name}_FILE) is not set" in problems


def test_all_problems_are_named_together() -> None:
    problems = _problems(
        {
            "DATABASE_URL": "mysql://x",
            "DEBUG": "perhaps",
            "LOG_LEVEL": "loud",
            "GATEWAY_ADDRESS": "8001",
            "ENCRYPTION_KEY": "c2hvcnQtYnV0LXJhbmRvbQ==",
            "SECRET_KEY": "your-secret-key-change-in-production",
            "WEBHOOK_SECRET": "Xk3-too-short",
            "AWS_SECRET_NAME": "prod/tradingbot",
        }
    )
    named = {problem.split()[0].rstrip(":") for problem in problems}
    assert named >= {
        "DATABASE_URL",
        "DEBUG",
        "LOG_LEVEL",
        "GATEWAY_ADDRESS",
        "ENCRYPTION_KEY",
        "SECRET_KEY",
        "WEBHOOK_SECRET",
        "AWS_SECRET_NAME",
    }


def test_problems_hold_no_secret() -> None:
    canary = "canary-Zq81Lm"
    problems = _problems(
        {
            "ENCRYPTION_KEY": canary,
            "SECRET_KEY": canary,
            "WEBHOOK_SECRET": canary,
            "DATABASE_URL": f"x://{canary}",
        }
    )
    assert len(problems) == 4
    assert canary not in "\n".join(problems)


@pytest.mark.parametrize("name", ["ENCRYPTION_KEY", "SECRET_KEY", "WEBHOOK_SECRET", "NEXTAUTH_SECRET"])
@pytest.mark.parametrize("production", [True, False])
def test_T20_example_value_stops_the_start(name: str, production: bool) -> None:
    given = _production() if production else {}
    problems = _problems(given | {name: "change-me-in-production-secret-key"})
    assert problems == [f"{name} is a well-known example value"]


def test_retired_signing_keys_are_checked_each_and_go_to_the_gateway_alone(home: Home) -> None:
    former = f"{new_token()},{new_token()}"
    settings = read_settings(_production(SECRET_KEYS_RETIRED=former), web=False)
    assert all_secrets(settings, home)["SECRET_KEYS_RETIRED"] == Secret(former)
    problems = _problems(_production(SECRET_KEYS_RETIRED=f"{new_token()},canary"))
    assert problems == ["SECRET_KEYS_RETIRED holds a key that is shorter than 32 characters"]


def test_secret_too_long_for_a_pipe_is_refused() -> None:
    assert _problems({"SECRET_KEY": "aZ4-" * 1_025}) == ["SECRET_KEY is longer than 4096 bytes"]


@pytest.mark.parametrize(
    "url",
    ["mysql://a:b@c/d", "postgresql://c", "postgresql://c/", "postgresql:///d", "postgresql://c:x/d", "c/d"],
)
def test_url_of_no_database_is_refused(url: str) -> None:
    problems = _problems(_production(DATABASE_URL=url))
    assert problems == ["DATABASE_URL must be postgresql://user:password@host:port/database"]


def test_port_zero_takes_a_free_one() -> None:
    settings = read_settings({"GATEWAY_ADDRESS": "127.0.0.1:0"}, web=False)
    assert not settings.addresses["gateway"].endswith(":0")
    assert settings.public_url == f"http://{settings.addresses['gateway']}"


def test_server_on_every_address_is_reached_by_loopback() -> None:
    settings = read_settings({"GATEWAY_ADDRESS": "0.0.0.0:8001", "PAPER_ADDRESS": "[::]:9001"}, web=False)
    assert (settings.public_url, settings.paper_url) == ("http://127.0.0.1:8001", "http://[::1]:9001")
    assert settings.runs_paper


def test_named_paper_exchange_is_not_started() -> None:
    assert not read_settings({"PAPER_BASE_URL": "http://10.0.0.7:9001"}, web=False).runs_paper


def test_unset_secrets_are_made_once_and_given_ones_are_not_stored(home: Home) -> None:
    key = new_encryption_key()
    settings = read_settings({"ENCRYPTION_KEY": key}, web=True)
    first, second = all_secrets(settings, home), all_secrets(settings, home)
    assert first == second
    assert first["ENCRYPTION_KEY"] == Secret(key)
    assert {path.name for path in (home.root / "secrets").iterdir()} == {"SECRET_KEY", "NEXTAUTH_SECRET"}


def test_nothing_is_made_in_production(home: Home) -> None:
    assert set(all_secrets(read_settings(_production(), web=False), home)) == {"ENCRYPTION_KEY", "SECRET_KEY"}
    assert not (home.root / "secrets").exists()


def test_damaged_stored_secrets_are_named_together(home: Home) -> None:
    for name, value in {"ENCRYPTION_KEY": "c2hvcnQ=", "SECRET_KEY": ""}.items():
        (home.folder("secrets") / name).write_text(value)
    with pytest.raises(ConfigurationError) as raised:
        all_secrets(read_settings({}, web=False), home)
    assert len(raised.value.problems) == 2


def test_stored_retired_keys_are_used(home: Home) -> None:
    retired = new_encryption_key()
    (home.folder("secrets") / "ENCRYPTION_KEYS_RETIRED").write_text(retired)
    assert all_secrets(read_settings({}, web=False), home)["ENCRYPTION_KEYS_RETIRED"] == Secret(retired)


def test_T10_each_process_gets_its_own_secrets_and_none_in_its_environment(home: Home) -> None:
    given = {name: new_token() for name in ("WEBHOOK_SECRET", "SECRET_KEYS_RETIRED")}
    variables = {**given, "AWS_SECRET_ACCESS_KEY": "canary-aws", "PATH": "/bin"}
    settings = read_settings(variables, web=True)
    secrets = all_secrets(settings, home)
    names = {}
    for service in SERVICES:
        own = service_settings(
            service,
            settings,
            database_url=Secret(f"postgresql://{service}:canary-pw@x/y"),
            tls=TLS,
            secrets=secrets,
        )
        values = " ".join(own.variables.values())
        assert "canary" not in values
        assert not any(secret.reveal() in values for secret in secrets.values())
        names[service] = set(own.secrets)
    assert names == {
        "vault": {"DATABASE_URL", "ENCRYPTION_KEY"},
        "execution": {"DATABASE_URL"},
        "strategy": {"DATABASE_URL"},
        "gateway": {"DATABASE_URL", "SECRET_KEY", "SECRET_KEYS_RETIRED", "WEBHOOK_SECRET"},
    }


def test_each_process_knows_those_it_calls_only(home: Home) -> None:
    settings = read_settings({"BINANCE_BASE_URL": "https://fapi.example.com"}, web=False)
    told = {
        service: service_settings(service, settings, database_url=Secret("x"), tls=TLS, secrets={}).variables
        for service in SERVICES
    }
    calls = {
        s: {n for n in told[s] if n.endswith("_ADDRESS")} - {"LISTEN_ADDRESS", "ADMIN_ADDRESS"} for s in told
    }
    assert calls == {
        "vault": set(),
        "execution": {"VAULT_ADDRESS"},
        "strategy": set(),
        "gateway": {"VAULT_ADDRESS", "EXECUTION_ADDRESS", "STRATEGY_ADDRESS"},
    }
    assert [s for s in told if "BINANCE_BASE_URL" in told[s]] == ["execution"]


def test_role_url_keeps_everything_but_the_login() -> None:
    admin = Secret("postgresql://admin:p%40ss@[::1]:5433/trading?sslmode=require")
    url = role_url(admin, role="tradingbot_vault", password=Secret("a/b@c"))
    assert url.reveal() == "postgresql://tradingbot_vault:a%2Fb%40c@[::1]:5433/trading?sslmode=require"
