"""What a market without an order book shows all the same: a made-up book around the last price, and trades.

One level per tick, one tick away from the last price on each side; the size of a level depends only on its
price, so that a price move changes the levels it passes and no others. One trade a second at the last price.
Pure functions of market and time, for both protocols.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b

from paper_exchange.instruments import Instrument
from paper_exchange.market import Market
from paper_exchange.orders import ZERO, Side

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Level:
    """`size` coins wait at `price`."""

    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """The trade of one second, whose number it has."""

    number: int
    price: Decimal
    size: Decimal
    time_ms: int
    buyer_is_maker: bool


@dataclass(frozen=True, slots=True)
class DayStatistics:
    """The last 24 whole hours and the part of the running one; `volume` in coins."""

    open: Decimal
    high: Decimal
    low: Decimal
    last: Decimal
    volume: Decimal
    quote_volume: Decimal
    open_ms: int
    close_ms: int

    @property
    def weighted_price(self) -> Decimal:
        return self.quote_volume / self.volume if self.volume else self.last


class Depth:
    """Book, trades and day statistics of every market."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def levels(self, instrument: Instrument, side: Side, now_ms: int, count: int) -> Iterator[Level]:
        """The best levels of a side (BUY: bids), best first; fewer where the price would not be positive."""
        last = self._market.last(instrument.symbol, now_ms)
        for number in range(1, count + 1):
            price = last - side.sign * number * instrument.tick
            if price <= 0:
                return
            yield Level(price, self.size_at(instrument, price))

    def best(self, instrument: Instrument, side: Side, now_ms: int) -> Level:
        """The best level of a side; an empty one at zero when there is none."""
        return next(self.levels(instrument, side, now_ms, 1), Level(ZERO, ZERO))

    def size_at(self, instrument: Instrument, price: Decimal) -> Decimal:
        """How much waits at this price."""
        return _size(instrument, f"{price.normalize():f}")

    def trade(self, instrument: Instrument, second: int) -> PublicTrade:
        """The trade of a second (Unix)."""
        return PublicTrade(
            number=second,
            price=self._market.last(instrument.symbol, second * 1000),
            size=_size(instrument, str(second)),
            time_ms=second * 1000,
            buyer_is_maker=second % 2 == 0,
        )

    def day(self, instrument: Instrument, now_ms: int) -> DayStatistics:
        """The statistics of a day, or of as much of it as the market has seen whole hours of."""
        last = self._market.last(instrument.symbol, now_ms)
        hours = self._market.candles(
            instrument.symbol, "1h", now_ms=now_ms, start_ms=None, end_ms=None, limit=25
        )
        return DayStatistics(
            open=hours[0].open if hours else last,
            high=max((candle.high for candle in hours), default=last),
            low=min((candle.low for candle in hours), default=last),
            last=last,
            volume=sum((candle.volume for candle in hours), ZERO),
            quote_volume=sum((candle.quote_volume for candle in hours), ZERO),
            open_ms=now_ms - _DAY_MS,
            close_ms=now_ms,
        )


def _size(instrument: Instrument, what: str) -> Decimal:
    """From a thousandth to a whole of what the market trades in a second, on the step."""
    draw = blake2b(f"{instrument.symbol}:{what}".encode(), digest_size=4, person=b"size").digest()
    share = Decimal(int.from_bytes(draw, "big") % 1000 + 1) / 1000
    coins = Decimal(instrument.hourly_volume) / 3600 * share
    return max(coins // instrument.step * instrument.step, instrument.step)
