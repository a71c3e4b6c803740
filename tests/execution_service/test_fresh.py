"""A value at hand: as old as it says, and never from before a change that is known."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from execution_service.fresh import Fresh
from tests.execution_service.clocks import StillClock

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


class Question:
    """Answers 1, 2, 3 …, each time when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self) -> int:
        self.asked += 1
        answer = self.asked
        self.was_asked.set()
        await self.may_answer.wait()
        return answer


async def test_a_young_answer_is_not_asked_for_again() -> None:
    clock, question = StillClock(), Question()
    fresh = Fresh(question, clock)

    assert [await fresh.get(MINUTE) for _ in range(3)] == [1, 1, 1]
    clock.pass_time(MINUTE + timedelta(seconds=1))
    assert await fresh.get(MINUTE) == 2


async def test_who_asks_at_the_same_time_shares_one_question() -> None:
    question = Question()
    fresh = Fresh(question, StillClock())

    assert await asyncio.gather(*(fresh.get(MINUTE) for _ in range(5))) == [1] * 5


async def test_an_answer_from_before_a_change_is_not_remembered() -> None:
    """The position was asked for, then an order filled, then the old answer came."""
    question = Question()
    question.may_answer.clear()
    fresh = Fresh(question, StillClock())
    asking = asyncio.create_task(fresh.get(MINUTE))
    await question.was_asked.wait()

    fresh.expire()
    question.may_answer.set()
    await asking

    assert await fresh.get(MINUTE) == 2


async def test_what_was_told_outlives_an_older_answer_that_comes_later() -> None:
    question = Question()
    question.may_answer.clear()
    fresh = Fresh(question, StillClock())
    asking = asyncio.create_task(fresh.renew())
    await question.was_asked.wait()

    fresh.put(77)
    question.may_answer.set()
    await asking

    assert fresh.peek(MINUTE) == 77


async def test_a_question_that_fails_leaves_nothing_and_is_asked_again() -> None:
    answers: Iterator[OSError | int] = iter([OSError("away"), 5])

    async def ask() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    fresh = Fresh(ask, StillClock())
    with pytest.raises(OSError, match="away"):
        await fresh.get(MINUTE)

    assert await fresh.get(MINUTE) == 5
