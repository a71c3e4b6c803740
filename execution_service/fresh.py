"""A value that is asked for again when it is too old; one question at a time, whoever waits."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from tradekit.service.clock import Clock

T = TypeVar("T")


class Fresh(Generic[T]):
    """Keeps the newest answer to a question.

    Args:
        ask: Gets the value.
        clock: What time it is.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = asyncio.Lock()
        self._newest: tuple[T, datetime] | None = None
        # Counts what made an answer that is still under way old.
        self._changes = 0

    async def get(self, max_age: timedelta) -> T:
        """The value, at most `max_age` old; what `ask` raises goes to the caller."""
        value = self.peek(max_age)
        if value is not None:
            return value
        async with self._lock:
            value = self.peek(max_age)
            return value if value is not None else await self._renew()

    async def renew(self) -> T:
        """The value, asked for now."""
        async with self._lock:
            return await self._renew()

    def peek(self, max_age: timedelta) -> T | None:
        """The value if it is at most `max_age` old."""
        if self._newest is None or self._clock.now() - self._newest[1] > max_age:
            return None
        return self._newest[0]

    def put(self, value: T) -> None:
        """The value is known to be this now."""
        self._changes += 1
        self._newest = (value, self._clock.now())

    def expire(self) -> None:
        """The value is known to have changed; an answer that is still under way may be from before."""
        self._changes += 1
        self._newest = None

    async def _renew(self) -> T:
        asked, changes = self._clock.now(), self._changes
        value = await self._ask()
        if changes == self._changes:
            # As old as the question: it may have changed while the answer came.
            self._newest = (value, asked)
        return value
