"""Settings: what positions and orders forbid, and that a refusal changes nothing."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from paper_exchange.accounts import MarginType
from paper_exchange.orders import ConditionalType, PositionSide, Side
from paper_exchange.refusals import Reason, Refused
from tests.paper_exchange.conftest import BTC, Floor


def refusal(act: Callable[[], object]) -> Reason:
    with pytest.raises(Refused) as refused:
        act()
    return refused.value.reason


@pytest.mark.parametrize("leverage", [0, -1, 126])
def test_leverage_is_bounded(floor: Floor, leverage: int) -> None:
    settings = floor.exchange.settings

    def act() -> None:
        settings.set_leverage(floor.account, BTC, leverage, floor.now_ms)

    assert refusal(act) is Reason.LEVERAGE_INVALID
    assert floor.account.setting(BTC).leverage == 20


def test_leverage_frees_or_takes_margin_of_the_position(floor: Floor) -> None:
    settings, margin = floor.exchange.settings, floor.exchange.risk.margin
    floor.buy("1")
    settings.set_leverage(floor.account, BTC, 100, floor.now_ms)
    assert margin(floor.account, floor.now_ms).position_initial == 600
    assert (
        refusal(lambda: settings.set_leverage(floor.account, BTC, 2, floor.now_ms))
        is Reason.LEVERAGE_TOO_LOW_FOR_MARGIN
    )
    assert floor.account.setting(BTC).leverage == 100


def test_leverage_must_carry_the_position(floor: Floor) -> None:
    settings = floor.exchange.settings
    settings.set_leverage(floor.account, BTC, 100, floor.now_ms)
    floor.buy("6")

    def act() -> None:
        settings.set_leverage(floor.account, BTC, 125, floor.now_ms)

    assert refusal(act) is Reason.POSITION_LIMIT


def test_leverage_of_an_isolated_position_cannot_be_lowered(floor: Floor) -> None:
    settings = floor.exchange.settings
    settings.set_margin_type(floor.account, BTC, MarginType.ISOLATED, floor.now_ms)
    floor.buy("0.1")

    def act() -> None:
        settings.set_leverage(floor.account, BTC, 10, floor.now_ms)

    assert refusal(act) is Reason.LEVERAGE_REDUCTION_ISOLATED


def test_margin_type(floor: Floor) -> None:
    settings = floor.exchange.settings

    def change(margin_type: MarginType) -> None:
        settings.set_margin_type(floor.account, BTC, margin_type, floor.now_ms)

    assert refusal(lambda: change(MarginType.CROSS)) is Reason.MARGIN_TYPE_UNCHANGED
    order = floor.buy("0.1", "50000")
    assert refusal(lambda: change(MarginType.ISOLATED)) is Reason.MARGIN_TYPE_HAS_ORDERS
    floor.exchange.cancel(floor.account, order, floor.now_ms)
    floor.buy("0.1")
    assert refusal(lambda: change(MarginType.ISOLATED)) is Reason.MARGIN_TYPE_HAS_POSITION
    floor.sell("0.1")
    change(MarginType.ISOLATED)
    assert floor.account.setting(BTC).margin_type is MarginType.ISOLATED


def test_position_mode(floor: Floor) -> None:
    settings = floor.exchange.settings

    def change(hedge: bool) -> None:
        settings.set_hedge_mode(floor.account, hedge, floor.now_ms)

    assert refusal(lambda: change(False)) is Reason.POSITION_MODE_UNCHANGED
    stop = floor.conditional(ConditionalType.STOP_MARKET, Side.BUY, "61000", "0.1")
    assert refusal(lambda: change(True)) is Reason.POSITION_MODE_HAS_ORDERS
    floor.exchange.cancel_conditional(stop, floor.now_ms)
    floor.buy("0.1")
    assert refusal(lambda: change(True)) is Reason.POSITION_MODE_HAS_POSITION
    floor.sell("0.1")
    change(True)
    assert refusal(lambda: floor.buy("0.1")) is Reason.POSITION_SIDE_MISMATCH
    floor.buy("0.1", position_side=PositionSide.LONG)
    assert (
        refusal(lambda: floor.sell("0.1", position_side=PositionSide.LONG, reduce_only=True))
        is Reason.REDUCE_ONLY_IN_HEDGE_MODE
    )


def test_one_way_mode_knows_no_sides(floor: Floor) -> None:
    assert refusal(lambda: floor.buy("0.1", position_side=PositionSide.LONG)) is Reason.POSITION_SIDE_MISMATCH


def test_multi_assets_mode_excludes_isolated_margin(floor: Floor) -> None:
    settings, account = floor.exchange.settings, floor.account
    assert (
        refusal(lambda: settings.set_multi_assets(account, False, floor.now_ms))
        is Reason.MULTI_ASSETS_UNCHANGED
    )
    settings.set_multi_assets(account, True, floor.now_ms)
    assert (
        refusal(lambda: settings.set_margin_type(account, BTC, MarginType.ISOLATED, floor.now_ms))
        is Reason.MARGIN_TYPE_MULTI_ASSETS
    )


def test_isolated_margin_can_be_added_and_the_spare_taken_back(floor: Floor) -> None:
    settings, account = floor.exchange.settings, floor.account

    def move(amount: str) -> None:
        settings.change_isolated_margin(account, BTC, PositionSide.BOTH, Decimal(amount), floor.now_ms)

    assert refusal(lambda: move("10")) is Reason.ISOLATED_MARGIN_ON_CROSS
    settings.set_margin_type(account, BTC, MarginType.ISOLATED, floor.now_ms)
    assert refusal(lambda: move("10")) is Reason.ISOLATED_MARGIN_NO_POSITION
    floor.buy("0.1")
    assert refusal(lambda: move("0")) is Reason.AMOUNT_NOT_POSITIVE
    assert refusal(lambda: move("99999")) is Reason.CROSS_BALANCE_TOO_SMALL
    move("100")
    position = account.position(BTC, PositionSide.BOTH)
    assert position.isolated_wallet == 400
    assert refusal(lambda: move("-100.01")) is Reason.ISOLATED_MARGIN_TOO_LARGE
    move("-100")
    assert position.isolated_wallet == 300
    assert account.wallet_balance == Decimal(10_000) - 3
