"""Envelope encryption: what opens, and everything that must not."""

import dataclasses
import itertools
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vault_service.conftest import API_KEY, API_SECRET, PASSPHRASE, make_key
from tradekit.service.secret import Secret
from vault_service.cipher import (
    ApiCredentials,
    RecordContext,
    SealedCredentials,
    decrypt_api_credentials,
    encrypt_api_credentials,
    rewrap_data_key,
)
from vault_service.errors import DecryptionFailed
from vault_service.keyring import Keyring, read_key

KEYRING = Keyring(read_key(make_key()))
CONTEXT = RecordContext(
    account_id=uuid.UUID(int=1),
    user_id=uuid.UUID(int=2),
    exchange="okx",
    environment="testnet",
    is_active=True,
    version=1,
)
CREDENTIALS = ApiCredentials(Secret(API_KEY), Secret(API_SECRET), Secret(PASSPHRASE))
FIELDS = [field.name for field in dataclasses.fields(SealedCredentials)]


def seal(context: RecordContext = CONTEXT) -> SealedCredentials:
    return encrypt_api_credentials(CREDENTIALS, context, KEYRING)


def test_sealed_credentials_open_again() -> None:
    assert decrypt_api_credentials(seal(), CONTEXT, KEYRING) == CREDENTIALS


def test_passphrase_may_be_absent() -> None:
    credentials = ApiCredentials(Secret("key"), Secret("secret"))

    sealed = encrypt_api_credentials(credentials, CONTEXT, KEYRING)

    assert sealed.passphrase is None
    assert decrypt_api_credentials(sealed, CONTEXT, KEYRING) == credentials


def test_sealing_twice_gives_nothing_in_common() -> None:
    """A data key and a nonce of its own for each record and field."""
    first, second = seal(), seal()

    assert all(getattr(first, field)[9:] != getattr(second, field)[9:] for field in FIELDS)


@pytest.mark.parametrize("field", FIELDS)
def test_T02_every_flipped_byte_is_refused(field: str) -> None:
    sealed = seal()
    blob = getattr(sealed, field)

    for position in range(len(blob)):
        changed = bytearray(blob)
        changed[position] ^= 0x01
        with pytest.raises(DecryptionFailed, match=r"^Decryption failed$"):
            decrypt_api_credentials(dataclasses.replace(sealed, **{field: bytes(changed)}), CONTEXT, KEYRING)


@pytest.mark.parametrize("field", FIELDS)
def test_T02_every_cut_or_longer_blob_is_refused(field: str) -> None:
    sealed = seal()
    blob = getattr(sealed, field)

    for changed in (*(blob[:length] for length in range(len(blob))), blob + b"\x00"):
        with pytest.raises(DecryptionFailed):
            decrypt_api_credentials(dataclasses.replace(sealed, **{field: changed}), CONTEXT, KEYRING)


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(FIELDS, 2)))
def test_T02_field_in_the_place_of_another_is_refused(one: str, other: str) -> None:
    sealed = seal()
    swapped = dataclasses.replace(sealed, **{one: getattr(sealed, other)})

    with pytest.raises(DecryptionFailed):
        decrypt_api_credentials(swapped, CONTEXT, KEYRING)


@pytest.mark.parametrize(
    "fields", [("data_key",), ("api_key",), ("api_secret",), ("passphrase",), tuple(FIELDS)]
)
def test_T02_blobs_of_another_record_are_refused(fields: tuple[str, ...]) -> None:
    """One field, or all of them together, moved from one account of a user to another."""
    other = seal(dataclasses.replace(CONTEXT, account_id=uuid.UUID(int=9)))
    moved: dict[str, Any] = {field: getattr(other, field) for field in fields}

    with pytest.raises(DecryptionFailed):
        decrypt_api_credentials(dataclasses.replace(seal(), **moved), CONTEXT, KEYRING)


@pytest.mark.parametrize(
    "change",
    [
        {"account_id": uuid.UUID(int=9)},
        {"user_id": uuid.UUID(int=9)},
        {"exchange": "binance"},
        {"environment": "live"},
        {"is_active": False},
        {"version": 2},
    ],
)
def test_T02_record_whose_columns_were_changed_is_refused(change: dict[str, Any]) -> None:
    """Neither the owner nor testnet to live nor inactive to active can be changed in the database."""
    with pytest.raises(DecryptionFailed):
        decrypt_api_credentials(seal(), dataclasses.replace(CONTEXT, **change), KEYRING)


def test_other_key_is_refused() -> None:
    with pytest.raises(DecryptionFailed):
        decrypt_api_credentials(seal(), CONTEXT, Keyring(read_key(make_key())))


def test_retired_key_opens_until_the_record_is_rewrapped() -> None:
    sealed = seal()
    fresh = read_key(make_key())
    both = Keyring(fresh, [KEYRING.current])

    assert decrypt_api_credentials(sealed, CONTEXT, both) == CREDENTIALS
    rewrapped = dataclasses.replace(sealed, data_key=rewrap_data_key(sealed.data_key, CONTEXT, both))

    assert decrypt_api_credentials(rewrapped, CONTEXT, Keyring(fresh)) == CREDENTIALS
    with pytest.raises(DecryptionFailed):
        decrypt_api_credentials(rewrapped, CONTEXT, KEYRING)


@given(secret=st.text(min_size=1, max_size=300))
def test_any_secret_survives(secret: str) -> None:
    credentials = ApiCredentials(Secret("key"), Secret(secret))

    sealed = encrypt_api_credentials(credentials, CONTEXT, KEYRING)

    assert decrypt_api_credentials(sealed, CONTEXT, KEYRING).api_secret.reveal() == secret


def test_nothing_shows_a_secret() -> None:
    shown = f"{CREDENTIALS!r} {CREDENTIALS} {seal()!r}"

    assert "canary" not in shown
