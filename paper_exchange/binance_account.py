"""Binance's account endpoints: balances, positions, settings, income, limits and the key itself."""

from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Any

from paper_exchange.accounts import Account, IncomeType, MarginType, Position
from paper_exchange.binance_errors import BinanceError, mandatory
from paper_exchange.binance_limits import RequestLimits
from paper_exchange.binance_order_terms import position_side_of
from paper_exchange.binance_request import BinanceRequest, Endpoint, Routes, Security
from paper_exchange.binance_wire import Json, money, plain, trimmed
from paper_exchange.clearing import MAKER_FEE, TAKER_FEE
from paper_exchange.exchange import Exchange
from paper_exchange.instruments import Instrument
from paper_exchange.listen_keys import ListenKeys
from paper_exchange.margin import (
    AccountMargin,
    liquidation_price,
    maintenance_margin,
    position_initial_margin,
    symbol_margin,
)
from paper_exchange.orders import ZERO, PositionSide

_ASSET = "USDT"
_WEEK_MS = 7 * 86_400_000


class WireMarginType(StrEnum):
    ISOLATED = "ISOLATED"
    CROSSED = "CROSSED"


class BinanceAccount:
    """Answers everything about the account except its orders."""

    def __init__(self, exchange: Exchange, limits: RequestLimits, listen_keys: ListenKeys) -> None:
        self._exchange = exchange
        self._books = exchange.books
        self._market = exchange.market
        self._limits = limits
        self._listen_keys = listen_keys

    def routes(self) -> Routes:
        def read(answer: Any, weight: int = 5) -> Endpoint:
            return Endpoint(answer, weight=weight)

        def change(answer: Any, weight: int = 1) -> Endpoint:
            return Endpoint(answer, weight=weight, trades=True)

        def with_key(answer: Any) -> Endpoint:
            return Endpoint(answer, weight=1, security=Security.KEY)

        return {
            ("GET", "/fapi/v2/balance"): read(self._balances),
            ("GET", "/fapi/v3/balance"): read(self._balances),
            ("GET", "/fapi/v2/account"): read(self._account_v2),
            ("GET", "/fapi/v3/account"): read(self._account_v3),
            ("GET", "/fapi/v2/positionRisk"): read(self._position_risk_v2),
            ("GET", "/fapi/v3/positionRisk"): read(self._position_risk_v3),
            ("GET", "/fapi/v1/symbolConfig"): read(self._symbol_config),
            ("GET", "/fapi/v1/accountConfig"): read(self._account_config),
            ("GET", "/fapi/v1/leverageBracket"): read(self._leverage_brackets, 1),
            ("GET", "/fapi/v1/commissionRate"): read(self._commission_rate, 20),
            ("GET", "/fapi/v1/income"): read(self._incomes, 30),
            ("GET", "/fapi/v1/rateLimit/order"): read(lambda request: self._limits.order_limits(), 1),
            ("GET", "/fapi/v1/apiTradingStatus"): read(_trading_status, 1),
            ("GET", "/fapi/v1/adlQuantile"): read(self._adl_quantiles),
            ("GET", "/fapi/v1/positionSide/dual"): read(
                lambda request: {"dualSidePosition": request.account.hedge_mode}, 30
            ),
            ("GET", "/fapi/v1/multiAssetsMargin"): read(
                lambda request: {"multiAssetsMargin": request.account.multi_assets}, 30
            ),
            ("POST", "/fapi/v1/leverage"): change(self._set_leverage),
            ("POST", "/fapi/v1/marginType"): change(self._set_margin_type),
            ("POST", "/fapi/v1/positionSide/dual"): change(self._set_position_mode),
            ("POST", "/fapi/v1/multiAssetsMargin"): change(self._set_multi_assets),
            ("POST", "/fapi/v1/positionMargin"): change(self._change_margin),
            ("POST", "/fapi/v1/listenKey"): with_key(self._open_listen_key),
            ("PUT", "/fapi/v1/listenKey"): with_key(self._keep_listen_key),
            ("DELETE", "/fapi/v1/listenKey"): with_key(self._close_listen_key),
            ("GET", "/sapi/v1/account/apiRestrictions"): read(_restrictions, 1),
        }

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

    # Settings

    def _symbol_config(self, request: BinanceRequest) -> list[Json]:
        only = self._optional_symbol(request)
        rows = []
        for symbol in [only] if only else self._market.instruments:
            setting = request.account.setting(symbol)
            rows.append(
                {
                    "symbol": symbol,
                    "marginType": _wire_margin_type(setting.margin_type),
                    "isAutoAddMargin": False,
                    "leverage": setting.leverage,
                    "maxNotionalValue": trimmed(
                        self._exchange.instrument(symbol).max_notional(setting.leverage)
                    ),
                }
            )
        return rows

    def _account_config(self, request: BinanceRequest) -> Json:
        account = request.account
        return {
            "feeTier": 0,
            "canTrade": account.permissions.futures,
            "canDeposit": True,
            "canWithdraw": True,
            "dualSidePosition": account.hedge_mode,
            "updateTime": 0,
            "multiAssetsMargin": account.multi_assets,
            "tradeGroupId": -1,
        }

    def _leverage_brackets(self, request: BinanceRequest) -> list[Json]:
        only = self._optional_symbol(request)
        instruments = [self._exchange.instrument(only)] if only else list(self._market.instruments.values())
        return [_brackets(instrument) for instrument in instruments]

    def _commission_rate(self, request: BinanceRequest) -> Json:
        return {
            "symbol": self._exchange.instrument(request.parameters.symbol()).symbol,
            "makerCommissionRate": plain(MAKER_FEE, 6),
            "takerCommissionRate": plain(TAKER_FEE, 6),
            "rpiCommissionRate": "0.000000",
        }

    def _set_leverage(self, request: BinanceRequest) -> Json:
        symbol = request.parameters.symbol()
        leverage = request.parameters.required_integer("leverage")
        request.parameters.finish()
        self._exchange.settings.set_leverage(request.account, symbol, leverage, request.now_ms)
        limit = self._exchange.instrument(symbol).max_notional(leverage)
        return {"symbol": symbol, "leverage": leverage, "maxNotionalValue": trimmed(limit)}

    def _set_margin_type(self, request: BinanceRequest) -> Json:
        symbol = request.parameters.symbol()
        kind = request.parameters.choice(
            "marginType", WireMarginType, -1130, "Data sent for parameter 'marginType' is not valid."
        )
        if kind is None:
            raise mandatory("marginType")
        margin_type = MarginType.ISOLATED if kind is WireMarginType.ISOLATED else MarginType.CROSS
        request.parameters.finish()
        self._exchange.settings.set_margin_type(request.account, symbol, margin_type, request.now_ms)
        return _SUCCESS

    def _set_position_mode(self, request: BinanceRequest) -> Json:
        hedge_mode = request.parameters.flag("dualSidePosition")
        if hedge_mode is None:
            raise mandatory("dualSidePosition")
        request.parameters.finish()
        self._exchange.settings.set_hedge_mode(request.account, hedge_mode, request.now_ms)
        return _SUCCESS

    def _set_multi_assets(self, request: BinanceRequest) -> Json:
        multi_assets = request.parameters.flag("multiAssetsMargin")
        if multi_assets is None:
            raise mandatory("multiAssetsMargin")
        request.parameters.finish()
        self._exchange.settings.set_multi_assets(request.account, multi_assets, request.now_ms)
        return _SUCCESS

    def _change_margin(self, request: BinanceRequest) -> Json:
        symbol = request.parameters.symbol()
        side: PositionSide = position_side_of(request.parameters)
        amount = request.parameters.decimal("amount")
        direction = request.parameters.required_integer("type")
        if amount is None:
            raise mandatory("amount")
        if direction not in (1, 2):
            raise BinanceError(-1130, "Data sent for parameter 'type' is not valid.")
        signed = amount if direction == 1 else -amount
        request.parameters.finish()
        self._exchange.settings.change_isolated_margin(request.account, symbol, side, signed, request.now_ms)
        return {
            "amount": float(amount),  # the protocol has a JSON number here
            "code": 200,
            "msg": "Successfully modify position margin.",
            "type": direction,
        }

    # History

    def _incomes(self, request: BinanceRequest) -> list[Json]:
        symbol = self._optional_symbol(request)
        kind = request.parameters.choice(
            "incomeType", IncomeType, -1130, "Data sent for parameter 'incomeType' is not valid."
        )
        start_ms, end_ms = request.parameters.window()
        page = request.parameters.integer("page") or 1
        limit = request.parameters.limit(default=100, maximum=1000)
        earliest = request.now_ms - _WEEK_MS if start_ms is None else start_ms
        incomes = [
            income
            for income in self._books.of(request.account).incomes
            if symbol in (None, income.symbol)
            and kind in (None, income.type)
            and income.time_ms >= earliest
            and (end_ms is None or income.time_ms <= end_ms)
        ]
        return [
            {
                "symbol": income.symbol,
                "incomeType": income.type,
                "income": money(income.amount),
                "asset": _ASSET,
                "info": str(income.trade_id) if income.trade_id is not None else income.type,
                "time": income.time_ms,
                "tranId": income.income_id,
                "tradeId": str(income.trade_id) if income.trade_id is not None else "",
            }
            for income in incomes[max(page - 1, 0) * limit :][:limit]
        ]

    # Listen keys

    def _open_listen_key(self, request: BinanceRequest) -> Json:
        request.parameters.finish()
        return {"listenKey": self._listen_keys.open(request.account.account_id, request.now_ms)}

    def _keep_listen_key(self, request: BinanceRequest) -> Json:
        request.parameters.ignore("listenKey")
        request.parameters.finish()
        key = self._listen_keys.extend(request.account.account_id, request.now_ms)
        if key is None:
            raise _listen_key_unknown()
        return {"listenKey": key}

    def _close_listen_key(self, request: BinanceRequest) -> Json:
        request.parameters.ignore("listenKey")
        request.parameters.finish()
        self._listen_keys.close(request.account.account_id)
        return {}

    def _optional_symbol(self, request: BinanceRequest) -> str | None:
        symbol = request.parameters.optional_symbol()
        return None if symbol is None else self._exchange.instrument(symbol).symbol


_SUCCESS: Json = {"code": 200, "msg": "success"}


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


def _brackets(instrument: Instrument) -> Json:
    """A contract's margin brackets; the protocol has JSON numbers in here."""
    return {
        "symbol": instrument.symbol,
        "notionalCoef": 1.0,
        "brackets": [
            {
                "bracket": bracket.number,
                "initialLeverage": bracket.max_leverage,
                "notionalCap": int(bracket.cap),
                "notionalFloor": int(bracket.floor),
                "maintMarginRatio": float(bracket.maintenance_ratio),
                "cum": float(bracket.cum),
            }
            for bracket in instrument.brackets
        ],
    }


def _wire_margin_type(margin_type: MarginType) -> str:
    return WireMarginType.ISOLATED if margin_type is MarginType.ISOLATED else WireMarginType.CROSSED


def _trading_status(request: BinanceRequest) -> Json:
    request.parameters.ignore("symbol")
    return {"indicators": {}, "updateTime": request.now_ms}


def _restrictions(request: BinanceRequest) -> Json:
    """What the key may do; on the real exchange this call lives on the spot host."""
    permissions = request.account.permissions
    return {
        "ipRestrict": permissions.ip_restrict,
        "createTime": request.account.create_ms,
        "enableReading": permissions.reading,
        "enableWithdrawals": permissions.withdrawals,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": permissions.futures,
        "permitsUniversalTransfer": permissions.universal_transfer,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": False,
        "enablePortfolioMarginTrading": False,
    }


def _listen_key_unknown() -> BinanceError:
    return BinanceError(
        -1125, "This listenKey does not exist. Please use `POST /fapi/v1/listenKey` to recreate `listenKey`"
    )
