"""Whatever is sent to OKX's endpoints is answered in OKX's shape, and leaves books that add up."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paper_exchange.accounts import Permissions, Venue
from paper_exchange.credentials import Credentialing
from paper_exchange.http_edge import RawRequest
from paper_exchange.okx_api import OkxApi
from paper_exchange.okx_auth import OkxAuthentication, signature
from paper_exchange.okx_contracts import terms
from paper_exchange.okx_limits import OkxLimits
from tests.paper_exchange.conftest import START_MS, Floor, StillClock, make_floor
from tests.paper_exchange.okx import SWAP, iso

CREDENTIALING = Credentialing(b"k" * 32)
KEYS = CREDENTIALING.issue(Venue.OKX)
STATUSES = {200, 400, 404, 405, 410, 429, 500, 503}

NAMES = (
    "instId", "instType", "instFamily", "tdMode", "mgnMode", "side", "posSide", "ordType", "sz", "px",
    "clOrdId", "ordId", "reduceOnly", "tag", "algoId", "algoClOrdId", "slTriggerPx", "slOrdPx",
    "tpTriggerPx", "tpOrdPx", "triggerPx", "orderPx", "callbackRatio", "callbackSpread", "activePx",
    "closeFraction", "lever", "posMode", "newSz", "newPx", "newSlTriggerPx", "newTpTriggerPx", "timeOut",
    "type", "amt", "after", "before", "begin", "end", "limit", "bar", "ccy", "state", "posId",
    "attachAlgoOrds", "slTriggerPxType", "cxlOnFail",
)  # fmt: skip
PLAUSIBLE = st.sampled_from(
    (
        SWAP, "ETH-USDT-SWAP", "BTC-USDT", "SWAP", "cross", "isolated", "buy", "sell", "net", "long",
        "market", "limit", "post_only", "fok", "conditional", "oco", "trigger", "move_order_stop", "1",
        "0.01", "100", "59000", "61000", "0", "-1", "true", "false", "net_mode", "long_short_mode", "1H",
        "1M", "abc1", "live", "add", "4000000001", "99999999999999999999", "-5", "1e5", "", None, True,
        1, 0.5, 10**30,
    )
)  # fmt: skip
VALUES = st.one_of(
    PLAUSIBLE,
    PLAUSIBLE,
    st.text(max_size=5),
    st.integers(),
    st.floats(),
    st.lists(st.dictionaries(st.sampled_from(NAMES), PLAUSIBLE, max_size=6), max_size=2),
)
ORDER = {"instId": SWAP, "tdMode": "cross", "side": "buy", "sz": "1", "ordType": "market"}
STOP = ORDER | {"side": "sell", "ordType": "conditional", "slTriggerPx": "59000", "slOrdPx": "-1"}
TEMPLATES: list[dict[str, Any]] = [
    {},
    ORDER,
    ORDER | {"ordType": "limit", "px": "59000"},
    STOP,
    STOP | {"ordType": "oco", "tpTriggerPx": "61000", "tpOrdPx": "-1"},
    STOP | {"ordType": "trigger", "triggerPx": "61000", "orderPx": "-1"},
    STOP | {"ordType": "move_order_stop", "callbackRatio": "0.01"},
    {"instId": SWAP, "clOrdId": "abc1", "algoClOrdId": "abc1", "newSz": "2", "newSlTriggerPx": "57000"},
    {"instId": SWAP, "mgnMode": "cross", "lever": "10", "posSide": "net", "type": "add", "amt": "1"},
]
CHANGES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
BODIES = st.builds(lambda body, changes: body | changes, st.sampled_from(TEMPLATES), CHANGES)


class Desk:
    """An OKX edge without HTTP: one account that holds a position and has orders waiting."""

    def __init__(self) -> None:
        self.floor: Floor = make_floor()
        exchange = self.floor.exchange
        exchange.risk.terms[Venue.OKX] = terms
        exchange.open_account(
            venue=Venue.OKX,
            api_key=KEYS.api_key,
            balance=self.floor.account.initial_balance,
            permissions=Permissions(),
            now_ms=START_MS,
        )
        self.api = OkxApi(
            exchange,
            clock=StillClock(self.floor.now_ms),
            authentication=OkxAuthentication(exchange.books, CREDENTIALING),
            limits=OkxLimits(),
            commit=lambda: None,
        )
        order = {"instId": SWAP, "tdMode": "cross", "side": "buy", "ordType": "market", "sz": "5"}
        self.send("POST", "/api/v5/trade/order", json.dumps(order))
        resting = order | {"ordType": "limit", "px": "59000", "clOrdId": "abc1"}
        self.send("POST", "/api/v5/trade/order", json.dumps(resting))
        stop = {"side": "sell", "ordType": "conditional", "slTriggerPx": "58000", "slOrdPx": "-1"}
        self.send("POST", "/api/v5/trade/order-algo", json.dumps(order | stop | {"algoClOrdId": "abc1"}))

    def send(self, method: str, target: str, body: str = "") -> Any:
        timestamp = iso(self.floor.now_ms)
        headers = {
            "OK-ACCESS-KEY": KEYS.api_key,
            "OK-ACCESS-PASSPHRASE": KEYS.passphrase,
            "OK-ACCESS-TIMESTAMP": timestamp,
            "OK-ACCESS-SIGN": signature(KEYS.api_secret, f"{timestamp}{method}{target}{body}"),
            "Content-Type": "application/json",
        }
        return self.api.execute(RawRequest(method, target, body, headers, "127.0.0.1"))


DESK = Desk()
ROUTES = sorted(DESK.api.paths())
FUZZ = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def check_shape(outcome: Any) -> None:
    assert outcome.status in STATUSES
    assert set(outcome.body) >= {"code", "data", "msg"}
    assert outcome.body["code"].isdecimal()
    json.dumps(outcome.body, allow_nan=False)


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] == "POST"])
@FUZZ
@given(bodies=st.lists(BODIES, min_size=1, max_size=4))
def test_any_body_is_answered(method: str, path: str, bodies: list[dict[str, Any]]) -> None:
    desk = Desk()
    for body in bodies:
        check_shape(desk.send(method, path, json.dumps(body)))
    check_shape(desk.send(method, path, json.dumps(bodies)))
    check_books(desk)


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] == "GET"])
@FUZZ
@given(
    query=st.dictionaries(st.sampled_from(NAMES), PLAUSIBLE.filter(lambda v: isinstance(v, str)), max_size=6)
)
def test_any_query_is_answered(method: str, path: str, query: dict[str, str]) -> None:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    DESK.api.forget_limits()
    check_shape(DESK.send(method, f"{path}?{text}"))


def check_books(desk: Desk) -> None:
    """Wallets equal their incomes, positions their fills, and open orders are still orders."""
    books = desk.floor.exchange.books
    for account in books.accounts.values():
        book = books.of(account)
        assert account.wallet_balance == sum(income.amount for income in book.incomes)
        for position in account.positions.values():
            fills = [
                fill
                for fill in book.fills
                if (fill.symbol, fill.position_side) == (position.symbol, position.side)
            ]
            assert position.quantity == sum(fill.side.sign * fill.quantity for fill in fills)
        assert all(order.is_open for order in book.open_orders.values())
