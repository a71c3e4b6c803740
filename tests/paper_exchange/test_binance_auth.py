"""Signatures: the published examples of Binance's documentation, every place a signature may stand, time."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_exchange.binance_auth import is_signature, signed_text
from tests.paper_exchange.conftest import BTC, Paper, Trader

# From the page "SIGNED Endpoint Examples for POST /fapi/v1/order - HMAC Keys".
SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
IN_QUERY = (
    "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000"
    "&timestamp=1591702613943"
)
PUBLISHED = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
MIXED_QUERY = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC"
# The blank is in the documentation, and the published signature is of the text with it.
MIXED_BODY = "quantity=1&price=9000&recvWindow=5000&timestamp= 1591702613943"
PUBLISHED_MIXED = "f9d0ae5e813ef6ccf15c2b5a434047a0181cb5a342b903b367ca6d27a66e36f2"


@pytest.mark.parametrize(
    ("query", "body", "signature"),
    [
        (f"{IN_QUERY}&signature={PUBLISHED}", "", PUBLISHED),
        ("", f"{IN_QUERY}&signature={PUBLISHED}", PUBLISHED),
        (MIXED_QUERY, f"{MIXED_BODY}&signature={PUBLISHED_MIXED}", PUBLISHED_MIXED),
    ],
)
def test_the_published_examples_verify(query: str, body: str, signature: str) -> None:
    payload = signed_text(query, body)
    assert payload is not None
    assert is_signature(SECRET, payload, signature)
    assert is_signature(SECRET, payload, signature.upper())
    assert not is_signature(SECRET, payload + "0", signature)
    assert not is_signature(SECRET[::-1], payload, signature)


def test_a_signature_that_is_not_last_signs_nothing() -> None:
    assert signed_text("a=1&signature=ff&b=2", "") is None
    assert signed_text("", "signature=ff&b=2") is None


PART = st.text(st.characters(codec="ascii", exclude_characters="#"), max_size=30).filter(
    lambda text: "signature=" not in text
)


@given(PART, PART)
def test_the_signed_text_is_query_then_body(query: str, body: str) -> None:
    assert signed_text(query, body) == query + body
    assert signed_text(f"{query}&signature=ff", body) == query + body
    assert signed_text(query, f"{body}&signature=ff") == query + body


pytestmark = pytest.mark.anyio


async def test_query_body_or_both_may_carry_the_parameters(paper: Paper) -> None:
    trader = paper.trader
    terms = [("symbol", BTC), ("side", "BUY"), ("type", "MARKET"), ("quantity", "0.01")]
    for split in range(len(terms) + 1):
        query = "&".join(f"{name}={value}" for name, value in terms[:split])
        body = "&".join(f"{name}={value}" for name, value in [*terms[split:], ("timestamp", _now())])
        signature = trader.signature(query + body)
        reply = await trader.send("POST", f"/fapi/v1/order?{query}", f"{body}&signature={signature}")
        assert reply.status == 200, reply.body


async def test_the_raw_bytes_are_what_is_signed(paper: Paper) -> None:
    """Percent-encoding is signed as it was sent, not as it decodes."""
    raw = f"symbol=%42TCUSDT&timestamp={_now()}"
    signed = await paper.trader.send(
        "GET", f"/fapi/v1/openOrders?{raw}&signature={paper.trader.signature(raw)}"
    )
    assert signed.status == 200
    decoded = paper.trader.signature(raw.replace("%42", "B"))
    refused = await paper.trader.send("GET", f"/fapi/v1/openOrders?{raw}&signature={decoded}")
    assert (refused.status, refused.code) == (400, -1022)


@pytest.mark.parametrize(
    ("age_ms", "terms", "code"),
    [
        (4_900, {}, None),
        (5_500, {}, -1021),
        (5_500, {"recvWindow": 6_500}, None),
        (-900, {}, None),
        (-2_500, {}, -1021),
        (0, {"recvWindow": 60_001}, -1131),
        (0, {"recvWindow": "soon"}, -1100),
    ],
)
async def test_stale_and_early_requests_are_refused(
    paper: Paper, age_ms: int, terms: dict[str, object], code: int | None
) -> None:
    reply = await paper.trader.call("GET", "/fapi/v3/balance", timestamp=_now() - age_ms, **terms)
    assert (reply.body["code"] if isinstance(reply.body, dict) else None) == code


@pytest.mark.parametrize(
    ("spoil", "status", "code"),
    [
        (lambda trader: {}, 401, -2014),
        (lambda trader: {"X-MBX-APIKEY": "short"}, 401, -2014),
        (lambda trader: {"X-MBX-APIKEY": "x" * 64}, 401, -2015),
        (lambda trader: {"X-MBX-APIKEY": trader.api_key.swapcase()}, 401, -2015),
    ],
)
async def test_F41_unknown_keys(
    paper: Paper, spoil: Callable[[Trader], dict[str, str]], status: int, code: int
) -> None:
    query = f"timestamp={_now()}"
    target = f"/fapi/v3/balance?{query}&signature={paper.trader.signature(query)}"
    reply = await paper.trader.send("GET", target, headers=spoil(paper.trader))
    assert (reply.status, reply.code) == (status, code)


async def test_missing_time_or_signature(paper: Paper) -> None:
    for query in ("", f"timestamp={_now()}"):
        reply = await paper.trader.send("GET", f"/fapi/v3/balance?{query}")
        assert reply.code == -1102


async def test_bytes_that_are_no_text_are_a_wrong_signature(paper: Paper) -> None:
    reply = await paper.trader.send("GET", f"/fapi/v3/balance?a=%ff&timestamp={_now()}&signature=%ff%c3")
    assert reply.code == -1022


async def test_a_key_of_another_protocol_is_unknown_here(paper: Paper) -> None:
    other = Trader(paper.session, paper.server.url, await paper.control.open_account(exchange="okx"))
    assert (await other.call("GET", "/fapi/v3/balance")).code in (-2014, -2015)


async def test_keys_without_permission_cannot_trade_but_read(paper: Paper) -> None:
    keys = await paper.control.open_account(permissions={"futures": False})
    reader = Trader(paper.session, paper.server.url, keys)
    assert (await reader.call("GET", "/fapi/v3/balance")).status == 200
    refused = await reader.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01"
    )
    assert (refused.status, refused.code) == (401, -2015)


def _now() -> int:
    return time.time_ns() // 1_000_000
