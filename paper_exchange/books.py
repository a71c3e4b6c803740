"""The state of the exchange in memory, with the indexes that make each lookup short."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256

from paper_exchange.accounts import Account, Income, IncomeType, MarginChange, Position
from paper_exchange.events import (
    AccountChanged,
    Cleared,
    ConditionalOrderChanged,
    Event,
    Execution,
    IncomeBooked,
    MarginMoved,
    OrderAmended,
    OrderChanged,
    PositionChanged,
)
from paper_exchange.feed import Feed
from paper_exchange.orders import Amendment, ConditionalOrder, Fill, Order

_FIRST_ORDER_ID = 4_000_000_001
_FIRST_ALGO_ID = 1_000_000_000_001
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(slots=True)
class AccountBook:
    """What belongs to one account; orders by id, and by client id (the latest of each)."""

    orders: dict[int, Order] = field(default_factory=dict)
    open_orders: dict[int, Order] = field(default_factory=dict)
    orders_by_client_id: dict[str, Order] = field(default_factory=dict)
    conditional: dict[int, ConditionalOrder] = field(default_factory=dict)
    open_conditional: dict[int, ConditionalOrder] = field(default_factory=dict)
    conditional_by_client_id: dict[str, ConditionalOrder] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    fills_by_order: dict[int, list[Fill]] = field(default_factory=lambda: defaultdict(list))
    incomes: list[Income] = field(default_factory=list)
    amendments: list[Amendment] = field(default_factory=list)
    margin_changes: list[MarginChange] = field(default_factory=list)


@dataclass(slots=True)
class Counters:
    """The next number of each kind, and the last second (Unix) that has passed on the exchange."""

    account: int = 1
    order: int = _FIRST_ORDER_ID
    algo: int = _FIRST_ALGO_ID
    trade: int = 1
    income: int = 1
    amendment: int = 1
    margin_change: int = 1
    price: int = 1
    second: int = 0


class Books:
    """All accounts, orders, positions and fills; every change is also noted as an event.

    Attributes:
        feed: Tells the events of each commit to those who listen.
    """

    def __init__(self, *, seed: int) -> None:
        self.accounts: dict[int, Account] = {}
        self.counters = Counters()
        self.feed = Feed()
        self._seed = seed
        self._by_api_key: dict[str, Account] = {}
        self._of_account: dict[int, AccountBook] = defaultdict(AccountBook)
        self._resting: dict[str, dict[int, Order]] = defaultdict(dict)
        self._waiting: dict[str, dict[int, ConditionalOrder]] = defaultdict(dict)
        self._held: dict[str, dict[tuple[int, str], Position]] = defaultdict(dict)
        self._events: list[Event] = []

    # Reading

    def of(self, account: Account) -> AccountBook:
        return self._of_account[account.account_id]

    def account_of_key(self, api_key: str) -> Account | None:
        return self._by_api_key.get(api_key)

    def resting(self, symbol: str) -> list[Order]:
        return list(self._resting[symbol].values())

    def waiting(self, symbol: str) -> list[ConditionalOrder]:
        return list(self._waiting[symbol].values())

    def held(self, symbol: str) -> list[Position]:
        """Positions of all accounts in this symbol that are not empty."""
        return list(self._held[symbol].values())

    def active_symbols(self) -> list[str]:
        """Symbols in which a price move can matter."""
        indexes: tuple[dict[str, dict[int, Order]], dict[str, dict[int, ConditionalOrder]]]
        indexes = (self._resting, self._waiting)
        busy = {symbol for index in indexes for symbol, entries in index.items() if entries}
        return sorted(busy | {symbol for symbol, held in self._held.items() if held})

    def orders(self) -> Iterable[Order]:
        return (order for book in self._of_account.values() for order in book.orders.values())

    def conditional_orders(self) -> Iterable[ConditionalOrder]:
        return (order for book in self._of_account.values() for order in book.conditional.values())

    def fills(self) -> Iterable[Fill]:
        return (fill for book in self._of_account.values() for fill in book.fills)

    def client_id(self, number: int) -> str:
        """The id of an order that was sent without one: 22 letters and digits, by seed and number."""
        value = int.from_bytes(sha256(f"{self._seed}:{number}".encode()).digest()[:17], "big")
        return "".join(_ALPHABET[value // 62**place % 62] for place in range(22))

    # Writing

    def add_account(self, account: Account) -> None:
        self.accounts[account.account_id] = account
        self._by_api_key[account.api_key] = account
        for position in account.positions.values():
            self._index_position(position)
        self.note(AccountChanged(account))

    def index_order(self, order: Order) -> None:
        """Puts an order where its state says it belongs."""
        book = self._of_account[order.account_id]
        book.orders[order.order_id] = order
        book.orders_by_client_id[order.client_order_id] = order
        if order.is_open:
            book.open_orders[order.order_id] = order
            self._resting[order.symbol][order.order_id] = order

    def index_conditional(self, order: ConditionalOrder) -> None:
        """Puts a conditional order where its state says it belongs."""
        book = self._of_account[order.account_id]
        book.conditional[order.algo_id] = order
        book.conditional_by_client_id[order.client_algo_id] = order
        if order.is_open:
            book.open_conditional[order.algo_id] = order
            self._waiting[order.symbol][order.algo_id] = order

    def index_fill(self, fill: Fill) -> None:
        book = self._of_account[fill.account_id]
        book.fills.append(fill)
        book.fills_by_order[fill.order_id].append(fill)

    def index_income(self, income: Income) -> None:
        self._of_account[income.account_id].incomes.append(income)

    def index_amendment(self, amendment: Amendment) -> None:
        self._of_account[amendment.account_id].amendments.append(amendment)

    def index_margin_change(self, change: MarginChange) -> None:
        self._of_account[change.account_id].margin_changes.append(change)

    def order_changed(self, order: Order, execution: Execution, fill: Fill | None = None) -> None:
        """Notes what happened to an order and takes it out of the book when it is done."""
        if not order.is_open:
            self._of_account[order.account_id].open_orders.pop(order.order_id, None)
            self._resting[order.symbol].pop(order.order_id, None)
        self.note(OrderChanged(order, execution, fill))

    def conditional_changed(self, order: ConditionalOrder) -> None:
        """Notes what happened to a conditional order and takes it out of the book when it no longer waits."""
        if not order.is_open:
            self._of_account[order.account_id].open_conditional.pop(order.algo_id, None)
            self._waiting[order.symbol].pop(order.algo_id, None)
        self.note(ConditionalOrderChanged(order))

    def position_changed(self, position: Position) -> None:
        self._index_position(position)
        self.note(PositionChanged(position))

    def book_income(
        self,
        account: Account,
        kind: IncomeType,
        amount: Decimal,
        *,
        now_ms: int,
        symbol: str = "",
        trade_id: int | None = None,
    ) -> None:
        """Writes a wallet change that has been made into the account's history."""
        income = Income(self.take("income"), account.account_id, symbol, kind, amount, trade_id, now_ms)
        self.index_income(income)
        self.note(IncomeBooked(income))

    def book_amendment(self, before: Order, after: Order, now_ms: int) -> None:
        """Writes a change of an open order into the account's history."""
        earlier = self._of_account[after.account_id].amendments
        amendment = Amendment(
            amendment_id=self.take("amendment"),
            account_id=after.account_id,
            order_id=after.order_id,
            number=sum(one.order_id == after.order_id for one in earlier) + 1,
            price_before=before.price,
            price_after=after.price,
            quantity_before=before.quantity,
            quantity_after=after.quantity,
            time_ms=now_ms,
        )
        self.index_amendment(amendment)
        self.note(OrderAmended(amendment))

    def book_margin_change(self, position: Position, amount: Decimal, now_ms: int) -> None:
        """Writes margin that the user has moved into the account's history."""
        number = self.take("margin_change")
        change = MarginChange(number, position.account_id, position.symbol, position.side, amount, now_ms)
        self.index_margin_change(change)
        self.note(MarginMoved(change))

    def take(self, counter: str) -> int:
        """The next number of this counter."""
        number: int = getattr(self.counters, counter)
        setattr(self.counters, counter, number + 1)
        return number

    def clear(self) -> None:
        """Forgets orders, fills, incomes and positions; accounts stay, with their first balance."""
        for index in (self._of_account, self._resting, self._waiting, self._held):
            index.clear()
        self.note(Cleared())
        for account in self.accounts.values():
            account.positions.clear()
            account.settings.clear()
            account.hedge_mode = account.multi_assets = False
            account.cross_wallet = account.initial_balance
            self.note(AccountChanged(account))

    def note(self, event: Event) -> None:
        self._events.append(event)
        self.feed.note(event)

    @property
    def pending(self) -> list[Event]:
        """The events that have not been committed."""
        return self._events

    def committed(self) -> None:
        """Forgets the pending events, which are durable now, and tells them to those who listen."""
        self._events = []
        self.feed.deliver()

    def _index_position(self, position: Position) -> None:
        key = (position.account_id, position.side)
        if position.quantity:
            self._held[position.symbol][key] = position
        else:
            self._held[position.symbol].pop(key, None)
