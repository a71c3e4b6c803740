"""The WebSocket API: REST's endpoints by other names."""

import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.paper_exchange.conftest import BTC, Paper
from tests.paper_exchange.streams import Reader, reading

pytestmark = pytest.mark.anyio


class WsTrader:
    def __init__(self, paper: Paper, reader: Reader) -> None:
        self._paper = paper
        self.reader = reader

    async def call(self, method: str, *, encoded: bool = True, **params: Any) -> Any:
        """A signed request; numbers stay numbers."""
        params = {
            "apiKey": self._paper.trader.api_key,
            "timestamp": time.time_ns() // 1_000_000,
            **params,
        }
        text = sorted((name, str(value)) for name, value in params.items())
        payload = urlencode(text) if encoded else "&".join(f"{name}={value}" for name, value in text)
        return await self.reader.ask(method, params | {"signature": self._paper.trader.signature(payload)})


@pytest.fixture
async def ws(paper: Paper) -> AsyncIterator[WsTrader]:
    async with reading(paper, "/ws-fapi/v1") as reader:
        yield WsTrader(paper, reader)


async def test_an_order_is_placed_asked_for_amended_and_canceled(paper: Paper, ws: WsTrader) -> None:
    terms: dict[str, Any] = {"symbol": BTC, "side": "BUY"}
    placed = await ws.call(
        "order.place", **terms, type="LIMIT", timeInForce="GTC", price=50000.0, quantity=0.01,
        newClientOrderId="tb1",
    )  # fmt: skip
    amended = await ws.call("order.modify", **terms, origClientOrderId="tb1", price="51000", quantity="0.02")
    asked = await ws.call("order.status", symbol=BTC, orderId=placed["result"]["orderId"])
    canceled = await ws.call("order.cancel", symbol=BTC, origClientOrderId="tb1")

    assert [answer["status"] for answer in (placed, amended, asked, canceled)] == [200] * 4
    assert (asked["result"]["price"], asked["result"]["origQty"]) == ("51000.00", "0.020")
    assert canceled["result"]["status"] == "CANCELED"
    state = (await paper.control.call("GET", "/paper/state")).body
    assert [order["client_order_id"] for order in state["orders"]] == ["tb1"]


async def test_the_limits_used_come_along(ws: WsTrader) -> None:
    placed = await ws.call("order.place", symbol=BTC, side="BUY", type="MARKET", quantity="0.010")

    assert [(row["rateLimitType"], row["interval"], row["count"]) for row in placed["rateLimits"]] == [
        ("REQUEST_WEIGHT", "MINUTE", 0),
        ("ORDERS", "SECOND", 1),
        ("ORDERS", "MINUTE", 1),
    ]
    assert "rateLimits" not in await ws.call("account.balance", returnRateLimits=False)


@pytest.mark.parametrize(
    "method",
    [
        "account.balance",
        "v2/account.balance",
        "account.status",
        "v2/account.status",
        "account.position",
        "v2/account.position",
    ],
)
async def test_accounts_are_told(ws: WsTrader, method: str) -> None:
    assert (await ws.call(method))["status"] == 200


async def test_a_stop_is_placed_and_canceled(ws: WsTrader) -> None:
    placed = await ws.call(
        "algoOrder.place", algoType="CONDITIONAL", symbol=BTC, side="SELL", type="STOP_MARKET",
        triggerPrice="50000", quantity="0.010", clientAlgoId="tbsl",
    )  # fmt: skip
    canceled = await ws.call("algoOrder.cancel", clientAlgoId="tbsl")

    assert (placed["result"]["algoStatus"], canceled["status"]) == ("NEW", 200)


async def test_market_data_needs_no_key(ws: WsTrader) -> None:
    price = await ws.reader.ask("ticker.price", {"symbol": BTC})
    book = await ws.reader.ask("depth", {"symbol": BTC, "limit": 5})

    assert price["result"]["price"] == "60000.00"
    assert len(book["result"]["bids"]) == 5


async def test_a_listen_key_is_made_and_ended(paper: Paper, ws: WsTrader) -> None:
    key = {"apiKey": paper.trader.api_key}
    started = await ws.reader.ask("userDataStream.start", key)
    assert (await ws.reader.ask("userDataStream.ping", key))["status"] == 200
    assert (await ws.reader.ask("userDataStream.stop", key))["status"] == 200

    assert len(started["result"]["listenKey"]) == 64
    assert (await ws.reader.ask("userDataStream.ping", key))["error"]["code"] == -1125


async def test_both_spellings_of_what_was_signed_are_taken(ws: WsTrader) -> None:
    for encoded in (True, False):
        answer = await ws.call(
            "order.place", encoded=encoded, symbol=BTC, side="BUY", type="MARKET", quantity="0.010",
            newClientOrderId="a:/b",
        )  # fmt: skip
        assert answer["status"] == 200


async def test_refusals_have_their_codes(ws: WsTrader) -> None:
    unknown = await ws.call("order.status", symbol=BTC, orderId=1)
    forged = await ws.reader.ask(
        "account.balance",
        {"apiKey": "x" * 64, "timestamp": time.time_ns() // 1_000_000, "signature": "0" * 64},
    )

    assert (unknown["status"], unknown["error"]["code"]) == (400, -2013)
    assert forged["error"]["code"] == -2015


async def test_a_changed_parameter_breaks_the_signature(paper: Paper, ws: WsTrader) -> None:
    params = {"apiKey": paper.trader.api_key, "timestamp": time.time_ns() // 1_000_000}
    signature = paper.trader.signature(urlencode(sorted(params.items())))

    answer = await ws.reader.ask("account.balance", {**params, "recvWindow": 9000, "signature": signature})

    assert answer["error"]["code"] == -1022


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", -1104),
        ("7", -1104),
        ('{"id": 1}', -1104),
        ('{"id": 1, "method": "order.eat"}', -1113),
        ('{"id": 1, "method": "depth", "params": []}', -1104),
        ('{"id": 1, "method": "depth", "params": {"symbol": ["BTCUSDT"]}}', -1104),
        ('{"id": 1, "method": "depth"}', -1102),
    ],
)
async def test_what_is_no_request_is_told_so(ws: WsTrader, text: str, code: int) -> None:
    await ws.reader.socket.send_str(text)

    assert (await ws.reader.next())["error"]["code"] == code


async def test_faults_of_the_endpoint_strike_here_too(paper: Paper, ws: WsTrader) -> None:
    """An order whose answer is lost with its connection has been executed all the same."""
    await paper.control.call(
        "POST", "/paper/faults", [
            {"kind": "error_code", "code": -1007, "path": "/fapi/v1/order"},
            {"kind": "http_status", "status": 503, "body": "busy", "path": "/fapi/v1/order"},
            {"kind": "drop_after_accept", "path": "/fapi/v1/order"},
        ],
    )  # fmt: skip
    order: dict[str, Any] = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.010"}

    assert (await ws.call("order.place", **order))["error"]["code"] == -1007
    assert (await ws.call("order.place", **order))["status"] == 503
    with pytest.raises(ConnectionError):
        await ws.call("order.place", **order)
    assert len((await paper.control.call("GET", "/paper/state")).body["fills"]) == 1


async def test_more_than_ten_requests_in_a_second_are_fine(ws: WsTrader) -> None:
    answers = [await ws.reader.ask("ticker.price", {"symbol": BTC}, number) for number in range(25)]

    assert {answer["status"] for answer in answers} == {200}
    assert not ws.reader.socket.closed
