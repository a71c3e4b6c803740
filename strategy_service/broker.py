"""The broker of a backtest: TradingView's broker emulator over finished bars.

Rules (TradingView, "Strategies", and measured on its exports):

- A decision at a bar's close is a market order that fills at the next bar's open, worse by the slippage.
- Its quantity is fixed when it is decided: a percentage of the equity at that close, over that close.
- An opposite entry closes the position and opens the other at the same open. Both legs pay the fee.
- Stop and target stand from the fill on, so an entry can end on its own bar.
- Inside a bar the price goes open-high-low-close when the open is nearer to the high, else
  open-low-high-close.
- A bar that opens beyond a level fills it at the open. A stop slips, a target (a limit order) does not.
- A market order due at an open fills before a level that the same open reaches.
- Margin is 100 %: an entry that costs more than the equity is not filled.
- What is open when the candles end is closed at the last close (TradingView leaves it open).

Not modelled: liquidation, funding, and prices between the four of a bar. Quantities, stops and targets
come from `tradekit.market.sizing`, as live.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from strategy_service.candles import Candles
from strategy_service.compile_kernel import Decisions
from tradekit.market.instrument import Instrument
from tradekit.market.sizing import (
    DEFAULT_SIZE_PERCENT,
    Level,
    Side,
    Size,
    SizeRefused,
    SizeType,
    StopOnWrongSide,
    entry_quantity,
    stop_price,
    target_price,
)

# Finer than any exchange's: a backtest without an exchange's filters.
LOT_SIZE = Decimal("0.000001")
_UNLIMITED = Decimal(10) ** 12


@dataclass(frozen=True)
class BrokerSettings:
    """What the broker is told once.

    Attributes:
        initial_capital: Quote currency, > 0.
        size_percent: Of the equity, for each entry; (0, 100].
        fee_rate: Of the notional, for each fill; the default is Binance's taker fee for regular users.
        slippage_ticks: Ticks by which market and stop fills are worse.
    """

    initial_capital: Decimal = Decimal(10_000)
    size_percent: Decimal = DEFAULT_SIZE_PERCENT
    fee_rate: Decimal = Decimal("0.0005")
    slippage_ticks: int = 1


class ExitReason(StrEnum):
    """Why a trade ended."""

    SIGNAL = "signal"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    END = "end"


@dataclass(frozen=True)
class Trade:
    """A closed round trip.

    Attributes:
        entry_bar, exit_bar: Which candle, counted from 0.
        entry_price, exit_price: Quote currency, slippage included.
        quantity: Base currency, > 0.
        fees: Of both legs, quote currency.
        profit: Quote currency, after fees.
    """

    side: Side
    entry_bar: int
    exit_bar: int
    entry_price: Decimal
    exit_price: Decimal
    quantity: Decimal
    fees: Decimal
    profit: Decimal
    exit_reason: ExitReason


@dataclass(frozen=True)
class Simulation:
    """What happened.

    Attributes:
        trades: By exit.
        equity: float64, at each bar's close, quote currency: capital, profit after fees, and open profit.
        exposed: bool, whether a position was open at some time in the bar.
        refused_entries: Entries that were too small, too dear, or had no room for their stop.
    """

    trades: tuple[Trade, ...]
    equity: NDArray[np.float64]
    exposed: NDArray[np.bool_]
    refused_entries: int


def instrument_of(candles: Candles, symbol: str) -> Instrument:
    """The market's rules as far as its candles show them: the tick."""
    return Instrument(
        symbol=symbol,
        tick_size=candles.tick_size(),
        lot_size=LOT_SIZE,
        min_quantity=LOT_SIZE,
        max_quantity=_UNLIMITED,
        min_notional=Decimal(0),
        trading=True,
    )


def simulate(
    candles: Candles,
    decisions: Decisions,
    *,
    stop: Level,
    target: Level,
    settings: BrokerSettings,
    instrument: Instrument,
) -> Simulation:
    """Carries the decisions out, bar by bar."""
    broker = _Broker(candles, decisions, stop, target, settings, instrument)
    for bar in range(len(candles)):
        broker.fill_orders(bar)
        broker.walk(bar)
        broker.decide(bar)
    broker.finish()
    equity = np.array(broker.equity, dtype=np.float64)
    return Simulation(tuple(broker.trades), equity, np.array(broker.exposed), broker.refused_entries)


@dataclass(frozen=True)
class _Order:
    """A market order: closes what is open against it, then opens `quantity` of `entry` unless None."""

    entry: Side | None
    quantity: Decimal
    atr: Decimal


@dataclass(frozen=True)
class _Position:
    side: Side
    bar: int
    price: Decimal
    quantity: Decimal
    fee: Decimal
    stop: Decimal
    target: Decimal


class _Broker:
    def __init__(
        self,
        candles: Candles,
        decisions: Decisions,
        stop: Level,
        target: Level,
        settings: BrokerSettings,
        instrument: Instrument,
    ) -> None:
        # Plain lists: reading one number of an array costs several times as much.
        self._open, self._high = candles.open.tolist(), candles.high.tolist()
        self._low, self._close = candles.low.tolist(), candles.close.tolist()
        self._enter = _directions(decisions.enter_long, decisions.enter_short)
        self._exit_long, self._exit_short = decisions.exit_long.tolist(), decisions.exit_short.tolist()
        self._atr = decisions.atr
        self._stop, self._target = stop, target
        self._fee_rate = settings.fee_rate
        self._size = Size(SizeType.PERCENT_BALANCE, settings.size_percent)
        self._slippage = settings.slippage_ticks * instrument.tick_size
        self._instrument = instrument
        self._cash = settings.initial_capital
        self._position: _Position | None = None
        self._order: _Order | None = None
        self.trades: list[Trade] = []
        self.equity: list[float] = []
        self.exposed: list[bool] = []
        self.refused_entries = 0

    def fill_orders(self, bar: int) -> None:
        """Fills the order of the bar before at this bar's open."""
        self.exposed.append(self._position is not None)
        order, self._order = self._order, None
        if order is None:
            return
        price = _exact(self._open[bar])
        if self._position is not None:
            self._leave(bar, self._slipped(price, self._position.side.opposite), ExitReason.SIGNAL)
        if order.entry is not None:
            self._enter_at(bar, order, self._slipped(price, order.entry))

    def walk(self, bar: int) -> None:
        """Follows the price through the bar until a level of the position is reached."""
        if self._position is None:
            return
        self.exposed[bar] = True
        found = _first_level(self._position, self._open[bar], high=self._high[bar], low=self._low[bar])
        if found is None:
            return
        price, reason = found
        if reason is ExitReason.STOP_LOSS:
            price = self._slipped(price, self._position.side.opposite)
        self._leave(bar, price, reason)

    def decide(self, bar: int) -> None:
        """Places the order that the bar's close decides on, and marks the equity."""
        self.equity.append(float(self._equity(bar)))
        side = self._enter[bar]
        held = self._position.side if self._position else None
        if side is not None and side is not held:
            self._order = self._entry_order(bar, side)
        elif (held is Side.LONG and self._exit_long[bar]) or (held is Side.SHORT and self._exit_short[bar]):
            self._order = _Order(None, Decimal(0), Decimal(0))

    def finish(self) -> None:
        """Closes what is open at the last close."""
        if self._position is None:
            return
        price = self._slipped(_exact(self._close[-1]), self._position.side.opposite)
        self._leave(len(self._close) - 1, price, ExitReason.END)
        self.equity[-1] = float(self._cash)

    def _entry_order(self, bar: int, side: Side) -> _Order:
        atr = _exact(self._atr[bar])
        price = _exact(self._close[bar])
        try:
            quantity = entry_quantity(
                self._size,
                available_balance=self._equity(bar),
                price=price,
                stop_distance=self._stop.distance(price, atr),
                instrument=self._instrument,
            )
        except SizeRefused:
            self.refused_entries += 1
            # The position on the other side is closed all the same.
            return _Order(None, Decimal(0), atr)
        return _Order(side, quantity, atr)

    def _enter_at(self, bar: int, order: _Order, price: Decimal) -> None:
        assert order.entry is not None
        side, atr, instrument = order.entry, order.atr, self._instrument
        try:
            stop = stop_price(self._stop, side=side, entry_price=price, atr=atr, instrument=instrument)
            target = target_price(self._target, side=side, entry_price=price, atr=atr, instrument=instrument)
        except StopOnWrongSide:
            self.refused_entries += 1
            return
        if order.quantity * price > self._cash:
            self.refused_entries += 1
            return
        fee = order.quantity * price * self._fee_rate
        self._cash -= fee
        self._position = _Position(side, bar, price, order.quantity, fee, stop, target)

    def _leave(self, bar: int, price: Decimal, reason: ExitReason) -> None:
        position = self._position
        assert position is not None
        fee = position.quantity * price * self._fee_rate
        gross = (price - position.price) * position.quantity * position.side.sign
        self._cash += gross - fee
        self._position = None
        fees = position.fee + fee
        self.trades.append(
            Trade(
                side=position.side,
                entry_bar=position.bar,
                exit_bar=bar,
                entry_price=position.price,
                exit_price=price,
                quantity=position.quantity,
                fees=fees,
                profit=gross - fees,
                exit_reason=reason,
            )
        )

    def _equity(self, bar: int) -> Decimal:
        position = self._position
        if position is None:
            return self._cash
        open_profit = (_exact(self._close[bar]) - position.price) * position.quantity * position.side.sign
        return self._cash + open_profit

    def _slipped(self, price: Decimal, direction: Side) -> Decimal:
        """What a buy (long) or a sell (short) at `price` really gets; a price stays at least one tick."""
        return max(price + direction.sign * self._slippage, self._instrument.tick_size)


def _first_level(
    position: _Position, open_price: float, *, high: float, low: float
) -> tuple[Decimal, ExitReason] | None:
    """Which level the bar reaches first and what it fills at, before slippage; None for neither."""
    sign = position.side.sign
    stop, target = float(position.stop), float(position.target)
    if (open_price - stop) * sign <= 0:
        return _exact(open_price), ExitReason.STOP_LOSS
    if (open_price - target) * sign >= 0:
        return _exact(open_price), ExitReason.TAKE_PROFIT
    good, bad = (high, low) if sign > 0 else (low, high)
    stopped = (bad - stop) * sign <= 0
    reached = (good - target) * sign >= 0
    if stopped and reached:
        good_first = abs(good - open_price) < abs(open_price - bad)
        if abs(good - open_price) == abs(open_price - bad):
            good_first = sign < 0  # open-low-high-close
        stopped = not good_first
    if stopped:
        return position.stop, ExitReason.STOP_LOSS
    return (position.target, ExitReason.TAKE_PROFIT) if reached else None


def _directions(long: NDArray[np.bool_], short: NDArray[np.bool_]) -> list[Side | None]:
    return [
        Side.LONG if is_long else Side.SHORT if is_short else None
        for is_long, is_short in zip(long.tolist(), short.tolist(), strict=True)
    ]


def _exact(value: float) -> Decimal:
    """The decimal that the float was written as."""
    return Decimal(repr(float(value)))
