"""How Binance writes our values: orders, conditional orders, fills and numbers."""

from decimal import Decimal
from typing import Any

from paper_exchange.depth import Level
from paper_exchange.instruments import Instrument
from paper_exchange.orders import ConditionalOrder, ConditionalType, Fill, Order, OrderType

Json = dict[str, Any]


def plain(value: Decimal, places: int) -> str:
    """A decimal with a fixed number of places, never an exponent."""
    return f"{value:.{places}f}"


def money(value: Decimal) -> str:
    """USDT amounts have eight places."""
    return f"{value:.8f}"


def trimmed(value: Decimal) -> str:
    """Like "0.001" or "120": no exponent, no trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def level_json(level: Level, instrument: Instrument) -> list[str]:
    return [
        plain(level.price, instrument.price_precision),
        plain(level.size, instrument.quantity_precision),
    ]


def order_json(order: Order, instrument: Instrument) -> Json:
    """What placing, canceling and amending answer. `avgPrice` and `cumQuote` are no longer part of it."""
    price, quantity = instrument.price_precision, instrument.quantity_precision
    kind = OrderType.LIMIT if order.type is OrderType.LIQUIDATION else order.type
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_order_id,
        "price": plain(order.price, price),
        "origQty": plain(order.quantity, quantity),
        "executedQty": plain(order.executed, quantity),
        "cumQty": plain(order.executed, quantity),
        "timeInForce": order.time_in_force,
        "type": kind,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": plain(order.trigger_price, price),
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "origType": order.original_type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.self_trade_prevention,
        "goodTillDate": order.good_till_ms,
        "updateTime": order.update_ms,
    }


def acknowledged(answer: Json, instrument: Instrument) -> Json:
    """The ACK form: what was known when the order arrived, even if it has filled meanwhile."""
    zero = plain(Decimal(0), instrument.quantity_precision)
    return answer | {"status": "NEW", "executedQty": zero, "cumQty": zero}


def queried_order_json(order: Order, instrument: Instrument) -> Json:
    """What the queries answer: with average price, quote volume and creation time."""
    answer = order_json(order, instrument)
    del answer["cumQty"]
    answer["avgPrice"] = plain(order.average_price, instrument.price_precision + 3 if order.executed else 2)
    answer["cumQuote"] = trimmed(order.executed_quote)
    answer["time"] = order.create_ms
    return answer


def conditional_json(order: ConditionalOrder, instrument: Instrument) -> Json:
    """What placing a conditional order answers."""
    price = instrument.price_precision
    trails = order.type is ConditionalType.TRAILING_STOP_MARKET
    return {
        "algoId": order.algo_id,
        "clientAlgoId": order.client_algo_id,
        "algoType": "CONDITIONAL",
        "orderType": order.type,
        "symbol": order.symbol,
        "side": order.side,
        "positionSide": order.position_side,
        "timeInForce": order.time_in_force,
        "quantity": plain(order.quantity, instrument.quantity_precision),
        "algoStatus": order.status,
        "triggerPrice": plain(order.trigger_price, price),
        "price": plain(order.price, price),
        "icebergQuantity": None,
        "selfTradePreventionMode": order.self_trade_prevention,
        "workingType": order.working_type,
        "priceMatch": "NONE",
        "closePosition": order.close_position,
        "priceProtect": order.price_protect,
        "reduceOnly": order.reduce_only,
        "activatePrice": plain(order.activation_price, price) if trails else "",
        "callbackRate": trimmed(order.callback_rate) if trails else "",
        "createTime": order.create_ms,
        "updateTime": order.update_ms,
        "triggerTime": order.trigger_ms,
        "goodTillDate": order.good_till_ms,
    }


def queried_conditional_json(order: ConditionalOrder, actual: Order | None, instrument: Instrument) -> Json:
    """What the queries answer: with the order it became, empty until it has triggered."""
    price = instrument.price_precision
    zero = plain(Decimal(0), price)
    answer = conditional_json(order, instrument) | {
        "actualOrderId": str(order.order_id) if order.order_id is not None else "",
        "actualPrice": plain(actual.average_price, price + 3) if actual and actual.executed else "0.00000",
        "tpTriggerPrice": zero,
        "tpPrice": zero,
        "slTriggerPrice": zero,
        "slPrice": zero,
        "tpOrderType": "",
    }
    if actual is not None:
        answer["actualType"] = actual.type
        if actual.executed:
            answer["actualQty"] = plain(actual.executed, instrument.quantity_precision)
    return answer


def fill_json(fill: Fill, instrument: Instrument) -> Json:
    """A row of userTrades."""
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": fill.side,
        "price": plain(fill.price, instrument.price_precision),
        "qty": plain(fill.quantity, instrument.quantity_precision),
        "realizedPnl": money(fill.realized_pnl),
        "quoteQty": trimmed(fill.quote_quantity),
        "commission": money(fill.commission),
        "commissionAsset": instrument.quote,
        "time": fill.time_ms,
        "positionSide": fill.position_side,
        "buyer": fill.side == "BUY",
        "maker": fill.maker,
    }
