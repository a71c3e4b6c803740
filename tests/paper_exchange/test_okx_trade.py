"""Placing, canceling, amending and closing on OKX: the states, the codes, the units."""

from typing import Any

import pytest

from tests.paper_exchange.conftest import OkxPaper
from tests.paper_exchange.okx import SWAP

pytestmark = pytest.mark.anyio


async def test_a_market_order_is_acknowledged_and_then_filled_in_contracts(okx: OkxPaper) -> None:
    reply = await okx.trader.place("buy", "1.5", clOrdId="tb1", tag="t1")
    (ack,) = reply.rows
    assert {"clOrdId": "tb1", "sCode": "0", "tag": "t1"}.items() <= ack.items()
    order = await okx.trader.queried(ack["ordId"])
    assert (order["state"], order["accFillSz"], order["avgPx"]) == ("filled", "1.5", "60000")
    assert (order["fee"], order["feeCcy"]) == ("-0.45", "USDT")  # 0.05 % of 0.015 BTC x 60,000
    state = await okx.control.state()
    assert state["orders"][0]["quantity"] == "0.015"


async def test_a_limit_order_rests_and_fills_at_its_price(okx: OkxPaper) -> None:
    order = await okx.trader.order("buy", "0.02", "59000")
    assert (order["state"], order["accFillSz"], order["ordType"]) == ("live", "0", "limit")
    await okx.control.price("58900")
    order = await okx.trader.queried(order["ordId"])
    assert (order["state"], order["avgPx"], order["fillSz"]) == ("filled", "59000", "0.02")


async def test_orders_are_found_by_either_id_and_not_without(okx: OkxPaper) -> None:
    order = await okx.trader.order("buy", "1", "59000", clOrdId="tbFind")
    by_client_id = await okx.trader.row("trade/order", instId=SWAP, clOrdId="tbFind")
    assert by_client_id == order
    for ids, code in (
        ({"clOrdId": "tbfind"}, 51603),
        ({"ordId": "1"}, 51603),
        ({"ordId": order["ordId"], "instId": "ETH-USDT-SWAP"}, 51603),
        ({}, 51003),
    ):
        reply = await okx.trader.get("trade/order", **{"instId": SWAP, **ids})
        assert (reply.status, reply.code) == (200, code)


async def test_F07_a_client_id_is_used_once_whatever_became_of_its_order(okx: OkxPaper) -> None:
    """Stricter than Binance's rule, which covers open orders only."""
    await okx.trader.order("buy", "1", clOrdId="tbOnce")
    reply = await okx.trader.place("buy", "1", clOrdId="tbOnce")
    assert (reply.status, reply.body["code"], reply.code) == (200, "1", 51016)
    assert len((await okx.control.state())["fills"]) == 1


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"sz": "0.001"}, 51020),
        ({"sz": "1.005"}, 51121),
        ({"sz": "0"}, 51000),
        ({"sz": "-1"}, 51000),
        ({"sz": "2000000", "ordType": "limit", "px": "60000"}, 51005),
        ({"instId": "NONE-USDT-SWAP"}, 51001),
        ({"tdMode": "cash"}, 51000),
        ({"side": "long"}, 51000),
        ({"ordType": "stop"}, 51000),
        ({"ordType": "limit"}, 51000),
        ({"ordType": "limit", "px": "59000.05"}, 51000),
        ({"ordType": "limit", "px": "64000"}, 51006),
        ({"side": "sell", "ordType": "limit", "px": "56000"}, 51006),
        ({"posSide": "long"}, 51000),
        ({"clOrdId": "with-dash"}, 51000),
        ({"clOrdId": "x" * 33}, 51000),
        ({"sz": "2000"}, 51008),
        ({"reduceOnly": True}, 51169),
    ],
)
async def test_a_wrong_order_is_refused_by_its_code(okx: OkxPaper, terms: dict[str, Any], code: int) -> None:
    order = {"instId": SWAP, "tdMode": "cross", "side": "buy", "ordType": "market", "sz": "1"} | terms
    reply = await okx.trader.post("trade/order", order)
    assert (reply.status, reply.body["code"], reply.code) == (200, "1", code)
    assert reply.rows[0]["sMsg"]
    assert (await okx.control.state())["orders"] == []


async def test_a_position_too_large_for_its_leverage_is_refused(okx: OkxPaper) -> None:
    await okx.trader.do("account/set-leverage", {"instId": SWAP, "lever": "125", "mgnMode": "cross"})
    assert (await okx.trader.place("buy", "600")).code == 51004


async def test_a_missing_parameter_refuses_the_request_itself(okx: OkxPaper) -> None:
    reply = await okx.trader.post("trade/order", {"tdMode": "cross", "side": "buy", "sz": "1"})
    assert (reply.status, reply.body["code"], reply.body["data"]) == (400, "50014", [])


@pytest.mark.parametrize(
    ("kind", "px", "state", "source"),
    [
        ("post_only", "60000", "canceled", "31"),
        ("post_only", "59000", "live", ""),
        ("fok", "59000", "canceled", "13"),
        ("fok", "60000", "filled", ""),
        ("ioc", "59000", "canceled", "14"),
        ("ioc", "60100", "filled", ""),
    ],
)
async def test_what_cannot_work_is_accepted_and_canceled(
    okx: OkxPaper, kind: str, px: str, state: str, source: str
) -> None:
    order = await okx.trader.order("buy", "1", px, ordType=kind)
    assert (order["state"], order["cancelSource"], order["ordType"]) == (state, source, kind)


async def test_canceling_once_works_and_twice_does_not(okx: OkxPaper) -> None:
    order = await okx.trader.order("buy", "1", "59000")
    body = {"instId": SWAP, "ordId": order["ordId"]}
    assert (await okx.trader.do("trade/cancel-order", body))["ordId"] == order["ordId"]
    canceled = await okx.trader.queried(order["ordId"])
    assert (canceled["state"], canceled["cancelSource"]) == ("canceled", "1")
    assert (await okx.trader.post("trade/cancel-order", body)).code == 51400
    assert (await okx.trader.post("trade/cancel-order", {"instId": SWAP, "clOrdId": "no"})).code == 51400


async def test_amending_changes_size_and_price_of_the_same_order(okx: OkxPaper) -> None:
    order = await okx.trader.order("buy", "1", "59000")
    body = {"instId": SWAP, "ordId": order["ordId"], "newSz": "2", "newPx": "58000", "reqId": "r1"}
    assert (await okx.trader.do("trade/amend-order", body))["reqId"] == "r1"
    changed = await okx.trader.queried(order["ordId"])
    assert (changed["sz"], changed["px"], changed["state"]) == ("2", "58000", "live")
    await okx.trader.do("trade/amend-order", body)  # the same again is fine
    too_fine = await okx.trader.post("trade/amend-order", body | {"newSz": "2.001", "cxlOnFail": True})
    assert too_fine.code == 51121
    assert (await okx.trader.queried(order["ordId"]))["state"] == "canceled"
    assert (await okx.trader.post("trade/amend-order", body)).code == 51503


async def test_a_post_only_order_amended_into_the_market_is_canceled(okx: OkxPaper) -> None:
    order = await okx.trader.order("buy", "1", "59000", ordType="post_only")
    await okx.trader.do("trade/amend-order", {"instId": SWAP, "ordId": order["ordId"], "newPx": "60000"})
    order = await okx.trader.queried(order["ordId"])
    assert (order["state"], order["cancelSource"], order["accFillSz"]) == ("canceled", "31", "0")


async def test_a_batch_tells_each_order_its_own_fate(okx: OkxPaper) -> None:
    good = {"instId": SWAP, "tdMode": "cross", "side": "buy", "ordType": "limit", "sz": "1", "px": "59000"}
    reply = await okx.trader.post("trade/batch-orders", [good, good | {"sz": "0.001"}])
    assert (reply.status, reply.body["code"]) == (200, "2")
    assert [row["sCode"] for row in reply.rows] == ["0", "51020"]
    failed = await okx.trader.post("trade/batch-orders", [good | {"side": ""}])
    assert (failed.body["code"], failed.body["msg"]) == ("1", "All operations failed")
    cancel = [{"instId": SWAP, "ordId": reply.rows[0]["ordId"]}, {"instId": SWAP, "ordId": "7"}]
    canceled = await okx.trader.post("trade/cancel-batch-orders", cancel)
    assert [row["sCode"] for row in canceled.rows] == ["0", "51400"]
    assert (await okx.trader.post("trade/batch-orders", [good] * 21)).code == 51111


async def test_partial_fills_are_told_as_such(okx: OkxPaper) -> None:
    await okx.control.fault(kind="partial_fill", ratio="0.4", symbol=SWAP)
    order = await okx.trader.order("buy", "1")
    assert (order["state"], order["accFillSz"]) == ("partially_filled", "0.4")
    await okx.control.price("60010")
    await okx.control.price("60020")
    assert (await okx.trader.queried(order["ordId"]))["state"] == "filled"
    assert [row["fillSz"] for row in await okx.trader.rows("trade/fills", ordId=order["ordId"])] == [
        "0.2",
        "0.4",
        "0.4",
    ]


# Positions


async def test_reduce_only_never_opens(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "1")
    assert (await okx.trader.place("buy", "1", reduceOnly=True)).code == 51170
    order = await okx.trader.order("sell", "3", reduceOnly="true")
    assert (order["accFillSz"], order["reduceOnly"]) == ("1", "true")
    assert (await okx.trader.place("sell", "1", reduceOnly=True)).code == 51169
    assert await okx.trader.rows("account/positions") == []


async def test_close_position_closes_at_market_and_says_when_there_is_none(okx: OkxPaper) -> None:
    body = {"instId": SWAP, "mgnMode": "cross"}
    none = await okx.trader.post("trade/close-position", body)
    assert (none.status, none.body["code"]) == (200, "51023")
    await okx.trader.order("sell", "2")
    assert (await okx.trader.post("trade/close-position", body | {"mgnMode": "isolated"})).code == 51023
    closed = await okx.trader.do("trade/close-position", body | {"clOrdId": "tbClose"})
    assert closed == {"clOrdId": "tbClose", "instId": SWAP, "posSide": "net", "tag": ""}
    assert (await okx.trader.position())["pos"] == "0"


async def test_resting_close_orders_are_in_the_way_unless_they_may_be_canceled(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "2")
    resting = await okx.trader.order("sell", "1", "61000", reduceOnly=True)
    body = {"instId": SWAP, "mgnMode": "cross"}
    assert (await okx.trader.post("trade/close-position", body)).code == 51115
    await okx.trader.do("trade/close-position", body | {"autoCxl": True})
    assert (await okx.trader.queried(resting["ordId"]))["state"] == "canceled"
    assert await okx.trader.rows("account/positions") == []


async def test_long_and_short_are_held_at_once_in_long_short_mode(okx: OkxPaper) -> None:
    await okx.trader.do("account/set-position-mode", {"posMode": "long_short_mode"})
    assert (await okx.trader.place("buy", "1")).code == 51000
    assert (await okx.trader.place("buy", "1", posSide="net")).code == 51000
    await okx.trader.order("buy", "2", posSide="long")
    await okx.trader.order("sell", "1", posSide="short")
    held = {row["posSide"]: row["pos"] for row in await okx.trader.rows("account/positions")}
    assert held == {"long": "2", "short": "1"}
    assert (await okx.trader.place("sell", "3", posSide="long")).code == 51112
    await okx.trader.order("sell", "2", posSide="long")
    assert (await okx.trader.place("sell", "1", posSide="long")).code == 51169
    await okx.trader.do("trade/close-position", {"instId": SWAP, "mgnMode": "cross", "posSide": "short"})
    assert await okx.trader.rows("account/positions") == []


async def test_the_margin_mode_comes_with_the_order(okx: OkxPaper) -> None:
    await okx.trader.do("account/set-leverage", {"instId": SWAP, "lever": "5", "mgnMode": "isolated"})
    order = await okx.trader.order("buy", "1", tdMode="isolated")
    assert order["tdMode"] == "isolated"
    position = await okx.trader.position()
    assert (position["mgnMode"], position["lever"], position["margin"]) == ("isolated", "5", "120")
    other = await okx.trader.place("buy", "1", tdMode="cross")
    assert other.code == 51000
    assert "one margin mode" in other.rows[0]["sMsg"]
    await okx.trader.do("trade/close-position", {"instId": SWAP, "mgnMode": "isolated"})
    await okx.trader.order("buy", "1", tdMode="cross")
    assert (await okx.trader.position())["lever"] == "20"


async def test_orders_are_canceled_when_the_dead_mans_switch_is_not_renewed(okx: OkxPaper) -> None:
    assert (await okx.trader.post("trade/cancel-all-after", {"timeOut": "5"})).code == 51000
    armed = await okx.trader.do("trade/cancel-all-after", {"timeOut": "60"})
    order = await okx.trader.order("buy", "1", "59000")
    trigger_ms = int(armed["triggerTime"])
    okx.server.exchange.advance(trigger_ms - 2000)
    assert (await okx.trader.queried(order["ordId"]))["state"] == "live"
    okx.server.exchange.advance(trigger_ms + 1000)
    assert (await okx.trader.queried(order["ordId"]))["state"] == "canceled"


async def test_an_order_that_comes_too_late_is_not_placed(okx: OkxPaper) -> None:
    body = '{"instId":"BTC-USDT-SWAP","tdMode":"cross","side":"buy","ordType":"market","sz":"1"}'
    headers = okx.trader.headers("POST", "/api/v5/trade/order", body) | {"expTime": "1597026383085"}
    reply = await okx.trader.send("POST", "/api/v5/trade/order", body, headers)
    assert reply.code == 50036
    assert (await okx.control.state())["orders"] == []
