"""Algo orders on OKX: each kind, attached exits, the wrong side of the market, amending, canceling."""

from typing import Any

import pytest

from tests.paper_exchange.conftest import OkxPaper
from tests.paper_exchange.okx import SWAP, Json

pytestmark = pytest.mark.anyio
STOP = {"slTriggerPx": "59000", "slOrdPx": "-1"}
PROFIT = {"tpTriggerPx": "61000", "tpOrdPx": "-1"}


async def ended(okx: OkxPaper, algo: Json) -> Json:
    return await okx.trader.queried_algo(algo["algoId"])


async def test_a_stop_closes_at_the_far_side_of_a_gap(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "1")
    algo = await okx.trader.algo_order(
        "conditional", "sell", sz="1", reduceOnly=True, algoClOrdId="s1", **STOP
    )
    assert (algo["state"], algo["ordType"], algo["slTriggerPx"], algo["algoClOrdId"]) == (
        "live", "conditional", "59000", "s1",
    )  # fmt: skip
    await okx.control.price("58000")
    algo = await ended(okx, algo)
    assert (algo["state"], algo["actualSide"], algo["actualPx"], algo["actualSz"]) == (
        "effective", "sl", "58000", "1",
    )  # fmt: skip
    order = await okx.trader.queried(algo["ordId"])
    assert (order["algoId"], order["source"], order["state"]) == (algo["algoId"], "7", "filled")


@pytest.mark.parametrize(("price", "leg"), [("59000", "sl"), ("61000", "tp")])
async def test_one_cancels_the_other(okx: OkxPaper, price: str, leg: str) -> None:
    await okx.trader.order("buy", "1")
    algo = await okx.trader.algo_order("oco", "sell", sz="1", reduceOnly=True, **STOP, **PROFIT)
    await okx.control.price(price)
    algo = await ended(okx, algo)
    assert (algo["state"], algo["actualSide"], algo["actualPx"]) == ("effective", leg, price)
    await okx.control.price("50000")
    await okx.control.price("70000")
    assert len((await okx.control.state())["fills"]) == 2


@pytest.mark.parametrize(
    ("side", "terms", "code"),
    [
        ("sell", {"tpTriggerPx": "59000", "tpOrdPx": "-1"}, 51279),
        ("sell", {"slTriggerPx": "61000", "slOrdPx": "-1"}, 51280),
        ("buy", {"tpTriggerPx": "61000", "tpOrdPx": "-1"}, 51277),
        ("buy", {"slTriggerPx": "59000", "slOrdPx": "-1"}, 51278),
        ("sell", {"slTriggerPx": "60000", "slOrdPx": "-1"}, 51280),
    ],
)
async def test_a_trigger_on_the_wrong_side_is_refused(
    okx: OkxPaper, side: str, terms: dict[str, str], code: int
) -> None:
    reply = await okx.trader.algo("conditional", side, sz="1", **terms)
    assert (reply.status, reply.body["code"], reply.code) == (200, "1", code)


@pytest.mark.parametrize(
    ("kind", "terms", "code"),
    [
        ("conditional", {"sz": "1"}, 51000),
        ("oco", {"sz": "1", **STOP}, 51000),
        ("conditional", {"sz": "1", "slTriggerPx": "59000"}, 51000),
        ("conditional", {"sz": "0.001", **STOP}, 51020),
        ("conditional", {"sz": "1", "slTriggerPx": "59000.05", "slOrdPx": "-1"}, 51000),
        ("conditional", {"closeFraction": "1", "reduceOnly": True, **STOP}, 51023),
        ("conditional", {"closeFraction": "1", **STOP}, 51000),
        ("conditional", {"closeFraction": "0.5", "reduceOnly": True, **STOP}, 51000),
        ("iceberg", {"sz": "1"}, 51000),
        ("trigger", {"sz": "1", "triggerPx": "61000"}, 51000),
        ("move_order_stop", {"sz": "1"}, 51000),
        ("move_order_stop", {"sz": "1", "callbackRatio": "0.0001"}, 51000),
        ("move_order_stop", {"sz": "1", "callbackRatio": "0.01", "callbackSpread": "10"}, 51000),
    ],
)
async def test_a_wrong_algo_order_is_refused(
    okx: OkxPaper, kind: str, terms: dict[str, Any], code: int
) -> None:
    assert (await okx.trader.algo(kind, "sell", **terms)).code == code
    assert (await okx.control.state())["orders"] == []


@pytest.mark.parametrize(
    ("side", "trigger", "reached"),
    [
        ("buy", "61000", "61500"),
        ("buy", "59000", "58500"),
        ("sell", "61000", "61000"),
        ("sell", "59000", "58000"),
    ],
)
async def test_a_trigger_order_works_from_both_sides(
    okx: OkxPaper, side: str, trigger: str, reached: str
) -> None:
    algo = await okx.trader.algo_order("trigger", side, sz="1", triggerPx=trigger, orderPx="-1")
    assert (algo["ordType"], algo["triggerPx"], algo["ordPx"]) == ("trigger", trigger, "-1")
    await okx.control.price("60100")
    assert (await ended(okx, algo))["state"] == "live"
    await okx.control.price(reached)
    algo = await ended(okx, algo)
    assert (algo["state"], algo["actualPx"]) == ("effective", reached)


async def test_a_trigger_order_may_send_a_limit_order(okx: OkxPaper) -> None:
    algo = await okx.trader.algo_order("trigger", "buy", sz="1", triggerPx="61000", orderPx="60500")
    await okx.control.price("61000")
    order = await okx.trader.queried((await ended(okx, algo))["ordId"])
    assert (order["ordType"], order["px"], order["state"], order["source"]) == ("limit", "60500", "live", "6")


@pytest.mark.parametrize("terms", [{"callbackRatio": "0.01"}, {"callbackSpread": "600"}])
async def test_a_trailing_stop_follows_and_comes_back(okx: OkxPaper, terms: dict[str, str]) -> None:
    await okx.trader.order("buy", "1")
    algo = await okx.trader.algo_order("move_order_stop", "sell", sz="1", reduceOnly=True, **terms)
    assert algo["moveTriggerPx"] == "59400"
    await okx.control.price("62000")
    assert float((await ended(okx, algo))["moveTriggerPx"]) > 61000
    await okx.control.price("61500")
    assert (await ended(okx, algo))["state"] == "live"
    await okx.control.price("61300")
    assert (await ended(okx, algo))["state"] == "effective"


async def test_an_inactive_trailing_stop_waits_for_its_price(okx: OkxPaper) -> None:
    algo = await okx.trader.algo_order(
        "move_order_stop", "sell", sz="1", callbackRatio="0.01", activePx="61000"
    )
    assert (algo["activePx"], algo["moveTriggerPx"]) == ("61000", "")
    await okx.control.price("58000")
    await okx.control.price("61000")
    assert (await ended(okx, algo))["moveTriggerPx"] == "60390"


async def test_the_mark_price_triggers_when_asked_for(okx: OkxPaper) -> None:
    terms = {"sz": "1", "slTriggerPxType": "mark", **STOP}
    algo = await okx.trader.algo_order("conditional", "sell", **terms)
    assert algo["slTriggerPxType"] == "mark"
    await okx.control.price("59000")
    assert (await ended(okx, algo))["state"] == "effective"


async def test_a_whole_position_stop_closes_what_there_is_and_goes_with_it(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "1")
    whole = {"closeFraction": "1", "reduceOnly": True}
    algo = await okx.trader.algo_order("oco", "sell", **whole, **STOP, **PROFIT)
    assert (algo["sz"], algo["closeFraction"]) == ("", "1")
    assert (await okx.trader.algo("conditional", "sell", **whole, **STOP)).code == 51088
    assert (await okx.trader.position())["closeOrderAlgo"][0]["slTriggerPx"] == "59000"
    await okx.trader.order("buy", "2")
    await okx.control.price("61000")
    assert (await ended(okx, algo))["actualSz"] == "3"

    await okx.trader.order("buy", "1")
    algo = await okx.trader.algo_order("conditional", "sell", **whole, **STOP)
    await okx.trader.do("trade/close-position", {"instId": SWAP, "mgnMode": "cross"})
    assert (await ended(okx, algo))["state"] == "canceled"


async def test_a_stop_for_a_size_outlives_its_position_unless_it_is_bound_to_it(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "1")
    terms = {"sz": "1", "reduceOnly": True, **STOP}
    loose = await okx.trader.algo_order("conditional", "sell", **terms)
    bound = await okx.trader.algo_order("conditional", "sell", cxlOnClosePos=True, **terms)
    await okx.trader.do("trade/close-position", {"instId": SWAP, "mgnMode": "cross"})
    assert (await ended(okx, bound))["state"] == "canceled"
    await okx.control.price("58000")
    failed = await ended(okx, loose)
    assert (failed["state"], failed["failCode"]) == ("order_failed", "51169")


# Attached to an entry


async def test_exits_attached_to_an_entry_start_with_its_fill(okx: OkxPaper) -> None:
    attached = [{"attachAlgoClOrdId": "exit1", **STOP, **PROFIT}]
    entry = await okx.trader.order("buy", "1", "59500", attachAlgoOrds=attached)
    assert entry["attachAlgoOrds"][0]["attachAlgoClOrdId"] == "exit1"
    assert await okx.trader.rows("trade/orders-algo-pending", ordType="oco") == []
    assert (await okx.trader.algo("conditional", "sell", sz="1", algoClOrdId="exit1", **STOP)).code == 51068
    await okx.control.price("59500")
    algo = await okx.trader.row("trade/orders-algo-pending", ordType="oco")
    assert (algo["algoClOrdId"], algo["sz"], algo["side"], algo["reduceOnly"]) == (
        "exit1",
        "1",
        "sell",
        "true",
    )
    await okx.control.price("61000")
    assert (await ended(okx, algo))["actualSide"] == "tp"
    assert await okx.trader.rows("account/positions") == []


async def test_exits_cover_what_a_canceled_entry_had_filled(okx: OkxPaper) -> None:
    await okx.control.fault(kind="partial_fill", ratio="0.4")
    entry = await okx.trader.order("buy", "1", attachAlgoOrds=[STOP])
    await okx.trader.do("trade/cancel-order", {"instId": SWAP, "ordId": entry["ordId"]})
    algo = await okx.trader.row("trade/orders-algo-pending", ordType="conditional")
    assert (algo["sz"], algo["algoClOrdId"]) == ("0.4", "")


async def test_an_unfilled_entry_takes_its_exits_along(okx: OkxPaper) -> None:
    entry = await okx.trader.order("buy", "1", "59500", attachAlgoOrds=[STOP])
    await okx.trader.do("trade/cancel-order", {"instId": SWAP, "ordId": entry["ordId"]})
    assert await okx.trader.rows("trade/orders-algo-pending", ordType="conditional") == []


async def test_several_targets_take_their_shares(okx: OkxPaper) -> None:
    targets = [
        {"sz": "1", "tpTriggerPx": "61000", "tpOrdPx": "-1"},
        {"sz": "2", "tpTriggerPx": "62000", "tpOrdPx": "-1"},
        STOP,
    ]
    await okx.trader.order("buy", "3", attachAlgoOrds=targets)
    rows = await okx.trader.rows("trade/orders-algo-pending", ordType="conditional,oco")
    assert sorted(row["sz"] for row in rows) == ["1", "2", "3"]
    await okx.control.price("61000")
    assert (await okx.trader.position())["pos"] == "2"


@pytest.mark.parametrize(
    ("side", "terms", "code"),
    [
        ("buy", {"tpTriggerPx": "58000", "tpOrdPx": "-1"}, 51046),
        ("buy", {"slTriggerPx": "59500", "slOrdPx": "-1"}, 51047),
        ("sell", {"tpTriggerPx": "61000", "tpOrdPx": "-1"}, 51048),
        ("sell", {"slTriggerPx": "58000", "slOrdPx": "-1"}, 51049),
        ("buy", {}, 51000),
        ("buy", {"slTriggerPx": "58000"}, 51000),
    ],
)
async def test_attached_exits_are_judged_by_the_price_of_the_order(
    okx: OkxPaper, side: str, terms: dict[str, str], code: int
) -> None:
    px = "59000" if side == "buy" else "60500"
    assert (await okx.trader.place(side, "1", px, attachAlgoOrds=[terms])).code == code


async def test_the_old_form_attaches_too(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "1", **STOP)
    assert len(await okx.trader.rows("trade/orders-algo-pending", ordType="conditional")) == 1


# Ids, lists, changes


async def test_an_algo_id_is_used_once(okx: OkxPaper) -> None:
    algo = await okx.trader.algo_order("conditional", "sell", sz="1", algoClOrdId="once", **STOP)
    assert (await okx.trader.algo("conditional", "sell", sz="1", algoClOrdId="once", **STOP)).code == 51065
    by_id = await okx.trader.row("trade/order-algo", algoClOrdId="once")
    assert by_id == algo
    assert (await okx.trader.get("trade/order-algo", algoClOrdId="none")).code == 51603
    assert (await okx.trader.get("trade/order-algo")).code == 50015


async def test_canceling_takes_an_array_and_tells_each_fate(okx: OkxPaper) -> None:
    algo = await okx.trader.algo_order("conditional", "sell", sz="1", **STOP)
    body = [{"instId": SWAP, "algoId": algo["algoId"]}, {"instId": SWAP, "algoClOrdId": "none"}]
    reply = await okx.trader.post("trade/cancel-algos", body)
    assert (reply.body["code"], [row["sCode"] for row in reply.rows]) == ("2", ["0", "51400"])
    again = await okx.trader.post("trade/cancel-algos", body[:1])
    assert again.code == 51400
    assert (await okx.trader.post("trade/cancel-algos", body[:1] * 11)).code == 51111
    history = await okx.trader.row("trade/orders-algo-history", ordType="conditional", state="canceled")
    assert history["algoId"] == algo["algoId"]


async def test_lists_need_a_kind_and_history_a_state(okx: OkxPaper) -> None:
    assert (await okx.trader.get("trade/orders-algo-pending")).code == 50014
    assert (await okx.trader.get("trade/orders-algo-history", ordType="oco")).code == 50015


async def test_amending_moves_the_legs(okx: OkxPaper) -> None:
    algo = await okx.trader.algo_order("conditional", "sell", sz="1", **STOP)
    body = {"instId": SWAP, "algoId": algo["algoId"]}
    await okx.trader.do("trade/amend-algos", body | {"newSlTriggerPx": "58000", "newSz": "2"})
    changed = await ended(okx, algo)
    assert (changed["slTriggerPx"], changed["sz"], changed["slOrdPx"]) == ("58000", "2", "-1")
    wrong = await okx.trader.post("trade/amend-algos", body | {"newSlTriggerPx": "60500"})
    assert wrong.code == 51280
    await okx.trader.do("trade/amend-algos", body | {"newTpTriggerPx": "61000", "newTpOrdPx": "-1"})
    await okx.control.price("61000")
    assert (await ended(okx, algo))["actualSide"] == "tp"
    assert (await okx.trader.post("trade/amend-algos", body | {"newSz": "1"})).code == 51503


async def test_amending_a_trigger_order_turns_it_to_the_other_side(okx: OkxPaper) -> None:
    algo = await okx.trader.algo_order("trigger", "buy", sz="1", triggerPx="61000", orderPx="-1")
    body = {"instId": SWAP, "algoId": algo["algoId"], "newTriggerPx": "59000"}
    await okx.trader.do("trade/amend-algos", body)
    await okx.control.price("61000")
    assert (await ended(okx, algo))["state"] == "live"
    await okx.control.price("59000")
    assert (await ended(okx, algo))["state"] == "effective"


async def test_long_short_mode_closes_by_position_side(okx: OkxPaper) -> None:
    await okx.trader.do("account/set-position-mode", {"posMode": "long_short_mode"})
    await okx.trader.order("buy", "1", posSide="long", attachAlgoOrds=[STOP])
    algo = await okx.trader.row("trade/orders-algo-pending", ordType="conditional")
    assert (algo["posSide"], algo["side"]) == ("long", "sell")
    await okx.control.price("58000")
    assert (await ended(okx, algo))["state"] == "effective"
    assert await okx.trader.rows("account/positions") == []
