"""T20: values that everybody knows are refused."""

import secrets

import pytest

from tradekit.service.example_values import is_example


@pytest.mark.parametrize(
    "value",
    [
        "secret",
        "changeme",
        "CHANGE_ME",
        "change-me-in-production",
        "your-secret-key",
        "your-secret-key-here",
        "your_super_secret_jwt_key_change_in_production",
        "your-256-bit-secret",
        "your-webhook-secret",
        "my-32-byte-encryption-key",
        "dev-secret",
        "<generate with openssl rand -hex 32>".replace("openssl rand -hex", "random"),
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        "django-insecure-8h2k1!x",
        "0" * 64,
        "abcabcabcabcabcabcabcabcabcabcabc",
        "1234567890" * 4,
        "",
    ],
)
def test_T20_example_is_refused(value: str) -> None:
    assert is_example(value)


@pytest.mark.parametrize("word", ["example", "changeme", "secret", "insecure", "password"])
def test_a_word_inside_random_characters_is_no_example(word: str) -> None:
    for _ in range(100):
        token = secrets.token_urlsafe(32)
        assert not is_example(f"{token[:20]}{word}{token[20:]}")
