"""How OKX writes balances and positions: numbers as strings, sizes in contracts, "" for none."""

from decimal import Decimal

from paper_exchange.accounts import Account, IncomeType, MarginType, Position
from paper_exchange.exchange import Exchange
from paper_exchange.margin import liquidation_price, maintenance_margin, position_initial_margin
from paper_exchange.okx_contracts import INST_TYPE, Contract, Json, Listing, number
from paper_exchange.okx_order_wire import POS_SIDES, TRIGGER_TYPES
from paper_exchange.orders import ZERO, ConditionalOrder

CURRENCY = "USDT"
_MONEY = 8


class AccountWire:
    """Writes what an account has."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing

    def balance(self, account: Account, now_ms: int) -> Json:
        """The one row of `GET /api/v5/account/balance`, in futures mode."""
        margin = self._exchange.risk.margin(account, now_ms)
        isolated = self._isolated_equity(account, now_ms)
        equity = money(margin.balance)
        return {
            **dict.fromkeys(_NOT_IN_FUTURES_MODE, ""),
            "uTime": str(account.update_ms),
            "totalEq": equity,
            "isoEq": money(isolated),
            "details": [self._currency(account, now_ms, isolated)] if margin.balance else [],
        }

    def _currency(self, account: Account, now_ms: int, isolated: Decimal) -> Json:
        margin = self._exchange.risk.margin(account, now_ms)
        cross = account.cross_wallet + margin.cross_unrealized
        ratio = cross / margin.cross_maintenance if margin.cross_maintenance else None
        return {
            **dict.fromkeys(_NOT_OF_A_CURRENCY, ""),
            "ccy": CURRENCY,
            "eq": money(margin.balance),
            "eqUsd": money(margin.balance),
            "cashBal": money(account.cross_wallet),
            "availBal": money(margin.available),
            "availEq": money(margin.available),
            "frozenBal": money(max(margin.balance - margin.available, ZERO)),
            "ordFrozen": money(margin.order_initial),
            "upl": money(margin.unrealized),
            "isoEq": money(isolated),
            "isoUpl": money(margin.unrealized - margin.cross_unrealized),
            "imr": money(margin.initial),
            "mmr": money(margin.cross_maintenance),
            "mgnRatio": "" if ratio is None else money(ratio),
            "notionalLever": money(self._notional(account, now_ms) / cross) if cross > 0 else "0",
            "disEq": money(margin.balance),
            "fixedBal": "0",
            "stgyEq": "0",
            "spotBal": "",
            "uTime": str(account.update_ms),
        }

    def _isolated_equity(self, account: Account, now_ms: int) -> Decimal:
        return sum(
            (
                position.isolated_wallet + position.unrealized(self._mark(position, now_ms))
                for position in account.open_positions()
                if account.setting(position.symbol).margin_type is MarginType.ISOLATED
            ),
            ZERO,
        )

    def _notional(self, account: Account, now_ms: int) -> Decimal:
        return sum(
            (abs(p.quantity) * self._mark(p, now_ms) for p in account.open_positions()),
            ZERO,
        )

    def _mark(self, position: Position, now_ms: int) -> Decimal:
        return self._exchange.market.quote(position.symbol, now_ms).mark

    def position(self, account: Account, position: Position, now_ms: int) -> Json:
        """A row of `GET /api/v5/account/positions`; a closed one has size 0."""
        contract = self._listing.of_symbol(position.symbol)
        setting = account.setting(position.symbol)
        quote = self._exchange.market.quote(position.symbol, now_ms)
        isolated = setting.margin_type is MarginType.ISOLATED
        initial = position_initial_margin(position, quote, setting.leverage)
        kept = maintenance_margin(position, quote, contract.market) if position.quantity else ZERO
        profit = position.unrealized(quote.mark)
        at_last = position.unrealized(quote.last)
        funding = self.funding_since(account, position)
        return {
            **dict.fromkeys(_NOT_OF_A_SWAP_POSITION, ""),
            "instType": INST_TYPE,
            "instId": contract.inst_id,
            "mgnMode": "isolated" if isolated else "cross",
            "posId": position_id(position),
            "posSide": POS_SIDES[position.side],
            "pos": _size(position, contract),
            "availPos": _size(position, contract),
            "avgPx": number(position.entry_price, _MONEY) if position.quantity else "",
            "markPx": number(quote.mark),
            "last": number(quote.last),
            "idxPx": number(quote.index),
            "usdPx": "1",
            "bePx": number(position.break_even_price, _MONEY) if position.quantity else "",
            "upl": money(profit),
            "uplRatio": money(profit / initial) if initial else "0",
            "uplLastPx": money(at_last),
            "uplRatioLastPx": money(at_last / initial) if initial else "0",
            "lever": str(setting.leverage),
            "liqPx": self._liquidation_price(account, position, now_ms),
            "imr": "" if isolated else money(initial),
            "margin": money(position.isolated_wallet) if isolated else "",
            "mmr": money(kept),
            "mgnRatio": self._margin_ratio(account, position, kept, profit, now_ms),
            "notionalUsd": money(abs(position.quantity) * quote.mark),
            "adl": "1",
            "ccy": CURRENCY,
            "tradeId": str(position.last_trade_id),
            "pnl": money(position.realized_pnl),
            "fee": money(-position.commission),
            "fundingFee": money(funding),
            "liqPenalty": "0",
            "realizedPnl": money(position.realized_pnl - position.commission + funding),
            "closeOrderAlgo": [
                _close_order(order) for order in self._close_orders(account, position) if position.quantity
            ],
            "cTime": str(position.open_ms),
            "uTime": str(position.update_ms),
        }

    def funding_since(self, account: Account, position: Position) -> Decimal:
        """Funding received (or, negative, paid) since the position was opened."""
        total = ZERO
        for income in reversed(self._exchange.books.of(account).incomes):
            if income.time_ms < position.open_ms:
                break
            if income.type is IncomeType.FUNDING_FEE and income.symbol == position.symbol:
                total += income.amount
        return total

    def _liquidation_price(self, account: Account, position: Position, now_ms: int) -> str:
        price = liquidation_price(
            account,
            position,
            lambda symbol: self._exchange.market.quote(symbol, now_ms),
            self._exchange.instrument,
            margin=self._exchange.risk.margin(account, now_ms),
        )
        return number(price, _MONEY) if price else ""

    def _margin_ratio(
        self, account: Account, position: Position, kept: Decimal, profit: Decimal, now_ms: int
    ) -> str:
        """Margin over maintenance margin: of the position when isolated, of the account when cross."""
        if not position.quantity:
            return ""
        if account.setting(position.symbol).margin_type is MarginType.ISOLATED:
            return money((position.isolated_wallet + profit) / kept) if kept else ""
        margin = self._exchange.risk.margin(account, now_ms)
        equity = account.cross_wallet + margin.cross_unrealized
        return money(equity / margin.cross_maintenance) if margin.cross_maintenance else ""

    def _close_orders(self, account: Account, position: Position) -> list[ConditionalOrder]:
        return [
            order
            for order in self._exchange.books.of(account).open_conditional.values()
            if order.close_position
            and order.symbol == position.symbol
            and order.position_side is position.side
        ]


def position_id(position: Position) -> str:
    """Stays while the position is open and is another one for the next."""
    return str(position.opening_trade_id * 10 + 1)


def money(amount: Decimal) -> str:
    return number(amount, _MONEY)


def _size(position: Position, contract: Contract) -> str:
    """Signed in net mode, positive in long/short mode."""
    signed = contract.contracts(position.quantity)
    return number(signed if position.side == "BOTH" else abs(signed))


def _close_order(order: ConditionalOrder) -> Json:
    stop = "" if order.type.takes_profit else number(order.trigger_price)
    profit = order.take_profit.trigger_price if order.take_profit else order.trigger_price
    takes_profit = order.type.takes_profit or order.take_profit is not None
    kind = TRIGGER_TYPES[order.working_type]
    return {
        "algoId": str(order.algo_id),
        "slTriggerPx": stop,
        "slTriggerPxType": kind if stop else "",
        "tpTriggerPx": number(profit) if takes_profit else "",
        "tpTriggerPxType": kind if takes_profit else "",
        "closeFraction": "1",
    }


_NOT_IN_FUTURES_MODE = (
    "adjEq", "availEq", "borrowFroz", "imr", "mgnRatio", "mmr", "notionalUsd", "notionalUsdForBorrow",
    "notionalUsdForFutures", "notionalUsdForOption", "notionalUsdForSwap", "ordFroz", "upl", "delta",
    "deltaLever", "deltaNeutralStatus",
)  # fmt: skip
_NOT_OF_A_CURRENCY = (
    "accAvgPx", "autoLendMtAmt", "autoLendStatus", "borrowFroz", "clSpotInUseAmt", "colBorrAutoConversion",
    "colRes", "crossLiab", "frpType", "interest", "isoLiab", "liab", "maxLoan", "maxSpotInUse", "openAvgPx",
    "rewardBal", "smtSyncEq", "spotCopyTradingEq", "spotInUseAmt", "spotIsoBal", "spotUpl", "spotUplRatio",
    "totalPnl", "totalPnlRatio", "twap", "uplLiab",
)  # fmt: skip
_NOT_OF_A_SWAP_POSITION = (
    "baseBal", "baseBorrowed", "baseInterest", "bizRefId", "bizRefType", "clSpotInUseAmt", "deltaBS",
    "deltaPA", "gammaBS", "gammaPA", "hedgedPos", "interest", "liab", "liabCcy", "maxSpotInUseAmt",
    "nonSettleAvgPx", "optVal", "pendingCloseOrdLiabVal", "posCcy", "quoteBal", "quoteBorrowed",
    "quoteInterest", "settledPnl", "spotInUseAmt", "spotInUseCcy", "thetaBS", "thetaPA", "vegaBS", "vegaPA",
)  # fmt: skip
