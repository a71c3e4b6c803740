"""Binance's views of balances and positions, in the forms of v2 and v3."""

from decimal import Decimal
from hashlib import sha256

from paper_exchange.accounts import Account, MarginType, Position
from paper_exchange.binance_request import BinanceRequest, Endpoint, Routes
from paper_exchange.binance_wire import Json, money, plain, trimmed
from paper_exchange.exchange import Exchange
from paper_exchange.instruments import Instrument
from paper_exchange.margin import (
    AccountMargin,
    liquidation_price,
    maintenance_margin,
    position_initial_margin,
    symbol_margin,
)
from paper_exchange.orders import ZERO

_ASSET = "USDT"
_WEIGHT = 5


class BinancePositions:
    """Answers what an account has."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._books = exchange.books
        self._market = exchange.market

    def routes(self) -> Routes:
        answers = {
            "/fapi/v2/balance": self._balances,
            "/fapi/v3/balance": self._balances,
            "/fapi/v2/account": self._account_v2,
            "/fapi/v3/account": self._account_v3,
            "/fapi/v2/positionRisk": self._position_risk_v2,
            "/fapi/v3/positionRisk": self._position_risk_v3,
            "/fapi/v1/adlQuantile": self._adl_quantiles,
        }
        return {("GET", path): Endpoint(answer, weight=_WEIGHT) for path, answer in answers.items()}

    # Balances

    def _margin(self, request: BinanceRequest) -> AccountMargin:
        return self._exchange.risk.margin(request.account, request.now_ms)

    def _balances(self, request: BinanceRequest) -> list[Json]:
        account, margin = request.account, self._margin(request)
        return [
            {
                "accountAlias": _alias(account),
                "asset": _ASSET,
                "balance": money(margin.wallet),
                "crossWalletBalance": money(account.cross_wallet),
                "crossUnPnl": money(margin.cross_unrealized),
                "availableBalance": money(margin.available),
                "maxWithdrawAmount": money(_withdrawable(account, margin)),
                "marginAvailable": True,
                "updateTime": account.update_ms,
            }
        ]

    def _account_v3(self, request: BinanceRequest) -> Json:
        account, margin = request.account, self._margin(request)
        positions = self._busy_positions(account, symbol=None)
        return _totals(account, margin) | {
            "assets": [_asset(account, margin)],
            "positions": [
                self._account_position(account, position, request.now_ms) for position in positions
            ],
        }

    def _account_v2(self, request: BinanceRequest) -> Json:
        """The older form: every symbol, with leverage and margin type."""
        account, margin = request.account, self._margin(request)
        every = [p for symbol in self._market.instruments for p in account.positions_of(symbol)]
        return (
            {
                "feeTier": 0,
                "feeBurn": False,
                "canTrade": account.permissions.futures,
                "canDeposit": True,
                "canWithdraw": True,
                "updateTime": 0,
                "multiAssetsMargin": account.multi_assets,
                "tradeGroupId": -1,
            }
            | _totals(account, margin)
            | {
                "assets": [_asset(account, margin) | {"marginAvailable": True}],
                "positions": [
                    self._account_position_v2(account, position, request.now_ms) for position in every
                ],
            }
        )

    def _account_position(self, account: Account, position: Position, now_ms: int) -> Json:
        quote = self._market.quote(position.symbol, now_ms)
        risk = self._risk_numbers(account, position, now_ms)
        return {
            "symbol": position.symbol,
            "positionSide": position.side,
            "positionAmt": self._amount(position),
            "unrealizedProfit": money(position.unrealized(quote.mark)),
            "isolatedMargin": risk["isolatedMargin"],
            "notional": risk["notional"],
            "isolatedWallet": risk["isolatedWallet"],
            "initialMargin": risk["initialMargin"],
            "maintMargin": risk["maintMargin"],
            "updateTime": position.update_ms,
        }

    def _account_position_v2(self, account: Account, position: Position, now_ms: int) -> Json:
        setting, instrument = account.setting(position.symbol), self._exchange.instrument(position.symbol)
        risk = self._risk_numbers(account, position, now_ms)
        return self._account_position(account, position, now_ms) | {
            "positionInitialMargin": risk["positionInitialMargin"],
            "openOrderInitialMargin": risk["openOrderInitialMargin"],
            "leverage": str(setting.leverage),
            "isolated": setting.margin_type is MarginType.ISOLATED,
            "entryPrice": _price(position.entry_price, instrument),
            "breakEvenPrice": _price(position.break_even_price, instrument),
            "maxNotional": trimmed(instrument.max_notional(setting.leverage)),
            "bidNotional": "0",
            "askNotional": "0",
        }

    # Positions

    def _position_risk_v3(self, request: BinanceRequest) -> list[Json]:
        """Only symbols with a position or an open order."""
        account, symbol = request.account, self._optional_symbol(request)
        return [
            self._position_risk(account, position, request.now_ms)
            for position in self._busy_positions(account, symbol)
        ]

    def _position_risk_v2(self, request: BinanceRequest) -> list[Json]:
        """The older form: all symbols, with leverage and margin type."""
        account, only = request.account, self._optional_symbol(request)
        symbols = [only] if only else list(self._market.instruments)
        rows = []
        for position in (p for symbol in symbols for p in account.positions_of(symbol)):
            setting = account.setting(position.symbol)
            instrument = self._exchange.instrument(position.symbol)
            rows.append(
                self._position_risk(account, position, request.now_ms)
                | {
                    "leverage": str(setting.leverage),
                    "maxNotionalValue": trimmed(instrument.max_notional(setting.leverage)),
                    "marginType": setting.margin_type.value,
                    "isAutoAddMargin": "false",
                }
            )
        return rows

    def _busy_positions(self, account: Account, symbol: str | None) -> list[Position]:
        book = self._books.of(account)
        busy = {position.symbol for position in account.open_positions()}
        busy |= {order.symbol for order in book.open_orders.values()}
        symbols = [name for name in self._market.instruments if name in busy and symbol in (None, name)]
        positions = [position for name in symbols for position in account.positions_of(name)]
        return [position for position in positions if position.quantity or not account.hedge_mode]

    def _position_risk(self, account: Account, position: Position, now_ms: int) -> Json:
        instrument = self._exchange.instrument(position.symbol)
        quote = self._market.quote(position.symbol, now_ms)
        at_loss = liquidation_price(
            account,
            position,
            lambda symbol: self._market.quote(symbol, now_ms),
            self._exchange.instrument,
            margin=self._exchange.risk.margin(account, now_ms),
        )
        return {
            "symbol": position.symbol,
            "positionSide": position.side,
            "positionAmt": self._amount(position),
            "entryPrice": _price(position.entry_price, instrument),
            "breakEvenPrice": _price(position.break_even_price, instrument),
            "markPrice": plain(quote.mark, 8),
            "unRealizedProfit": money(position.unrealized(quote.mark)),
            "liquidationPrice": _price(at_loss, instrument) if at_loss else "0",
            **self._risk_numbers(account, position, now_ms),
            "marginAsset": instrument.quote,
            "adl": 1 if position.quantity else 0,
            "bidNotional": "0",
            "askNotional": "0",
            "updateTime": position.update_ms,
        }

    def _risk_numbers(self, account: Account, position: Position, now_ms: int) -> Json:
        instrument = self._exchange.instrument(position.symbol)
        quote = self._market.quote(position.symbol, now_ms)
        setting = account.setting(position.symbol)
        orders = [o for o in self._books.of(account).open_orders.values() if o.symbol == position.symbol]
        in_orders = symbol_margin(account, position.symbol, orders, quote).orders
        initial = position_initial_margin(position, quote, setting.leverage)
        isolated = setting.margin_type is MarginType.ISOLATED
        held = position.isolated_wallet + position.unrealized(quote.mark) if isolated else ZERO
        return {
            "isolatedMargin": money(held),
            "notional": money(position.quantity * quote.mark),
            "isolatedWallet": money(position.isolated_wallet),
            "initialMargin": money(initial + in_orders),
            "maintMargin": money(maintenance_margin(position, quote, instrument)),
            "positionInitialMargin": money(initial),
            "openOrderInitialMargin": money(in_orders),
        }

    def _amount(self, position: Position) -> str:
        return plain(position.quantity, self._exchange.instrument(position.symbol).quantity_precision)

    def _adl_quantiles(self, request: BinanceRequest) -> list[Json]:
        symbol = self._optional_symbol(request)
        held = {position.symbol for position in request.account.open_positions()}
        sides = ("LONG", "SHORT", "HEDGE") if request.account.hedge_mode else ("LONG", "SHORT", "BOTH")
        return [
            {"symbol": name, "adlQuantile": dict.fromkeys(sides, 1)}
            for name in sorted(held)
            if symbol in (None, name)
        ]

    def _optional_symbol(self, request: BinanceRequest) -> str | None:
        symbol = request.parameters.optional_symbol()
        return None if symbol is None else self._exchange.instrument(symbol).symbol


def _totals(account: Account, margin: AccountMargin) -> Json:
    return {
        "totalInitialMargin": money(margin.initial),
        "totalMaintMargin": money(margin.maintenance),
        "totalWalletBalance": money(margin.wallet),
        "totalUnrealizedProfit": money(margin.unrealized),
        "totalMarginBalance": money(margin.balance),
        "totalPositionInitialMargin": money(margin.position_initial),
        "totalOpenOrderInitialMargin": money(margin.order_initial),
        "totalCrossWalletBalance": money(account.cross_wallet),
        "totalCrossUnPnl": money(margin.cross_unrealized),
        "availableBalance": money(margin.available),
        "maxWithdrawAmount": money(_withdrawable(account, margin)),
    }


def _asset(account: Account, margin: AccountMargin) -> Json:
    return {
        "asset": _ASSET,
        "walletBalance": money(margin.wallet),
        "unrealizedProfit": money(margin.unrealized),
        "marginBalance": money(margin.balance),
        "maintMargin": money(margin.maintenance),
        "initialMargin": money(margin.initial),
        "positionInitialMargin": money(margin.position_initial),
        "openOrderInitialMargin": money(margin.order_initial),
        "crossWalletBalance": money(account.cross_wallet),
        "crossUnPnl": money(margin.cross_unrealized),
        "availableBalance": money(margin.available),
        "maxWithdrawAmount": money(_withdrawable(account, margin)),
        "updateTime": account.update_ms,
    }


def _withdrawable(account: Account, margin: AccountMargin) -> Decimal:
    """Unrealised profit cannot be taken out."""
    return min(margin.available, max(account.cross_wallet, ZERO))


def _alias(account: Account) -> str:
    return sha256(account.api_key.encode()).hexdigest()[:8]


def _price(price: Decimal, instrument: Instrument) -> str:
    """Averages have more places than prices."""
    return (
        plain(price, instrument.price_precision + 8 - min(instrument.price_precision, 4)) if price else "0.0"
    )
