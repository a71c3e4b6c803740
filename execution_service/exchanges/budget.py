"""How much may be asked of an exchange, and who goes first.

Every request takes a turn. What it costs is counted on the limits that it touches (of our address, of its
account), and it waits while it would go beyond what its importance may take of them: the last part of each
limit is kept for what reduces risk. Counted is from the moment of the turn until the limit's period after
the answer. The exchange counts a request somewhere in between, so that whichever way its periods are cut, no
period of its own can hold more than ours do. What others use at the same address is known from the answers'
headers.
"""

import asyncio
from bisect import insort
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum

from execution_service import metrics
from execution_service.exchanges.errors import RateLimited


class Priority(IntEnum):
    """Who goes first."""

    PROTECTION = 0  # what reduces risk: stops, closes, cancels
    ORDER = 1  # entries, and what a signal on its way must know
    QUESTION = 2  # what is kept warm or watched, and comes again by itself


# Percent of each limit that a request may fill up.
SHARES = {Priority.PROTECTION: 100, Priority.ORDER: 90, Priority.QUESTION: 70}
# Who is sent away comes back after the important ones have.
STAGGER_S = 0.25


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` within `period_s`."""

    count: int
    period_s: float


@dataclass(frozen=True, slots=True)
class Counter:
    """What is counted together: a limit of one user; `user` is empty for a limit of our address."""

    limit: str
    user: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request costs.

    Attributes:
        draws: How much it counts on each counter.
        priority: How important it is.
        told_by: Headers of its answer (lower case) -> the counter whose use they tell.
    """

    draws: tuple[tuple[Counter, int], ...]
    priority: Priority
    told_by: Mapping[str, Counter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tariff:
    """What one exchange allows and what its requests cost.

    Attributes:
        name: The exchange's, for metrics.
        limits: Its limits by name, until the exchange itself tells them.
        cost_of: (method, path, parameters, account id or "") -> the cost.
    """

    name: str
    limits: Mapping[str, Limit]
    cost_of: Callable[[str, str, Mapping[str, str], str], Cost]


class Window:
    """What was used of one counter. Instants are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._under_way = 0
        self._answered: deque[tuple[float, int]] = deque()
        self._counted = 0
        self._of_others, self._of_others_until = 0, 0.0
        self.closed_until = 0.0

    def used(self, now: float, period_s: float) -> int:
        """What the exchange may count in its present period, by us and by others."""
        others = self._of_others if now < self._of_others_until else 0
        return self._own(now, period_s) + others

    def begin(self, amount: int) -> None:
        """A request goes out."""
        self._under_way += amount

    def end(self, amount: int, now: float) -> None:
        """Its answer has come, or it was given up."""
        self._under_way -= amount
        self._counted += amount
        self._answered.append((now, amount))

    def told(self, used: int, now: float, period_s: float) -> None:
        """The exchange says how much is used: what is not ours is others'."""
        self._of_others = max(used - self._own(now, period_s), 0)
        self._of_others_until = now + period_s

    def frees_at(self, now: float, period_s: float) -> float:
        """When some of it becomes free, or may become so."""
        instants = [self._answered[0][0] + period_s] if self._answered else []
        if self._of_others:
            instants.append(self._of_others_until)
        return max(min(instants, default=now + period_s), self.closed_until)

    def _own(self, now: float, period_s: float) -> int:
        while self._answered and self._answered[0][0] + period_s <= now:
            self._counted -= self._answered.popleft()[1]
        return self._under_way + self._counted


@dataclass(slots=True, eq=False)
class _Waiter:
    number: int
    cost: Cost
    admitted: asyncio.Future[None]

    @property
    def rank(self) -> tuple[Priority, int]:
        """The important ones first, then who came first."""
        return self.cost.priority, self.number


class Turn:
    """A request's permission to go out."""

    def __init__(self, budget: "Budget", cost: Cost) -> None:
        self._budget = budget
        self._cost = cost

    def answered(self, headers: Mapping[str, str]) -> None:
        """Takes from the answer's headers what is used."""
        for name, counter in self._cost.told_by.items():
            text = headers.get(name, "")
            if text.isascii() and text.isdecimal() and len(text) < 10:
                self._budget.told(counter, int(text))


class Budget:
    """The limits of one exchange for our address and all accounts that trade through it."""

    def __init__(self, tariff: Tariff) -> None:
        self._name = tariff.name
        self._limits = dict(tariff.limits)
        self._windows: dict[Counter, Window] = {}
        self._waiting: list[_Waiter] = []
        self._arrivals = 0
        self._closed_until = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, cost: Cost, *, patience_s: float) -> AsyncIterator[Turn]:
        """Waits for the request's turn; the request is made, and its answer judged, inside.

        A `RateLimited` that leaves it closes the limits that the request touched for as long as it says.

        Raises:
            RateLimited: Its turn does not come within `patience_s`; nothing was sent.
        """
        await self._come_in(cost, patience_s)
        try:
            yield Turn(self, cost)
        except RateLimited as error:
            for counter, _ in cost.draws:
                self._close(counter, error.retry_after)
            raise
        finally:
            self._leave(cost)

    def set_limits(self, limits: Mapping[str, Limit]) -> None:
        """The exchange has told its limits."""
        self._limits |= limits

    def hold_back(self, wait: timedelta) -> None:
        """Sends nothing at all for `wait`."""
        self._closed_until = max(self._closed_until, _now() + wait.total_seconds())

    def told(self, counter: Counter, used: int) -> None:
        """The exchange says that so much is used."""
        self._window(counter).told(used, _now(), self._limits[counter.limit].period_s)
        self._measure([counter])

    def used(self, counter: Counter) -> int:
        """What the exchange may count of it now."""
        return self._window(counter).used(_now(), self._limits[counter.limit].period_s)

    def _close(self, counter: Counter, wait: timedelta) -> None:
        window = self._window(counter)
        window.closed_until = max(window.closed_until, _now() + wait.total_seconds())

    async def _come_in(self, cost: Cost, patience_s: float) -> None:
        if self._closed_until - _now() > patience_s:
            raise self._too_many("The exchange asked us to wait.", cost)
        if not self._waiting and self._fits(cost):
            self._begin(cost)
            return
        self._arrivals += 1
        waiter = _Waiter(self._arrivals, cost, asyncio.get_running_loop().create_future())
        insort(self._waiting, waiter, key=lambda waiting: waiting.rank)
        self._admit()
        try:
            async with asyncio.timeout(patience_s):
                await waiter.admitted
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiter.admitted.done() and not waiter.admitted.cancelled():
                # It was let in in the very moment in which it left.
                self._leave(cost)
            else:
                self._waiting.remove(waiter)
                self._admit()
            if isinstance(error, TimeoutError):
                raise self._too_many("Too many requests wait for the exchange.", cost) from error
            raise

    def _admit(self) -> None:
        """Lets in who fits, the important first; nobody overtakes on a counter for which one waits."""
        awaited: set[Counter] = set()
        for waiter in list(self._waiting):
            counters = {counter for counter, _ in waiter.cost.draws}
            if counters & awaited or not self._fits(waiter.cost):
                awaited |= counters
                continue
            self._waiting.remove(waiter)
            self._begin(waiter.cost)
            waiter.admitted.set_result(None)
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._waiting:
            soonest = min(self._possible_at(waiter.cost) for waiter in self._waiting)
            # A timer may be early by its resolution.
            self._alarm = asyncio.get_running_loop().call_at(soonest + 0.001, self._admit)

    def _fits(self, cost: Cost) -> bool:
        return _now() >= self._closed_until and all(
            self._has_room(counter, amount, cost.priority) for counter, amount in cost.draws
        )

    def _has_room(self, counter: Counter, amount: int, priority: Priority) -> bool:
        now, limit, window = _now(), self._limits[counter.limit], self._window(counter)
        if now < window.closed_until:
            return False
        used = window.used(now, limit.period_s)
        # What is larger than its share goes when nothing else does.
        return not used or used + amount <= limit.count * SHARES[priority] // 100

    def _possible_at(self, cost: Cost) -> float:
        """When it may fit at the earliest."""
        now = _now()
        full = [
            self._window(counter).frees_at(now, self._limits[counter.limit].period_s)
            for counter, amount in cost.draws
            if not self._has_room(counter, amount, cost.priority)
        ]
        return max([now, self._closed_until, *full])

    def _too_many(self, message: str, cost: Cost) -> RateLimited:
        wait_s = max(self._possible_at(cost) - _now(), STAGGER_S) + STAGGER_S * cost.priority
        metrics.count_refused_turn(self._name, cost.priority.name.lower())
        return RateLimited(message, retry_after=timedelta(seconds=wait_s))

    def _begin(self, cost: Cost) -> None:
        for counter, amount in cost.draws:
            self._window(counter).begin(amount)
        self._measure(counter for counter, _ in cost.draws)

    def _leave(self, cost: Cost) -> None:
        now = _now()
        for counter, amount in cost.draws:
            self._window(counter).end(amount, now)
        if self._waiting:
            self._admit()

    def _measure(self, counters: Iterable[Counter]) -> None:
        for counter in counters:
            if not counter.user:
                ratio = self.used(counter) / self._limits[counter.limit].count
                metrics.set_limit_used(self._name, counter.limit, ratio)

    def _window(self, counter: Counter) -> Window:
        if counter not in self._windows:
            self._windows[counter] = Window()
        return self._windows[counter]


def _now() -> float:
    return asyncio.get_running_loop().time()
