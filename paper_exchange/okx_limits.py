"""OKX's request limits: so many per 2 s and endpoint, of an address, an account, or it and an instrument.

Above one of them a request is answered 50011 with HTTP 429; there are no headers that tell what is used. All
new and amended orders of an account together: 1,000 per 2 s, above it 50061.
"""

from dataclasses import dataclass
from enum import Enum, auto

from paper_exchange.okx_errors import OkxError

WINDOW_MS = 2000
ORDERS_OF_ACCOUNT = 1000


class Scope(Enum):
    """Whose requests are counted together."""

    ADDRESS = auto()
    ACCOUNT = auto()
    INSTRUMENT = auto()


@dataclass(frozen=True, slots=True)
class Limit:
    """`count` in 2 s; what has the same `name` is counted together."""

    name: str
    count: int
    scope: Scope


class OkxLimits:
    """Counts requests in fixed windows of 2 s."""

    def __init__(self) -> None:
        self._window = -1
        self._used: dict[tuple[str, str], int] = {}

    def clear(self) -> None:
        self._used.clear()

    def use(self, limit: Limit, user: str, number: int, now_ms: int) -> None:
        """Counts requests (in a batch: orders); raises `OkxError` 50011 above the limit."""
        if not self._count(limit.name, user, number, limit.count, now_ms):
            raise OkxError(50011, "Too Many Requests", status=429)

    def use_orders(self, account_id: int, number: int, now_ms: int) -> None:
        """Counts new and amended orders; raises `OkxError` 50061 above the account's limit."""
        if not self._count("all orders", str(account_id), number, ORDERS_OF_ACCOUNT, now_ms):
            raise OkxError(50061)

    def _count(self, name: str, user: str, number: int, allowed: int, now_ms: int) -> bool:
        window = now_ms // WINDOW_MS
        if window != self._window:
            self._window, self._used = window, {}
        used = self._used.get((name, user), 0) + number
        if used > allowed:
            return False
        self._used[name, user] = used
        return True
