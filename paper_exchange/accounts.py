"""Accounts: wallet, settings and positions of one user of the exchange. All money is in USDT."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from paper_exchange.orders import ZERO, PositionSide, Side

DEFAULT_BALANCE = Decimal(10_000)
DEFAULT_LEVERAGE = 20


class Venue(StrEnum):
    """Whose protocol the account's key speaks."""

    BINANCE = "binance"
    OKX = "okx"


class Environment(StrEnum):
    """Which environment the key belongs to, where one host serves two; ANY fits both."""

    ANY = "any"
    DEMO = "demo"
    LIVE = "live"


class MarginType(StrEnum):
    CROSS = "cross"
    ISOLATED = "isolated"


class IncomeType(StrEnum):
    TRANSFER = "TRANSFER"
    REALIZED_PNL = "REALIZED_PNL"
    COMMISSION = "COMMISSION"
    FUNDING_FEE = "FUNDING_FEE"
    INSURANCE_CLEAR = "INSURANCE_CLEAR"


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the key may do. A fresh key trades futures and cannot take money out."""

    reading: bool = True
    futures: bool = True
    withdrawals: bool = False
    universal_transfer: bool = False
    ip_restrict: bool = True


@dataclass(slots=True)
class SymbolSettings:
    """`idle_leverage` is kept for the margin type that is not in use, by venues that have one for each."""

    leverage: int = DEFAULT_LEVERAGE
    margin_type: MarginType = MarginType.CROSS
    idle_leverage: int = DEFAULT_LEVERAGE


@dataclass(slots=True)
class Position:
    """A position; `quantity` is signed (short is negative) and zero when there is none.

    `isolated_wallet` is the margin set aside for it, zero on cross margin. `fees` are the commissions paid to
    build what is left of it, for the break-even price. Since it was opened, by the trade `opening_trade_id`:
    `realized_pnl` before costs, `commission` and liquidation fees paid.
    """

    account_id: int
    symbol: str
    side: PositionSide
    quantity: Decimal = ZERO
    entry_price: Decimal = ZERO
    isolated_wallet: Decimal = ZERO
    fees: Decimal = ZERO
    update_ms: int = 0
    open_ms: int = 0
    opening_trade_id: int = 0
    last_trade_id: int = 0
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO

    def unrealized(self, mark: Decimal) -> Decimal:
        """Profit at this mark price, not yet in the wallet."""
        return (mark - self.entry_price) * self.quantity

    def closable(self, side: Side) -> Decimal:
        """How much an order of this side can take off the position; zero when it would add to it."""
        return max(-side.sign * self.quantity, ZERO)

    @property
    def break_even_price(self) -> Decimal:
        """The price at which closing would give back the commissions paid so far."""
        return self.entry_price + self.fees / self.quantity if self.quantity else ZERO


@dataclass(slots=True)
class Account:
    """One account. The wallet balance is `cross_wallet` plus the isolated wallets of its positions.

    `public_key` (PEM) verifies what its user signs with his private key; empty: signed with the API secret.
    """

    account_id: int
    venue: Venue
    api_key: str
    create_ms: int
    initial_balance: Decimal
    cross_wallet: Decimal
    permissions: Permissions = field(default_factory=Permissions)
    environment: Environment = Environment.ANY
    public_key: str = ""
    hedge_mode: bool = False
    multi_assets: bool = False
    update_ms: int = 0
    settings: dict[str, SymbolSettings] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)

    def setting(self, symbol: str) -> SymbolSettings:
        """Leverage and margin type of a symbol; the defaults while the user has not chosen."""
        return self.settings.get(symbol) or SymbolSettings()

    def position(self, symbol: str, side: PositionSide) -> Position:
        """The position of this side, made empty when there has been none."""
        key = f"{symbol}:{side}"
        if key not in self.positions:
            self.positions[key] = Position(self.account_id, symbol, side)
        return self.positions[key]

    def positions_of(self, symbol: str) -> list[Position]:
        """The positions of the present mode: one in one-way mode, two in hedge mode."""
        sides = (PositionSide.LONG, PositionSide.SHORT) if self.hedge_mode else (PositionSide.BOTH,)
        return [self.position(symbol, side) for side in sides]

    def open_positions(self) -> list[Position]:
        return [position for position in self.positions.values() if position.quantity]

    @property
    def wallet_balance(self) -> Decimal:
        isolated = (position.isolated_wallet for position in self.positions.values())
        return self.cross_wallet + sum(isolated, ZERO)


@dataclass(frozen=True, slots=True)
class MarginChange:
    """Margin that the user moved to an isolated position, or away from it (negative)."""

    change_id: int
    account_id: int
    symbol: str
    side: PositionSide
    amount: Decimal
    time_ms: int


@dataclass(frozen=True, slots=True)
class Income:
    """One change of a wallet."""

    income_id: int
    account_id: int
    symbol: str
    type: IncomeType
    amount: Decimal
    trade_id: int | None
    time_ms: int
