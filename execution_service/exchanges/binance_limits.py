"""What Binance USD-M futures allows, and what each of our requests counts.

Weights from Binance's documentation and the models of its SDK (18.0.1). One that is told too low here is made
up for by the header that tells the weight used. New orders weigh nothing; they count on the account's orders.
"""

from collections.abc import Mapping
from typing import Any

from execution_service.exchanges.budget import Cost, Counter, Limit, Priority, Tariff

WEIGHT, ORDERS_10S, ORDERS_1M, CONNECTIONS = "weight", "orders_10s", "orders_1m", "connections"
# Until exchangeInfo tells them. It does not tell how many streams an address may open.
LIMITS = {
    WEIGHT: Limit(2400, 60),
    ORDERS_10S: Limit(300, 10),
    ORDERS_1M: Limit(1200, 60),
    CONNECTIONS: Limit(300, 300),
}

_WEIGHTS = {
    ("POST", "/fapi/v1/order"): 0,
    ("POST", "/fapi/v1/algoOrder"): 0,
    ("GET", "/fapi/v3/balance"): 5,
    ("GET", "/fapi/v3/account"): 5,
    ("GET", "/fapi/v3/positionRisk"): 5,
    ("GET", "/fapi/v1/symbolConfig"): 5,
    ("GET", "/fapi/v1/accountConfig"): 5,
    ("GET", "/fapi/v1/allOrders"): 5,
    ("GET", "/fapi/v1/allAlgoOrders"): 5,
    ("GET", "/fapi/v1/userTrades"): 5,
    ("GET", "/fapi/v1/commissionRate"): 20,
    ("GET", "/fapi/v1/income"): 30,
    ("GET", "/fapi/v1/positionSide/dual"): 30,
    ("GET", "/fapi/v1/multiAssetsMargin"): 30,
}
# (with a symbol, for all symbols)
_BY_SYMBOL = {
    "/fapi/v1/openOrders": (1, 40),
    "/fapi/v1/openAlgoOrders": (1, 40),
    "/fapi/v1/premiumIndex": (1, 10),
    "/fapi/v1/ticker/price": (1, 2),
    "/fapi/v2/ticker/price": (1, 2),
}
_KLINES = ("/klines", "Klines")
_NEW_ORDERS = {("POST", "/fapi/v1/order"), ("POST", "/fapi/v1/algoOrder")}
# What an order that is on its way has to know, and what keeps a stream open.
_ASKED_BY_ORDERS = {
    "/fapi/v1/order",
    "/fapi/v1/algoOrder",
    "/fapi/v1/symbolConfig",
    "/fapi/v1/positionSide/dual",
    "/fapi/v1/time",
    "/fapi/v1/listenKey",
}


def cost_of(method: str, path: str, parameters: Mapping[str, str], account_id: str) -> Cost:
    """What a request counts, and how important it is."""
    weight = _weight(method, path, parameters)
    draws = [(Counter(WEIGHT), weight)] if weight else []
    told_by = {"x-mbx-used-weight-1m": Counter(WEIGHT)}
    if (method, path) in _NEW_ORDERS:
        in_10s, in_1m = Counter(ORDERS_10S, account_id), Counter(ORDERS_1M, account_id)
        draws += [(in_10s, 1), (in_1m, 1)]
        told_by |= {"x-mbx-order-count-10s": in_10s, "x-mbx-order-count-1m": in_1m}
    return Cost(tuple(draws), _priority(method, path, parameters), told_by)


def connection_cost() -> Cost:
    """What opening a stream counts."""
    return Cost(((Counter(CONNECTIONS), 1),), Priority.QUESTION)


def limits_from(body: Any) -> dict[str, Limit]:
    """The limits that exchangeInfo tells; those that we do not count are left out."""
    limits = {}
    for row in body["rateLimits"]:
        name = _NAMES.get((row["rateLimitType"], row["interval"], row["intervalNum"]))
        if name is not None and isinstance(row["limit"], int) and row["limit"] > 0:
            limits[name] = Limit(row["limit"], LIMITS[name].period_s)
    return limits


_NAMES = {
    ("REQUEST_WEIGHT", "MINUTE", 1): WEIGHT,
    ("ORDERS", "SECOND", 10): ORDERS_10S,
    ("ORDERS", "MINUTE", 1): ORDERS_1M,
}


def _weight(method: str, path: str, parameters: Mapping[str, str]) -> int:
    if (method, path) in _WEIGHTS:
        return _WEIGHTS[method, path]
    if path in _BY_SYMBOL:
        one, every = _BY_SYMBOL[path]
        return one if "symbol" in parameters else every
    if path.endswith(_KLINES):
        rows = int(parameters.get("limit", "500"))
        return next((weight for below, weight in ((100, 1), (500, 2), (1001, 5)) if rows < below), 10)
    return 1


def _priority(method: str, path: str, parameters: Mapping[str, str]) -> Priority:
    if method == "DELETE" and path != "/fapi/v1/listenKey":
        return Priority.PROTECTION
    if (method, path) in _NEW_ORDERS:
        return Priority.PROTECTION if _only_reduces(parameters) else Priority.ORDER
    if method != "GET" or path in _ASKED_BY_ORDERS:
        return Priority.ORDER
    one_market = path == "/fapi/v3/positionRisk" and "symbol" in parameters
    return Priority.ORDER if one_market else Priority.QUESTION


def _only_reduces(parameters: Mapping[str, str]) -> bool:
    if parameters.get("reduceOnly") == "true" or parameters.get("closePosition") == "true":
        return True
    # In hedge mode this side of this position is what closes it.
    return (parameters.get("positionSide"), parameters.get("side")) in {("LONG", "SELL"), ("SHORT", "BUY")}


TARIFF = Tariff("binance", LIMITS, cost_of)
