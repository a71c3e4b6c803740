"""Orders of ours that the exchange must tell by its stream: a stream is alive when it tells them.

A connection can be open, answer pings, and tell nothing. What it must tell is known: every order that the
exchange has accepted from us.
"""

import asyncio
from collections import OrderedDict

# How long the exchange may take to tell an order that it has accepted.
PATIENCE_S = 5.0
# Orders that are told before they are answered are remembered; more than this are not under way at once.
REMEMBERED = 1000


class Echoes:
    """The orders of one account that are expected."""

    def __init__(self) -> None:
        self._listening = False
        self._expected: dict[str, float] = {}
        self._told: OrderedDict[str, None] = OrderedDict()

    def begin(self) -> None:
        """A stream tells from now on."""
        self._forget()
        self._listening = True

    def end(self) -> None:
        """No stream tells any more: nothing is expected."""
        self._forget()
        self._listening = False

    def expect(self, client_order_id: str) -> None:
        """The exchange has accepted this order of ours."""
        if self._listening and client_order_id not in self._told:
            self._expected[client_order_id] = _now() + PATIENCE_S

    def told(self, client_order_id: str) -> None:
        """The stream has told something of this order."""
        self._expected.pop(client_order_id, None)
        self._told[client_order_id] = None
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    @property
    def overdue(self) -> bool:
        """Whether an order was not told in time."""
        return any(until < _now() for until in self._expected.values())

    def _forget(self) -> None:
        self._expected.clear()
        self._told.clear()


def _now() -> float:
    return asyncio.get_running_loop().time()
