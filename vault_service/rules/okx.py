"""OKX v5 perpetual swaps: the requests that are signed, and the text that OKX checks.

OKX signs timestamp, method, path with query, and body: HMAC-SHA256 with the secret, in base64. A signature is
good for that one request only, until 30 s after its timestamp. Reads travel in the query, the rest as JSON
(see okx_body.py).

Two parameters travel in headers. Both are Unix milliseconds here, as on Binance:

    timestamp    of every request; sent as ISO-8601, and in seconds in a login
    expTime      of placing and amending an order, nothing else: OKX discards the request afterwards
                 (OKX API guide, "Transaction Timeouts"). It is not part of what is signed.

The login of a private WebSocket is asked for as `GET /users/self/verify`, which is what OKX has signed for it
(OKX API guide, "WebSocket login"); what comes back is not a request but the message to send, in the body.
"""

import base64
import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from tradekit.service.secret import Secret
from vault_service.cipher import ApiCredentials
from vault_service.errors import ParameterInvalid, PathNotAllowed
from vault_service.models import Environment
from vault_service.rules.okx_body import json_body
from vault_service.rules.schema import (
    FLAG,
    ID_NUMBER,
    MILLISECONDS,
    OWN_CLIENT_ID,
    POSITIVE_DECIMAL,
    Elements,
    OrderCreation,
    Parameters,
    Permit,
    Rule,
    SignedRequest,
    encoded,
    instant_of,
    signing_time,
)

LOGIN = ("GET", "/users/self/verify")

# Past this age OKX refuses a timestamp (50102); until then it may accept what it was not told to discard.
WINDOW = timedelta(seconds=30)

_IN_HEADERS = frozenset({"timestamp", "expTime"})

_ORDER_TYPES = r"(?:market|limit|post_only|fok|ioc|optimal_limit_ioc)"
_ALGO_TYPES = r"(?:conditional|oco|trigger|move_order_stop)"
_MARKET_OR_PRICE = rf"-1|{POSITIVE_DECIMAL}"
_PRICE_KIND = r"last|index|mark"
_CURRENCY = r"[A-Z0-9]{1,20}"
# Any id that OKX knows, also of orders that others made.
_ANY_CLIENT_ID = r"[A-Za-z0-9]{1,32}"

_PATTERNS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "timestamp": MILLISECONDS,
        "expTime": MILLISECONDS,
        # Swaps only: no request here can touch spot, margin, options or dated futures.
        "instId": r"[A-Z0-9]{1,20}-[A-Z0-9_]{3,10}-SWAP",
        "instFamily": r"[A-Z0-9]{1,20}-[A-Z0-9_]{3,10}",
        "instType": r"SWAP",
        "ccy": rf"{_CURRENCY}(?:,{_CURRENCY}){{0,19}}",
        "tdMode": r"cross|isolated",
        "mgnMode": r"cross|isolated",
        "side": r"buy|sell",
        "posSide": r"net|long|short",
        "posMode": r"net_mode|long_short_mode",
        "lever": r"[1-9]|[1-9][0-9]|1[01][0-9]|12[0-5]",
        "leverage": r"[1-9]|[1-9][0-9]|1[01][0-9]|12[0-5]",
        "sz": POSITIVE_DECIMAL,
        "px": POSITIVE_DECIMAL,
        "newSz": POSITIVE_DECIMAL,
        "newPx": POSITIVE_DECIMAL,
        "reduceOnly": FLAG,
        "autoCxl": FLAG,
        "cxlOnFail": FLAG,
        "cxlOnClosePos": FLAG,
        "closeFraction": r"1",
        "tpTriggerPx": POSITIVE_DECIMAL,
        "tpTriggerPxType": _PRICE_KIND,
        "tpOrdPx": _MARKET_OR_PRICE,
        "slTriggerPx": POSITIVE_DECIMAL,
        "slTriggerPxType": _PRICE_KIND,
        "slOrdPx": _MARKET_OR_PRICE,
        # A share of the price: 0.01 is 1 %.
        "callbackRatio": r"1|(?=[0-9.]*[1-9])0\.[0-9]{1,10}",
        "callbackSpread": POSITIVE_DECIMAL,
        "activePx": POSITIVE_DECIMAL,
        "ordId": ID_NUMBER,
        "algoId": ID_NUMBER,
        "posId": ID_NUMBER,
        "clOrdId": _ANY_CLIENT_ID,
        "algoClOrdId": _ANY_CLIENT_ID,
        "reqId": _ANY_CLIENT_ID,
        "state": r"[a-z_]{1,30}",
        "type": r"[1-9][0-9]{0,2}",
        "subType": r"[1-9][0-9]{0,2}",
        # Pages run between ids of orders, fills or bills.
        "after": ID_NUMBER,
        "before": ID_NUMBER,
        "begin": MILLISECONDS,
        "end": MILLISECONDS,
        "limit": r"[1-9][0-9]?|100",
    }.items()
}

# A take profit or stop loss that OKX makes when the order fills; one for each of an alert's ten targets.
_ATTACHED = Elements(
    of="attachAlgoOrds",
    required=frozenset({"attachAlgoClOrdId"}),
    optional=frozenset(
        {"sz", "tpTriggerPx", "tpTriggerPxType", "tpOrdPx", "slTriggerPx", "slTriggerPxType", "slOrdPx"}
    ),
    largest=10,
)
_CANCELED_ALGOS = Elements(
    of="", required=frozenset({"instId"}), optional=frozenset({"algoId", "algoClOrdId"}), largest=10
)


def _rule(
    required: str = "",
    optional: str = "",
    *,
    patterns: Mapping[str, str] | None = None,
    elements: Elements | None = None,
    client_order_id: str | None = None,
    changes_risk: bool = False,
) -> Rule:
    """A request: its own parameters, those of its list, and the time that every request has."""
    own = {**_PATTERNS, **{name: re.compile(pattern) for name, pattern in (patterns or {}).items()}}
    in_list = elements.names if elements else {}
    return Rule(
        required=frozenset(required.split()) | {"timestamp"},
        optional=frozenset(optional.split()) | in_list.keys(),
        patterns={**own, **{spelled: own[name] for spelled, name in in_list.items()}},
        client_order_id=client_order_id,
        changes_risk=changes_risk,
        elements=elements,
    )


def _several(one: str) -> str:
    """Values of a query, joined by commas."""
    return rf"{one}(?:,{one}){{0,5}}"


_ORDERS = {"ordType": _several(_ORDER_TYPES)}
_ALGOS = {"ordType": _several(_ALGO_TYPES)}

RULES: Mapping[tuple[str, str], Rule] = {
    # Reads: account
    ("GET", "/api/v5/account/balance"): _rule("", "ccy"),
    ("GET", "/api/v5/account/positions"): _rule("", "instType instId posId"),
    ("GET", "/api/v5/account/config"): _rule(),
    ("GET", "/api/v5/account/leverage-info"): _rule("instId mgnMode"),
    ("GET", "/api/v5/account/trade-fee"): _rule("instType", "instId instFamily"),
    ("GET", "/api/v5/account/instruments"): _rule("instType", "instId instFamily"),
    ("GET", "/api/v5/account/max-size"): _rule("instId tdMode", "px leverage"),
    ("GET", "/api/v5/account/position-tiers"): _rule("instType", "instFamily"),
    ("GET", "/api/v5/account/bills"): _rule(
        "", "instType instId ccy mgnMode type subType after before begin end limit"
    ),
    # Reads: orders
    ("GET", "/api/v5/trade/order"): _rule("instId", "ordId clOrdId"),
    ("GET", "/api/v5/trade/orders-pending"): _rule(
        "", "instType instId instFamily ordType state after before limit", patterns=_ORDERS
    ),
    ("GET", "/api/v5/trade/orders-history"): _rule(
        "instType", "instId instFamily ordType state after before begin end limit", patterns=_ORDERS
    ),
    ("GET", "/api/v5/trade/fills"): _rule(
        "", "instType instId instFamily ordId subType after before begin end limit"
    ),
    ("GET", "/api/v5/trade/fills-history"): _rule(
        "instType", "instId instFamily ordId subType after before begin end limit"
    ),
    ("GET", "/api/v5/trade/order-algo"): _rule("", "algoId algoClOrdId"),
    ("GET", "/api/v5/trade/orders-algo-pending"): _rule(
        "ordType", "instType instId algoId after before limit", patterns=_ALGOS
    ),
    ("GET", "/api/v5/trade/orders-algo-history"): _rule(
        "ordType", "instType instId algoId state after before limit", patterns=_ALGOS
    ),
    # Cancels
    ("POST", "/api/v5/trade/cancel-order"): _rule("instId", "ordId clOrdId"),
    ("POST", "/api/v5/trade/cancel-algos"): _rule("0.instId", elements=_CANCELED_ALGOS),
    # Orders
    ("POST", "/api/v5/trade/order"): _rule(
        "instId tdMode side ordType sz clOrdId",
        "posSide px reduceOnly expTime",
        patterns={
            "ordType": r"market|limit|post_only|fok|ioc",
            "clOrdId": OWN_CLIENT_ID,
            "attachAlgoClOrdId": OWN_CLIENT_ID,
        },
        elements=_ATTACHED,
        client_order_id="clOrdId",
        changes_risk=True,
    ),
    ("POST", "/api/v5/trade/amend-order"): _rule(
        "instId", "ordId clOrdId newSz newPx cxlOnFail reqId expTime", changes_risk=True
    ),
    ("POST", "/api/v5/trade/order-algo"): _rule(
        "instId tdMode side ordType algoClOrdId",
        "posSide sz closeFraction reduceOnly cxlOnClosePos tpTriggerPx tpTriggerPxType tpOrdPx "
        "slTriggerPx slTriggerPxType slOrdPx callbackRatio callbackSpread activePx",
        patterns={"ordType": r"conditional|oco|move_order_stop", "algoClOrdId": OWN_CLIENT_ID},
        client_order_id="algoClOrdId",
        changes_risk=True,
    ),
    ("POST", "/api/v5/trade/close-position"): _rule(
        "instId mgnMode",
        "posSide autoCxl clOrdId",
        patterns={"clOrdId": OWN_CLIENT_ID},
        client_order_id="clOrdId",
    ),
    # Settings
    ("POST", "/api/v5/account/set-leverage"): _rule("instId lever mgnMode", "posSide", changes_risk=True),
    ("POST", "/api/v5/account/set-position-mode"): _rule("posMode", changes_risk=True),
    # Whoever is logged in may also place orders on that socket: an inactive account is watched by reads.
    LOGIN: _rule(changes_risk=True),
}


def permit(method: str, path: str, parameters: Parameters, *, exchange_now: datetime) -> Permit:
    """Checks a request against the closed schema of its (method, path). See `Venue.permit`."""
    # Looked up as it is spelled: a path that would have to be normalised first is in no rule.
    rule = RULES.get((method, path))
    if rule is None:
        raise PathNotAllowed
    values = rule.check(parameters)
    timestamp = signing_time(values, exchange_now=exchange_now)
    valid_until = _valid_until(values, timestamp)
    client_order_id = values.get(rule.client_order_id) if rule.client_order_id else None
    sent = {name: value for name, value in values.items() if name not in _IN_HEADERS}
    return Permit(
        method=method,
        path=path,
        query=encoded(sent) if method == "GET" else "",
        body=json_body(sent) if method == "POST" else "",
        stamp=_seconds(timestamp) if (method, path) == LOGIN else _iso(timestamp),
        headers={"expTime": values["expTime"]} if "expTime" in values else {},
        is_signed=True,
        creates=OrderCreation(client_order_id, valid_until) if client_order_id else None,
        reduces_only=not rule.changes_risk or _only_reduces(values),
    )


def sign(permit: Permit, credentials: ApiCredentials, *, environment: Environment) -> SignedRequest:
    """Builds and signs the request: what is signed are exactly the bytes of the returned target and body."""
    target = f"{permit.path}?{permit.query}" if permit.query else permit.path
    signature = signature_of(f"{permit.stamp}{permit.method}{target}{permit.body}", credentials.api_secret)
    # No account is registered without one.
    assert credentials.passphrase is not None
    api_key, passphrase = credentials.api_key.reveal(), credentials.passphrase.reveal()
    if (permit.method, permit.path) == LOGIN:
        return SignedRequest(target, _login_message(api_key, passphrase, permit.stamp, signature), {})
    headers = {
        "OK-ACCESS-KEY": api_key,
        "OK-ACCESS-SIGN": signature,
        "OK-ACCESS-TIMESTAMP": permit.stamp,
        "OK-ACCESS-PASSPHRASE": passphrase,
        **permit.headers,
    }
    if permit.body:
        headers["Content-Type"] = "application/json"
    if environment is not Environment.LIVE:
        headers["x-simulated-trading"] = "1"
    return SignedRequest(target, permit.body, headers)


def signature_of(text: str, api_secret: Secret) -> str:
    """The signature of `text`: HMAC-SHA256 in base64."""
    return base64.b64encode(hmac.digest(api_secret.reveal().encode(), text.encode(), "sha256")).decode()


def _login_message(api_key: str, passphrase: str, seconds: str, signature: str) -> str:
    login = {"apiKey": api_key, "passphrase": passphrase, "timestamp": seconds, "sign": signature}
    return json.dumps({"op": "login", "args": [login]}, separators=(",", ":"))


def _valid_until(values: Mapping[str, str], timestamp: datetime) -> datetime:
    if "expTime" not in values:
        return timestamp + WINDOW
    expires = instant_of(values["expTime"])
    if expires > timestamp + WINDOW:
        raise ParameterInvalid("expTime", "is more than 30 s after the timestamp")
    return expires


def _iso(timestamp: datetime) -> str:
    return timestamp.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _seconds(timestamp: datetime) -> str:
    return str(int(timestamp.timestamp()))


def _only_reduces(values: Mapping[str, str]) -> bool:
    # What an order brings along for the time after its fill is for a position that it opens.
    if any(name.startswith(f"{_ATTACHED.of}.") for name in values):
        return False
    position = values.get("posSide", "net")
    if position == "net":
        # In long/short mode OKX refuses an order without its side of the position (51000).
        return values.get("reduceOnly") == "true"
    # With a side, OKX does not look at reduceOnly; in net mode it refuses the side (51000).
    return (position, values.get("side")) in {("long", "sell"), ("short", "buy")}
