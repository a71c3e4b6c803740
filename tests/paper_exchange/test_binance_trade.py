"""Binance's order endpoints over HTTP: what they answer and what they refuse, with which code."""

import json
from typing import Any

import pytest

from tests.paper_exchange.conftest import BTC, Paper

pytestmark = pytest.mark.anyio

ORDER = "/fapi/v1/order"
GOOD = {
    "symbol": BTC,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "59000",
}


async def test_a_market_order_as_result(paper: Paper) -> None:
    order = await paper.trader.market("BUY", "0.05", newClientOrderId="tb1")
    assert order["status"] == "FILLED"
    assert (order["origQty"], order["executedQty"], order["cumQty"]) == ("0.050", "0.050", "0.050")
    assert (order["clientOrderId"], order["type"], order["positionSide"]) == ("tb1", "MARKET", "BOTH")
    assert not {"avgPrice", "cumQuote"} & set(order)


async def test_the_default_answer_is_an_acknowledgement(paper: Paper) -> None:
    terms = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.05"}
    acknowledged = await paper.trader.ok("POST", ORDER, **terms)
    assert (acknowledged["status"], acknowledged["executedQty"]) == ("NEW", "0.000")
    filled = await paper.trader.ok("GET", ORDER, symbol=BTC, orderId=acknowledged["orderId"])
    assert (filled["status"], filled["avgPrice"], filled["cumQuote"]) == ("FILLED", "60000.00000", "3000")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"symbol": None}, -1102),
        ({"symbol": "NOPEUSDT"}, -1121),
        ({"symbol": "btcusdt"}, -1100),
        ({"side": "UP"}, -1117),
        ({"side": None}, -1102),
        ({"type": "LIMITED"}, -1116),
        ({"type": None}, -1102),
        ({"type": "STOP_MARKET"}, -4120),
        ({"type": "TAKE_PROFIT"}, -4120),
        ({"type": "TRAILING_STOP_MARKET"}, -4120),
        ({"timeInForce": None}, -1102),
        ({"timeInForce": "DAY"}, -1115),
        ({"price": None}, -1102),
        ({"quantity": None}, -1102),
        ({"quantity": ""}, -1105),
        ({"quantity": "1e-3"}, -1100),
        ({"quantity": "-1"}, -1100),
        ({"quantity": "NaN"}, -1100),
        ({"quantity": "0.0015"}, -1111),
        ({"quantity": "0"}, -4003),
        ({"quantity": "1001"}, -4005),
        ({"quantity": "0.001"}, -4164),
        ({"price": "59000.005"}, -1111),
        ({"price": "59000.05"}, -4014),
        ({"price": "0"}, -4001),
        ({"price": "0.05"}, -4013),
        ({"price": "9000000"}, -4002),
        ({"price": "63000.1"}, -4016),
        ({"side": "SELL", "price": "56999.9"}, -4024),
        ({"timeInForce": "GTX", "price": "60000"}, -5022),
        ({"timeInForce": "FOK"}, -5021),
        ({"timeInForce": "GTD"}, -1102),
        ({"timeInForce": "GTD", "goodTillDate": "1700000000000"}, -5040),
        ({"quantity": "50"}, -2019),
        ({"reduceOnly": "true"}, -2022),
        ({"reduceOnly": "maybe"}, -1130),
        ({"positionSide": "LONG"}, -4061),
        ({"positionSide": "UP"}, -4060),
        ({"newClientOrderId": "x" * 37}, -4015),
        ({"newClientOrderId": "not valid"}, -1100),
        ({"newOrderRespType": "FULL"}, -1136),
        ({"closePosition": "true"}, -4136),
        ({"stopPrice": "59000"}, -1106),
        ({"selfTradePreventionMode": "NEVER"}, -5039),
        ({"type": "MARKET"}, -1106),
        ({"type": "MARKET", "timeInForce": None}, -1106),
        ({"colour": "red"}, -1104),
    ],
)
async def test_a_bad_order_is_refused_and_changes_nothing(
    paper: Paper, change: dict[str, Any], code: int
) -> None:
    terms = {name: value for name, value in (GOOD | change).items() if value is not None}
    reply = await paper.trader.call("POST", ORDER, **terms)
    assert (reply.status, reply.code) == (400, code)
    state = await paper.control.state()
    assert state["orders"] == []


async def test_a_duplicate_parameter_is_refused(paper: Paper) -> None:
    reply = await paper.trader.send("GET", "/fapi/v1/klines?symbol=BTCUSDT&symbol=ETHUSDT&interval=1m")
    assert reply.code == -1101


async def test_a_test_order_is_checked_and_not_placed(paper: Paper) -> None:
    await paper.trader.ok("POST", "/fapi/v1/order/test", **GOOD)
    reply = await paper.trader.call("POST", "/fapi/v1/order/test", **GOOD | {"quantity": "50"})
    assert reply.code == -2019
    assert (await paper.control.state())["orders"] == []


async def test_the_id_of_a_filled_order_is_accepted_again(paper: Paper) -> None:
    """Binance keeps client ids unique among open orders only: an id protects nothing once it has filled."""
    for _ in range(2):
        await paper.trader.market("BUY", "0.01", newClientOrderId="same")
    await paper.trader.limit("BUY", "0.01", "59000", newClientOrderId="same")
    reply = await paper.trader.call("POST", ORDER, **GOOD, newClientOrderId="same")
    assert (reply.code, reply.body["msg"]) == (-4116, "ClientOrderId is duplicated.")
    latest = await paper.trader.ok("GET", ORDER, symbol=BTC, origClientOrderId="same")
    assert latest["status"] == "NEW"


async def test_query_and_cancel_by_either_id(paper: Paper) -> None:
    trader = paper.trader
    for names in (("orderId",), ("origClientOrderId",), ("orderId", "origClientOrderId")):
        order = await trader.limit("BUY", "0.01", "59000")
        ids = {"orderId": order["orderId"], "origClientOrderId": order["clientOrderId"]}
        named = {name: ids[name] for name in names}
        assert (await trader.ok("GET", ORDER, symbol=BTC, **named))["orderId"] == order["orderId"]
        assert (await trader.ok("GET", "/fapi/v1/openOrder", symbol=BTC, **named))["status"] == "NEW"
        assert (await trader.ok("DELETE", ORDER, symbol=BTC, **named))["status"] == "CANCELED"
        assert (await trader.call("DELETE", ORDER, symbol=BTC, **named)).code == -2011
        assert (await trader.call("GET", "/fapi/v1/openOrder", symbol=BTC, **named)).code == -2013
        assert (await trader.ok("GET", ORDER, symbol=BTC, **named))["status"] == "CANCELED"


async def test_unknown_orders(paper: Paper) -> None:
    trader = paper.trader
    assert (await trader.call("GET", ORDER, symbol=BTC, orderId=1)).code == -2013
    assert (await trader.call("DELETE", ORDER, symbol=BTC, orderId=1)).code == -2011
    assert (await trader.call("GET", ORDER, symbol=BTC)).code == -1102
    order = await trader.limit("BUY", "0.01", "59000")
    assert (await trader.call("GET", ORDER, symbol="ETHUSDT", orderId=order["orderId"])).code == -2013


async def test_a_cancel_with_an_unknown_parameter_cancels_nothing(paper: Paper) -> None:
    order = await paper.trader.limit("BUY", "0.01", "59000")
    reply = await paper.trader.call("DELETE", ORDER, symbol=BTC, orderId=order["orderId"], colour="red")
    assert reply.code == -1104
    assert len(await paper.trader.ok("GET", "/fapi/v1/openOrders")) == 1


async def test_nobody_sees_or_cancels_anothers_orders(paper: Paper) -> None:
    order = await paper.trader.limit("BUY", "0.01", "59000", newClientOrderId="mine")
    other = type(paper.trader)(paper.session, paper.server.url, await paper.control.open_account())
    for named in ({"orderId": order["orderId"]}, {"origClientOrderId": "mine"}):
        assert (await other.call("GET", ORDER, symbol=BTC, **named)).code == -2013
        assert (await other.call("DELETE", ORDER, symbol=BTC, **named)).code == -2011
    for path in ("openOrders", "allOrders", "openAlgoOrders"):
        assert await other.ok("GET", f"/fapi/v1/{path}", symbol=BTC) == []
    await other.limit("BUY", "0.01", "59000", newClientOrderId="mine")


async def test_amending(paper: Paper) -> None:
    order = await paper.trader.limit("BUY", "0.01", "59000")
    terms = {"symbol": BTC, "orderId": order["orderId"], "side": "BUY"}
    amended = await paper.trader.ok("PUT", ORDER, **terms, quantity="0.02", price="58000")
    assert (amended["orderId"], amended["origQty"], amended["price"]) == (
        order["orderId"],
        "0.020",
        "58000.00",
    )
    for change, code in (
        ({"quantity": "0.02", "price": "58000"}, -5027),
        ({"quantity": "0.02"}, -1102),
        ({"quantity": "0.02", "price": "58000.05"}, -4014),
        ({"quantity": "0.03", "price": "58000", "reduceOnly": "true"}, -5047),
    ):
        assert (await paper.trader.call("PUT", ORDER, **terms, **change)).code == code


async def test_a_batch_answers_each_order(paper: Paper) -> None:
    batch = [
        {**GOOD, "newClientOrderId": "one"},
        {**GOOD, "quantity": "0.0001"},
        {"symbol": BTC, "side": "SELL", "type": "MARKET", "quantity": "0.01", "newOrderRespType": "RESULT"},
    ]
    first, second, third = await paper.trader.ok(
        "POST", "/fapi/v1/batchOrders", batchOrders=json.dumps(batch)
    )
    assert (first["clientOrderId"], second["code"], third["status"]) == ("one", -1111, "FILLED")
    amended = await paper.trader.ok(
        "PUT",
        "/fapi/v1/batchOrders",
        batchOrders=json.dumps(
            [{"symbol": BTC, "origClientOrderId": "one", "side": "BUY", "quantity": "0.02", "price": "58000"}]
        ),
    )
    assert amended[0]["price"] == "58000.00"
    canceled = await paper.trader.ok(
        "DELETE", "/fapi/v1/batchOrders", symbol=BTC, origClientOrderIdList='["one","two"]'
    )
    assert (canceled[0]["status"], canceled[1]["code"]) == ("CANCELED", -2011)


@pytest.mark.parametrize("batch", ["[]", "{}", "x", json.dumps([GOOD] * 6), "[[1]]", '[{"symbol": []}]'])
async def test_a_batch_that_is_none_is_refused(paper: Paper, batch: str) -> None:
    reply = await paper.trader.call("POST", "/fapi/v1/batchOrders", batchOrders=batch)
    assert (reply.status, reply.code) == (400, reply.code)
    assert reply.code in (-1130, -4082)
    assert (await paper.control.state())["orders"] == []


async def test_cancel_all_leaves_conditional_orders(paper: Paper) -> None:
    await paper.trader.limit("BUY", "0.01", "59000")
    await paper.trader.limit("BUY", "0.01", "58000")
    await paper.trader.algo("STOP_MARKET", "BUY", triggerPrice="61000", quantity="0.01")
    answer = await paper.trader.ok("DELETE", "/fapi/v1/allOpenOrders", symbol=BTC)
    assert answer == {"code": 200, "msg": "The operation of cancel all open order is done."}
    assert await paper.trader.ok("GET", "/fapi/v1/openOrders") == []
    assert len(await paper.trader.ok("GET", "/fapi/v1/openAlgoOrders")) == 1


async def test_history_can_be_paged(paper: Paper) -> None:
    placed = [(await paper.trader.market("BUY", "0.01"))["orderId"] for _ in range(5)]

    async def orders(**window: Any) -> list[int]:
        rows = await paper.trader.ok("GET", "/fapi/v1/allOrders", symbol=BTC, **window)
        return [row["orderId"] for row in rows]

    assert await orders() == placed
    assert await orders(limit=2) == placed[-2:]
    assert await orders(orderId=placed[1], limit=2) == placed[1:3]
    trades = await paper.trader.ok("GET", "/fapi/v1/userTrades", symbol=BTC)
    assert [trade["orderId"] for trade in trades] == placed
    one = await paper.trader.ok("GET", "/fapi/v1/userTrades", symbol=BTC, orderId=placed[2])
    assert [trade["id"] for trade in one] == [trades[2]["id"]]
    onwards = await paper.trader.ok("GET", "/fapi/v1/userTrades", symbol=BTC, fromId=trades[3]["id"])
    assert [trade["orderId"] for trade in onwards] == placed[3:]
    assert trades[0]["commission"] == "0.30000000"
    assert (trades[0]["buyer"], trades[0]["maker"], trades[0]["positionSide"]) == (True, False, "BOTH")


@pytest.mark.parametrize("path", ["allOrders", "userTrades"])
async def test_windows_are_checked(paper: Paper, path: str) -> None:
    for start, end, code in ((2, 1, -1023), (0, 8 * 86_400_000, -4165), (-5, 1, -1130)):
        reply = await paper.trader.call("GET", f"/fapi/v1/{path}", symbol=BTC, startTime=start, endTime=end)
        assert reply.code == code


async def test_the_dead_mans_switch(paper: Paper) -> None:
    path = "/fapi/v1/countdownCancelAll"
    assert await paper.trader.ok("POST", path, symbol=BTC, countdownTime=120_000) == {
        "symbol": BTC,
        "countdownTime": "120000",
    }
    assert (await paper.trader.call("POST", path, symbol=BTC, countdownTime=-1)).code == -1130
