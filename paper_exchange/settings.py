"""An account's settings: leverage, margin type, position mode, multi-assets mode, isolated margin."""

from dataclasses import replace
from decimal import Decimal

from paper_exchange.accounts import Account, MarginType, Position, SymbolSettings
from paper_exchange.books import Books
from paper_exchange.clearing import Clearing
from paper_exchange.events import AccountChanged
from paper_exchange.margin import position_initial_margin
from paper_exchange.market import Market
from paper_exchange.orders import ZERO, ConditionalOrder, Order, PositionSide
from paper_exchange.refusals import Reason, Refused
from paper_exchange.risk import Risk


class Settings:
    """Changes settings; refuses with `Refused` what positions, orders or margin do not allow."""

    def __init__(self, books: Books, market: Market, risk: Risk, clearing: Clearing) -> None:
        self._books = books
        self._market = market
        self._risk = risk
        self._clearing = clearing

    def set_leverage(self, account: Account, symbol: str, leverage: int, now_ms: int) -> None:
        instrument = self._risk.instrument(symbol)
        if not 1 <= leverage <= instrument.max_leverage:
            raise Refused(Reason.LEVERAGE_INVALID, str(leverage))
        setting = account.setting(symbol)
        held = [position for position in account.positions_of(symbol) if position.quantity]
        if held and setting.margin_type is MarginType.ISOLATED and leverage < setting.leverage:
            raise Refused(Reason.LEVERAGE_REDUCTION_ISOLATED)
        self._check_leverage_fits(account, symbol, held, leverage, now_ms)
        account.settings[symbol] = replace(setting, leverage=leverage)
        self._settings_changed(account, now_ms)

    def set_idle_leverage(self, account: Account, symbol: str, leverage: int, now_ms: int) -> None:
        """Sets the leverage that the symbol takes when its margin type is switched."""
        if not 1 <= leverage <= self._risk.instrument(symbol).max_leverage:
            raise Refused(Reason.LEVERAGE_INVALID, str(leverage))
        account.settings[symbol] = replace(account.setting(symbol), idle_leverage=leverage)
        self._settings_changed(account, now_ms)

    def use_margin_type(self, account: Account, symbol: str, margin_type: MarginType, now_ms: int) -> None:
        """Switches to the margin type that an order names, and to its leverage; waiting conditionals stay.

        Raises:
            Refused: a position or an open order has the other type.
        """
        setting = account.setting(symbol)
        if setting.margin_type is margin_type:
            return
        if any(order.symbol == symbol for order in self._books.of(account).open_orders.values()):
            raise Refused(Reason.MARGIN_TYPE_HAS_ORDERS)
        if any(position.symbol == symbol for position in account.open_positions()):
            raise Refused(Reason.MARGIN_TYPE_HAS_POSITION)
        account.settings[symbol] = SymbolSettings(setting.idle_leverage, margin_type, setting.leverage)
        self._settings_changed(account, now_ms)

    def _check_leverage_fits(
        self, account: Account, symbol: str, held: list[Position], leverage: int, now_ms: int
    ) -> None:
        quote = self._market.quote(symbol, now_ms)
        value = sum((abs(position.quantity) * quote.mark for position in held), ZERO)
        if value > self._risk.instrument(symbol).max_notional(leverage):
            raise Refused(Reason.POSITION_LIMIT)
        present = account.setting(symbol).leverage
        more = sum(
            (
                position_initial_margin(position, quote, leverage)
                - position_initial_margin(position, quote, present)
                for position in held
            ),
            ZERO,
        )
        if more > 0 and more > self._risk.margin(account, now_ms).available:
            raise Refused(Reason.LEVERAGE_TOO_LOW_FOR_MARGIN)

    def set_margin_type(self, account: Account, symbol: str, margin_type: MarginType, now_ms: int) -> None:
        self._risk.instrument(symbol)
        setting = account.setting(symbol)
        if setting.margin_type is margin_type:
            raise Refused(Reason.MARGIN_TYPE_UNCHANGED)
        if account.multi_assets and margin_type is MarginType.ISOLATED:
            raise Refused(Reason.MARGIN_TYPE_MULTI_ASSETS)
        if any(order.symbol == symbol for order in self._all_open(account)):
            raise Refused(Reason.MARGIN_TYPE_HAS_ORDERS)
        if any(position.symbol == symbol for position in account.open_positions()):
            raise Refused(Reason.MARGIN_TYPE_HAS_POSITION)
        account.settings[symbol] = replace(setting, margin_type=margin_type)
        self._settings_changed(account, now_ms)

    def set_hedge_mode(self, account: Account, hedge_mode: bool, now_ms: int) -> None:
        if account.hedge_mode == hedge_mode:
            raise Refused(Reason.POSITION_MODE_UNCHANGED)
        if self._all_open(account):
            raise Refused(Reason.POSITION_MODE_HAS_ORDERS)
        if account.open_positions():
            raise Refused(Reason.POSITION_MODE_HAS_POSITION)
        account.hedge_mode = hedge_mode
        self._settings_changed(account, now_ms)

    def set_multi_assets(self, account: Account, multi_assets: bool, now_ms: int) -> None:
        if account.multi_assets == multi_assets:
            raise Refused(Reason.MULTI_ASSETS_UNCHANGED)
        isolated = (s.margin_type is MarginType.ISOLATED for s in account.settings.values())
        if multi_assets and any(isolated):
            raise Refused(Reason.MULTI_ASSETS_HAS_ISOLATED)
        account.multi_assets = multi_assets
        self._settings_changed(account, now_ms)

    def change_isolated_margin(
        self, account: Account, symbol: str, side: PositionSide, amount: Decimal, now_ms: int
    ) -> None:
        """Adds margin to an isolated position; a negative amount takes it away as far as it is spare."""
        self._risk.instrument(symbol)
        if not amount:
            raise Refused(Reason.AMOUNT_NOT_POSITIVE)
        if account.hedge_mode != (side is not PositionSide.BOTH):
            raise Refused(Reason.POSITION_SIDE_MISMATCH)
        if account.setting(symbol).margin_type is not MarginType.ISOLATED:
            raise Refused(Reason.ISOLATED_MARGIN_ON_CROSS)
        position = account.position(symbol, side)
        if not position.quantity:
            raise Refused(Reason.ISOLATED_MARGIN_NO_POSITION)
        if amount > 0 and amount > self._risk.margin(account, now_ms).available:
            raise Refused(Reason.CROSS_BALANCE_TOO_SMALL)
        quote = self._market.quote(symbol, now_ms)
        needed = position_initial_margin(position, quote, account.setting(symbol).leverage)
        spare = position.isolated_wallet + min(position.unrealized(quote.mark), ZERO) - needed
        if amount < 0 and -amount > spare:
            raise Refused(Reason.ISOLATED_MARGIN_TOO_LARGE)
        self._clearing.move_isolated_margin(account, position, amount, now_ms)

    def _all_open(self, account: Account) -> list[Order | ConditionalOrder]:
        book = self._books.of(account)
        return [*book.open_orders.values(), *book.open_conditional.values()]

    def _settings_changed(self, account: Account, now_ms: int) -> None:
        account.update_ms = now_ms
        self._books.note(AccountChanged(account))
