"""Liquidation: takes over positions whose margin no longer covers their maintenance.

Bracket by bracket: a position in a higher margin bracket is reduced to the end of the bracket below, one in
the lowest is closed, the largest maintenance first, until what is left of the margin covers what is left of
the positions. An isolated position stands for itself, the cross positions of an account for each other. All
at the last price, with the liquidation fee; what the margin does not cover is paid by the insurance fund.
"""

from decimal import Decimal

from paper_exchange.accounts import Account, MarginType, Position
from paper_exchange.books import Books
from paper_exchange.clearing import Clearing
from paper_exchange.events import Execution
from paper_exchange.margin import maintenance_margin
from paper_exchange.market import Market
from paper_exchange.matching import Matching
from paper_exchange.orders import ZERO, Order, OrderStatus, OrderType, Side, TimeInForce
from paper_exchange.risk import Risk


class Liquidation:
    """Watches margins as prices move."""

    def __init__(
        self, books: Books, market: Market, clearing: Clearing, risk: Risk, matching: Matching
    ) -> None:
        self._books = books
        self._market = market
        self._clearing = clearing
        self._risk = risk
        self._matching = matching

    def on_price(self, symbol: str, now_ms: int) -> None:
        """Liquidates what this market's price makes untenable."""
        held = self._books.held(symbol)
        for position in held:
            account = self._books.accounts[position.account_id]
            if account.setting(symbol).margin_type is MarginType.ISOLATED and self._is_lost(position, now_ms):
                self._take_over(account, [position], now_ms)
        for account_id in sorted({position.account_id for position in held}):
            self._check_cross(self._books.accounts[account_id], symbol, now_ms)

    def _is_lost(self, position: Position, now_ms: int) -> bool:
        left = position.isolated_wallet + position.unrealized(
            self._market.quote(position.symbol, now_ms).mark
        )
        return left < self._maintenance(position, now_ms)

    def _check_cross(self, account: Account, symbol: str, now_ms: int) -> None:
        if account.setting(symbol).margin_type is not MarginType.CROSS:
            return
        if not self._is_cross_lost(account, now_ms):
            return
        cross = [
            position
            for position in account.open_positions()
            if account.setting(position.symbol).margin_type is MarginType.CROSS
        ]
        self._take_over(account, cross, now_ms)

    def _is_cross_lost(self, account: Account, now_ms: int) -> bool:
        margin = self._risk.margin(account, now_ms)
        return account.cross_wallet + margin.cross_unrealized < margin.cross_maintenance

    def _take_over(self, account: Account, positions: list[Position], now_ms: int) -> None:
        isolated = account.setting(positions[0].symbol).margin_type is MarginType.ISOLATED
        floor = account.cross_wallet if isolated else ZERO
        for order in list(self._books.of(account).open_orders.values()):
            if not isolated or order.symbol == positions[0].symbol:
                self._matching.close(order, OrderStatus.EXPIRED, now_ms)
        for position in sorted(positions, key=lambda one: self._maintenance(one, now_ms), reverse=True):
            while position.quantity and (
                self._is_lost(position, now_ms) if isolated else self._is_cross_lost(account, now_ms)
            ):
                self._reduce(account, position, self._excess(position, now_ms), now_ms)
        self._clearing.cover_loss(account, floor, positions[0].symbol, now_ms)

    def _maintenance(self, position: Position, now_ms: int) -> Decimal:
        quote = self._market.quote(position.symbol, now_ms)
        return maintenance_margin(position, quote, self._risk.instrument(position.symbol))

    def _excess(self, position: Position, now_ms: int) -> Decimal:
        """How much of a position is more than the bracket below allows; all of it in the lowest."""
        account = self._books.accounts[position.account_id]
        instrument = self._risk.instrument_for(account, position.symbol)
        mark, size = self._market.quote(position.symbol, now_ms).mark, abs(position.quantity)
        kept = instrument.bracket(size * mark).floor / mark // instrument.step * instrument.step
        return size - kept

    def _reduce(self, account: Account, position: Position, quantity: Decimal, now_ms: int) -> None:
        was_long = position.quantity > 0
        order_id = self._books.take("order")
        order = Order(
            order_id=order_id,
            account_id=account.account_id,
            client_order_id=f"autoclose-{order_id}",
            symbol=position.symbol,
            side=Side.SELL if was_long else Side.BUY,
            position_side=position.side,
            type=OrderType.LIQUIDATION,
            time_in_force=TimeInForce.IOC,
            quantity=quantity,
            price=self._market.last(position.symbol, now_ms),
            create_ms=now_ms,
            update_ms=now_ms,
            original_type="LIMIT",
            reduce_only=True,
        )
        self._books.index_order(order)
        self._books.order_changed(order, Execution.NEW)
        self._clearing.fill(
            order,
            order.quantity,
            order.price,
            maker=False,
            now_ms=now_ms,
            extra_fee=self._risk.instrument(position.symbol).liquidation_fee,
        )
        if not position.quantity:
            self._matching.drop_close_orders(position, was_long=was_long, now_ms=now_ms)
