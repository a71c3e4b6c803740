"""Matching without an order book: orders meet the market price.

A market order fills at the last price. A limit order that crosses the last price fills at once, at the last
price, as taker; one that rests fills whole at its own price, as maker, when the last price touches it.
Conditional orders watch last or mark price and fill at the last price found then, so a jump past a stop fills
at the far side of the gap. A `PartialFill` rule makes the market thin: the order then fills in equal parts,
one per price move.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from paper_exchange.accounts import Position
from paper_exchange.books import Books
from paper_exchange.clearing import Clearing
from paper_exchange.events import Execution
from paper_exchange.market import Market, Quote
from paper_exchange.orders import (
    AttachedExit,
    ConditionalOrder,
    ConditionalStatus,
    ConditionalType,
    ExitLeg,
    Order,
    OrderStatus,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
    TriggerPrice,
    closes_hedged,
)
from paper_exchange.refusals import Refused
from paper_exchange.risk import Risk

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class PartialFill:
    """A thin market: `ratio` of the order fills per price move; `expires` drops all after the first."""

    ratio: Decimal
    expires: bool = False


NextPartialFill = Callable[[Order], PartialFill | None]


class Matching:
    """Executes orders against the market."""

    def __init__(
        self, books: Books, market: Market, clearing: Clearing, risk: Risk, next_partial_fill: NextPartialFill
    ) -> None:
        self._books = books
        self._market = market
        self._clearing = clearing
        self._risk = risk
        self._next_partial_fill = next_partial_fill

    # Orders

    def submit(self, order: Order, now_ms: int) -> None:
        """Takes an order that has passed all checks: fills, rests or expires it."""
        self._books.index_order(order)
        self._books.order_changed(order, Execution.NEW)
        self.reprice(order, now_ms)

    def reprice(self, order: Order, now_ms: int) -> None:
        """Executes an open order as far as the market is there for it now."""
        last = self._market.last(order.symbol, now_ms)
        if is_marketable(order, last):
            if order.time_in_force is TimeInForce.GTX:
                self.close(order, OrderStatus.EXPIRED, now_ms)
            else:
                self._take(order, last, now_ms)
        elif order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            self.close(order, OrderStatus.EXPIRED, now_ms)

    def close(self, order: Order, status: OrderStatus, now_ms: int) -> None:
        """Ends what is left of an order: canceled or expired."""
        order.status, order.update_ms = status, now_ms
        self._books.order_changed(
            order, Execution.CANCELED if status is OrderStatus.CANCELED else Execution.EXPIRED
        )
        self._finish_trigger(order, now_ms)
        self._start_exits(order, now_ms)

    def _take(self, order: Order, last: Decimal, now_ms: int) -> None:
        thin = None if order.time_in_force is TimeInForce.FOK else self._next_partial_fill(order)
        if thin is None:
            self._fill(order, order.remaining, last, maker=False, now_ms=now_ms)
            return
        step = self._risk.instrument_for(self._books.accounts[order.account_id], order.symbol).step
        order.part = max(order.quantity * thin.ratio // step * step, step)
        self._fill(order, order.part, last, maker=False, now_ms=now_ms)
        if order.is_open and (thin.expires or order.time_in_force is TimeInForce.IOC):
            self.close(order, OrderStatus.EXPIRED, now_ms)

    def _fill(self, order: Order, quantity: Decimal, price: Decimal, *, maker: bool, now_ms: int) -> None:
        """Fills up to this quantity; a reduce-only order never more than there is to reduce."""
        account = self._books.accounts[order.account_id]
        position = account.position(order.symbol, order.position_side)
        held = position.quantity
        quantity = min(quantity, order.remaining)
        if order.reduce_only:
            quantity = min(quantity, position.closable(order.side))
        if quantity:
            self._clearing.fill(order, quantity, price, maker=maker, now_ms=now_ms)
        if order.is_open and order.reduce_only and not position.closable(order.side):
            self.close(order, OrderStatus.EXPIRED, now_ms)
        elif not order.is_open:
            self._finish_trigger(order, now_ms)
        if held * position.quantity <= 0 and held:
            self.drop_close_orders(position, was_long=held > 0, now_ms=now_ms)
        if order.status is OrderStatus.FILLED:
            self._start_exits(order, now_ms)

    # Price moves

    def on_price(self, symbol: str, now_ms: int) -> None:
        """Lets resting orders and then conditional orders of a market meet its new price."""
        quote = self._market.quote(symbol, now_ms)
        for order in self._touched(symbol, quote.last):
            if not order.is_open:
                continue
            if order.part is None:
                self._fill(order, order.remaining, order.price, maker=True, now_ms=now_ms)
            else:
                self._fill(order, order.part, quote.last, maker=False, now_ms=now_ms)
        for conditional in self._books.waiting(symbol):
            if conditional.is_open and self._fires(conditional, quote, now_ms):
                self._trigger(conditional, now_ms)

    def _touched(self, symbol: str, last: Decimal) -> list[Order]:
        """Resting orders that the price has reached, best prices first, then the oldest."""
        touched = [order for order in self._books.resting(symbol) if is_marketable(order, last)]
        return sorted(touched, key=lambda order: (-order.side.sign * order.price, order.order_id))

    def _fires(self, order: ConditionalOrder, quote: Quote, now_ms: int) -> bool:
        price = watched_price(order.working_type, quote)
        if order.type is ConditionalType.TRAILING_STOP_MARKET:
            return self._trail(order, price, now_ms)
        if order.price_protect and abs(quote.mark - quote.last) > (
            quote.mark * self._risk.instrument(order.symbol).trigger_protect
        ):
            return False
        if is_beyond(order.type, order.side, order.trigger_price, price):
            return True
        order.profit_taken = order.take_profit is not None and is_profit(order.take_profit, order.side, quote)
        return order.profit_taken

    def _trail(self, order: ConditionalOrder, price: Decimal, now_ms: int) -> bool:
        """Follows the price with a trailing stop; true when it has come back by the callback rate."""
        sells = order.side is Side.SELL
        if order.extreme is None:
            armed = price >= order.activation_price if sells else price <= order.activation_price
            if not armed:
                return False
        extreme = price if order.extreme is None else (max if sells else min)(order.extreme, price)
        if extreme != order.extreme:
            order.extreme, order.update_ms = extreme, now_ms
            self._books.conditional_changed(order)
        distance = order.callback_spread or extreme * order.callback_rate / _HUNDRED
        return price <= extreme - distance if sells else price >= extreme + distance

    def _trigger(self, conditional: ConditionalOrder, now_ms: int) -> None:
        """Turns a conditional order into the order it stands for."""
        account = self._books.accounts[conditional.account_id]
        position = account.position(conditional.symbol, conditional.position_side)
        quantity = conditional.quantity
        conditional.trigger_ms = conditional.update_ms = now_ms
        if conditional.close_position:
            quantity = position.closable(conditional.side)
            if not quantity:
                self.close_conditional(conditional, ConditionalStatus.EXPIRED, now_ms)
                return
        order = self._order_of(conditional, quantity, now_ms)
        try:
            self._risk.check(account, order, now_ms)
        except Refused as refused:
            conditional.reject_reason = refused.reason
            self.close_conditional(conditional, ConditionalStatus.REJECTED, now_ms)
            return
        conditional.order_id = order.order_id
        self.close_conditional(conditional, ConditionalStatus.TRIGGERED, now_ms)
        self.submit(order, now_ms)

    def _order_of(self, conditional: ConditionalOrder, quantity: Decimal, now_ms: int) -> Order:
        order_id = self._books.take("order")
        price = conditional.price
        if conditional.profit_taken and conditional.take_profit is not None:
            price = conditional.take_profit.price
        return Order(
            order_id=order_id,
            account_id=conditional.account_id,
            client_order_id=self._books.client_id(order_id),
            symbol=conditional.symbol,
            side=conditional.side,
            position_side=conditional.position_side,
            type=OrderType.LIMIT if price else OrderType.MARKET,
            time_in_force=conditional.time_in_force,
            quantity=quantity,
            price=price,
            create_ms=now_ms,
            update_ms=now_ms,
            original_type=conditional.type,
            reduce_only=conditional.reduce_only
            or conditional.close_position
            or closes_hedged(conditional.side, conditional.position_side),
            close_position=conditional.close_position,
            good_till_ms=conditional.good_till_ms,
            trigger_price=conditional.trigger_price,
            working_type=conditional.working_type,
            price_protect=conditional.price_protect,
            self_trade_prevention=conditional.self_trade_prevention,
            algo_id=conditional.algo_id,
            isolated=conditional.isolated,
            tag=conditional.tag,
        )

    # Exits that were attached to an entry

    def _start_exits(self, entry: Order, now_ms: int) -> None:
        """Lets the exits of an entry that has ended wait for their triggers, for what it has filled."""
        attached, entry.attached = entry.attached, ()
        for exit_ in attached if entry.executed else ():
            conditional = self._conditional_of(entry, exit_, now_ms)
            self._books.index_conditional(conditional)
            self._books.conditional_changed(conditional)
            quote = self._market.quote(entry.symbol, now_ms)
            if self._fires(conditional, quote, now_ms):
                self._trigger(conditional, now_ms)

    def _conditional_of(self, entry: Order, exit_: AttachedExit, now_ms: int) -> ConditionalOrder:
        algo_id = self._books.take("algo")
        first = exit_.stop_loss or exit_.take_profit
        assert first is not None, "an exit has at least one leg"
        kinds = (ConditionalType.STOP_MARKET, ConditionalType.STOP)
        if exit_.stop_loss is None:
            kinds = (ConditionalType.TAKE_PROFIT_MARKET, ConditionalType.TAKE_PROFIT)
        return ConditionalOrder(
            algo_id=algo_id,
            account_id=entry.account_id,
            client_algo_id=exit_.client_algo_id or self._books.client_id(algo_id),
            symbol=entry.symbol,
            side=entry.side.opposite,
            position_side=entry.position_side,
            type=kinds[bool(first.price)],
            time_in_force=TimeInForce.GTC,
            quantity=min(exit_.quantity or entry.executed, entry.executed),
            price=first.price,
            trigger_price=first.trigger_price,
            working_type=first.working_type,
            create_ms=now_ms,
            update_ms=now_ms,
            reduce_only=entry.position_side is PositionSide.BOTH,
            take_profit=exit_.take_profit if exit_.stop_loss is not None else None,
            isolated=entry.isolated,
            tag=entry.tag,
        )

    # Ends of conditional orders

    def close_conditional(self, order: ConditionalOrder, status: ConditionalStatus, now_ms: int) -> None:
        order.status, order.update_ms = status, now_ms
        self._books.conditional_changed(order)

    def drop_close_orders(self, position: Position, *, was_long: bool, now_ms: int) -> None:
        """Expires the close-position orders of a position that is gone."""
        account = self._books.accounts[position.account_id]
        closing_side = Side.SELL if was_long else Side.BUY
        for order in list(self._books.of(account).open_conditional.values()):
            if (
                (order.close_position or order.cancel_on_close)
                and order.symbol == position.symbol
                and order.side is closing_side
                and order.position_side is position.side
            ):
                self.close_conditional(order, ConditionalStatus.EXPIRED, now_ms)

    def _finish_trigger(self, order: Order, now_ms: int) -> None:
        """A conditional order is finished when the order it became is."""
        if order.algo_id is not None:
            account = self._books.accounts[order.account_id]
            conditional = self._books.of(account).conditional[order.algo_id]
            self.close_conditional(conditional, ConditionalStatus.FINISHED, now_ms)


def is_marketable(order: Order, last: Decimal) -> bool:
    """Whether the order can fill at this price."""
    if order.type is not OrderType.LIMIT:
        return True
    return order.price >= last if order.side is Side.BUY else order.price <= last


def is_beyond(kind: ConditionalType, side: Side, trigger_price: Decimal, price: Decimal) -> bool:
    """Whether the price is where a stop or take profit triggers (at its trigger price counts)."""
    upwards = (side is Side.BUY) != kind.takes_profit
    return price >= trigger_price if upwards else price <= trigger_price


def is_profit(leg: ExitLeg, side: Side, quote: Quote) -> bool:
    """Whether a take-profit leg of an order of this side triggers at these prices."""
    return is_beyond(
        ConditionalType.TAKE_PROFIT, side, leg.trigger_price, watched_price(leg.working_type, quote)
    )


def watched_price(working_type: TriggerPrice, quote: Quote) -> Decimal:
    """The price that a conditional order watches."""
    match working_type:
        case TriggerPrice.MARK:
            return quote.mark
        case TriggerPrice.INDEX:
            return quote.index
        case _:
            return quote.last
