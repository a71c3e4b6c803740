"""From an alert and a picture of the market to an order's numbers; worked out by hand."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from execution_service.exchanges.types import Position
from execution_service.planning import Picture, check_reversal, check_time, make_plan
from tests.execution_service.test_market_data import instrument
from tradekit.market.alert import Alert, parse_alert
from tradekit.market.sizing import Side
from tradekit.service.errors import ServiceError

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def alert(**fields: Any) -> Alert:
    body = {"account_id": "a", "secret": "s", "action": "long", "symbol": "BTCUSDT"} | fields
    return parse_alert(json.dumps(body).encode()).alert


def held(side: Side, quantity: str) -> Position:
    return Position("BTCUSDT", side, Decimal(quantity), Decimal(1), Decimal(1), Decimal(0), None)


def picture(
    *positions: Position, price: str = "1000", atr: str | None = "10", money: str = "10000"
) -> Picture:
    return Picture(
        instrument=instrument("BTCUSDT"),
        price=Decimal(price),
        atr=None if atr is None else Decimal(atr),
        available_balance=Decimal(money),
        positions=positions,
    )


def test_ten_percent_of_the_balance_is_the_default() -> None:
    plan = make_plan(alert(), Side.LONG, picture())

    assert (plan.quantity, plan.reference_price, plan.atr) == (Decimal(1), Decimal(1000), Decimal(10))


def test_both_positions_of_hedge_mode_count_in_what_was_held_before() -> None:
    plan = make_plan(alert(), Side.LONG, picture(held(Side.SHORT, "0.5"), held(Side.LONG, "0.2")))

    assert plan.position_before == Decimal("-0.3")


def test_the_position_to_turn_around_is_found_behind_one_of_the_same_side() -> None:
    both = picture(held(Side.LONG, "0.2"), held(Side.SHORT, "0.5"))

    assert both.opposite(Side.LONG) == held(Side.SHORT, "0.5")
    with pytest.raises(ServiceError, match="open short position"):
        check_reversal(alert(reverse=False), Side.LONG, both)
    check_reversal(alert(), Side.LONG, both)


@pytest.mark.parametrize(
    ("side", "atr", "reason"),
    [
        # 1.5 ATR below 1,000 is below nothing: there is no such stop.
        (Side.LONG, "700", "STOP_ON_WRONG_SIDE"),
        (Side.LONG, "5000", "STOP_ON_WRONG_SIDE"),
        # The target of a short, 3 ATR below.
        (Side.SHORT, "400", "STOP_ON_WRONG_SIDE"),
    ],
)
def test_a_range_larger_than_the_price_leaves_no_room(side: Side, atr: str, reason: str) -> None:
    with pytest.raises(ServiceError) as refused:
        make_plan(alert(), side, picture(atr=atr))

    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("fields", "money", "reason"),
    [
        ({}, "0", "INSUFFICIENT_BALANCE"),
        ({}, "-5", "INSUFFICIENT_BALANCE"),
        ({"size": 1, "size_type": "risk_percent"}, "0", "INSUFFICIENT_BALANCE"),
        ({}, "10", "BELOW_MIN_SIZE"),
        ({"size": 101, "size_type": "base"}, "10", "ABOVE_MAX_SIZE"),
        ({"stop_loss": 1001}, "10000", "STOP_ON_WRONG_SIDE"),
        ({"take_profit": 999}, "10000", "STOP_ON_WRONG_SIDE"),
    ],
)
def test_what_cannot_be_ordered_is_named(fields: dict[str, Any], money: str, reason: str) -> None:
    with pytest.raises(ServiceError) as refused:
        make_plan(alert(**fields), Side.LONG, picture(money=money))

    assert refused.value.reason == reason


def at(age: timedelta, **fields: Any) -> Alert:
    return alert(time=(NOW - age).isoformat(), **fields)


@pytest.mark.parametrize(
    "timely",
    [
        at(timedelta(seconds=119)),
        # The bar opened a day and a bit ago: it has just ended.
        at(timedelta(days=1, seconds=100), interval="1D"),
        at(timedelta(seconds=-14)),
        alert(),
    ],
)
def test_an_entry_is_taken_in_its_window(timely: Alert) -> None:
    check_time(timely, NOW)


@pytest.mark.parametrize(
    ("untimely", "reason"),
    [
        (at(timedelta(seconds=121)), "ALERT_TOO_OLD"),
        (at(timedelta(days=1, seconds=121), interval="1D"), "ALERT_TOO_OLD"),
        (at(timedelta(seconds=-16)), "ALERT_FROM_FUTURE"),
    ],
)
def test_B23_B24_an_entry_outside_of_its_window_is_refused(untimely: Alert, reason: str) -> None:
    with pytest.raises(ServiceError) as refused:
        check_time(untimely, NOW)

    assert refused.value.reason == reason
