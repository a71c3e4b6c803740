"""Paging as OKX does it: whoever follows `after` or `before` meets every row once."""

from hypothesis import given
from hypothesis import strategies as st

from paper_exchange.okx_fields import Fields
from paper_exchange.okx_paging import page

IDS = st.lists(st.integers(min_value=1, max_value=10**6), unique=True, max_size=60)
LIMITS = st.integers(min_value=1, max_value=20)


def rows(ids: list[int], since_ms: int = 0, **query: int) -> list[int]:
    fields = Fields({name: str(value) for name, value in query.items()})
    return page(ids, fields, id_of=lambda n: n, time_of=lambda n: n * 10, since_ms=since_ms)


@given(IDS, LIMITS)
def test_after_leads_through_all_rows_from_the_newest(ids: list[int], limit: int) -> None:
    met, got = [], rows(ids, limit=limit)
    while got:
        met += got
        got = rows(ids, limit=limit, after=got[-1])
    assert met == sorted(ids, reverse=True)


@given(IDS, LIMITS)
def test_before_leads_through_all_rows_from_the_oldest(ids: list[int], limit: int) -> None:
    met: list[int] = []
    got = rows(ids, limit=limit, before=0)
    while got:
        assert got == sorted(got, reverse=True)
        met = got + met
        got = rows(ids, limit=limit, before=got[0])
    assert met == sorted(ids, reverse=True)


@given(IDS, st.integers(min_value=0, max_value=10**7), st.integers(min_value=0, max_value=10**7))
def test_times_bound_what_is_found(ids: list[int], begin: int, end: int) -> None:
    assert all(begin <= n * 10 <= end for n in rows(ids, begin=begin, end=end))
    assert all(n * 10 >= begin for n in rows(ids, since_ms=begin))
