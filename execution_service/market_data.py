"""What everybody may see of a market, kept at hand: rules, prices, volatility."""

from datetime import datetime, timedelta
from decimal import Decimal

from execution_service.exchanges import Market
from execution_service.exchanges.errors import Unreachable
from execution_service.fresh import Fresh
from tradekit.market.instrument import Instrument
from tradekit.market.sizing import ATR_PERIOD
from tradekit.market.timeframe import Timeframe
from tradekit.market.volatility import average_true_range
from tradekit.service.clock import Clock

# Wilder's smoothing has forgotten its start after this many bars; Binance counts a question of < 100 rows
# least.
ATR_CANDLES = 98
DEFAULT_TIMEFRAME = Timeframe(1, "h")

RULES_AGE = timedelta(hours=1)
# A symbol that is not in the rules may be new: the rules are asked for again, but not for every typing error.
UNKNOWN_SYMBOL_AGE = timedelta(minutes=1)
PRICE_AGE = timedelta(seconds=3)
ATR_AGE = timedelta(minutes=1)
# What nobody asked for within this is not kept warm any more.
RANGE_EXPECTED_AGAIN = timedelta(hours=6)
# Ranges renewed in one round of keeping warm: each counts 1 of the 2,400 that Binance allows in a minute.
RANGES_PER_ROUND = 8


class MarketData:
    """The public side of one exchange in one environment. Errors are those of `exchanges.errors`."""

    def __init__(self, market: Market, clock: Clock) -> None:
        self.market = market
        self._clock = clock
        self._instruments = Fresh(self._ask_instruments, clock)
        self._prices = Fresh(market.last_prices, clock)
        self._ranges: dict[tuple[str, Timeframe], Fresh[Decimal]] = {}
        self._range_used: dict[tuple[str, Timeframe], datetime] = {}

    async def instrument(self, symbol: str) -> Instrument | None:
        """The rules of a symbol; None when the exchange has no such market."""
        instruments = await self._instruments.get(RULES_AGE)
        if symbol not in instruments:
            instruments = await self._instruments.get(UNKNOWN_SYMBOL_AGE)
        return instruments.get(symbol)

    async def last_price(self, symbol: str) -> Decimal:
        """The price of the last trade."""
        price = (await self._prices.get(PRICE_AGE)).get(symbol)
        if price is None:
            raise Unreachable(f"The exchange tells no price of {symbol}.")
        return price

    async def average_true_range(self, symbol: str, timeframe: Timeframe | None) -> Decimal:
        """The ATR over 14 bars of `timeframe` (1 h when the alert names none)."""
        key = (symbol, timeframe or DEFAULT_TIMEFRAME)
        if key not in self._ranges:
            self._ranges[key] = Fresh(lambda: self._ask_range(*key), self._clock)
        self._range_used[key] = self._clock.now()
        return await self._ranges[key].get(ATR_AGE)

    def forget_rules(self) -> None:
        """The exchange refused an order for its rules: ours are old."""
        self._instruments.expire()

    async def keep_warm(self) -> None:
        """Asks for what will be needed, before it is needed."""
        await self._prices.renew()
        await self._instruments.get(RULES_AGE)
        self._forget_unused_ranges()
        old = [fresh for fresh in self._ranges.values() if fresh.peek(ATR_AGE * 0.8) is None]
        for fresh in old[:RANGES_PER_ROUND]:
            await fresh.get(ATR_AGE * 0.8)

    def _forget_unused_ranges(self) -> None:
        earliest = self._clock.now() - RANGE_EXPECTED_AGAIN
        for key in [key for key, used in self._range_used.items() if used < earliest]:
            del self._ranges[key], self._range_used[key]

    async def _ask_instruments(self) -> dict[str, Instrument]:
        instruments = await self.market.instruments()
        if not instruments:
            # An exchange without any market is an answer that went wrong; it must not be remembered.
            raise Unreachable("The exchange tells no market.")
        return instruments

    async def _ask_range(self, symbol: str, timeframe: Timeframe) -> Decimal:
        candles = await self.market.candles(symbol, timeframe, ATR_CANDLES)
        return average_true_range(candles, min(ATR_PERIOD, max(len(candles), 1)))
