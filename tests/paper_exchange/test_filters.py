"""Filters: in the documented order, each with its own refusal."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_exchange.filters import check_limit_price, check_notional, check_price, check_quantity
from paper_exchange.instruments import LISTED
from paper_exchange.orders import Side
from paper_exchange.refusals import Reason, Refused

BTC = LISTED["BTCUSDT"]


def refusal(check: object, *arguments: object, **terms: object) -> Reason | None:
    try:
        check(*arguments, **terms)  # type: ignore[operator] # one of the checks
    except Refused as refused:
        return refused.reason
    return None


@pytest.mark.parametrize(
    ("quantity", "reason"),
    [
        ("0.0001", Reason.PRECISION),
        ("0", Reason.QUANTITY_NOT_POSITIVE),
        ("1000.001", Reason.QUANTITY_TOO_LARGE),
        ("0.001", None),
        ("1000", None),
    ],
)
def test_quantity(quantity: str, reason: Reason | None) -> None:
    assert refusal(check_quantity, BTC, Decimal(quantity), market=False) == reason


def test_market_orders_have_a_smaller_largest_quantity() -> None:
    assert refusal(check_quantity, BTC, Decimal(121), market=True) is Reason.QUANTITY_TOO_LARGE
    assert refusal(check_quantity, BTC, Decimal(121), market=False) is None


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("60000.005", Reason.PRECISION),
        ("0", Reason.PRICE_NOT_POSITIVE),
        ("0.05", Reason.PRICE_TOO_LOW),
        ("1000000.10", Reason.PRICE_TOO_HIGH),
        ("60000.05", Reason.PRICE_OFF_TICK),
        ("60000.1", None),
    ],
)
def test_price(price: str, reason: Reason | None) -> None:
    assert refusal(check_price, BTC, Decimal(price)) == reason


@given(st.decimals("0.001", 1000, places=3))
def test_every_multiple_of_the_step_within_bounds_is_accepted(quantity: Decimal) -> None:
    assert refusal(check_quantity, BTC, quantity, market=False) is None


def test_limit_prices_are_bounded_on_the_expensive_side_only() -> None:
    mark = Decimal(60_000)
    check = check_limit_price
    assert refusal(check, BTC, Side.BUY, Decimal("63000.1"), mark=mark) is Reason.PRICE_ABOVE_CAP
    assert refusal(check, BTC, Side.BUY, Decimal(1000), mark=mark) is None
    assert refusal(check, BTC, Side.SELL, Decimal("56999.9"), mark=mark) is Reason.PRICE_BELOW_FLOOR
    assert refusal(check, BTC, Side.SELL, Decimal(90_000), mark=mark) is None


def test_notional_names_the_minimum() -> None:
    with pytest.raises(Refused) as refused:
        check_notional(BTC, Decimal("99.99"))
    assert (refused.value.reason, refused.value.limit) == (Reason.NOTIONAL_TOO_SMALL, "100")
    check_notional(BTC, Decimal(100))
