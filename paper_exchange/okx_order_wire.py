"""How OKX writes orders, algo orders and fills: numbers as strings, sizes in contracts, "" for none."""

from decimal import Decimal

from paper_exchange.accounts import Account
from paper_exchange.books import AccountBook
from paper_exchange.exchange import Exchange
from paper_exchange.okx_contracts import INST_TYPE, Contract, Json, Listing, number
from paper_exchange.okx_errors import CODES_OF_REASONS
from paper_exchange.orders import (
    ZERO,
    AttachedExit,
    ConditionalOrder,
    ConditionalStatus,
    ExitLeg,
    Fill,
    Order,
    OrderStatus,
    OrderType,
    PositionSide,
    TimeInForce,
    TriggerPrice,
)
from paper_exchange.refusals import Reason

POS_SIDES = {PositionSide.BOTH: "net", PositionSide.LONG: "long", PositionSide.SHORT: "short"}
TRIGGER_TYPES = {TriggerPrice.LAST: "last", TriggerPrice.INDEX: "index", TriggerPrice.MARK: "mark"}
ORDER_STATES = {
    OrderStatus.NEW: "live",
    OrderStatus.PARTIALLY_FILLED: "partially_filled",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELED: "canceled",
    OrderStatus.EXPIRED: "canceled",
}
ALGO_STATES = {
    ConditionalStatus.NEW: "live",
    ConditionalStatus.TRIGGERED: "effective",
    ConditionalStatus.FINISHED: "effective",
    ConditionalStatus.CANCELED: "canceled",
    ConditionalStatus.EXPIRED: "canceled",
    ConditionalStatus.REJECTED: "order_failed",
}
_LIMIT_TYPES = {
    TimeInForce.GTC: "limit",
    TimeInForce.GTX: "post_only",
    TimeInForce.IOC: "ioc",
    TimeInForce.FOK: "fok",
}
_CANCELED_BY_USER = "1"
_CANCELED_UNFILLED = {TimeInForce.FOK: "13", TimeInForce.IOC: "14", TimeInForce.GTX: "31"}
_CANCELED_NOTHING_TO_REDUCE = "23"
_SOURCES = {"trigger": "6", "conditional": "7", "oco": "7", "move_order_stop": "25"}
_AT_MARKET = "-1"


class OrderWire:
    """Writes what belongs to an account's orders."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing

    def order(self, account: Account, order: Order) -> Json:
        """A row of `GET /api/v5/trade/order`."""
        contract = self._listing.of_symbol(order.symbol)
        book = self._exchange.books.of(account)
        algo = book.conditional.get(order.algo_id or 0)
        return {
            "instType": INST_TYPE,
            "instId": contract.inst_id,
            "ordId": str(order.order_id),
            "clOrdId": self.client_order_id(order),
            "tag": order.tag,
            "px": optional_price(order.price if order.type is not OrderType.LIQUIDATION else ZERO),
            "sz": number(contract.contracts(order.quantity)),
            "ordType": order_type(order),
            "side": order.side.lower(),
            "posSide": POS_SIDES[order.position_side],
            "tdMode": margin_mode(order.isolated),
            "state": ORDER_STATES[order.status],
            "lever": str(account.setting(order.symbol).leverage),
            "reduceOnly": flag(order.reduce_only and order.position_side is PositionSide.BOTH),
            "category": "full_liquidation" if order.type is OrderType.LIQUIDATION else "normal",
            "cancelSource": _cancel_source(order),
            "cancelSourceReason": "",
            "source": _SOURCES.get(algo_type(algo), "") if algo else "",
            "algoId": str(algo.algo_id) if algo else "",
            "algoClOrdId": self.client_algo_id(algo) if algo else "",
            "attachAlgoClOrdId": "",
            "attachAlgoOrds": [attached_json(exit_, contract) for exit_ in order.attached],
            "cTime": str(order.create_ms),
            "uTime": str(order.update_ms),
            **_fill_sums(book, order, contract),
            **_NOT_FOR_SWAPS,
        }

    def algo(self, account: Account, order: ConditionalOrder) -> Json:
        """A row of `GET /api/v5/trade/order-algo`."""
        contract = self._listing.of_symbol(order.symbol)
        became = self._exchange.books.of(account).orders.get(order.order_id or 0)
        tracked = order.extreme if order.original_type == "move_order_stop" else None
        return {
            "instType": INST_TYPE,
            "instId": contract.inst_id,
            "algoId": str(order.algo_id),
            "algoClOrdId": self.client_algo_id(order),
            "clOrdId": "",
            "tag": order.tag,
            "ordId": str(order.order_id) if order.order_id else "",
            "ordIdList": [str(order.order_id)] if order.order_id else [],
            "ordType": algo_type(order),
            "side": order.side.lower(),
            "posSide": POS_SIDES[order.position_side],
            "tdMode": margin_mode(order.isolated),
            "sz": "" if order.close_position else number(contract.contracts(order.quantity)),
            "closeFraction": "1" if order.close_position else "",
            "state": ALGO_STATES[order.status],
            "lever": str(account.setting(order.symbol).leverage),
            "reduceOnly": flag(order.reduce_only or order.close_position),
            "cxlOnClosePos": flag(order.cancel_on_close),
            "actualSz": number(contract.contracts(became.executed)) if became else "",
            "actualPx": optional_price(became.average_price) if became else "",
            "actualSide": _actual_side(order),
            "triggerTime": str(order.trigger_ms) if order.trigger_ms else "",
            "failCode": _fail_code(order),
            "activePx": optional_price(order.activation_price),
            "callbackRatio": number(order.callback_rate / 100) if order.callback_rate else "",
            "callbackSpread": number(order.callback_spread) if order.callback_spread else "",
            "moveTriggerPx": _move_trigger(order, tracked),
            "last": number(self._exchange.market.last(order.symbol, order.update_ms)),
            "cTime": str(order.create_ms),
            "uTime": str(order.update_ms),
            **_legs(order),
            **_NOT_FOR_CONDITIONALS,
        }

    def fill(self, fill: Fill) -> Json:
        """A row of `GET /api/v5/trade/fills`; a fee that was paid is negative."""
        contract = self._listing.of_symbol(fill.symbol)
        quote = self._exchange.market.quote(fill.symbol, fill.time_ms)
        order = self._exchange.books.of(self._exchange.books.accounts[fill.account_id]).orders[fill.order_id]
        return {
            "instType": INST_TYPE,
            "instId": contract.inst_id,
            "tradeId": str(fill.trade_id),
            "ordId": str(fill.order_id),
            "clOrdId": self.client_order_id(order),
            "billId": str(fill.trade_id),
            "subType": _trade_sub_type(fill),
            "tag": order.tag,
            "fillPx": number(fill.price),
            "fillSz": number(contract.contracts(fill.quantity)),
            "fillIdxPx": number(quote.index),
            "fillMarkPx": number(quote.mark),
            "fillPnl": number(fill.realized_pnl, 8),
            "fillPxVol": "",
            "fillPxUsd": "",
            "fillMarkVol": "",
            "fillFwdPx": "",
            "side": fill.side.lower(),
            "posSide": POS_SIDES[fill.position_side],
            "execType": "M" if fill.maker else "T",
            "feeCcy": contract.market.quote,
            "fee": number(-fill.commission, 8),
            "feeRate": number(-fill.commission / fill.quote_quantity, 8),
            "ts": str(fill.time_ms),
            "fillTime": str(fill.time_ms),
            "tradeQuoteCcy": "",
        }

    def client_order_id(self, order: Order) -> str:
        """What the client sent; "" when it sent none and the exchange made one."""
        made = self._exchange.books.client_id(order.order_id)
        return (
            ""
            if order.client_order_id == made or order.type is OrderType.LIQUIDATION
            else order.client_order_id
        )

    def client_algo_id(self, order: ConditionalOrder) -> str:
        made = self._exchange.books.client_id(order.algo_id)
        return "" if order.client_algo_id == made else order.client_algo_id


def order_type(order: Order) -> str:
    if order.type is not OrderType.LIMIT:
        return "optimal_limit_ioc" if order.time_in_force is TimeInForce.IOC else "market"
    return _LIMIT_TYPES.get(order.time_in_force, "limit")


def algo_type(order: ConditionalOrder) -> str:
    """What was asked for; exits attached to an entry are told apart by their legs."""
    return order.original_type or ("oco" if order.take_profit is not None else "conditional")


def margin_mode(isolated: bool) -> str:
    return "isolated" if isolated else "cross"


def flag(value: bool) -> str:
    return "true" if value else "false"


def optional_price(price: Decimal) -> str:
    """A price, "" for zero: none."""
    return number(price) if price else ""


def attached_json(exit_: AttachedExit, contract: Contract) -> Json:
    """A TP/SL that waits for its entry to be filled."""
    return {
        "attachAlgoId": "",
        "attachAlgoClOrdId": exit_.client_algo_id,
        "sz": number(contract.contracts(exit_.quantity)) if exit_.quantity else "",
        "tpOrdKind": "condition",
        "amendPxOnTriggerType": "0",
        "callbackRatio": "",
        "callbackSpread": "",
        "activePx": "",
        **_leg("tp", exit_.take_profit),
        **_leg("sl", exit_.stop_loss),
    }


def _leg(prefix: str, leg: ExitLeg | None) -> Json:
    return {
        f"{prefix}TriggerPx": number(leg.trigger_price) if leg else "",
        f"{prefix}TriggerPxType": TRIGGER_TYPES[leg.working_type] if leg else "",
        f"{prefix}OrdPx": (number(leg.price) if leg.price else _AT_MARKET) if leg else "",
    }


def _legs(order: ConditionalOrder) -> Json:
    """The triggers, under the names that the kind of algo order gives them."""
    first = ExitLeg(order.trigger_price, order.price, order.working_type)
    kind = algo_type(order)
    if kind not in ("conditional", "oco"):
        at_trigger = kind == "trigger"
        return {
            "triggerPx": optional_price(order.trigger_price),
            "triggerPxType": TRIGGER_TYPES[order.working_type] if at_trigger else "",
            "ordPx": (number(order.price) if order.price else _AT_MARKET) if at_trigger else "",
            **_leg("tp", None),
            **_leg("sl", None),
        }
    stop, profit = (None, first) if order.type.takes_profit else (first, order.take_profit)
    none = {"triggerPx": "", "triggerPxType": "", "ordPx": ""}
    return {**none, **_leg("tp", profit), **_leg("sl", stop)}


def _move_trigger(order: ConditionalOrder, extreme: Decimal | None) -> str:
    """Where a trailing stop would trigger now."""
    if extreme is None:
        return ""
    distance = order.callback_spread or extreme * order.callback_rate / 100
    return number(extreme + order.side.sign * distance, 8)


def _fill_sums(book: AccountBook, order: Order, contract: Contract) -> Json:
    fills = _told(book.fills_by_order.get(order.order_id, []), order.executed)
    last = fills[-1] if fills else None
    return {
        "accFillSz": number(contract.contracts(order.executed)),
        "avgPx": optional_price(order.average_price),
        "fillPx": number(last.price) if last else "",
        "fillSz": number(contract.contracts(last.quantity)) if last else "0",
        "fillTime": str(last.time_ms) if last else "",
        "tradeId": str(last.trade_id) if last else "",
        "fee": number(-sum((fill.commission for fill in fills), ZERO), 8),
        "feeCcy": contract.market.quote,
        "rebate": "0",
        "rebateCcy": contract.market.quote,
        "pnl": number(sum((fill.realized_pnl for fill in fills), ZERO), 8),
    }


def _told(fills: list[Fill], executed: Decimal) -> list[Fill]:
    """The fills that make up what an order had executed: it may be the order as it was a moment ago."""
    told, total = [], ZERO
    for fill in fills:
        if total >= executed:
            break
        told.append(fill)
        total += fill.quantity
    return told


def _cancel_source(order: Order) -> str:
    if order.status is OrderStatus.CANCELED:
        return _CANCELED_BY_USER
    if order.status is not OrderStatus.EXPIRED:
        return ""
    return _CANCELED_UNFILLED.get(order.time_in_force, _CANCELED_NOTHING_TO_REDUCE)


def _actual_side(order: ConditionalOrder) -> str:
    if not order.trigger_ms or algo_type(order) not in ("conditional", "oco"):
        return ""
    return "tp" if order.type.takes_profit or order.profit_taken else "sl"


def _fail_code(order: ConditionalOrder) -> str:
    if order.status is not ConditionalStatus.REJECTED:
        return ""
    return str(CODES_OF_REASONS.get(Reason(order.reject_reason), 1))


def _trade_sub_type(fill: Fill) -> str:
    """1 buy, 2 sell, 3 open long, 4 open short, 5 close long, 6 close short."""
    if fill.position_side is PositionSide.BOTH:
        return "1" if fill.side == "BUY" else "2"
    if fill.position_side is PositionSide.LONG:
        return "3" if fill.side == "BUY" else "5"
    return "4" if fill.side == "SELL" else "6"


_NOT_FOR_SWAPS: Json = {
    "ccy": "",
    "isTpLimit": "false",
    "linkedAlgoOrd": {"algoId": ""},
    "pxType": "",
    "pxUsd": "",
    "pxVol": "",
    "quickMgnType": "",
    "slOrdPx": "",
    "slTriggerPx": "",
    "slTriggerPxType": "",
    "stpId": "",
    "stpMode": "cancel_maker",
    "tgtCcy": "",
    "tpOrdPx": "",
    "tpTriggerPx": "",
    "tpTriggerPxType": "",
    "tradeQuoteCcy": "",
}
_NOT_FOR_CONDITIONALS: Json = {
    "amendPxOnTriggerType": "0",
    "attachAlgoOrds": [],
    "ccy": "",
    "chaseType": "",
    "chaseVal": "",
    "isTradeBorrowMode": "",
    "linkedOrd": {"ordId": ""},
    "maxChaseType": "",
    "maxChaseVal": "",
    "pxLimit": "",
    "pxSpread": "",
    "pxVar": "",
    "quickMgnType": "",
    "szLimit": "",
    "tgtCcy": "",
    "timeInterval": "",
    "tradeQuoteCcy": "",
}
