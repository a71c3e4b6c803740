"""Binance's account endpoints but for balances and positions: settings, income, limits, the key itself."""

from enum import StrEnum
from typing import Any

from paper_exchange.accounts import IncomeType, MarginType
from paper_exchange.binance_errors import BinanceError, mandatory
from paper_exchange.binance_limits import RequestLimits
from paper_exchange.binance_order_terms import position_side_of
from paper_exchange.binance_request import BinanceRequest, Endpoint, Routes, Security
from paper_exchange.binance_wire import Json, money, plain, trimmed
from paper_exchange.clearing import MAKER_FEE, TAKER_FEE
from paper_exchange.exchange import Exchange
from paper_exchange.instruments import Instrument
from paper_exchange.listen_keys import ListenKeys
from paper_exchange.orders import PositionSide

_ASSET = "USDT"
_WEEK_MS = 7 * 86_400_000


class WireMarginType(StrEnum):
    ISOLATED = "ISOLATED"
    CROSSED = "CROSSED"


class BinanceAccount:
    """Answers about what the account is set to, what it was charged, and its keys."""

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
            ("GET", "/fapi/v1/symbolConfig"): read(self._symbol_config),
            ("GET", "/fapi/v1/accountConfig"): read(self._account_config),
            ("GET", "/fapi/v1/leverageBracket"): read(self._leverage_brackets, 1),
            ("GET", "/fapi/v1/commissionRate"): read(self._commission_rate, 20),
            ("GET", "/fapi/v1/income"): read(self._incomes, 30),
            ("GET", "/fapi/v1/rateLimit/order"): read(lambda request: self._limits.order_limits(), 1),
            ("GET", "/fapi/v1/apiTradingStatus"): read(_trading_status, 1),
            ("GET", "/fapi/v1/positionSide/dual"): read(
                lambda request: {"dualSidePosition": request.account.hedge_mode}, 30
            ),
            ("GET", "/fapi/v1/multiAssetsMargin"): read(
                lambda request: {"multiAssetsMargin": request.account.multi_assets}, 30
            ),
            ("GET", "/fapi/v1/feeBurn"): read(lambda request: {"feeBurn": False}, 30),
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
