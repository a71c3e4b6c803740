"""Margin arithmetic of linear perpetuals, after Binance's published formulas.

Initial margin is notional at mark / leverage, for position and open orders together, taking the worse side;
maintenance margin is notional x ratio - cum of the bracket. Pure functions: quotes and orders come in.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from paper_exchange.accounts import Account, MarginType, Position
from paper_exchange.instruments import Instrument
from paper_exchange.market import Quote
from paper_exchange.orders import ZERO, Order, PositionSide, Side

Quotes = Callable[[str], Quote]
Listing = Callable[[str], Instrument]


@dataclass(frozen=True, slots=True)
class SymbolMargin:
    """Initial margin in use for one symbol: by its positions, and on top of that by its open orders."""

    position: Decimal
    orders: Decimal


@dataclass(frozen=True, slots=True)
class AccountMargin:
    """An account's sums, all in USDT.

    `available` is what a new position may use as margin; `cross_unrealized` is the profit of cross positions.
    """

    wallet: Decimal
    unrealized: Decimal
    cross_unrealized: Decimal
    position_initial: Decimal
    order_initial: Decimal
    maintenance: Decimal
    cross_maintenance: Decimal
    available: Decimal

    @property
    def initial(self) -> Decimal:
        return self.position_initial + self.order_initial

    @property
    def balance(self) -> Decimal:
        """Margin balance: wallet plus unrealised profit."""
        return self.wallet + self.unrealized


def maintenance_margin(position: Position, quote: Quote, instrument: Instrument) -> Decimal:
    """What must be left to keep the position."""
    notional = abs(position.quantity) * quote.mark
    bracket = instrument.bracket(notional)
    return max(notional * bracket.maintenance_ratio - bracket.cum, ZERO)


def position_initial_margin(position: Position, quote: Quote, leverage: int) -> Decimal:
    return abs(position.quantity) * quote.mark / leverage


def order_notionals(orders: Iterable[Order], side: PositionSide, last: Decimal) -> tuple[Decimal, Decimal]:
    """Notional of open bids and asks that could open a position of this side (reduce-only ones cannot)."""
    bids = asks = ZERO
    for order in orders:
        if order.position_side is not side or order.reduce_only:
            continue
        notional = order.remaining * (order.price or last)
        if order.side is Side.BUY:
            bids += notional
        else:
            asks += notional
    return bids, asks


def symbol_margin(account: Account, symbol: str, orders: Iterable[Order], quote: Quote) -> SymbolMargin:
    """Initial margin of one symbol: the larger of the two ways its open orders could fill."""
    orders = list(orders)
    leverage = account.setting(symbol).leverage
    in_position = total = ZERO
    for position in account.positions_of(symbol):
        value = position.quantity * quote.mark
        bids, asks = order_notionals(orders, position.side, quote.last)
        in_position += abs(value) / leverage
        total += _worst_case(position.side, value, bids, asks) / leverage
    return SymbolMargin(position=in_position, orders=total - in_position)


def _worst_case(side: PositionSide, value: Decimal, bids: Decimal, asks: Decimal) -> Decimal:
    if side is PositionSide.LONG:
        return value + bids
    if side is PositionSide.SHORT:
        return asks - value
    return max(abs(value + bids), abs(value - asks))


def account_margin(
    account: Account, orders: Iterable[Order], quotes: Quotes, listing: Listing
) -> AccountMargin:
    """The account's sums over all positions and open orders."""
    orders_of: dict[str, list[Order]] = {}
    for order in orders:
        orders_of.setdefault(order.symbol, []).append(order)
    symbols = {position.symbol for position in account.open_positions()} | orders_of.keys()
    position_initial = order_initial = maintenance = unrealized = ZERO
    cross_initial = cross_maintenance = cross_unrealized = ZERO
    for symbol in sorted(symbols):
        quote = quotes(symbol)
        margin = symbol_margin(account, symbol, orders_of.get(symbol, ()), quote)
        profit = sum((p.unrealized(quote.mark) for p in account.positions_of(symbol)), ZERO)
        kept = sum(
            (maintenance_margin(p, quote, listing(symbol)) for p in account.positions_of(symbol)), ZERO
        )
        position_initial += margin.position
        order_initial += margin.orders
        unrealized += profit
        maintenance += kept
        if account.setting(symbol).margin_type is MarginType.CROSS:
            cross_initial += margin.position
            cross_unrealized += profit
            cross_maintenance += kept
    free = account.cross_wallet + cross_unrealized - cross_initial - order_initial
    return AccountMargin(
        wallet=account.wallet_balance,
        unrealized=unrealized,
        cross_unrealized=cross_unrealized,
        position_initial=position_initial,
        order_initial=order_initial,
        maintenance=maintenance,
        cross_maintenance=cross_maintenance,
        available=max(free, ZERO),
    )


def liquidation_price(
    account: Account, position: Position, quotes: Quotes, listing: Listing, *, margin: AccountMargin
) -> Decimal:
    """The mark price at which the position is liquidated, other prices standing still; 0: none.

    Solves margin balance = maintenance margin for the mark price, as Binance's help pages do.
    """
    if not position.quantity:
        return ZERO
    instrument, quote = listing(position.symbol), quotes(position.symbol)
    wallet, others = position.isolated_wallet, ZERO
    if account.setting(position.symbol).margin_type is MarginType.CROSS:
        wallet = account.cross_wallet
        own_maintenance = maintenance_margin(position, quote, instrument)
        others = (
            margin.cross_unrealized
            - position.unrealized(quote.mark)
            - (margin.cross_maintenance - own_maintenance)
        )
    size = abs(position.quantity)
    bracket = instrument.bracket(size * quote.mark)
    divisor = size * bracket.maintenance_ratio - position.quantity
    price = (wallet + others + bracket.cum - position.quantity * position.entry_price) / divisor
    return max(price, ZERO)
