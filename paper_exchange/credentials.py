"""API keys. A secret is derived from the exchange's master key and never stored.

Secret = HMAC-SHA256(master key, purpose + API key): the exchange can always compute it, the state folder
holds only the master key (mode 0600).
"""

import hmac
import os
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from paper_exchange.accounts import Venue

_FILE_NAME = "master.key"
_KEY_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_BINANCE_KEY_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client needs; `passphrase` is empty where the protocol has none."""

    api_key: str
    api_secret: str = field(repr=False)
    passphrase: str = field(repr=False)


class Credentialing:
    """Makes keys and knows their secrets."""

    def __init__(self, master_key: bytes) -> None:
        self._master_key = master_key

    def issue(self, venue: Venue) -> Credentials:
        """A new key in the shape this venue's keys have."""
        if venue is Venue.OKX:
            text = secrets.token_hex(16)
            api_key = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
            return Credentials(api_key, self.secret_of(api_key), self.passphrase_of(api_key))
        api_key = "".join(secrets.choice(_KEY_CHARACTERS) for _ in range(_BINANCE_KEY_LENGTH))
        return Credentials(api_key, self.secret_of(api_key), "")

    def secret_of(self, api_key: str) -> str:
        return self._derive("secret", api_key)

    def passphrase_of(self, api_key: str) -> str:
        return self._derive("passphrase", api_key)[:24]

    def _derive(self, purpose: str, api_key: str) -> str:
        return hmac.new(self._master_key, f"{purpose}:{api_key}".encode(), sha256).hexdigest()


def master_key(folder: Path | None) -> bytes:
    """The master key of a state folder, made once; a passing one when nothing is kept."""
    if folder is None:
        return secrets.token_bytes(32)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / _FILE_NAME
    if not file.exists():
        _write_once(file, secrets.token_bytes(32))
    return file.read_bytes()


def _write_once(file: Path, content: bytes) -> None:
    """Writes a private file so that it is complete or absent, whenever the process dies."""
    draft = file.with_suffix(f".{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    draft.rename(file)
