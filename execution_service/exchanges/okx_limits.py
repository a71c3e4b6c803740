"""What OKX v5 allows, per endpoint and 2 s; it tells nothing of what is used.

Source: the endpoints' "Rate Limit" lines in OKX's API guide. Public questions count by address, private ones
by account, orders by account and instrument. All new and amended orders of an account together: 1,000 per
2 s, above it 50061.
"""

from collections.abc import Mapping

from execution_service.exchanges.budget import Cost, Counter, Limit, Priority, Tariff

PERIOD_S = 2.0
ORDERS_OF_ACCOUNT, CONNECTIONS = "orders", "connections"
_OTHER = "other"

_COUNTS = {
    ("POST", "/api/v5/trade/order"): 60,
    ("POST", "/api/v5/trade/cancel-order"): 60,
    ("POST", "/api/v5/trade/amend-order"): 60,
    ("POST", "/api/v5/trade/order-algo"): 20,
    ("POST", "/api/v5/trade/cancel-algos"): 20,
    ("POST", "/api/v5/trade/close-position"): 20,
    ("GET", "/api/v5/trade/order"): 60,
    ("GET", "/api/v5/trade/order-algo"): 20,
    ("GET", "/api/v5/trade/orders-pending"): 60,
    ("GET", "/api/v5/trade/orders-algo-pending"): 20,
    ("GET", "/api/v5/trade/orders-history"): 40,
    ("GET", "/api/v5/trade/fills"): 60,
    ("GET", "/api/v5/account/balance"): 10,
    ("GET", "/api/v5/account/positions"): 10,
    ("GET", "/api/v5/account/config"): 5,
    ("GET", "/api/v5/account/leverage-info"): 20,
    ("POST", "/api/v5/account/set-leverage"): 20,
    ("POST", "/api/v5/account/set-position-mode"): 5,
    ("GET", "/api/v5/public/instruments"): 20,
    ("GET", "/api/v5/public/time"): 10,
    ("GET", "/api/v5/public/mark-price"): 10,
    ("GET", "/api/v5/public/funding-rate"): 20,
    ("GET", "/api/v5/public/position-tiers"): 10,
    ("GET", "/api/v5/market/candles"): 40,
    ("GET", "/api/v5/market/history-candles"): 20,
    ("GET", "/api/v5/market/tickers"): 20,
}
LIMITS = {
    **{f"{method} {path}": Limit(count, PERIOD_S) for (method, path), count in _COUNTS.items()},
    ORDERS_OF_ACCOUNT: Limit(1000, PERIOD_S),
    # 3 sockets per second and address.
    CONNECTIONS: Limit(3, 1.0),
    # No endpoint that we use has less.
    _OTHER: Limit(5, PERIOD_S),
}
# Counted by account and instrument.
_BY_INSTRUMENT = {"order", "cancel-order", "amend-order", "order-algo", "cancel-algos", "close-position"}
_NEW_ORDERS = {"/api/v5/trade/order", "/api/v5/trade/order-algo"}
_CANCELS = {"/api/v5/trade/cancel-order", "/api/v5/trade/cancel-algos", "/api/v5/trade/close-position"}
_ASKED_BY_ORDERS = {
    "/api/v5/trade/order",
    "/api/v5/trade/order-algo",
    "/api/v5/account/config",
    "/api/v5/account/leverage-info",
    "/api/v5/public/time",
    "/users/self/verify",
}


def cost_of(method: str, path: str, parameters: Mapping[str, str], account_id: str) -> Cost:
    """What a request counts, and how important it is."""
    name = f"{method} {path}" if (method, path) in _COUNTS else _OTHER
    draws = [(Counter(name, _user(path, parameters, account_id)), 1)]
    if method == "POST" and path in _NEW_ORDERS:
        draws.append((Counter(ORDERS_OF_ACCOUNT, account_id), 1))
    return Cost(tuple(draws), _priority(method, path, parameters))


def connection_cost() -> Cost:
    """What opening a socket counts."""
    return Cost(((Counter(CONNECTIONS), 1),), Priority.QUESTION)


def _user(path: str, parameters: Mapping[str, str], account_id: str) -> str:
    instrument = parameters.get("instId") or parameters.get("0.instId", "")
    if path.rpartition("/")[2] in _BY_INSTRUMENT and instrument:
        return f"{account_id}:{instrument}"
    return account_id


def _priority(method: str, path: str, parameters: Mapping[str, str]) -> Priority:
    if method == "GET":
        one_market = path == "/api/v5/account/positions" and "instId" in parameters
        return Priority.ORDER if path in _ASKED_BY_ORDERS or one_market else Priority.QUESTION
    if path in _CANCELS or (path in _NEW_ORDERS and _only_reduces(parameters)):
        return Priority.PROTECTION
    return Priority.ORDER


def _only_reduces(parameters: Mapping[str, str]) -> bool:
    if parameters.get("reduceOnly") == "true" or "closeFraction" in parameters:
        return True
    # In long/short mode this side of this position is what closes it.
    return (parameters.get("posSide"), parameters.get("side")) in {("long", "sell"), ("short", "buy")}


TARIFF = Tariff("okx", LIMITS, cost_of)
