"""What every exchange client tells of an account and of the market, and what it sets. The price is 50,000."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from execution_service.exchanges import errors
from execution_service.exchanges.types import MarginMode, PositionMode
from tests.execution_service.exchanges.conftest import SIGNAL, SYMBOL, Subject
from tests.system import PRICE
from tradekit.market.sizing import Side
from tradekit.market.timeframe import Timeframe
from tradekit.service.clock import UtcClock

pytestmark = pytest.mark.anyio


async def test_balance_is_total_available_and_open_profit(subject: Subject) -> None:
    before = await subject.exchange.get_account_balance()
    await subject.buy("0.1")
    await subject.paper.price("51000")

    after = await subject.exchange.get_account_balance()

    assert (before.currency, before.total, before.available) == ("USDT", Decimal(10_000), Decimal(10_000))
    fee = Decimal("0.1") * 50_000 * Decimal("0.0005")
    assert after.total == Decimal(10_000) - fee
    assert after.unrealized_profit == Decimal(100)
    assert after.available < after.total


async def test_a_position_is_told_in_the_base_currency(subject: Subject) -> None:
    await subject.buy("0.02")

    (held,) = await subject.exchange.get_positions(SYMBOL)

    assert (held.symbol, held.side, held.quantity) == (SYMBOL, Side.LONG, Decimal("0.02"))
    assert (held.entry_price, held.mark_price) == (Decimal(PRICE), Decimal(PRICE))
    (referee,) = await subject.paper.positions()
    assert Decimal(referee["quantity"]) == held.quantity


async def test_a_short_is_a_side_and_no_sign(subject: Subject) -> None:
    await subject.buy("0.03", side=Side.SHORT)

    assert await subject.holds() == [("short", Decimal("0.03"))]


async def test_other_symbols_are_left_out(subject: Subject) -> None:
    await subject.buy("0.02")

    assert await subject.exchange.get_positions("ETHUSDT") == []


async def test_leverage_is_set_and_read(subject: Subject) -> None:
    assert await subject.exchange.set_leverage(SYMBOL, 7, signal_id=SIGNAL) == 7
    assert await subject.exchange.set_leverage(SYMBOL, 7, signal_id=SIGNAL) == 7

    assert await subject.exchange.get_leverage(SYMBOL) == 7
    assert await subject.exchange.max_leverage(SYMBOL) > 7


async def test_too_high_a_leverage_is_refused(subject: Subject) -> None:
    highest = await subject.exchange.max_leverage("LTCUSDT")

    with pytest.raises(errors.LeverageRefused):
        await subject.exchange.set_leverage("LTCUSDT", highest + 1, signal_id=SIGNAL)


async def test_larger_positions_are_allowed_less_leverage(subject: Subject) -> None:
    brackets = await subject.exchange.leverage_brackets(SYMBOL)

    assert brackets[0].max_leverage == await subject.exchange.max_leverage(SYMBOL)
    assert [bracket.max_leverage for bracket in brackets] == sorted(
        (bracket.max_leverage for bracket in brackets), reverse=True
    )
    assert [bracket.max_notional for bracket in brackets] == sorted(
        bracket.max_notional for bracket in brackets
    )
    assert brackets[0].maintenance_ratio < brackets[-1].maintenance_ratio < 1


async def test_margin_mode_is_chosen_for_the_next_position(subject: Subject) -> None:
    assert await subject.exchange.get_margin_mode(SYMBOL) is MarginMode.CROSS
    await subject.exchange.set_margin_mode(SYMBOL, MarginMode.ISOLATED, signal_id=SIGNAL)
    await subject.exchange.set_margin_mode(SYMBOL, MarginMode.ISOLATED, signal_id=SIGNAL)

    await subject.buy("0.02")

    assert await subject.exchange.get_margin_mode(SYMBOL) is MarginMode.ISOLATED
    (held,) = await subject.paper.positions()
    assert held["margin_type"] == "isolated"
    assert await subject.exchange.get_leverage(SYMBOL) >= 1


async def test_margin_mode_of_an_open_position_stays(subject: Subject) -> None:
    await subject.buy("0.02")

    with pytest.raises(errors.SettingLocked):
        await subject.exchange.set_margin_mode(SYMBOL, MarginMode.ISOLATED, signal_id=SIGNAL)

    assert await subject.exchange.get_margin_mode(SYMBOL) is MarginMode.CROSS


async def test_position_mode_is_the_accounts(subject: Subject) -> None:
    assert await subject.exchange.get_position_mode() is PositionMode.ONE_WAY


async def test_rules_are_in_the_base_currency(subject: Subject) -> None:
    rules = (await subject.market.instruments())[SYMBOL]

    assert rules.symbol == SYMBOL
    assert rules.trading
    assert rules.lot_size == Decimal("0.001") or rules.lot_size == Decimal("0.0001")
    assert rules.min_quantity <= Decimal("0.001")
    assert rules.tick_size == Decimal("0.1")
    assert rules.max_quantity > 1


async def test_prices(subject: Subject) -> None:
    assert (await subject.market.last_prices())[SYMBOL] == Decimal(PRICE)
    assert await subject.market.mark_price(SYMBOL) == Decimal(PRICE)


async def test_funding_is_paid_at_the_next_eight_hours(subject: Subject) -> None:
    funding = await subject.market.funding_rate(SYMBOL)

    assert abs(funding.rate) < Decimal("0.01")
    now = subject.market.exchange_time()
    assert now < funding.next_time <= now + timedelta(hours=8)
    assert (funding.next_time.hour % 8, funding.next_time.minute) == (0, 0)


@pytest.mark.parametrize("count", [10, 98, 350])
async def test_candles_are_closed_and_oldest_first(subject: Subject, count: int) -> None:
    candles = await subject.market.candles(SYMBOL, Timeframe(1, "m"), count)

    assert len(candles) == count
    times = [candle.open_time for candle in candles]
    assert all(after - before == timedelta(minutes=1) for before, after in pairwise(times))
    now = subject.market.exchange_time()
    assert now - timedelta(minutes=2, seconds=5) < times[-1] <= now - timedelta(minutes=1)
    assert all(candle.low <= min(candle.open, candle.close) for candle in candles)


async def test_a_bar_that_is_not_offered_is_the_next_shorter_one(subject: Subject) -> None:
    candles = await subject.market.candles(SYMBOL, Timeframe(45, "m"), 3)

    assert candles[1].open_time - candles[0].open_time == timedelta(minutes=30)


async def test_candles_of_a_span_hold_its_start_and_not_its_end(subject: Subject) -> None:
    now = subject.market.exchange_time()
    start = (now - timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    end = start + timedelta(hours=60)

    candles = await subject.market.candles_between(SYMBOL, Timeframe(15, "m"), start, end)

    assert [candle.open_time for candle in candles] == [
        start + timedelta(minutes=15) * index for index in range(240)
    ]


async def test_two_ways_to_the_same_candles(subject: Subject) -> None:
    latest = await subject.market.candles(SYMBOL, Timeframe(1, "h"), 20)

    span = await subject.market.candles_between(
        SYMBOL, Timeframe(1, "h"), latest[0].open_time, latest[-1].open_time + timedelta(hours=1)
    )

    assert list(span) == list(latest)


async def test_F29_the_clock_is_the_exchanges(subject: Subject) -> None:
    await subject.paper.fault("clock_offset", offset_s=40)

    balance = await subject.exchange.get_account_balance()

    assert balance.total == 10_000
    ahead = subject.market.exchange_time() - UtcClock().now()
    assert timedelta(seconds=39) < ahead < timedelta(seconds=41)


async def test_F41_a_wrong_secret_is_told_as_such(
    subject_of: Callable[..., Awaitable[Subject]], exchange_name: str
) -> None:
    subject = await subject_of(exchange_name, api_secret="x" * 40)

    with pytest.raises(errors.KeyRejected, match="API key"):
        await subject.exchange.get_account_balance()


async def test_F41_an_unknown_key_is_told_as_such(
    subject_of: Callable[..., Awaitable[Subject]], exchange_name: str
) -> None:
    subject = await subject_of(exchange_name, api_key="nobody")

    with pytest.raises(errors.KeyRejected):
        await subject.exchange.get_positions()
