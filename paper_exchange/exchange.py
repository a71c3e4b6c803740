"""The exchange: commands in, events out. Knows no HTTP and no protocol.

Every command first lets time pass up to now (`advance`), then checks, then changes; a refused command changes
nothing. The caller commits `books.pending` before it answers.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from paper_exchange.accounts import (
    Account,
    Environment,
    IncomeType,
    MarginType,
    Permissions,
    Venue,
)
from paper_exchange.books import Books
from paper_exchange.clearing import Clearing
from paper_exchange.events import Execution, InstrumentChanged, PriceSet
from paper_exchange.filters import check_limit_price, check_notional, check_price, check_quantity
from paper_exchange.instruments import Instrument
from paper_exchange.liquidation import Liquidation
from paper_exchange.market import FUNDING_INTERVAL_MS, Market, PostedPrice, Quote
from paper_exchange.matching import (
    Matching,
    NextPartialFill,
    is_beyond,
    is_marketable,
    is_profit,
    watched_price,
)
from paper_exchange.orders import (
    ZERO,
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
from paper_exchange.refusals import Reason, Refused
from paper_exchange.risk import Risk
from paper_exchange.settings import Settings

MAX_OPEN_ORDERS = 200  # per account and symbol
MAX_OPEN_CONDITIONAL_ORDERS = 200  # per account
MIN_GOOD_TILL_MS = 600_000
_CALLBACK_RATES = (Decimal("0.1"), Decimal(20))
_AMENDABLE = (
    "type", "quantity", "price", "trigger_price", "working_type", "take_profit",
    "activation_price", "callback_rate", "callback_spread", "extreme",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a client asks for. `price` is zero for a market order; no `client_order_id` means: make one.

    `ends_unfillable`: a post-only order that would take, or a fill-or-kill one that cannot fill, is accepted
    and ends at once; otherwise it is refused.
    """

    symbol: str
    side: Side
    position_side: PositionSide
    type: OrderType
    quantity: Decimal
    price: Decimal = ZERO
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    client_order_id: str | None = None
    good_till_ms: int = 0
    self_trade_prevention: str = "EXPIRE_MAKER"
    ends_unfillable: bool = False
    tag: str = ""
    attached: tuple[AttachedExit, ...] = ()


@dataclass(frozen=True, slots=True)
class NewConditionalOrder:
    """What a client asks for. `quantity` is zero with `close_position`; unused prices and rates are zero."""

    symbol: str
    side: Side
    position_side: PositionSide
    type: ConditionalType
    quantity: Decimal = ZERO
    price: Decimal = ZERO
    trigger_price: Decimal = ZERO
    working_type: TriggerPrice = TriggerPrice.LAST
    time_in_force: TimeInForce = TimeInForce.GTC
    close_position: bool = False
    price_protect: bool = False
    reduce_only: bool = False
    client_algo_id: str | None = None
    good_till_ms: int = 0
    activation_price: Decimal = ZERO
    callback_rate: Decimal = ZERO
    callback_spread: Decimal = ZERO
    self_trade_prevention: str = "EXPIRE_MAKER"
    take_profit: ExitLeg | None = None
    cancel_on_close: bool = False
    tag: str = ""
    original_type: str = ""


class Exchange:
    """One exchange with its market and its accounts."""

    def __init__(
        self, books: Books, market: Market, next_partial_fill: NextPartialFill, *, now_ms: int
    ) -> None:
        self.books = books
        self.market = market
        self.clearing = Clearing(books, market)
        self.risk = Risk(books, market)
        self.matching = Matching(books, market, self.clearing, self.risk, next_partial_fill)
        self.settings = Settings(books, market, self.risk, self.clearing)
        self._liquidation = Liquidation(books, market, self.clearing, self.risk, self.matching)
        books.counters.second = books.counters.second or now_ms // 1000
        self._seen: dict[str, Quote] = {}
        self._countdowns: dict[tuple[int, str], int] = {}

    # Time and prices

    def advance(self, now_ms: int) -> None:
        """Lets every second up to now happen: prices meet orders, funding is paid, dates run out."""
        second = now_ms // 1000
        if second <= self.books.counters.second:
            return
        symbols = self.books.active_symbols()
        for step in range(self.books.counters.second + 1, second + 1):
            self._pass_second(symbols, step * 1000)
        self.books.counters.second = second

    def _pass_second(self, symbols: list[str], now_ms: int) -> None:
        for symbol in symbols:
            if symbol not in self._seen or not self.market.stands_still():
                self._meet_price(symbol, now_ms)
            if now_ms % FUNDING_INTERVAL_MS == 0:
                self.clearing.pay_funding(symbol, now_ms)
                self._liquidation.on_price(symbol, now_ms)
            self._expire_dated(symbol, now_ms)
        for (account_id, symbol), due_ms in list(self._countdowns.items()):
            if due_ms <= now_ms:
                del self._countdowns[account_id, symbol]
                self.cancel_all(self.books.accounts[account_id], symbol, now_ms)

    def _meet_price(self, symbol: str, now_ms: int) -> None:
        quote = self.market.quote(symbol, now_ms)
        if self._seen.get(symbol) != quote:
            self._seen[symbol] = quote
            self.matching.on_price(symbol, now_ms)
            self._liquidation.on_price(symbol, now_ms)

    def _expire_dated(self, symbol: str, now_ms: int) -> None:
        for order in self.books.resting(symbol):
            if order.time_in_force is TimeInForce.GTD and order.good_till_ms <= now_ms:
                self.matching.close(order, OrderStatus.EXPIRED, now_ms)
        for conditional in self.books.waiting(symbol):
            if conditional.time_in_force is TimeInForce.GTD and conditional.good_till_ms <= now_ms:
                self.matching.close_conditional(conditional, ConditionalStatus.EXPIRED, now_ms)

    def post_price(self, symbol: str, price: Decimal, now_ms: int) -> None:
        """Moves a market to exactly this price and lets orders meet it.

        Raises:
            Refused: unknown symbol, or not a price on the tick.
        """
        check_price(self.instrument(symbol), price)
        self.advance(now_ms)
        posted = PostedPrice(symbol, now_ms, price)
        self.market.post(posted)
        self.books.note(PriceSet(posted, self.books.take("price")))
        self._meet_price(symbol, now_ms)

    def instrument(self, symbol: str) -> Instrument:
        """Raises `Refused` for a symbol that is not listed."""
        return self.risk.instrument(symbol)

    def relist(self, instrument: Instrument) -> None:
        """Replaces the filters or the status of a listed contract."""
        self.market.relist(instrument)
        self.books.note(InstrumentChanged(instrument))

    # Accounts

    def open_account(
        self,
        *,
        venue: Venue,
        api_key: str,
        balance: Decimal,
        permissions: Permissions,
        now_ms: int,
        environment: Environment = Environment.ANY,
        public_key: str = "",
    ) -> Account:
        account = Account(
            account_id=self.books.take("account"),
            venue=venue,
            api_key=api_key,
            create_ms=now_ms,
            initial_balance=balance,
            cross_wallet=balance,
            permissions=permissions,
            environment=environment,
            public_key=public_key,
            update_ms=now_ms,
        )
        self.books.add_account(account)
        self.books.book_income(account, IncomeType.TRANSFER, balance, now_ms=now_ms)
        return account

    def reset(self, now_ms: int) -> None:
        """Back to the start: markets, orders, positions, wallets. Accounts and their keys stay."""
        self.market.clear_posts()
        self.books.clear()
        self._seen.clear()
        self._countdowns.clear()
        for account in self.books.accounts.values():
            account.update_ms = now_ms
            self.books.book_income(account, IncomeType.TRANSFER, account.initial_balance, now_ms=now_ms)

    # Orders

    def place(self, account: Account, new: NewOrder, now_ms: int) -> Order:
        """Places an order; raises `Refused` when any check fails."""
        order = self.check(account, new, now_ms)
        order = replace(order, order_id=self.books.take("order"))
        if not order.client_order_id:
            order.client_order_id = self.books.client_id(order.order_id)
        self.matching.submit(order, now_ms)
        return order

    def check(self, account: Account, new: NewOrder, now_ms: int) -> Order:
        """All checks of a new order, without placing it; returns the order it would be."""
        instrument = self._tradable(account, new.symbol, reduces=new.reduce_only)
        _check_position_side(account, new.position_side, new.reduce_only)
        quote = self.market.quote(new.symbol, now_ms)
        check_quantity(instrument, new.quantity, market=new.type is OrderType.MARKET)
        if new.type is OrderType.LIMIT:
            check_price(instrument, new.price)
            check_limit_price(instrument, new.side, new.price, mark=quote.mark)
        if not new.reduce_only and not closes_hedged(new.side, new.position_side):
            check_notional(instrument, new.quantity * (new.price or quote.last))
        if new.time_in_force is TimeInForce.GTD and new.good_till_ms <= now_ms + MIN_GOOD_TILL_MS:
            raise Refused(Reason.GOOD_TILL_DATE)
        order = _order(account, new, now_ms)
        self._check_room(account, order)
        self.risk.check(account, order, now_ms)
        if not new.ends_unfillable:
            _check_time_in_force(order, quote.last)
        return order

    def _tradable(self, account: Account, symbol: str, *, reduces: bool) -> Instrument:
        instrument = self.risk.instrument_for(account, symbol)
        if instrument.status != "TRADING" and not (reduces and instrument.status == "SETTLING"):
            raise Refused(Reason.SYMBOL_NOT_TRADING)
        return instrument

    def _check_room(self, account: Account, order: Order) -> None:
        book = self.books.of(account)
        same_id = book.orders_by_client_id.get(order.client_order_id)
        # Only open orders count: the id of a filled order is accepted again, as on the real exchange.
        if same_id is not None and same_id.is_open:
            raise Refused(Reason.DUPLICATE_CLIENT_ID)
        if sum(o.symbol == order.symbol for o in book.open_orders.values()) >= MAX_OPEN_ORDERS:
            raise Refused(Reason.TOO_MANY_ORDERS)

    def cancel(self, account: Account, order: Order | None, now_ms: int) -> Order:
        """Cancels an order; refuses when there is none or it is done."""
        if order is None or not order.is_open:
            raise Refused(Reason.CANCEL_UNKNOWN)
        self.matching.close(order, OrderStatus.CANCELED, now_ms)
        return order

    def end_unfillable(self, order: Order, now_ms: int) -> None:
        """Ends an open order that cannot work as it was asked to."""
        self.matching.close(order, OrderStatus.EXPIRED, now_ms)

    def cancel_all(self, account: Account, symbol: str, now_ms: int) -> None:
        """Cancels the open orders of a symbol; conditional orders stay."""
        self.instrument(symbol)
        for order in list(self.books.of(account).open_orders.values()):
            if order.symbol == symbol:
                self.matching.close(order, OrderStatus.CANCELED, now_ms)

    def cancel_all_after(self, account: Account, symbol: str, delay_ms: int, now_ms: int) -> None:
        """Sets the dead-man's switch of a symbol; 0 disarms it."""
        self.instrument(symbol)
        self._countdowns.pop((account.account_id, symbol), None)
        if delay_ms:
            self._countdowns[account.account_id, symbol] = now_ms + delay_ms

    def amend(
        self,
        account: Account,
        order: Order | None,
        *,
        side: Side,
        quantity: Decimal,
        price: Decimal,
        now_ms: int,
    ) -> Order:
        """Changes quantity and price of an open limit order; it keeps its id and may fill at once."""
        if order is None or not order.is_open:
            raise Refused(Reason.ORDER_UNKNOWN)
        if order.type is not OrderType.LIMIT or order.side is not side:
            raise Refused(Reason.AMEND_NOT_LIMIT)
        if (quantity, price) == (order.quantity, order.price):
            raise Refused(Reason.AMEND_NOTHING)
        instrument = self._tradable(account, order.symbol, reduces=order.reduce_only)
        quote = self.market.quote(order.symbol, now_ms)
        check_quantity(instrument, quantity, market=False)
        check_price(instrument, price)
        check_limit_price(instrument, side, price, mark=quote.mark)
        if quantity <= order.executed:
            self.matching.close(order, OrderStatus.CANCELED, now_ms)
            return order
        changed = replace(order, quantity=quantity, price=price)
        if not order.reduce_only:
            check_notional(instrument, quantity * price)
            self._check_amended(account, order, changed, now_ms)
        _check_time_in_force(changed, quote.last)
        before = replace(order)
        order.quantity, order.price, order.update_ms = quantity, price, now_ms
        self.books.book_amendment(before, order, now_ms)
        self.books.order_changed(order, Execution.AMENDMENT)
        self.matching.reprice(order, now_ms)
        return order

    def _check_amended(self, account: Account, order: Order, changed: Order, now_ms: int) -> None:
        """Checks the margin of the changed order as if the old one were not there."""
        open_orders = self.books.of(account).open_orders
        del open_orders[order.order_id]
        try:
            self.risk.check(account, changed, now_ms)
        finally:
            open_orders[order.order_id] = order

    # Conditional orders

    def place_conditional(self, account: Account, new: NewConditionalOrder, now_ms: int) -> ConditionalOrder:
        """Places a conditional order; margin is checked when it triggers, not now."""
        self._check_conditional(account, new, now_ms)
        algo_id = self.books.take("algo")
        quote = self.market.quote(new.symbol, now_ms)
        watched = watched_price(new.working_type, quote)
        trails = new.type is ConditionalType.TRAILING_STOP_MARKET
        order = ConditionalOrder(
            algo_id=algo_id,
            account_id=account.account_id,
            client_algo_id=new.client_algo_id or self.books.client_id(algo_id),
            symbol=new.symbol,
            side=new.side,
            position_side=new.position_side,
            type=new.type,
            time_in_force=new.time_in_force,
            quantity=new.quantity,
            price=new.price,
            trigger_price=new.trigger_price,
            working_type=new.working_type,
            create_ms=now_ms,
            update_ms=now_ms,
            close_position=new.close_position,
            price_protect=new.price_protect,
            reduce_only=new.reduce_only,
            good_till_ms=new.good_till_ms,
            self_trade_prevention=new.self_trade_prevention,
            activation_price=new.activation_price,
            callback_rate=new.callback_rate,
            callback_spread=new.callback_spread,
            extreme=watched if trails and not new.activation_price else None,
            take_profit=new.take_profit,
            cancel_on_close=new.cancel_on_close,
            isolated=account.setting(new.symbol).margin_type is MarginType.ISOLATED,
            tag=new.tag,
            original_type=new.original_type,
        )
        self.books.index_conditional(order)
        self.books.conditional_changed(order)
        return order

    def _check_conditional(self, account: Account, new: NewConditionalOrder, now_ms: int) -> None:
        reduces = new.reduce_only or new.close_position
        instrument = self._tradable(account, new.symbol, reduces=reduces)
        _check_position_side(account, new.position_side, new.reduce_only)
        quote = self.market.quote(new.symbol, now_ms)
        if new.close_position:
            self._check_close_position(account, new)
        else:
            check_quantity(instrument, new.quantity, market=not new.type.is_limit)
        if new.type.is_limit:
            check_price(instrument, new.price)
        watched = watched_price(new.working_type, quote)
        if new.type is ConditionalType.TRAILING_STOP_MARKET:
            _check_trailing(instrument, new, watched)
        else:
            check_price(instrument, new.trigger_price)
            if is_beyond(new.type, new.side, new.trigger_price, watched):
                raise Refused(Reason.WOULD_TRIGGER)
        if new.take_profit is not None:
            check_price(instrument, new.take_profit.trigger_price)
            if is_profit(new.take_profit, new.side, quote):
                raise Refused(Reason.WOULD_TRIGGER)
        if not reduces and not closes_hedged(new.side, new.position_side):
            check_notional(instrument, new.quantity * (new.price or new.trigger_price or watched))
        if new.time_in_force is TimeInForce.GTD and new.good_till_ms <= now_ms + MIN_GOOD_TILL_MS:
            raise Refused(Reason.GOOD_TILL_DATE)
        self._check_conditional_room(account, new)

    def _check_close_position(self, account: Account, new: NewConditionalOrder) -> None:
        """One stop and one take profit may close a position; in hedge mode from its closing side only."""
        if account.hedge_mode and not closes_hedged(new.side, new.position_side):
            raise Refused(Reason.CLOSE_POSITION_SIDE)
        for other in self.books.of(account).open_conditional.values():
            if (
                other.close_position
                and other.symbol == new.symbol
                and other.side is new.side
                and other.position_side is new.position_side
                and other.type.takes_profit == new.type.takes_profit
            ):
                raise Refused(Reason.DUPLICATE_CLOSE_POSITION)

    def _check_conditional_room(self, account: Account, new: NewConditionalOrder) -> None:
        book = self.books.of(account)
        same_id = book.conditional_by_client_id.get(new.client_algo_id or "")
        if same_id is not None and same_id.is_open:
            raise Refused(Reason.DUPLICATE_CLIENT_ID)
        if len(book.open_conditional) >= MAX_OPEN_CONDITIONAL_ORDERS:
            raise Refused(Reason.TOO_MANY_CONDITIONAL_ORDERS)

    def amend_conditional(self, order: ConditionalOrder, changed: ConditionalOrder, now_ms: int) -> None:
        """Gives a waiting conditional order the quantity, triggers and prices of a changed copy.

        Raises:
            Refused: it no longer waits, or the changed one would be refused.
        """
        if not order.is_open:
            raise Refused(Reason.ORDER_UNKNOWN)
        account = self.books.accounts[order.account_id]
        instrument = self._tradable(account, order.symbol, reduces=True)
        quote = self.market.quote(order.symbol, now_ms)
        if not order.close_position:
            check_quantity(instrument, changed.quantity, market=not changed.price)
        if changed.trigger_price:
            check_price(instrument, changed.trigger_price)
            watched = watched_price(changed.working_type, quote)
            if is_beyond(changed.type, changed.side, changed.trigger_price, watched):
                raise Refused(Reason.WOULD_TRIGGER)
        if changed.take_profit is not None and is_profit(changed.take_profit, changed.side, quote):
            raise Refused(Reason.WOULD_TRIGGER)
        for name in _AMENDABLE:
            setattr(order, name, getattr(changed, name))
        order.update_ms = now_ms
        self.books.conditional_changed(order)

    def cancel_conditional(self, order: ConditionalOrder | None, now_ms: int) -> ConditionalOrder:
        """Cancels a waiting conditional order; a triggered one is canceled as the order it became."""
        if order is None or not order.is_open:
            raise Refused(Reason.CANCEL_UNKNOWN)
        self.matching.close_conditional(order, ConditionalStatus.CANCELED, now_ms)
        return order

    def cancel_all_conditional(self, account: Account, symbol: str, now_ms: int) -> None:
        self.instrument(symbol)
        for order in list(self.books.of(account).open_conditional.values()):
            if order.symbol == symbol:
                self.matching.close_conditional(order, ConditionalStatus.CANCELED, now_ms)


def _order(account: Account, new: NewOrder, now_ms: int) -> Order:
    return Order(
        order_id=0,
        account_id=account.account_id,
        client_order_id=new.client_order_id or "",
        symbol=new.symbol,
        side=new.side,
        position_side=new.position_side,
        type=new.type,
        time_in_force=new.time_in_force,
        quantity=new.quantity,
        price=new.price,
        create_ms=now_ms,
        update_ms=now_ms,
        original_type=new.type,
        reduce_only=new.reduce_only or closes_hedged(new.side, new.position_side),
        good_till_ms=new.good_till_ms,
        self_trade_prevention=new.self_trade_prevention,
        isolated=account.setting(new.symbol).margin_type is MarginType.ISOLATED,
        tag=new.tag,
        attached=new.attached,
    )


def _check_position_side(account: Account, side: PositionSide, reduce_only: bool) -> None:
    if account.hedge_mode != (side is not PositionSide.BOTH):
        raise Refused(Reason.POSITION_SIDE_MISMATCH)
    if account.hedge_mode and reduce_only:
        raise Refused(Reason.REDUCE_ONLY_IN_HEDGE_MODE)


def _check_time_in_force(order: Order, last: Decimal) -> None:
    marketable = is_marketable(order, last)
    if order.time_in_force is TimeInForce.GTX and marketable:
        raise Refused(Reason.POST_ONLY_WOULD_TAKE)
    if order.time_in_force is TimeInForce.FOK and not marketable:
        raise Refused(Reason.FILL_OR_KILL)


def _check_trailing(instrument: Instrument, new: NewConditionalOrder, watched: Decimal) -> None:
    low, high = _CALLBACK_RATES
    if not new.callback_spread and not low <= new.callback_rate <= high:
        raise Refused(Reason.CALLBACK_RATE)
    if not new.activation_price:
        return
    check_price(instrument, new.activation_price)
    beyond = new.activation_price >= watched if new.side is Side.BUY else new.activation_price <= watched
    if beyond:
        raise Refused(Reason.WOULD_TRIGGER)
