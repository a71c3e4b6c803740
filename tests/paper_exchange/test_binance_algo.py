"""Binance's Algo Order endpoints over HTTP."""

from typing import Any

import pytest

from tests.paper_exchange.conftest import BTC, Paper

pytestmark = pytest.mark.anyio

ALGO = "/fapi/v1/algoOrder"
GOOD = {
    "algoType": "CONDITIONAL",
    "symbol": BTC,
    "side": "SELL",
    "type": "STOP_MARKET",
    "triggerPrice": "59000",
    "quantity": "0.01",
}


async def test_the_life_of_a_stop(paper: Paper) -> None:
    await paper.trader.market("BUY", "0.05")
    placed = await paper.trader.algo(
        "STOP_MARKET",
        "SELL",
        triggerPrice="59000",
        closePosition="true",
        clientAlgoId="sl",
        workingType="MARK_PRICE",
    )
    assert (placed["algoStatus"], placed["algoType"], placed["orderType"]) == (
        "NEW",
        "CONDITIONAL",
        "STOP_MARKET",
    )
    assert (placed["triggerPrice"], placed["quantity"], placed["closePosition"]) == (
        "59000.00",
        "0.000",
        True,
    )
    assert (placed["workingType"], placed["icebergQuantity"], placed["triggerTime"]) == (
        "MARK_PRICE",
        None,
        0,
    )
    waiting = await paper.trader.ok("GET", ALGO, clientAlgoId="sl")
    assert (waiting["actualOrderId"], waiting["actualPrice"]) == ("", "0.00000")
    assert "actualType" not in waiting
    await paper.control.price("58900")
    done = await paper.trader.ok("GET", ALGO, algoId=placed["algoId"])
    assert (done["algoStatus"], done["actualPrice"], done["actualQty"]) == (
        "FINISHED",
        "58900.00000",
        "0.050",
    )
    assert (done["actualType"], done["triggerTime"] > 0) == ("MARKET", True)
    order = await paper.trader.ok("GET", "/fapi/v1/order", symbol=BTC, orderId=done["actualOrderId"])
    assert (order["status"], order["origType"], order["stopPrice"]) == ("FILLED", "STOP_MARKET", "59000.00")
    assert (order["closePosition"], order["reduceOnly"]) == (True, True)
    assert order["clientOrderId"] != "sl"
    assert (await paper.trader.call("DELETE", ALGO, clientAlgoId="sl")).code == -2011


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"algoType": None}, -1102),
        ({"algoType": "VP"}, -4500),
        ({"type": "MARKET"}, -1116),
        ({"type": None}, -1102),
        ({"symbol": "NOPEUSDT"}, -1121),
        ({"triggerPrice": None}, -1102),
        ({"triggerPrice": "60000"}, -2021),
        ({"triggerPrice": "61000"}, -2021),
        ({"triggerPrice": "59000.05"}, -4014),
        ({"triggerPrice": "0"}, -4001),
        ({"quantity": None}, -1102),
        ({"quantity": "0.0001"}, -1111),
        ({"quantity": "0.001"}, -4164),
        ({"quantity": "121"}, -4005),
        ({"price": "59000"}, -1106),
        ({"type": "STOP"}, -1102),
        ({"type": "STOP", "price": "59000.05"}, -4014),
        ({"type": "TRAILING_STOP_MARKET"}, -1106),
        ({"type": "TRAILING_STOP_MARKET", "triggerPrice": None}, -1102),
        ({"type": "TRAILING_STOP_MARKET", "triggerPrice": None, "callbackRate": "21"}, -2007),
        (
            {
                "type": "TRAILING_STOP_MARKET",
                "triggerPrice": None,
                "callbackRate": "1",
                "activatePrice": "59000",
            },
            -2021,
        ),
        ({"callbackRate": "1"}, -1106),
        ({"closePosition": "true"}, -4137),
        ({"closePosition": "true", "quantity": None, "reduceOnly": "true"}, -1106),
        ({"closePosition": "true", "quantity": None, "type": "STOP", "price": "58000"}, -4136),
        ({"workingType": "INDEX_PRICE"}, -4031),
        ({"clientAlgoId": "x" * 37}, -4015),
        ({"positionSide": "SHORT"}, -4061),
        ({"stopPrice": "59000"}, -1104),
        ({"newClientOrderId": "a"}, -1104),
    ],
)
async def test_a_bad_conditional_order_is_refused_and_changes_nothing(
    paper: Paper, change: dict[str, Any], code: int
) -> None:
    terms = {name: value for name, value in (GOOD | change).items() if value is not None}
    reply = await paper.trader.call("POST", ALGO, **terms)
    assert (reply.status, reply.code) == (400, code)
    assert (await paper.control.state())["orders"] == []


async def test_a_second_close_order_of_the_same_direction_is_refused(paper: Paper) -> None:
    await paper.trader.market("BUY", "0.05")
    close = {"closePosition": "true"}
    await paper.trader.algo("STOP_MARKET", "SELL", triggerPrice="59000", **close)
    await paper.trader.algo("TAKE_PROFIT_MARKET", "SELL", triggerPrice="61000", **close)
    terms = {name: value for name, value in GOOD.items() if name != "quantity"}
    reply = await paper.trader.call("POST", ALGO, **terms | close)
    assert (reply.code, reply.body["msg"]) == (
        -4130,
        "An open stop or take profit order with GTE and closePosition in the direction is existing.",
    )


async def test_an_open_client_algo_id_is_refused_a_second_time(paper: Paper) -> None:
    await paper.trader.ok("POST", ALGO, **GOOD, clientAlgoId="a")
    assert (await paper.trader.call("POST", ALGO, **GOOD, clientAlgoId="a")).code == -4116
    canceled = await paper.trader.ok("DELETE", ALGO, clientAlgoId="a")
    assert (canceled["code"], canceled["clientAlgoId"]) == ("200", "a")
    await paper.trader.ok("POST", ALGO, **GOOD, clientAlgoId="a")


async def test_unknown_conditional_orders(paper: Paper) -> None:
    assert (await paper.trader.call("GET", ALGO, algoId=1)).code == -2013
    assert (await paper.trader.call("DELETE", ALGO, clientAlgoId="none")).code == -2011
    assert (await paper.trader.call("GET", ALGO)).code == -1102


async def test_lists(paper: Paper) -> None:
    first = await paper.trader.ok("POST", ALGO, **GOOD)
    await paper.trader.ok(
        "POST", ALGO, **GOOD | {"symbol": "ETHUSDT", "triggerPrice": "1000", "quantity": "1"}
    )
    assert len(await paper.trader.ok("GET", "/fapi/v1/openAlgoOrders")) == 2
    (open_one,) = await paper.trader.ok("GET", "/fapi/v1/openAlgoOrders", symbol=BTC)
    assert open_one["algoId"] == first["algoId"]
    await paper.trader.ok("DELETE", "/fapi/v1/algoOpenOrders", symbol=BTC)
    assert await paper.trader.ok("GET", "/fapi/v1/openAlgoOrders", symbol=BTC) == []
    (ended,) = await paper.trader.ok("GET", "/fapi/v1/allAlgoOrders", symbol=BTC)
    assert ended["algoStatus"] == "CANCELED"
    assert await paper.trader.ok("GET", "/fapi/v1/allAlgoOrders", symbol=BTC, page=2) == []


async def test_hedge_mode_wants_sides_and_no_reduce_only(paper: Paper) -> None:
    await paper.trader.ok("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    assert (await paper.trader.call("POST", ALGO, **GOOD)).code == -4061
    sided = GOOD | {"positionSide": "LONG"}
    reply = await paper.trader.call("POST", ALGO, **sided, reduceOnly="true")
    assert (reply.code, reply.body["msg"]) == (-1106, "Parameter 'reduceonly' sent when not required.")
    await paper.trader.ok("POST", ALGO, **sided)
