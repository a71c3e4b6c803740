"""Clearing: turns fills, funding and losses into positions and wallets."""

from decimal import Decimal

from paper_exchange.accounts import Account, IncomeType, MarginType, Position
from paper_exchange.books import Books
from paper_exchange.events import AccountChanged, Execution
from paper_exchange.market import Market
from paper_exchange.orders import ZERO, Fill, Order, OrderStatus, Side

TAKER_FEE = Decimal("0.0005")
MAKER_FEE = Decimal("0.0002")


class Clearing:
    """Settles what was matched."""

    def __init__(self, books: Books, market: Market) -> None:
        self._books = books
        self._market = market

    def fill(
        self,
        order: Order,
        quantity: Decimal,
        price: Decimal,
        *,
        maker: bool,
        now_ms: int,
        extra_fee: Decimal = ZERO,
    ) -> Fill:
        """Executes part or all of an order at a price.

        Args:
            extra_fee: A rate on top of the commission: the liquidation fee.
        """
        account = self._books.accounts[order.account_id]
        position = account.position(order.symbol, order.position_side)
        held = position.quantity
        rate = (MAKER_FEE if maker else TAKER_FEE) + extra_fee
        commission = _money(quantity * price * rate)
        realized = self._settle(
            account, position, order.side, quantity=quantity, price=price, commission=commission
        )
        order.executed += quantity
        order.executed_quote += quantity * price
        order.status = OrderStatus.PARTIALLY_FILLED if order.remaining else OrderStatus.FILLED
        order.update_ms = position.update_ms = account.update_ms = now_ms
        fill = Fill(
            trade_id=self._books.take("trade"),
            order_id=order.order_id,
            account_id=order.account_id,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            position_side=order.position_side,
            price=price,
            quantity=quantity,
            commission=commission,
            realized_pnl=realized,
            maker=maker,
            time_ms=now_ms,
        )
        position.realized_pnl += realized
        position.commission += commission
        if position.quantity and held * position.quantity <= 0:
            _start_round(position, fill)
        position.last_trade_id = fill.trade_id
        self._book(account, position, order, fill)
        return fill

    def _book(self, account: Account, position: Position, order: Order, fill: Fill) -> None:
        self._books.index_fill(fill)
        self._books.order_changed(order, Execution.TRADE, fill)
        for kind, amount in (
            (IncomeType.REALIZED_PNL, fill.realized_pnl),
            (IncomeType.COMMISSION, -fill.commission),
        ):
            if amount:
                self._books.book_income(
                    account, kind, amount, now_ms=fill.time_ms, symbol=fill.symbol, trade_id=fill.trade_id
                )
        self._books.note(AccountChanged(account))
        self._books.position_changed(position)

    def _settle(
        self,
        account: Account,
        position: Position,
        side: Side,
        *,
        quantity: Decimal,
        price: Decimal,
        commission: Decimal,
    ) -> Decimal:
        """Closes what the fill can close, opens the rest; returns the realised profit."""
        account.cross_wallet -= commission
        closing = min(quantity, position.closable(side))
        opening = quantity - closing
        realized = ZERO
        if closing:
            realized = self._close(account, position, closing, price)
        if opening:
            position.fees += commission * opening / quantity
            self._open(account, position, side.sign * opening, price)
        return realized

    def _close(self, account: Account, position: Position, quantity: Decimal, price: Decimal) -> Decimal:
        direction = 1 if position.quantity > 0 else -1
        share = quantity / abs(position.quantity)
        realized = _money((price - position.entry_price) * quantity * direction)
        released = _money(position.isolated_wallet * share)
        position.isolated_wallet -= released
        account.cross_wallet += released + realized
        position.fees -= position.fees * share
        position.quantity -= direction * quantity
        if not position.quantity:
            account.cross_wallet += position.isolated_wallet
            position.isolated_wallet = position.entry_price = position.fees = ZERO
        return realized

    def _open(self, account: Account, position: Position, signed: Decimal, price: Decimal) -> None:
        held, added = abs(position.quantity), abs(signed)
        position.entry_price = (position.entry_price * held + price * added) / (held + added)
        position.quantity += signed
        setting = account.setting(position.symbol)
        if setting.margin_type is MarginType.ISOLATED:
            margin = _money(added * price / setting.leverage)
            account.cross_wallet -= margin
            position.isolated_wallet += margin

    def move_isolated_margin(
        self, account: Account, position: Position, amount: Decimal, now_ms: int
    ) -> None:
        """Moves margin from the cross wallet to the position; a negative amount takes it back."""
        account.cross_wallet -= amount
        position.isolated_wallet += amount
        position.update_ms = account.update_ms = now_ms
        self._books.book_margin_change(position, amount, now_ms)
        self._books.note(AccountChanged(account))
        self._books.position_changed(position)

    def pay_funding(self, symbol: str, now_ms: int) -> None:
        """Pays the funding that is due at this moment; longs pay when the rate is positive."""
        rate = self._market.funding_rate(symbol, now_ms - 1)
        mark = self._market.quote(symbol, now_ms).mark
        for position in self._books.held(symbol):
            account = self._books.accounts[position.account_id]
            amount = _money(-position.quantity * mark * rate)
            if account.setting(symbol).margin_type is MarginType.ISOLATED:
                position.isolated_wallet += amount
                self._books.position_changed(position)
            else:
                account.cross_wallet += amount
            self._books.book_income(account, IncomeType.FUNDING_FEE, amount, now_ms=now_ms, symbol=symbol)
            self._books.note(AccountChanged(account))

    def cover_loss(self, account: Account, floor: Decimal, symbol: str, now_ms: int) -> None:
        """The insurance fund pays what a liquidation took from the cross wallet below this floor."""
        missing = floor - account.cross_wallet
        if missing > 0:
            account.cross_wallet += missing
            self._books.book_income(
                account, IncomeType.INSURANCE_CLEAR, missing, now_ms=now_ms, symbol=symbol
            )
            self._books.note(AccountChanged(account))


def _start_round(position: Position, fill: Fill) -> None:
    """Counts anew: the position was flat or has changed sides."""
    position.open_ms, position.opening_trade_id = fill.time_ms, fill.trade_id
    position.realized_pnl = ZERO
    position.commission = fill.commission * abs(position.quantity) / fill.quantity


def _money(amount: Decimal) -> Decimal:
    return round(amount, 8) if amount else ZERO
