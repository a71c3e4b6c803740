"""Envelope encryption of exchange keys: AES-256-GCM, a data key per record, itself wrapped (see keyring.py).

    data key blob    version 01 | key id (8) | nonce (12) | data key (32) and tag (16)
    field blob       version 01 | nonce (12) | text and tag (16)

A blob opens only in its place: the associated data binds account, user, exchange, environment, whether the
account is active, the record's version, and the field. The header of a blob is bound with it.
"""

import os
import uuid
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tradekit.service.secret import Secret
from vault_service.canonical import canonical
from vault_service.errors import DecryptionFailed
from vault_service.keyring import KEY_BYTES, KEY_ID_BYTES, KeyEncryptionKey, Keyring

BLOB_VERSION = b"\x01"
NONCE_BYTES = 12
_DOMAIN = "tradingbot.vault.record.v1"


@dataclass(frozen=True, slots=True)
class RecordContext:
    """What a record's ciphertexts are bound to.

    Attributes:
        version: Goes up with every change of the record, never back.
    """

    account_id: uuid.UUID
    user_id: uuid.UUID
    exchange: str
    environment: str
    is_active: bool
    version: int

    def associated_data(self, field: str) -> bytes:
        """The bytes that bind a ciphertext to this record and to `field`."""
        return canonical(
            _DOMAIN,
            self.account_id,
            self.user_id,
            self.exchange,
            self.environment,
            self.is_active,
            self.version,
            field,
        )


@dataclass(frozen=True, slots=True)
class ApiCredentials:
    """An exchange account's keys in clear; they never leave this process."""

    api_key: Secret
    api_secret: Secret
    passphrase: Secret | None = None


@dataclass(frozen=True, slots=True)
class SealedCredentials:
    """An exchange account's keys as they are stored."""

    data_key: bytes
    api_key: bytes
    api_secret: bytes
    passphrase: bytes | None


def encrypt_api_credentials(
    credentials: ApiCredentials, context: RecordContext, keyring: Keyring
) -> SealedCredentials:
    """Seals an account's keys under a new data key, wrapped by the current key-encryption key."""
    key = os.urandom(KEY_BYTES)
    data_key = AESGCM(key)

    def seal(field: str, secret: Secret) -> bytes:
        return encrypt(secret.reveal().encode(), key=data_key, associated_data=context.associated_data(field))

    return SealedCredentials(
        data_key=_wrap(key, context, keyring.current),
        api_key=seal("api_key", credentials.api_key),
        api_secret=seal("api_secret", credentials.api_secret),
        passphrase=seal("passphrase", credentials.passphrase) if credentials.passphrase else None,
    )


def decrypt_api_credentials(
    sealed: SealedCredentials, context: RecordContext, keyring: Keyring
) -> ApiCredentials:
    """Opens an account's keys.

    Raises:
        DecryptionFailed: Any part was changed, moved, or needs a key that is not in the keyring.
    """
    data_key = AESGCM(_unwrap(sealed.data_key, context, keyring))

    def opened(field: str, blob: bytes) -> Secret:
        text = decrypt(blob, key=data_key, associated_data=context.associated_data(field))
        return Secret(text.decode())

    return ApiCredentials(
        api_key=opened("api_key", sealed.api_key),
        api_secret=opened("api_secret", sealed.api_secret),
        passphrase=opened("passphrase", sealed.passphrase) if sealed.passphrase is not None else None,
    )


def rewrap_data_key(blob: bytes, context: RecordContext, keyring: Keyring) -> bytes:
    """The same data key, wrapped by the current key-encryption key.

    Raises:
        DecryptionFailed: The blob does not open.
    """
    return _wrap(_unwrap(blob, context, keyring), context, keyring.current)


def encrypt(text: bytes, *, key: AESGCM, associated_data: bytes) -> bytes:
    """Seals `text` into a field blob with a fresh random nonce."""
    nonce = os.urandom(NONCE_BYTES)
    return BLOB_VERSION + nonce + key.encrypt(nonce, text, BLOB_VERSION + associated_data)


def decrypt(blob: bytes, *, key: AESGCM, associated_data: bytes) -> bytes:
    """Opens a field blob.

    Raises:
        DecryptionFailed: It was changed, moved, or made with another key.
    """
    return _open(key, blob, header=BLOB_VERSION, associated_data=associated_data)


def _wrap(key: bytes, context: RecordContext, by: KeyEncryptionKey) -> bytes:
    header = BLOB_VERSION + bytes.fromhex(by.id)
    nonce = os.urandom(NONCE_BYTES)
    return header + nonce + by.cipher.encrypt(nonce, key, header + context.associated_data("data_key"))


def _unwrap(blob: bytes, context: RecordContext, keyring: Keyring) -> bytes:
    header = blob[: 1 + KEY_ID_BYTES]
    key = keyring.get(header[1:].hex())
    if key is None or header[:1] != BLOB_VERSION:
        raise DecryptionFailed
    return _open(key.cipher, blob, header=header, associated_data=context.associated_data("data_key"))


def _open(key: AESGCM, blob: bytes, *, header: bytes, associated_data: bytes) -> bytes:
    start = len(header)
    nonce, sealed = blob[start : start + NONCE_BYTES], blob[start + NONCE_BYTES :]
    if not blob.startswith(header) or len(nonce) < NONCE_BYTES:
        raise DecryptionFailed
    try:
        return key.decrypt(nonce, sealed, header + associated_data)
    except InvalidTag:
        raise DecryptionFailed from None
