"""Listen keys: what opens an account's user stream. One per account, for an hour from its last extension."""

import secrets
from dataclasses import dataclass
from enum import Enum, auto

VALIDITY_MS = 3_600_000


class KeyState(Enum):
    """What became of a key that was once valid."""

    ALIVE = auto()
    EXPIRED = auto()
    CLOSED = auto()


@dataclass(slots=True)
class _ListenKey:
    key: str
    expires_ms: int


class ListenKeys:
    """The listen keys of all accounts; a restart forgets them, as a cut connection does."""

    def __init__(self) -> None:
        self._of_account: dict[int, _ListenKey] = {}

    def open(self, account_id: int, now_ms: int) -> str:
        """The account's key, extended; a new one when there is none alive."""
        known = self.extend(account_id, now_ms)
        if known is not None:
            return known
        key = _ListenKey(secrets.token_hex(32), now_ms + VALIDITY_MS)
        self._of_account[account_id] = key
        return key.key

    def extend(self, account_id: int, now_ms: int) -> str | None:
        """Extends the account's key; None when there is none alive."""
        known = self._of_account.get(account_id)
        if known is None or known.expires_ms <= now_ms:
            return None
        known.expires_ms = now_ms + VALIDITY_MS
        return known.key

    def close(self, account_id: int) -> None:
        self._of_account.pop(account_id, None)

    def account_of(self, key: str, now_ms: int) -> int | None:
        """Whose stream this key opens."""
        for account_id, known in self._of_account.items():
            if secrets.compare_digest(known.key, key) and known.expires_ms > now_ms:
                return account_id
        return None

    def state(self, account_id: int, key: str, now_ms: int) -> KeyState:
        """What became of a key that this account had."""
        known = self._of_account.get(account_id)
        if known is None or known.key != key:
            return KeyState.CLOSED
        return KeyState.ALIVE if known.expires_ms > now_ms else KeyState.EXPIRED
