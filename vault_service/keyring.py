"""The key-encryption keys: one that wraps, and retired ones that still unwrap."""

import base64
import binascii
import hashlib
from collections.abc import Iterable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tradekit.service.secret import Secret

KEY_BYTES = 32
KEY_ID_BYTES = 8

# 32 random bytes hold about 30 different values; fewer than 16 comes up less than once in 10^13 keys.
_FEWEST_DIFFERENT_BYTES = 16
# Domain of the hash, so that a key id is no use as the hash of the key for anything else.
_KEY_ID_DOMAIN = b"tradingbot.vault.key-id.v1\x00"
# Printed in the documents of other projects and copied into real systems ever since.
_PUBLISHED = frozenset(
    {
        "46BKJoQYlPPOexq0OhDZnIlNepKFf87WFwLbfzqDDho=",  # Airflow's Fernet example
        "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=",  # Airflow's compose file
        "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=",  # the test vectors of Fernet's specification
    }
)


class KeyUnusable(ValueError):
    """A key-encryption key has the wrong form or is publicly known; the message does not hold it."""


class KeyMissing(Exception):
    """Stored records need keys that the keyring does not have; the message names key ids, never keys."""

    def __init__(self, *, needed: Iterable[str], present: Iterable[str]) -> None:
        self.needed = sorted(needed)
        super().__init__(
            f"stored accounts need the key-encryption key {', '.join(self.needed)}; present: "
            f"{', '.join(present)}. Set ENCRYPTION_KEY or ENCRYPTION_KEYS_RETIRED to the key they need."
        )


class KeyEncryptionKey:
    """One AES-256 key and its id.

    The id is the start of a hash of the key: it tells which key a record needs, and it is the check value
    that a wrong key cannot have.
    """

    def __init__(self, key: bytes) -> None:
        self.id = hashlib.sha256(_KEY_ID_DOMAIN + key).digest()[:KEY_ID_BYTES].hex()
        self.cipher = AESGCM(key)

    def __repr__(self) -> str:
        return f"KeyEncryptionKey({self.id})"


class Keyring:
    """The current key and the retired ones.

    Args:
        current: Wraps and unwraps.
        retired: Only unwrap, until `tradingbot vault rotate-keys` has re-wrapped everything.
    """

    def __init__(self, current: KeyEncryptionKey, retired: Iterable[KeyEncryptionKey] = ()) -> None:
        self.current = current
        self._keys = {key.id: key for key in (*retired, current)}

    @classmethod
    def from_settings(cls, current: Secret, retired: Secret | None = None) -> "Keyring":
        """Reads ENCRYPTION_KEY and ENCRYPTION_KEYS_RETIRED (a comma list).

        Raises:
            KeyUnusable: One of them is not 32 random bytes in urlsafe base64.
        """
        others = retired.reveal().split(",") if retired else []
        return cls(read_key(current), [read_key(Secret(other.strip())) for other in others if other.strip()])

    @property
    def ids(self) -> list[str]:
        """The ids of all keys, the current one last."""
        return list(self._keys)

    def get(self, key_id: str) -> KeyEncryptionKey | None:
        """The key with this id."""
        return self._keys.get(key_id)

    def require(self, needed: Iterable[str]) -> None:
        """Checks that every key in `needed` is here.

        Raises:
            KeyMissing: One is not.
        """
        missing = set(needed) - self._keys.keys()
        if missing:
            raise KeyMissing(needed=missing, present=self._keys)


def read_key(text: Secret) -> KeyEncryptionKey:
    """Reads a key-encryption key: 32 random bytes in urlsafe base64, padding optional.

    Raises:
        KeyUnusable: It has another form, or is no random key.
    """
    value = text.reveal()
    try:
        key = base64.b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise KeyUnusable("is not urlsafe base64") from None
    if len(key) != KEY_BYTES:
        raise KeyUnusable(f"holds {len(key)} bytes, {KEY_BYTES} are wanted")
    if value in _PUBLISHED or key.isascii() or len(set(key)) < _FEWEST_DIFFERENT_BYTES:
        raise KeyUnusable("is a published or guessable value; make one of 32 random bytes")
    return KeyEncryptionKey(key)
