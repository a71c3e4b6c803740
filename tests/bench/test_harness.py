"""The harness: medians, interleaving, the result file that the contract gives, the table."""

import json
import math
import platform
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.harness import Goal, Row, document, interleave, machine, median_of, median_ratio, table

NOW = datetime(2026, 11, 24, 22, 0, tzinfo=UTC)


def test_median_is_the_middle() -> None:
    assert median_of([9, 1, 5]) == 5
    assert median_of([4, 1, 3, 2]) == 2.5


def test_median_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        median_of([])


def test_ratio_pairs_values_of_one_round() -> None:
    """A round in which the machine was ten times slower for both changes nothing."""
    assert median_ratio([2, 20, 2], [1, 10, 1]) == 2


def test_ratio_of_unequal_rounds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"zip\(\)"):
        median_ratio([1, 2], [1])


@given(st.lists(st.tuples(st.floats(0.1, 1e6), st.floats(0.1, 1e6)), min_size=1, max_size=9))
def test_ratio_lies_between_the_rounds(pairs: list[tuple[float, float]]) -> None:
    ratios = [ours / theirs for ours, theirs in pairs]
    ratio = median_ratio([ours for ours, _ in pairs], [theirs for _, theirs in pairs])
    assert min(ratios) <= ratio <= max(ratios) or math.isclose(ratio, min(ratios))


@pytest.mark.anyio
async def test_every_round_runs_all_and_begins_with_another() -> None:
    order: list[str] = []

    async def run(name: str) -> int:
        order.append(name)
        return len(order)

    results = await interleave({"a": lambda: run("a"), "b": lambda: run("b")}, rounds=3)

    assert order == ["a", "b", "b", "a", "a", "b"]
    assert results == {"a": [1, 4, 5], "b": [2, 3, 6]}


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (Goal("at most", 5), 5.0, True),
        (Goal("at most", 5), 5.01, False),
        (Goal("at least", 10), 10.0, True),
        (Goal("at least", 10), 9.99, False),
    ],
)
def test_goal(goal: Goal, value: float, met: bool) -> None:
    assert goal.is_met_by(value) is met
    written = json.loads(document("start", [Row("x", value, "s", goal)], machine={}, now=NOW))["rows"][0]
    assert (written["goal"], written["met"]) == (goal.number, met)


def test_result_file_has_the_members_of_the_contract() -> None:
    text = document("start", [Row("start.second_s", 3.14159, "s")], machine={"cores": 2}, now=NOW)
    assert json.loads(text) == {
        "measured_at": "2026-11-24T22:00:00+00:00",
        "machine": {"cores": 2},
        "rows": [
            {
                "name": "start.second_s",
                "value": 3.142,
                "unit": "s",
                "goal": None,
                "met": None,
                "command": "python -m bench start",
            }
        ],
    }


def test_instant_is_written_in_utc() -> None:
    seoul = NOW.astimezone(timezone(timedelta(hours=9)))
    assert json.loads(document("start", [], machine={}, now=seoul))["measured_at"].endswith("22:00:00+00:00")


def test_goal_of_a_value_is_judged_before_it_is_rounded() -> None:
    row = Row("x", 5.0001, "s", Goal("at most", 5))
    written = json.loads(document("start", [row], machine={}, now=NOW))["rows"][0]
    assert (written["value"], written["met"]) == (5.0, False)


def test_machine_is_described_without_its_name() -> None:
    text = json.dumps(machine())
    assert platform.node() not in text
    assert "/" not in text
    assert {"processor", "cores", "memory_gib", "python"} <= machine().keys()


def test_table_says_what_was_missed() -> None:
    shown = table([Row("a.b", 6, "s", Goal("at most", 5)), Row("c", 0.5, "ratio")]).splitlines()
    assert shown[1].split() == ["a.b", "6", "s", "at", "most", "5", "NO"]
    assert shown[2].split() == ["c", "0.5", "ratio", "-", "-"]
