"""Binance USD-M futures: the requests that are signed, and the text that Binance checks.

Binance signs the parameters only, neither method nor path. A signature for an allowed request is therefore
good for any other request that takes the same parameters, so each schema is as narrow as our own use of it.
Everything travels in the query, the signature last; the body is empty. The kind of key decides the signature:
HMAC-SHA256 in hexadecimal, or Ed25519 or RSA (PKCS#1 v1.5 over SHA-256) in base64, percent-encoded.
"""

import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import quote

from tradekit.service.secret import Secret
from vault_service import private_key
from vault_service.cipher import ApiCredentials
from vault_service.errors import PathNotAllowed
from vault_service.models import Environment
from vault_service.rules.schema import (
    FLAG,
    ID_NUMBER,
    MILLISECONDS,
    OWN_CLIENT_ID,
    POSITIVE_DECIMAL,
    OrderCreation,
    Parameters,
    Permit,
    Rule,
    SignedRequest,
    encoded,
    signing_time,
)

# What Binance assumes when the parameter is absent.
DEFAULT_WINDOW = timedelta(milliseconds=5_000)

# Any id that Binance knows, also of orders that others made.
_ANY_CLIENT_ID = r"[.A-Z:/a-z0-9_-]{1,36}"

_PATTERNS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "timestamp": MILLISECONDS,
        # Up to 5 s. Binance takes up to 60 s; a short window is what makes a lost reply settle soon.
        "recvWindow": r"[1-9][0-9]{0,2}|[1-4][0-9]{3}|5000",
        "symbol": r"[A-Z0-9]{2,30}(?:_[0-9]{6})?",
        "side": r"BUY|SELL",
        "positionSide": r"BOTH|LONG|SHORT",
        "quantity": POSITIVE_DECIMAL,
        "price": POSITIVE_DECIMAL,
        "timeInForce": r"GTC|IOC|FOK|GTX|GTD",
        "goodTillDate": MILLISECONDS,
        "reduceOnly": FLAG,
        "newOrderRespType": r"ACK|RESULT",
        "algoType": r"CONDITIONAL",
        "triggerPrice": POSITIVE_DECIMAL,
        "activatePrice": POSITIVE_DECIMAL,
        "callbackRate": r"(?=[0-9.]*[1-9])[0-9]{1,2}(?:\.[0-9]{1,2})?",
        "closePosition": FLAG,
        "workingType": r"MARK_PRICE|CONTRACT_PRICE",
        "priceProtect": r"(?i:true|false)",
        "leverage": r"[1-9]|[1-9][0-9]|1[01][0-9]|12[0-5]",
        "marginType": r"ISOLATED|CROSSED",
        "orderId": ID_NUMBER,
        "origClientOrderId": _ANY_CLIENT_ID,
        "algoId": ID_NUMBER,
        "clientAlgoId": _ANY_CLIENT_ID,
        "fromId": r"0|" + ID_NUMBER,
        "startTime": MILLISECONDS,
        "endTime": MILLISECONDS,
        "limit": r"[1-9][0-9]{0,3}",
        "page": r"[1-9][0-9]{0,5}",
        "incomeType": r"[A-Z_]{1,40}",
    }.items()
}


def _rule(
    required: str = "",
    optional: str = "",
    *,
    patterns: Mapping[str, str] | None = None,
    client_order_id: str | None = None,
    changes_risk: bool = False,
) -> Rule:
    """A signed request: its own parameters, and the time that every signed request has."""
    own = {name: re.compile(pattern) for name, pattern in (patterns or {}).items()}
    return Rule(
        required=frozenset(required.split()) | {"timestamp"},
        optional=frozenset(optional.split()) | {"recvWindow"},
        patterns={**_PATTERNS, **own},
        client_order_id=client_order_id,
        changes_risk=changes_risk,
    )


_KEY_ONLY = Rule(required=frozenset(), optional=frozenset(), patterns={}, is_signed=False)

RULES: Mapping[tuple[str, str], Rule] = {
    # Reads
    ("GET", "/fapi/v3/balance"): _rule(),
    ("GET", "/fapi/v3/account"): _rule(),
    ("GET", "/fapi/v3/positionRisk"): _rule("", "symbol"),
    ("GET", "/fapi/v1/symbolConfig"): _rule("", "symbol"),
    ("GET", "/fapi/v1/accountConfig"): _rule(),
    ("GET", "/fapi/v1/leverageBracket"): _rule("", "symbol"),
    ("GET", "/fapi/v1/commissionRate"): _rule("symbol"),
    ("GET", "/fapi/v1/positionSide/dual"): _rule(),
    ("GET", "/fapi/v1/multiAssetsMargin"): _rule(),
    ("GET", "/fapi/v1/rateLimit/order"): _rule(),
    # On the spot host: what the key may do.
    ("GET", "/sapi/v1/account/apiRestrictions"): _rule(),
    ("GET", "/fapi/v1/income"): _rule("", "symbol incomeType startTime endTime page limit"),
    ("GET", "/fapi/v1/order"): _rule("symbol", "orderId origClientOrderId"),
    ("GET", "/fapi/v1/openOrders"): _rule("", "symbol"),
    ("GET", "/fapi/v1/allOrders"): _rule("", "symbol orderId startTime endTime limit"),
    ("GET", "/fapi/v1/userTrades"): _rule("", "symbol orderId startTime endTime fromId limit"),
    ("GET", "/fapi/v1/algoOrder"): _rule("", "algoId clientAlgoId"),
    ("GET", "/fapi/v1/openAlgoOrders"): _rule("", "algoType symbol algoId"),
    ("GET", "/fapi/v1/allAlgoOrders"): _rule("symbol", "algoId startTime endTime page limit"),
    # Cancels
    ("DELETE", "/fapi/v1/order"): _rule("symbol", "orderId origClientOrderId"),
    ("DELETE", "/fapi/v1/allOpenOrders"): _rule("symbol"),
    ("DELETE", "/fapi/v1/algoOrder"): _rule("", "algoId clientAlgoId"),
    ("DELETE", "/fapi/v1/algoOpenOrders"): _rule("symbol"),
    # Orders
    ("POST", "/fapi/v1/order"): _rule(
        "symbol side type quantity newClientOrderId",
        "positionSide price timeInForce goodTillDate reduceOnly newOrderRespType",
        patterns={"type": r"LIMIT|MARKET", "newClientOrderId": OWN_CLIENT_ID},
        client_order_id="newClientOrderId",
        changes_risk=True,
    ),
    ("POST", "/fapi/v1/algoOrder"): _rule(
        "algoType symbol side type clientAlgoId",
        "positionSide quantity closePosition triggerPrice price activatePrice callbackRate workingType "
        "priceProtect reduceOnly timeInForce goodTillDate newOrderRespType",
        patterns={
            "type": r"STOP_MARKET|TAKE_PROFIT_MARKET|STOP|TAKE_PROFIT|TRAILING_STOP_MARKET",
            "clientAlgoId": OWN_CLIENT_ID,
        },
        client_order_id="clientAlgoId",
        changes_risk=True,
    ),
    # Settings
    ("POST", "/fapi/v1/leverage"): _rule("symbol leverage", changes_risk=True),
    ("POST", "/fapi/v1/marginType"): _rule("symbol marginType", changes_risk=True),
    # The user's stream: the key's header alone
    ("POST", "/fapi/v1/listenKey"): _KEY_ONLY,
    ("PUT", "/fapi/v1/listenKey"): _KEY_ONLY,
    ("DELETE", "/fapi/v1/listenKey"): _KEY_ONLY,
}


def permit(method: str, path: str, parameters: Parameters, *, exchange_now: datetime) -> Permit:
    """Checks a request against the closed schema of its (method, path). See `Venue.permit`."""
    # Looked up as it is spelled: a path that would have to be normalised first is in no rule.
    rule = RULES.get((method, path))
    if rule is None:
        raise PathNotAllowed
    values = rule.check(parameters)
    valid_until = _valid_until(values, exchange_now) if rule.is_signed else None
    creates = None
    if rule.client_order_id is not None and valid_until is not None:
        creates = OrderCreation(values[rule.client_order_id], valid_until)
    return Permit(
        method=method,
        path=path,
        query=encoded(values),
        is_signed=rule.is_signed,
        creates=creates,
        reduces_only=not rule.changes_risk or _only_reduces(values),
    )


def sign(permit: Permit, credentials: ApiCredentials, *, environment: Environment) -> SignedRequest:
    """Builds and signs the request: what is signed are exactly the bytes of the returned query.

    Binance's worlds differ by host only.
    """
    headers = {"X-MBX-APIKEY": credentials.api_key.reveal()}
    if not permit.is_signed:
        return SignedRequest(permit.path, "", headers)
    signature = signature_of(permit.query, credentials.api_secret)
    return SignedRequest(f"{permit.path}?{permit.query}&signature={signature}", "", headers)


def signature_of(text: str, api_secret: Secret) -> str:
    """The signature of `text`, as it stands in a query: by the kind of key that `api_secret` is."""
    if private_key.is_pem(api_secret):
        return quote(private_key.signature_of(text, api_secret), safe="")
    return hmac.digest(api_secret.reveal().encode(), text.encode(), "sha256").hex()


def _valid_until(values: Mapping[str, str], exchange_now: datetime) -> datetime:
    window = timedelta(milliseconds=int(values["recvWindow"])) if "recvWindow" in values else DEFAULT_WINDOW
    return signing_time(values, exchange_now=exchange_now) + window


def _only_reduces(values: Mapping[str, str]) -> bool:
    if values.get("reduceOnly") == "true" or values.get("closePosition") == "true":
        return True
    # In hedge mode this side of this position is what closes it; in one-way mode Binance refuses it (-4061).
    return (values.get("positionSide"), values.get("side")) in {("LONG", "SELL"), ("SHORT", "BUY")}
