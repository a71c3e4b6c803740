"""Values of ENCRYPTION_KEY: 32 random bytes, and none that everybody knows."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.settings import encryption_key_problem, new_encryption_key, new_token
from tradekit.service.example_values import is_example


def _encoded(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode("ascii")


@pytest.mark.parametrize(
    "key",
    [bytes(32), b"\xff" * 32, bytes(range(32)), b"0123456789abcdef" * 2, b"your-32-byte-encryption-key-here"],
)
def test_T20_example_encryption_key_is_refused(key: bytes) -> None:
    assert encryption_key_problem(_encoded(key)) in (
        "is a well-known example value",
        "is a published or guessable value; make one of 32 random bytes",
    )


@given(st.binary(max_size=64).filter(lambda key: len(key) != 32 and len(set(key)) > 8))
def test_encryption_key_of_another_length_is_refused(key: bytes) -> None:
    assert encryption_key_problem(_encoded(key)) == f"holds {len(key)} bytes, 32 are wanted"


@pytest.mark.parametrize("value", ["not base64 at all!", "ключ", "a+b/" + "Q" * 40])
def test_encryption_key_in_another_alphabet_is_refused(value: str) -> None:
    assert encryption_key_problem(value) is not None


def test_what_we_make_is_accepted() -> None:
    for _ in range(500):
        assert encryption_key_problem(new_encryption_key()) is None
        assert not is_example(new_token())
