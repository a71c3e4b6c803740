"""Text that must not be shown."""

import hmac
from typing import NoReturn


class Secret:
    """Holds a secret and hides it in `repr`, `str`, formatting, logs and pickles.

    Read it with `reveal()`, at the place that needs it and nowhere else.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def matches(self, candidate: str) -> bool:
        """Whether `candidate` is the secret; takes the same time wherever they differ."""
        return hmac.compare_digest(_bytes(self._value), _bytes(candidate))

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __format__(self, spec: str) -> str:
        return "…"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret does not leave its process")


def _bytes(text: str) -> bytes:
    # JSON can spell half of a surrogate pair: no secret of ours, and no error either.
    return text.encode("utf-8", "surrogatepass")
