"""One byte string for a row of values, and only for that row: what hashes and associated data are made of."""

import uuid
from datetime import UTC, datetime

Part = str | bytes | int | bool | uuid.UUID | datetime | None

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ABSENT = b"\xff\xff\xff\xff"


def canonical(*parts: Part) -> bytes:
    """Joins values so that no two different rows give the same bytes.

    Each part stands behind its length in four bytes; an absent one is FFFFFFFF and differs from an empty one.
    """
    return b"".join(_framed(part) for part in parts)


def _framed(part: Part) -> bytes:
    if part is None:
        return _ABSENT
    body = _body(part)
    return len(body).to_bytes(4, "big") + body


def _body(part: str | bytes | int | uuid.UUID | datetime) -> bytes:
    match part:
        case bytes():
            return part
        case str():
            return part.encode()
        case uuid.UUID():
            return part.bytes
        case datetime():
            # Whole microseconds, as PostgreSQL stores them: a float would not survive the round trip.
            return str((part - _EPOCH) // _EPOCH.resolution).encode()
        case _:
            return str(int(part)).encode()
