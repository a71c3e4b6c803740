"""Settings: all problems at once, no example values in production, no secret in a message."""

import os
import socket
from pathlib import Path

import pytest

from gateway.config import Settings, parse_base_url, read_settings
from tradekit.service.config import ConfigurationError, Environment

GOOD = {
    "DATABASE_URL": "postgresql://tradingbot_gateway:canary@127.0.0.1/tradingbot",
    "TLS_CA_FILE": "ca.crt",
    "TLS_CERT_FILE": "gateway.crt",
    "TLS_KEY_FILE": "gateway.key",
    "SECRET_KEY": "Uz5-qvYIIy8WJbQ0mH1lX9sRk3T7dNpA",
}


def _read(**variables: str) -> Settings:
    return read_settings(Environment(GOOD | variables))


def test_defaults() -> None:
    settings = _read()

    assert settings.production
    assert (settings.listen_address, settings.admin_address) == ("127.0.0.1:8001", "127.0.0.1:50060")
    assert settings.public_url == "http://127.0.0.1:8001"
    assert settings.webhook_secret is None
    assert settings.webhook_allowlist == settings.cors_origins == settings.trusted_proxies == ()


def test_secrets_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file-Uz5-qvYIIy8WJbQ0mH1lX9sRk3T7dNpA\n")

    settings = read_settings(
        Environment({**GOOD, "SECRET_KEY": "", "SECRET_KEY_FILE": str(tmp_path / "key")})
    )

    assert settings.secret_key.reveal().startswith("from-a-file")


def test_every_problem_at_once_and_no_value() -> None:
    with pytest.raises(ConfigurationError) as caught:
        _read(
            SECRET_KEY="canary",
            TRUSTED_PROXIES="canary",
            WEBHOOK_IP_ALLOWLIST="tradingview, canary",
            PUBLIC_URL="ftp://canary",
            CORS_ORIGINS="*",
            DEPLOYMENT="staging",
            DATABASE_URL="",
        )

    names = [problem.split()[0] for problem in caught.value.problems]
    assert set(names) == {
        "SECRET_KEY",
        "TRUSTED_PROXIES",
        "WEBHOOK_IP_ALLOWLIST",
        "PUBLIC_URL",
        "CORS_ORIGINS",
        "DEPLOYMENT",
        "DATABASE_URL",
    }
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "your-secret-key-your-secret-key-your-secret-key"),
        ("SECRET_KEY", "changeme-changeme-changeme-changeme"),
        ("SECRET_KEY", "a" * 64),
        ("SECRET_KEYS_RETIRED", f"{GOOD['SECRET_KEY']}-2,your-secret-key-your-secret-key-your-secret-key"),
        ("WEBHOOK_SECRET", "your_secret_here_1234"),
        ("WEBHOOK_SECRET", "too short"),
    ],
)
def test_T20_published_values_stop_production(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _read(**{name: value})

    assert name in str(caught.value)
    assert value not in str(caught.value)
    _read(**{name: value, "DEPLOYMENT": "local"})


@pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEYS_RETIRED", "WEBHOOK_SECRET"])
@pytest.mark.parametrize("word", ["example", "changeme", "insecure", "your-secret"])
def test_T20_a_random_value_is_accepted_whatever_words_chance_puts_into_it(name: str, word: str) -> None:
    value = f"k3Vx{word}8Jq-Zr20wLmYtPb6Hs_dGfNcXaEu"
    assert _read(**{name: value})


def test_retired_keys_are_a_list() -> None:
    first, second = "f" * 31 + "1-Uz5-qvYIIy8", "g" * 31 + "2-Uz5-qvYIIy8"

    retired = _read(SECRET_KEYS_RETIRED=f" {first}, {second},").secret_keys_retired

    assert [key.reveal() for key in retired] == [first, second]
    assert _read().secret_keys_retired == ()


def test_short_retired_key_stops_every_start() -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEYS_RETIRED must be at least 32 bytes"):
        _read(SECRET_KEYS_RETIRED=f"{GOOD['SECRET_KEY']},canary", DEPLOYMENT="local")


def test_short_key_stops_every_start() -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEY must be at least 32 bytes"):
        _read(SECRET_KEY="x" * 31, DEPLOYMENT="local")


@pytest.mark.parametrize("text", ["", "/x", "bot.example.com", "http://", "http://u:p@h", "http://h/?q", "*"])
def test_no_base_url(text: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        parse_base_url(text)


def test_listening_socket_of_the_parent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert _read(LISTEN_FD=str(server.fileno())).listen_descriptor == server.fileno()
        assert server.getsockname()  # still open


def test_LISTEN_FD_that_is_no_listening_socket() -> None:
    with socket.socket() as silent, open(os.devnull) as file:
        for text in (str(silent.fileno()), str(file.fileno()), "9999", "-1", "99999999999999", "x"):
            with pytest.raises(ConfigurationError, match="LISTEN_FD must be"):
                _read(LISTEN_FD=text)


def test_settings_do_not_show_secrets() -> None:
    settings = _read(WEBHOOK_SECRET="canary-operator-secret")

    assert "canary" not in repr(settings)
    assert GOOD["SECRET_KEY"] not in repr(settings)
