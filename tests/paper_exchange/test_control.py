"""Control: only from here, strict about its input; the referee tells what happened and no secret."""

import json
from typing import Any

import pytest

from tests.paper_exchange.conftest import BTC, Paper, Trader

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/paper/price"),
        ("GET", "/paper/state"),
        ("GET", "/paper/requests"),
        ("POST", "/paper/faults"),
        ("GET", "/paper/faults"),
        ("DELETE", "/paper/faults"),
        ("POST", "/paper/reset"),
        ("POST", "/paper/accounts"),
        ("POST", "/paper/instruments"),
    ],
)
async def test_T24_control_needs_its_header_and_this_machines_address(
    paper: Paper, method: str, path: str
) -> None:
    for headers in ({}, {"X-Paper-Control": "yes"}, {"X-Paper-Control": "1", "Host": "rebound.example"}):
        async with paper.session.request(method, path, headers=headers) as response:
            assert response.status == 403
            assert "error" in await response.json()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("price", None),
        ("price", []),
        ("price", {"symbol": BTC}),
        ("price", {"symbol": BTC, "price": "cheap"}),
        ("price", {"symbol": BTC, "price": True}),
        ("price", {"symbol": BTC, "price": "NaN"}),
        ("price", {"symbol": BTC, "price": "1e400"}),
        ("price", {"symbol": BTC, "price": "-5"}),
        ("price", {"symbol": BTC, "price": "60000.05"}),
        ("price", {"symbol": "NOPE", "price": "1"}),
        ("price", {"symbol": BTC, "price": "1", "time": 1}),
        ("accounts", {}),
        ("accounts", {"exchange": "kraken"}),
        ("accounts", {"exchange": "binance", "balance": "-1"}),
        ("accounts", {"exchange": "binance", "permissions": {"futures": "yes"}}),
        ("accounts", {"exchange": "binance", "permissions": {"fly": True}}),
        ("faults", {"kind": "explode"}),
        ("instruments", {"symbol": BTC, "status": "ASLEEP"}),
        ("instruments", {"symbol": BTC, "tick": "0"}),
    ],
)
async def test_bad_control_changes_nothing(paper: Paper, path: str, body: Any) -> None:
    before = await paper.control.state()
    reply = await paper.control.call("POST", f"/paper/{path}", body)
    assert reply.status == 400, reply.body
    assert isinstance(reply.body["error"], str)
    after = await paper.control.state()
    assert {**after, "time": 0} == {**before, "time": 0}


async def test_control_that_is_no_json(paper: Paper) -> None:
    async with paper.session.post("/paper/price", data=b"{", headers={"X-Paper-Control": "1"}) as response:
        assert response.status == 400


async def test_a_fresh_account_trades(paper: Paper) -> None:
    keys = await paper.control.open_account(balance="250.5")
    assert set(keys) == {"api_key", "api_secret"}
    trader = Trader(paper.session, paper.server.url, keys)
    (balance,) = await trader.ok("GET", "/fapi/v3/balance")
    assert balance["balance"] == "250.50000000"


async def test_an_okx_account_has_a_passphrase(paper: Paper) -> None:
    keys = await paper.control.open_account(exchange="okx")
    assert set(keys) == {"api_key", "api_secret", "passphrase"}


async def test_a_price_as_number_or_text(paper: Paper) -> None:
    for price in (61_000, 61_000.1, "61000.2"):
        reply = await paper.control.call("POST", "/paper/price", {"symbol": BTC, "price": price})
        assert reply.body["price"] == f"{float(price):.2f}"
        assert (await paper.control.state())["prices"][BTC]["last"] == reply.body["price"]


async def test_the_referee_tells_what_happened(paper: Paper) -> None:
    trader = paper.trader
    await trader.market("BUY", "0.05", newClientOrderId="entry")
    await trader.algo("STOP_MARKET", "SELL", triggerPrice="59000", closePosition="true", clientAlgoId="sl")
    state = await paper.control.state()
    entry, stop = state["orders"]
    assert (entry["kind"], entry["client_order_id"], entry["status"]) == ("order", "entry", "FILLED")
    assert (entry["executed_quantity"], entry["average_price"]) == ("0.05", "60000")
    assert (stop["kind"], stop["client_order_id"], stop["status"]) == ("algo", "sl", "NEW")
    assert (stop["trigger_price"], stop["close_position"]) == ("59000", True)
    assert state["time"] - stop["arrival_time"] < 60_000
    (position,) = state["positions"]
    assert (position["symbol"], position["quantity"], position["entry_price"]) == (BTC, "0.05", "60000")
    assert (position["leverage"], position["margin_type"]) == (20, "cross")
    (fill,) = state["fills"]
    assert (fill["client_order_id"], fill["quantity"], fill["maker"]) == ("entry", "0.05", False)
    (account,) = state["accounts"]
    assert (account["balance"], account["available_balance"]) == ("9998.5", "9848.5")
    await paper.control.price("58000")
    state = await paper.control.state()
    assert state["positions"] == []
    closing = next(order for order in state["orders"] if order.get("algo_id") and order["kind"] == "order")
    stop = next(order for order in state["orders"] if order["kind"] == "algo")
    assert (stop["status"], stop["order_id"]) == ("FINISHED", closing["order_id"])


async def test_the_referee_can_be_asked_about_one_account(paper: Paper) -> None:
    keys = await paper.control.open_account()
    await paper.trader.market("BUY", "0.05")
    reply = await paper.control.call("GET", f"/paper/state?account={keys['api_key']}")
    assert (len(reply.body["accounts"]), reply.body["orders"]) == (1, [])


async def test_R5_no_secret_in_what_is_told(paper: Paper) -> None:
    await paper.trader.market("BUY", "0.05")
    told = json.dumps(
        [await paper.control.state(), (await paper.control.call("GET", "/paper/requests")).body]
    )
    assert paper.trader.api_secret not in told


async def test_faults_are_listed_and_cleared(paper: Paper) -> None:
    await paper.control.fault(kind="delay", delay_s=0.5, count=3)
    (pending,) = (await paper.control.call("GET", "/paper/faults")).body["faults"]
    assert (pending["kind"], pending["count"]) == ("delay", 3)
    await paper.control.call("DELETE", "/paper/faults")
    assert (await paper.control.call("GET", "/paper/faults")).body["faults"] == []


async def test_reset_keeps_the_keys(paper: Paper) -> None:
    await paper.trader.market("BUY", "0.05")
    await paper.control.fault(kind="drop_before_accept", path="/fapi/v1/order")
    await paper.control.call("POST", "/paper/reset")
    state = await paper.control.state()
    assert (state["orders"], state["positions"], state["fills"]) == ([], [], [])
    await paper.control.price("60000")
    await paper.trader.market("BUY", "0.05")
