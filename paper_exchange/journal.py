"""What requests came in, for the referee: the last ten thousand."""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request and how it ended; `status` 0: a fault kept it from being executed and answered."""

    time: int
    method: str
    path: str
    account_id: int | None
    status: int
    code: int | None
    fault: str | None


class Journal:
    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=_KEPT)

    def add(self, record: RequestRecord) -> None:
        self._records.append(record)

    def clear(self) -> None:
        self._records.clear()

    def listing(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return [asdict(record) for record in self._records]
