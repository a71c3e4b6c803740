"""The one clock and the one source of ids, both injected."""

import os
import uuid
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        ...


class UtcClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def new_id(clock: Clock) -> uuid.UUID:
    """A UUID of version 7 (RFC 9562): sorts by its time, 74 random bits."""
    milliseconds = (clock.now() - _EPOCH) // timedelta(milliseconds=1)
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return uuid.UUID(int=value)
