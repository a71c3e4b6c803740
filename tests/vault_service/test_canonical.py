"""No two rows of values give the same bytes."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from vault_service.canonical import canonical

rows = st.lists(st.one_of(st.none(), st.text(max_size=6), st.binary(max_size=6)), max_size=5)


def as_bytes(row: list[str | bytes | None]) -> list[bytes | None]:
    return [part.encode() if isinstance(part, str) else part for part in row]


@given(first=rows, second=rows)
def test_different_rows_differ(first: list[str | bytes | None], second: list[str | bytes | None]) -> None:
    assert (canonical(*first) == canonical(*second)) == (as_bytes(first) == as_bytes(second))


@given(first=st.datetimes(timezones=st.just(UTC)), second=st.datetimes(timezones=st.just(UTC)))
def test_instants_differ_to_the_microsecond(first: datetime, second: datetime) -> None:
    assert (canonical(first) == canonical(second)) == (first == second)


def test_absent_is_not_empty() -> None:
    assert canonical(None) != canonical("")
