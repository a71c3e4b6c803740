"""The exchanges behind one interface; a third one is one more module and one more line in `registry`.

`Exchange` is one user's account, `Market` is what everybody may see. The executor never asks which exchange
it has.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from execution_service.exchanges.events import UserStream
from execution_service.exchanges.types import (
    AccountKey,
    Balance,
    Environment,
    FundingRate,
    LeverageBracket,
    MarginMode,
    Order,
    OrderRef,
    Position,
    PositionMode,
    Send,
)
from execution_service.signals import OrderSide
from tradekit.market.instrument import Instrument
from tradekit.market.sizing import Side
from tradekit.market.timeframe import Timeframe
from tradekit.market.volatility import Candle


class Exchange(Protocol):
    """One account on an exchange. Every method raises the errors of `exchanges.errors`."""

    account: AccountKey

    async def get_account_balance(self) -> Balance:
        """The account's money."""
        ...

    async def get_positions(self, symbol: str | None = None) -> list[Position]:
        """The open positions, of one symbol or of all."""
        ...

    async def get_leverage(self, symbol: str) -> int:
        """The leverage that is set for a symbol."""
        ...

    async def set_leverage(self, symbol: str, leverage: int, *, signal_id: str) -> int:
        """Sets the leverage of a symbol; returns what is in force. May be repeated."""
        ...

    async def max_leverage(self, symbol: str) -> int:
        """The highest leverage that the smallest position can have."""
        ...

    async def leverage_brackets(self, symbol: str) -> Sequence[LeverageBracket]:
        """What positions of each size are allowed; the smallest first."""
        ...

    async def get_margin_mode(self, symbol: str) -> MarginMode:
        """What stands behind the symbol's positions: the whole account, or their own margin."""
        ...

    async def set_margin_mode(self, symbol: str, mode: MarginMode, *, signal_id: str) -> None:
        """Sets it for the next position; may be repeated. Raises SettingLocked while one is open."""
        ...

    async def get_position_mode(self) -> PositionMode:
        """Whether a symbol has one position or two; the account's own, which we never change."""
        ...

    async def create_market_order(
        self,
        symbol: str,
        side: OrderSide,
        quantity: Decimal,
        *,
        position: Side,
        reduce_only: bool,
        send: Send,
    ) -> Order:
        """Buys or sells now. `position` is the side of the position that it opens or reduces."""
        ...

    async def create_limit_order(
        self,
        symbol: str,
        side: OrderSide,
        quantity: Decimal,
        price: Decimal,
        *,
        position: Side,
        send: Send,
        post_only: bool = False,
    ) -> Order:
        """Places an order that rests at its price until it is filled or cancelled.

        With `post_only` it never takes: it is refused (NotPostable), or accepted and cancelled at once.
        """
        ...

    async def create_stop_loss(
        self,
        symbol: str,
        side: OrderSide,
        trigger_price: Decimal,
        *,
        position: Side,
        quantity: Decimal | None,
        send: Send,
    ) -> Order:
        """Closes `quantity` (None: the whole position) at market when the price is as bad as the trigger."""
        ...

    async def create_take_profit(
        self,
        symbol: str,
        side: OrderSide,
        trigger_price: Decimal,
        *,
        position: Side,
        quantity: Decimal | None,
        send: Send,
    ) -> Order:
        """Closes `quantity` (None: the whole position) at market when the price is as good as the trigger.

        Where an exchange has no second order that follows the position, the answer's quantity is the
        position's size of now.
        """
        ...

    async def create_trailing_stop(
        self, symbol: str, side: OrderSide, percent: Decimal, *, position: Side, quantity: Decimal, send: Send
    ) -> Order:
        """Closes `quantity` at market when the price falls back by `percent` from its best since now."""
        ...

    async def close_position(self, position: Position, *, send: Send) -> Order:
        """Closes a position at market; can never open one."""
        ...

    async def cancel_order(self, ref: OrderRef, *, signal_id: str) -> None:
        """Cancels an order. Raises OrderUnknown when it is not open (any more)."""
        ...

    async def find_order(self, ref: OrderRef) -> Order | None:
        """The order, or None when the exchange knows none; soon after an unclear send that proves nothing."""
        ...

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        """The open orders, conditional ones included."""
        ...

    def user_stream(self, url: str) -> UserStream:
        """What the exchange tells by itself of this account; `url` is where its streams are."""
        ...


class Market(Protocol):
    """What an exchange tells everybody."""

    def exchange_time(self) -> datetime:
        """The exchange's clock as well as we know it."""
        ...

    async def refresh_clock(self) -> None:
        """Asks the exchange for its clock."""
        ...

    async def instruments(self) -> dict[str, Instrument]:
        """The trading rules by symbol."""
        ...

    async def last_prices(self) -> dict[str, Decimal]:
        """The price of the last trade by symbol."""
        ...

    async def candles(self, symbol: str, timeframe: Timeframe, count: int) -> Sequence[Candle]:
        """At most `count` closed candles, oldest first, of the longest bar not longer than `timeframe`."""
        ...

    async def candles_between(
        self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime
    ) -> Sequence[Candle]:
        """The closed candles that open in [start, end), oldest first, of the same bar as in `candles`."""
        ...

    async def mark_price(self, symbol: str) -> Decimal:
        """The price that profits and liquidations are reckoned by."""
        ...

    async def funding_rate(self, symbol: str) -> FundingRate:
        """The next funding payment."""
        ...


__all__ = ["AccountKey", "Environment", "Exchange", "Market"]
