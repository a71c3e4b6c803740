"""What is kept at hand of a market, and what it costs to keep it."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import cast

import pytest

from execution_service.exchanges import Market
from execution_service.exchanges.errors import Unreachable
from execution_service.market_data import RANGES_PER_ROUND, MarketData
from tests.execution_service.clocks import StillClock
from tradekit.market.instrument import Instrument
from tradekit.market.timeframe import Timeframe
from tradekit.market.volatility import Candle

pytestmark = pytest.mark.anyio

HOUR = Timeframe(1, "h")


def instrument(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.001"),
        min_quantity=Decimal("0.001"),
        max_quantity=Decimal(100),
        min_notional=Decimal(5),
        trading=True,
    )


class Board:
    """A market that counts its questions."""

    def __init__(self, clock: StillClock) -> None:
        self._clock = clock
        self.symbols = ["BTCUSDT"]
        self.rules_asked = 0
        self.candles_asked = 0

    async def instruments(self) -> dict[str, Instrument]:
        self.rules_asked += 1
        return {symbol: instrument(symbol) for symbol in self.symbols}

    async def last_prices(self) -> dict[str, Decimal]:
        return {symbol: Decimal(10) for symbol in self.symbols}

    async def candles(self, symbol: str, timeframe: Timeframe, count: int) -> Sequence[Candle]:
        self.candles_asked += 1
        start = self._clock.now() - count * timeframe.duration
        prices = (Decimal(10), Decimal(11), Decimal(9), Decimal(10))
        return [Candle(start + number * timeframe.duration, *prices) for number in range(count)]


def opened() -> tuple[MarketData, Board, StillClock]:
    clock = StillClock()
    board = Board(clock)
    return MarketData(cast(Market, board), clock), board, clock


async def test_an_unknown_symbol_is_looked_up_again_but_not_for_every_alert() -> None:
    data, board, clock = opened()
    assert [await data.instrument("NEWUSDT") for _ in range(5)] == [None] * 5
    assert board.rules_asked == 1

    board.symbols.append("NEWUSDT")
    clock.pass_time(timedelta(seconds=61))

    assert await data.instrument("NEWUSDT") is not None


async def test_rules_that_were_wrong_are_read_anew() -> None:
    data, board, _ = opened()
    await data.instrument("BTCUSDT")

    data.forget_rules()
    await data.instrument("BTCUSDT")

    assert board.rules_asked == 2


async def test_an_exchange_without_markets_is_not_remembered() -> None:
    data, board, _ = opened()
    board.symbols = []
    with pytest.raises(Unreachable):
        await data.instrument("BTCUSDT")
    board.symbols = ["BTCUSDT"]

    assert await data.instrument("BTCUSDT") is not None


async def test_a_symbol_without_a_price_is_no_zero() -> None:
    data, _, _ = opened()

    with pytest.raises(Unreachable):
        await data.last_price("ETHUSDT")


async def test_the_range_of_flat_bars_is_their_height() -> None:
    """Each bar goes from 9 to 11 around 10: every true range is 2."""
    data, _, _ = opened()

    assert await data.average_true_range("BTCUSDT", HOUR) == 2


async def test_keeping_ranges_warm_stays_within_its_share() -> None:
    """However many markets had an alert, a round asks for a few of them only."""
    data, board, clock = opened()
    for number in range(1, 60):
        await data.average_true_range("BTCUSDT", Timeframe(number, "m"))
    clock.pass_time(timedelta(minutes=5))
    before = board.candles_asked

    await data.keep_warm()

    assert board.candles_asked - before == RANGES_PER_ROUND


async def test_a_range_that_nobody_asked_for_in_hours_is_forgotten() -> None:
    data, board, clock = opened()
    await data.average_true_range("BTCUSDT", HOUR)
    clock.pass_time(timedelta(hours=7))
    before = board.candles_asked

    await data.keep_warm()

    assert board.candles_asked == before
