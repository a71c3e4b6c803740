"""The open user streams of both protocols, so that control can cut them and keep them cut."""

from collections.abc import Callable

Close = Callable[[], None]


class UserConnections:
    """Which connections carry which account's user stream.

    A protocol's edge adds a connection as soon as it knows whose it is, removes it when it ends, and refuses
    a new one while `is_blocked`.
    """

    def __init__(self) -> None:
        self._open: dict[object, tuple[int, Close]] = {}
        self._blocked_until_ms: dict[int | None, int] = {}

    def add(self, connection: object, account_id: int, close: Close) -> None:
        """`close` cuts the connection at once, without a word; it may be called from any task."""
        self._open[connection] = (account_id, close)

    def remove(self, connection: object) -> None:
        self._open.pop(connection, None)

    def count(self, account_id: int | None = None) -> int:
        return sum(account_id in (None, whose) for whose, _ in self._open.values())

    def drop(self, account_id: int | None, *, block_ms: int, now_ms: int) -> int:
        """Cuts an account's user streams, or all, and blocks new ones for so long; returns how many."""
        self._blocked_until_ms[account_id] = now_ms + block_ms
        cut = [entry for entry in self._open.items() if account_id in (None, entry[1][0])]
        for connection, (_, close) in cut:
            self.remove(connection)
            close()
        return len(cut)

    def is_blocked(self, account_id: int, now_ms: int) -> bool:
        """Whether control keeps this account's user streams cut."""
        return any(self._blocked_until_ms.get(whose, 0) > now_ms for whose in (None, account_id))

    def unblock(self) -> None:
        self._blocked_until_ms.clear()
