"""A clock that stands still until it is told how much time has passed."""

from datetime import UTC, datetime, timedelta


class StillClock:
    """Time passes by hand only."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def pass_time(self, span: timedelta) -> None:
        self._now += span
