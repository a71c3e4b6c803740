"""The made-up book lies around the last price and moves with it."""

from decimal import Decimal

from paper_exchange.depth import Depth
from paper_exchange.orders import Side
from tests.paper_exchange.conftest import BTC, Floor


def test_levels_go_away_from_the_last_price_tick_by_tick(floor: Floor) -> None:
    instrument = floor.exchange.instrument(BTC)
    depth = Depth(floor.exchange.market)

    bids = [level.price for level in depth.levels(instrument, Side.BUY, floor.now_ms, 3)]
    asks = [level.price for level in depth.levels(instrument, Side.SELL, floor.now_ms, 3)]

    assert bids == [Decimal("59999.9"), Decimal("59999.8"), Decimal("59999.7")]
    assert asks == [Decimal("60000.1"), Decimal("60000.2"), Decimal("60000.3")]


def test_a_level_keeps_its_size_while_the_price_moves(floor: Floor) -> None:
    instrument = floor.exchange.instrument(BTC)
    depth = Depth(floor.exchange.market)
    before = {level.price: level.size for level in depth.levels(instrument, Side.BUY, floor.now_ms, 50)}

    floor.price("59998")
    after = {level.price: level.size for level in depth.levels(instrument, Side.BUY, floor.now_ms, 50)}

    shared = before.keys() & after.keys()
    assert len(shared) == 30
    assert all(before[price] == after[price] for price in shared)
    assert len(set(after.values())) > 10


def test_bids_end_where_the_price_would_not_be_positive(floor: Floor) -> None:
    instrument = floor.exchange.instrument(BTC)
    floor.price(str(instrument.tick * 3))
    depth = Depth(floor.exchange.market)

    assert len(list(depth.levels(instrument, Side.BUY, floor.now_ms, 10))) == 2


def test_a_second_has_one_trade_at_the_last_price(floor: Floor) -> None:
    instrument = floor.exchange.instrument(BTC)
    second = floor.now_ms // 1000 + 1

    trade = Depth(floor.exchange.market).trade(instrument, second)

    assert (trade.number, trade.price, trade.time_ms) == (second, Decimal(60000), second * 1000)
    assert trade.size >= instrument.step
