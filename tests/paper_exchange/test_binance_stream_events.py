"""The user stream tells what happened, as Binance does."""

import asyncio
from decimal import Decimal

import pytest

from tests.paper_exchange.conftest import BTC, Paper
from tests.paper_exchange.streams import user_stream

pytestmark = pytest.mark.anyio


async def test_a_market_order_is_told_as_new_and_then_as_its_fill(paper: Paper) -> None:
    async with user_stream(paper) as reader:
        order = await paper.trader.market("BUY", "0.010", newClientOrderId="tb1")

        names = [(await reader.next())["e"] for _ in range(4)]

    assert names == ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]
    new, lite, account, filled = reader.read
    assert (new["o"]["x"], new["o"]["X"], new["o"]["z"], new["o"]["t"]) == ("NEW", "NEW", "0", 0)
    assert (filled["o"]["x"], filled["o"]["X"], filled["o"]["z"]) == ("TRADE", "FILLED", "0.01")
    assert filled["o"]["i"] == order["orderId"] == lite["i"]
    assert (filled["o"]["c"], filled["o"]["ap"], filled["o"]["L"]) == ("tb1", "60000", "60000")
    assert (filled["o"]["n"], filled["o"]["N"], filled["o"]["rp"]) == ("0.3", "USDT", "0")
    assert (lite["t"], lite["l"], lite["L"], lite["m"]) == (filled["o"]["t"], "0.01", "60000", False)
    assert account["a"]["m"] == "ORDER"
    assert account["a"]["B"] == [{"a": "USDT", "wb": "9999.7", "cw": "9999.7", "bc": "0"}]
    assert [(p["s"], p["pa"], p["ep"], p["ps"], p["mt"]) for p in account["a"]["P"]] == [
        (BTC, "0.01", "60000", "BOTH", "cross")
    ]
    assert lite["T"] == account["T"] == filled["T"]


async def test_realized_profit_adds_up_in_the_position(paper: Paper) -> None:
    await paper.trader.market("BUY", "0.020")
    await paper.control.price("61000")
    await paper.trader.market("SELL", "0.010")
    async with user_stream(paper) as reader:
        await paper.control.price("62000")
        await paper.trader.market("SELL", "0.010")

        account = await reader.event("ACCOUNT_UPDATE")
        closed = await reader.event("ORDER_TRADE_UPDATE", x="TRADE")

    (position,) = account["a"]["P"]
    assert (position["pa"], position["cr"], position["up"]) == ("0", "30", "0")
    assert closed["o"]["rp"] == "20"


async def test_a_resting_order_is_told_when_it_is_amended_and_canceled(paper: Paper) -> None:
    async with user_stream(paper) as reader:
        order = await paper.trader.limit("BUY", "0.010", "50000")
        await paper.trader.ok(
            "PUT",
            "/fapi/v1/order",
            symbol=BTC,
            orderId=order["orderId"],
            side="BUY",
            quantity="0.020",
            price="51000",
        )
        await paper.trader.ok("DELETE", "/fapi/v1/order", symbol=BTC, orderId=order["orderId"])

        told = [(await reader.next())["o"] for _ in range(3)]

    assert [(o["x"], o["X"], o["q"], o["p"]) for o in told] == [
        ("NEW", "NEW", "0.01", "50000"),
        ("AMENDMENT", "NEW", "0.02", "51000"),
        ("CANCELED", "CANCELED", "0.02", "51000"),
    ]
    assert [o["b"] for o in told][:2] == ["500", "1020"]


async def test_parts_of_a_fill_come_one_by_one(paper: Paper) -> None:
    await paper.control.call("POST", "/paper/faults", {"kind": "partial_fill", "ratio": "0.4"})
    async with user_stream(paper) as reader:
        await paper.trader.market("BUY", "0.010")
        first = await reader.event("ORDER_TRADE_UPDATE", x="TRADE")
        await paper.control.price("60100")
        second = await reader.event("ORDER_TRADE_UPDATE", x="TRADE")

    assert (first["o"]["X"], first["o"]["l"], first["o"]["z"]) == ("PARTIALLY_FILLED", "0.004", "0.004")
    assert (second["o"]["X"], second["o"]["l"], second["o"]["z"]) == ("PARTIALLY_FILLED", "0.004", "0.008")
    assert first["o"]["t"] != second["o"]["t"]


async def test_a_stop_is_told_from_its_placing_to_its_order(paper: Paper) -> None:
    await paper.trader.market("BUY", "0.010")
    async with user_stream(paper) as reader:
        stop = await paper.trader.algo(
            "STOP_MARKET", "SELL", triggerPrice="59000", closePosition="true", clientAlgoId="tbsl"
        )
        await paper.control.price("58900")
        finished = await reader.event("ALGO_UPDATE", X="FINISHED")

    algo = [m["o"] for m in reader.read if m["e"] == "ALGO_UPDATE"]
    orders = [m["o"] for m in reader.read if m["e"] == "ORDER_TRADE_UPDATE"]
    assert [o["X"] for o in algo] == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]
    assert [o["ai"] for o in algo] == ["", "", str(orders[0]["i"]), str(orders[0]["i"])]
    assert {o["aid"] for o in algo} == {stop["algoId"]}
    assert {(o["caid"], o["tp"], o["cp"], o["act"]) for o in algo[2:]} == {("tbsl", "59000", True, "MARKET")}
    assert (finished["o"]["aq"], finished["o"]["ap"]) == ("0.01", "58900")
    assert [(o["x"], o["ot"], o["cp"]) for o in orders] == [
        ("NEW", "STOP_MARKET", True),
        ("TRADE", "STOP_MARKET", True),
    ]


async def test_a_stop_whose_position_is_gone_expires(paper: Paper) -> None:
    await paper.trader.market("BUY", "0.010")
    await paper.trader.algo("STOP_MARKET", "SELL", triggerPrice="59000", closePosition="true")
    async with user_stream(paper) as reader:
        await paper.trader.market("SELL", "0.010")
        expired = await reader.event("ALGO_UPDATE")

    assert (expired["o"]["X"], expired["o"]["ai"]) == ("EXPIRED", "")


async def test_a_stop_that_cannot_reduce_is_rejected_with_its_reason(paper: Paper) -> None:
    async with user_stream(paper) as reader:
        await paper.trader.algo(
            "STOP_MARKET", "SELL", triggerPrice="59000", quantity="0.010", reduceOnly="true"
        )
        await paper.control.price("58900")
        rejected = await reader.event("ALGO_UPDATE", X="REJECTED")

    assert rejected["o"]["rm"] == "Reduce Only reject"
    assert [m["o"]["X"] for m in reader.read] == ["NEW", "TRIGGERING", "REJECTED"]


async def test_a_trailing_stop_is_told_when_placed_and_when_armed_not_as_it_follows(paper: Paper) -> None:
    await paper.trader.market("BUY", "0.010")
    async with user_stream(paper) as reader:
        await paper.trader.algo(
            "TRAILING_STOP_MARKET",
            "SELL",
            quantity="0.010",
            reduceOnly="true",
            activatePrice="61000",
            callbackRate="1",
        )
        for price in ("61000", "61500", "62000", "61300"):
            await paper.control.price(price)
        await reader.event("ALGO_UPDATE", X="FINISHED")

    told = [(m["o"]["X"], m["o"]["ia"]) for m in reader.read if m["e"] == "ALGO_UPDATE"]
    assert told == [
        ("NEW", False),
        ("NEW", True),
        ("TRIGGERING", True),
        ("TRIGGERED", True),
        ("FINISHED", True),
    ]
    trade = next(m["o"] for m in reader.read if m["e"] == "ORDER_TRADE_UPDATE")
    assert (trade["AP"], trade["cr"]) == ("61000", "1")


async def test_settings_are_told(paper: Paper) -> None:
    async with user_stream(paper) as reader:
        await paper.trader.ok("POST", "/fapi/v1/leverage", symbol=BTC, leverage=7)
        leverage = await reader.next()
        await paper.trader.ok("POST", "/fapi/v1/marginType", symbol=BTC, marginType="ISOLATED")
        margin_type = await reader.next()
        await paper.trader.ok("POST", "/fapi/v1/marginType", symbol=BTC, marginType="CROSSED")
        await reader.next()
        await paper.trader.ok("POST", "/fapi/v1/multiAssetsMargin", multiAssetsMargin="true")
        multi_assets = await reader.next()

    assert (leverage["e"], leverage["ac"]) == ("ACCOUNT_CONFIG_UPDATE", {"s": BTC, "l": 7})
    assert (multi_assets["e"], multi_assets["ai"]) == ("ACCOUNT_CONFIG_UPDATE", {"j": True})
    assert (margin_type["e"], margin_type["a"]["m"]) == ("ACCOUNT_UPDATE", "MARGIN_TYPE_CHANGE")
    assert margin_type["a"]["P"][0]["mt"] == "isolated"


async def test_moved_margin_is_told(paper: Paper) -> None:
    await paper.trader.ok("POST", "/fapi/v1/marginType", symbol=BTC, marginType="ISOLATED")
    await paper.trader.market("BUY", "0.010")
    async with user_stream(paper) as reader:
        await paper.trader.ok("POST", "/fapi/v1/positionMargin", symbol=BTC, amount="15", type=1)
        told = await reader.event("ACCOUNT_UPDATE")

    assert told["a"]["m"] == "MARGIN_TRANSFER"
    assert told["a"]["P"][0]["iw"] == "45"
    assert Decimal(told["a"]["B"][0]["wb"]) - Decimal(told["a"]["B"][0]["cw"]) == 45


async def test_a_liquidation_is_told_with_its_orders_and_a_warning_before(paper: Paper) -> None:
    await paper.trader.ok("POST", "/fapi/v1/leverage", symbol=BTC, leverage=50)
    await paper.trader.market("BUY", "5")
    await paper.trader.limit("BUY", "0.010", "30000")
    async with user_stream(paper) as reader:
        await paper.control.price("58300")
        call = await reader.event("MARGIN_CALL")
        await paper.control.price("57000")
        taken = await reader.event("ORDER_TRADE_UPDATE", x="CALCULATED")
        cover = await reader.until(lambda m: m["e"] == "ACCOUNT_UPDATE" and m["a"]["m"] == "INSURANCE_CLEAR")

    assert [(p["s"], p["mt"], p["pa"]) for p in call["p"]] == [(BTC, "CROSSED", "5")]
    assert "cw" in call
    assert taken["o"]["c"].startswith("autoclose-")
    assert (taken["o"]["o"], taken["o"]["S"]) == ("LIQUIDATION", "SELL")
    expired = next(m["o"] for m in reader.read if m["e"] == "ORDER_TRADE_UPDATE" and m["o"]["x"] == "EXPIRED")
    assert expired["er"] == "5"
    assert cover["a"]["B"][0]["wb"] == "0"
    assert Decimal(cover["a"]["B"][0]["bc"]) > 0


async def test_funding_of_a_cross_position_comes_without_the_position(paper: Paper) -> None:
    await paper.trader.market("BUY", "0.010")
    exchange = paper.server.exchange
    async with user_stream(paper) as reader:
        now_ms = exchange.market.next_funding_ms(exchange.books.counters.second * 1000)
        exchange.clearing.pay_funding(BTC, now_ms)
        paper.server.commit()
        told = await reader.event("ACCOUNT_UPDATE")

    assert (told["a"]["m"], told["a"]["S"], told["a"]["P"]) == ("FUNDING_FEE", BTC, [])
    assert told["T"] == now_ms
    income = next(
        i for b in [exchange.books.of(a) for a in exchange.books.accounts.values()] for i in b.incomes[::-1]
    )
    assert Decimal(told["a"]["B"][0]["bc"]) == income.amount


async def test_two_fundings_of_one_commit_are_two_events(paper: Paper) -> None:
    await paper.control.price("3000", "ETHUSDT")
    await paper.trader.market("BUY", "0.010")
    await paper.trader.market("BUY", "0.100", symbol="ETHUSDT")
    exchange = paper.server.exchange
    async with user_stream(paper) as reader:
        now_ms = exchange.market.next_funding_ms(exchange.books.counters.second * 1000)
        for symbol in (BTC, "ETHUSDT"):
            exchange.clearing.pay_funding(symbol, now_ms)
        paper.server.commit()
        told = [await reader.event("ACCOUNT_UPDATE") for _ in range(2)]

    assert [event["a"]["S"] for event in told] == [BTC, "ETHUSDT"]


async def test_only_the_wanted_events_come(paper: Paper) -> None:
    async with user_stream(paper, extra="&events=ACCOUNT_UPDATE/ALGO_UPDATE") as reader:
        await paper.trader.market("BUY", "0.010")
        await paper.trader.algo("STOP_MARKET", "SELL", triggerPrice="59000", closePosition="true")

        assert [(await reader.next())["e"] for _ in range(2)] == ["ACCOUNT_UPDATE", "ALGO_UPDATE"]


async def test_another_accounts_events_stay_away(paper: Paper) -> None:
    keys = await paper.control.open_account()
    other = type(paper.trader)(paper.session, paper.server.url, keys)
    async with user_stream(paper) as reader:
        await other.market("BUY", "0.010")
        await paper.trader.limit("BUY", "0.010", "50000", newClientOrderId="mine")

        first = await asyncio.wait_for(reader.next(), 5)

    assert first["o"]["c"] == "mine"


async def test_a_reset_is_told_as_a_new_balance(paper: Paper) -> None:
    await paper.trader.market("BUY", "0.010")
    async with user_stream(paper) as reader:
        await paper.control.call("POST", "/paper/reset")
        told = await reader.event("ACCOUNT_UPDATE")

    assert told["a"]["B"][0]["wb"] == "10000"
