"""Key-encryption keys: form, ids, and no key in any text."""

import base64
import os

import pytest

from tests.vault_service.conftest import make_key
from tradekit.service.secret import Secret
from vault_service.keyring import KeyMissing, Keyring, KeyUnusable, read_key


def encoded(key: bytes) -> Secret:
    return Secret(base64.urlsafe_b64encode(key).decode())


def test_key_is_read_with_and_without_padding() -> None:
    key = os.urandom(32)

    assert read_key(encoded(key)).id == read_key(Secret(encoded(key).reveal().rstrip("="))).id


@pytest.mark.parametrize(
    "value",
    [
        Secret("not base64!"),
        Secret(""),
        encoded(os.urandom(31)),
        encoded(os.urandom(33)),
        Secret(os.urandom(32).hex()),
    ],
)
def test_key_of_another_form_is_refused(value: Secret) -> None:
    with pytest.raises(KeyUnusable):
        read_key(value)


@pytest.mark.parametrize(
    "value",
    [
        encoded(bytes(32)),
        encoded(b"\xff" * 32),
        encoded(b"0123456789abcdef0123456789abcdef"),
        encoded(b"change-me-change-me-change-me-ab"),
        Secret("46BKJoQYlPPOexq0OhDZnIlNepKFf87WFwLbfzqDDho="),
        Secret("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="),
    ],
)
def test_T20_published_and_guessable_keys_are_refused(value: Secret) -> None:
    with pytest.raises(KeyUnusable) as refusal:
        read_key(value)

    assert value.reveal() not in str(refusal.value)


def test_key_ids_differ_and_tell_nothing() -> None:
    key = os.urandom(32)
    first, second = read_key(encoded(key)), read_key(make_key())

    assert first.id != second.id
    assert len(first.id) == 16
    assert first.id not in key.hex()
    assert base64.urlsafe_b64encode(key).decode() not in repr(first)


def test_keyring_reads_retired_keys() -> None:
    current, old, older = make_key(), make_key(), make_key()

    keyring = Keyring.from_settings(current, Secret(f"{old.reveal()}, {older.reveal()},"))

    assert keyring.current.id == read_key(current).id
    assert keyring.ids == [read_key(key).id for key in (old, older, current)]


def test_T11_missing_key_is_named_by_its_id() -> None:
    keyring = Keyring(read_key(make_key()))
    needed = read_key(make_key()).id

    with pytest.raises(KeyMissing) as missing:
        keyring.require([keyring.current.id, needed])

    assert missing.value.needed == [needed]
    assert needed in str(missing.value)
    assert keyring.current.id in str(missing.value)
