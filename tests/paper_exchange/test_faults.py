"""Fault rules: read strictly, matched in order, used up."""

from typing import Any

import pytest

from paper_exchange.faults import (
    Answer,
    ClockOffset,
    Delay,
    Drop,
    ErrorCode,
    Faults,
    Rule,
    RuleInvalid,
    parse_rules,
)
from paper_exchange.matching import PartialFill


def rule(**source: Any) -> Rule:
    (parsed,) = parse_rules(source)
    assert isinstance(parsed, Rule)
    return parsed


def hit(faults: Faults, **request: Any) -> object:
    request = {"method": "POST", "path": "/fapi/v1/order", "account": "k", "symbol": "BTCUSDT"} | request
    return faults.take(**request)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ({"kind": "delay", "delay_s": 1.5}, Delay(1.5, after=True)),
        ({"kind": "delay", "delay_s": 1, "when": "before"}, Delay(1, after=False)),
        ({"kind": "drop_before_accept"}, Drop(executed=False)),
        ({"kind": "drop_after_accept"}, Drop(executed=True)),
        (
            {"kind": "http_status", "status": 503, "body": "<html/>", "retry_after": 3},
            Answer(503, "<html/>", {"Retry-After": "3"}, executed=False, size=0),
        ),
        (
            {"kind": "error_code", "code": -1007, "executed": True},
            ErrorCode(-1007, None, None, {}, executed=True),
        ),
    ],
)
def test_kinds(source: dict[str, Any], fault: object) -> None:
    assert rule(**source).fault == fault


@pytest.mark.parametrize(
    "source",
    [
        "delay",
        {},
        {"kind": "explode"},
        {"kind": "delay"},
        {"kind": "delay", "delay_s": "1"},
        {"kind": "delay", "delay_s": -1},
        {"kind": "delay", "delay_s": 1, "when": "later"},
        {"kind": "http_status", "status": 99},
        {"kind": "http_status", "status": 503, "headers": {"a": 1}},
        {"kind": "error_code", "code": True},
        {"kind": "drop_before_accept", "count": 0},
        {"kind": "drop_before_accept", "pathh": "/"},
        {"kind": "drop_before_accept", "method": 1},
        {"kind": "partial_fill", "ratio": "1"},
        {"kind": "partial_fill", "ratio": "much"},
        {"kind": "partial_fill", "ratio": "0.5", "rest": "stay"},
        {"kind": "clock_offset"},
        [{"kind": "drop_before_accept"}, {"kind": "explode"}],
    ],
)
def test_a_rule_that_is_none_is_refused(source: Any) -> None:
    with pytest.raises(RuleInvalid):
        parse_rules(source)


def test_rules_count_and_are_used_up() -> None:
    faults = Faults()
    faults.add(rule(kind="drop_before_accept", count=2, skip=1))
    assert [hit(faults) is not None for _ in range(4)] == [False, True, True, False]
    assert faults.pending() == []


@pytest.mark.parametrize(
    ("narrowing", "other"),
    [
        ({"method": "DELETE"}, {"method": "DELETE"}),
        ({"path": "/fapi/v1/algo*"}, {"path": "/fapi/v1/algoOrder"}),
        ({"account": "x"}, {"account": "x"}),
        ({"symbol": "ETHUSDT"}, {"symbol": "ETHUSDT"}),
    ],
)
def test_rules_hit_only_what_they_name(narrowing: dict[str, str], other: dict[str, str]) -> None:
    faults = Faults()
    faults.add(rule(kind="drop_before_accept", **narrowing))
    assert hit(faults) is None
    assert hit(faults, **other) == Drop(executed=False)


def test_the_first_matching_rule_decides() -> None:
    faults = Faults()
    faults.add(rule(kind="error_code", code=-1001, path="/fapi/v1/order"))
    faults.add(rule(kind="error_code", code=-1002))
    first, second = hit(faults), hit(faults)
    assert isinstance(first, ErrorCode)
    assert isinstance(second, ErrorCode)
    assert (first.code, second.code) == (-1001, -1002)


def test_partial_fills_wait_for_orders_and_not_for_requests() -> None:
    faults = Faults()
    faults.add(rule(kind="partial_fill", ratio="0.5"))
    assert hit(faults) is None
    assert isinstance(rule(kind="partial_fill", ratio="0.5").fault, PartialFill)
    assert len(faults.pending()) == 1


def test_a_clock_offset_is_in_force_at_once() -> None:
    assert parse_rules({"kind": "clock_offset", "offset_s": -30}) == [ClockOffset(-30_000)]
