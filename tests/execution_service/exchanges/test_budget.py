"""Turns: what is counted, who goes first, and what is kept for what reduces risk."""

import asyncio
from collections import defaultdict
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_service.exchanges.budget import Budget, Cost, Counter, Limit, Priority, Tariff, Window
from execution_service.exchanges.errors import RateLimited

pytestmark = pytest.mark.anyio

PROTECTION, ORDER, QUESTION = Priority.PROTECTION, Priority.ORDER, Priority.QUESTION


def budget(count: int = 10, period_s: float = 0.2) -> Budget:
    def cost_of(*request: object) -> Cost:
        raise AssertionError("these tests name the cost themselves")

    return Budget(Tariff("test", {"weight": Limit(count, period_s), "orders": Limit(2, 0.2)}, cost_of))


def cost(priority: Priority, amount: int = 1, user: str = "") -> Cost:
    counter = Counter("orders", user) if user else Counter("weight")
    return Cost(((counter, amount),), priority, {"x-used": counter})


async def take(budget: Budget, cost: Cost, patience_s: float = 0) -> None:
    async with budget.turn(cost, patience_s=patience_s):
        pass


async def fill(budget: Budget, priority: Priority) -> int:
    """How many requests of one importance get their turn at once."""
    turns = 0
    while True:
        try:
            await take(budget, cost(priority))
        except RateLimited:
            return turns
        turns += 1


REQUESTS = st.lists(
    st.tuples(
        st.floats(0, 3),  # after the one before
        st.floats(0, 3),  # until the exchange counts it
        st.floats(0, 3),  # until its answer is here
        st.integers(1, 4),
    ),
    max_size=60,
)


@given(REQUESTS, st.floats(0, 5))
def test_F27_no_period_of_the_exchange_holds_more_than_its_limit(
    requests: list[tuple[float, float, float, int]], phase: float
) -> None:
    """However late requests arrive, and wherever the exchange's own periods begin."""
    limit, period_s = 10, 5.0
    window, now = Window(), 0.0
    ends: list[tuple[float, int]] = []
    counted: dict[int, int] = defaultdict(int)
    for gap, to_exchange, back, amount in requests:
        now += gap
        for end in sorted(end for end in ends if end[0] <= now):
            window.end(end[1], end[0])
            ends.remove(end)
        if window.used(now, period_s) + amount <= limit:
            window.begin(amount)
            counted[int((now + to_exchange + phase) // period_s)] += amount
            ends.append((now + to_exchange + back, amount))

    assert max(counted.values(), default=0) <= limit


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 50)), min_size=1))
def test_what_the_exchange_tells_is_never_undercounted(answers: list[tuple[int, int]]) -> None:
    window = Window()
    for now, (amount, told) in enumerate(answers):
        window.begin(amount)
        window.told(told, float(now), 60.0)
        assert window.used(float(now), 60.0) >= told
        window.end(amount, float(now))


async def test_the_last_of_a_limit_is_kept_for_what_reduces_risk() -> None:
    limited = budget(count=100, period_s=60)

    assert await fill(limited, QUESTION) == 70
    assert await fill(limited, ORDER) == 20
    assert await fill(limited, PROTECTION) == 10


async def test_F28_a_stop_passes_a_queue_of_questions() -> None:
    limited, order_of_turns = budget(count=1), []

    async def ask(name: str, priority: Priority) -> None:
        async with limited.turn(cost(priority), patience_s=5):
            order_of_turns.append(name)

    await take(limited, cost(PROTECTION))
    async with asyncio.TaskGroup() as group:
        for name, priority in (
            ("first", QUESTION),
            ("second", QUESTION),
            ("entry", ORDER),
            ("stop", PROTECTION),
        ):
            group.create_task(ask(name, priority))
            await asyncio.sleep(0)

    assert order_of_turns == ["stop", "entry", "first", "second"]


async def test_a_large_request_is_not_starved_by_small_ones() -> None:
    limited, order_of_turns = budget(count=10), []

    async def ask(name: str, amount: int) -> None:
        async with limited.turn(cost(PROTECTION, amount), patience_s=5):
            order_of_turns.append(name)

    await take(limited, cost(PROTECTION, 8))
    async with asyncio.TaskGroup() as group:
        group.create_task(ask("large", 10))
        await asyncio.sleep(0)
        group.create_task(ask("small", 1))

    assert order_of_turns == ["large", "small"]


async def test_one_account_s_full_limit_leaves_the_others_alone() -> None:
    limited = budget()
    for _ in range(2):
        await take(limited, cost(PROTECTION, user="one"))

    with pytest.raises(RateLimited):
        await take(limited, cost(PROTECTION, user="one"))

    await take(limited, cost(PROTECTION, user="another"))


async def test_whose_turn_does_not_come_is_told_when_to_come_back() -> None:
    limited = budget(count=1, period_s=30)
    await take(limited, cost(PROTECTION))

    with pytest.raises(RateLimited) as refused:
        await take(limited, cost(QUESTION), patience_s=0.01)

    assert timedelta(seconds=29) < refused.value.retry_after < timedelta(seconds=31)


async def test_F28_nothing_goes_out_during_a_ban_and_the_important_come_back_first() -> None:
    limited = budget()
    limited.hold_back(timedelta(seconds=120))
    waits = []

    for priority in (PROTECTION, ORDER, QUESTION):
        with pytest.raises(RateLimited) as refused:
            await take(limited, cost(priority), patience_s=1)
        waits.append(refused.value.retry_after)

    assert timedelta(seconds=119) < waits[0] < waits[1] < waits[2] < timedelta(seconds=122)


async def test_a_short_wait_is_waited() -> None:
    limited = budget()
    limited.hold_back(timedelta(seconds=0.05))
    started = asyncio.get_running_loop().time()

    await take(limited, cost(ORDER), patience_s=1)

    assert asyncio.get_running_loop().time() - started >= 0.05


async def test_a_refusal_closes_the_limits_that_the_request_touched() -> None:
    limited = budget()

    with pytest.raises(RateLimited):
        async with limited.turn(cost(ORDER, user="one"), patience_s=0):
            raise RateLimited("too many", retry_after=timedelta(seconds=30))

    with pytest.raises(RateLimited) as refused:
        await take(limited, cost(PROTECTION, user="one"))
    assert refused.value.retry_after > timedelta(seconds=29)
    await take(limited, cost(PROTECTION, user="another"))
    await take(limited, cost(QUESTION))


async def test_what_others_use_at_our_address_counts() -> None:
    limited = budget(count=10, period_s=30)
    async with limited.turn(cost(PROTECTION), patience_s=0) as turn:
        turn.answered({"x-used": "9"})

    await take(limited, cost(PROTECTION))

    with pytest.raises(RateLimited):
        await take(limited, cost(PROTECTION))


@pytest.mark.parametrize("nonsense", ["", "-1", "1.5", "٣", "9" * 400, "many"])
async def test_a_header_that_is_no_number_is_not_believed(nonsense: str) -> None:
    limited = budget()
    async with limited.turn(cost(PROTECTION), patience_s=0) as turn:
        turn.answered({"x-used": nonsense})

    assert limited.used(Counter("weight")) == 1


async def test_who_gives_up_waiting_leaves_no_trace() -> None:
    limited = budget(count=1)
    await take(limited, cost(PROTECTION))
    waiting = asyncio.create_task(take(limited, cost(PROTECTION), patience_s=5))
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    await take(limited, cost(PROTECTION), patience_s=1)
    assert limited.used(Counter("weight")) == 1
