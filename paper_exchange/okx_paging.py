"""How OKX pages lists: newest first; `after`, `before` are ids, `begin` and `end` times, `limit` to 100."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from paper_exchange.okx_fields import Fields

T = TypeVar("T")


def page(
    items: Iterable[T],
    fields: Fields,
    *,
    id_of: Callable[[T], int],
    time_of: Callable[[T], int],
    since_ms: int = 0,
) -> list[T]:
    """The part of a list that a request asks for.

    Args:
        since_ms: What is older is not found any more.
    """
    after, before = fields.integer("after"), fields.integer("before")
    begin, end = fields.integer("begin"), fields.integer("end")
    chosen = [
        item
        for item in items
        if time_of(item) >= max(since_ms, begin or 0)
        and (end is None or time_of(item) <= end)
        and (after is None or id_of(item) < after)
        and (before is None or id_of(item) > before)
    ]
    chosen.sort(key=id_of, reverse=True)
    limit = fields.limit()
    # With `before` alone the rows nearest to it are wanted, still newest first.
    return chosen[-limit:] if before is not None and after is None else chosen[:limit]
