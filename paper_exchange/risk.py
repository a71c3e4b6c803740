"""Risk checks before an order may work: margin, position limits, and what reduce-only means right now."""

from collections.abc import Callable
from decimal import Decimal

from paper_exchange.accounts import Account, Venue
from paper_exchange.books import Books
from paper_exchange.instruments import Instrument
from paper_exchange.margin import AccountMargin, account_margin, symbol_margin
from paper_exchange.market import Market, Quote
from paper_exchange.orders import ZERO, Order, Side
from paper_exchange.refusals import Reason, Refused

Terms = Callable[[Instrument], Instrument]


class Risk:
    """Answers whether an account can afford something now.

    Attributes:
        terms: How a venue lists a market otherwise than `Market.instruments` does: its own lots and limits.
    """

    def __init__(self, books: Books, market: Market) -> None:
        self._books = books
        self._market = market
        self.terms: dict[Venue, Terms] = {}

    def margin(self, account: Account, now_ms: int) -> AccountMargin:
        return account_margin(
            account,
            self._books.of(account).open_orders.values(),
            lambda symbol: self._market.quote(symbol, now_ms),
            self.instrument,
        )

    def instrument(self, symbol: str) -> Instrument:
        """Raises `Refused` for a symbol that is not listed."""
        instrument = self._market.instruments.get(symbol)
        if instrument is None:
            raise Refused(Reason.SYMBOL_UNKNOWN)
        return instrument

    def instrument_for(self, account: Account, symbol: str) -> Instrument:
        """The contract under the terms of the account's venue; raises `Refused` when it is not listed."""
        terms = self.terms.get(account.venue)
        return self.instrument(symbol) if terms is None else terms(self.instrument(symbol))

    def check(self, account: Account, order: Order, now_ms: int) -> None:
        """Refuses an order that cannot reduce though it must, or that the account cannot afford."""
        if order.reduce_only:
            self._check_reduces(account, order)
        else:
            self._check_affordable(account, order, self._market.quote(order.symbol, now_ms), now_ms)

    def _check_reduces(self, account: Account, order: Order) -> None:
        """A reduce-only order needs a position that the reduce-only orders before it do not close already.

        A triggered conditional order only needs the position: it is the protection and goes first.
        """
        closable = account.position(order.symbol, order.position_side).closable(order.side)
        if order.algo_id is not None and closable:
            return
        promised = sum(
            (
                resting.remaining
                for resting in self._books.of(account).open_orders.values()
                if resting.reduce_only and resting.symbol == order.symbol and resting.side is order.side
                and resting.position_side is order.position_side
            ),
            ZERO,
        )  # fmt: skip
        if closable <= promised:
            raise Refused(Reason.REDUCE_ONLY)

    def _check_affordable(self, account: Account, order: Order, quote: Quote, now_ms: int) -> None:
        resting = [o for o in self._books.of(account).open_orders.values() if o.symbol == order.symbol]
        before = symbol_margin(account, order.symbol, resting, quote)
        after = symbol_margin(account, order.symbol, [*resting, order], quote)
        needed = after.orders - before.orders
        if needed <= 0:
            return
        self._check_position_limit(account, order, resting, quote)
        if needed + _opening_loss(order, quote) > self.margin(account, now_ms).available:
            raise Refused(Reason.MARGIN_INSUFFICIENT)

    def _check_position_limit(
        self, account: Account, order: Order, resting: list[Order], quote: Quote
    ) -> None:
        held = account.position(order.symbol, order.position_side).quantity * order.side.sign
        ahead = sum((o.remaining for o in resting if o.side is order.side and not o.reduce_only), ZERO)
        value = (held + ahead + order.quantity) * quote.mark
        if value > self.instrument(order.symbol).max_notional(account.setting(order.symbol).leverage):
            raise Refused(Reason.POSITION_LIMIT)


def _opening_loss(order: Order, quote: Quote) -> Decimal:
    """What the position would lose at once because its price is worse than the mark price."""
    price = order.price or quote.last
    if order.side is Side.BUY:
        return max(price - quote.mark, ZERO) * order.quantity
    return max(quote.mark - price, ZERO) * order.quantity
