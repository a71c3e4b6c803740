"""The keys that sign access tokens: one that signs, and former ones whose tokens are still accepted."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from tradekit.service.secret import Secret

ID_BYTES = 8
# Domain of the hash, so that a key's id is no use as the hash of the key for anything else.
_ID_DOMAIN = b"tradingbot.gateway.key-id.v1\0"
_MARK_DOMAIN = b"password mark\0"
_MARK_BYTES = 12


@dataclass(frozen=True)
class SigningKey:
    """One key.

    Attributes:
        id: Names the key in a token's header (`kid`); the start of a hash of the key.
    """

    secret: Secret
    id: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(_ID_DOMAIN + self.secret.reveal().encode()).digest()
        object.__setattr__(self, "id", digest[:ID_BYTES].hex())

    def password_mark(self, password_hash: str) -> str:
        """Says which password hash it was, and nothing about it."""
        digest = hmac.digest(self.secret.reveal().encode(), _MARK_DOMAIN + password_hash.encode(), "sha256")
        return digest[:_MARK_BYTES].hex()


class SigningKeys:
    """All accepted keys.

    Args:
        current: Signs, and is accepted.
        retired: Is accepted: set them while what they have signed may live on.
    """

    def __init__(self, current: Secret, retired: Sequence[Secret] = ()) -> None:
        self.current = SigningKey(current)
        self._accepted = {key.id: key for key in (*map(SigningKey, retired), self.current)}

    def find(self, key_id: str) -> SigningKey | None:
        """The accepted key of that id."""
        return self._accepted.get(key_id)

    def is_mark_of(self, mark: str, password_hash: str) -> bool:
        """Whether any accepted key made `mark` of this password hash."""
        marks = [key.password_mark(password_hash) for key in self._accepted.values()]
        return any([hmac.compare_digest(mark, own) for own in marks])
