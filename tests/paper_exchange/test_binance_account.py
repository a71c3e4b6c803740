"""Binance's account endpoints over HTTP: numbers worked out by hand, settings, the key."""

from typing import Any

import pytest

from tests.paper_exchange.conftest import BTC, Paper

pytestmark = pytest.mark.anyio


async def test_a_fresh_account(paper: Paper) -> None:
    (balance,) = await paper.trader.ok("GET", "/fapi/v3/balance")
    assert (balance["asset"], balance["balance"], balance["availableBalance"]) == (
        "USDT",
        "10000.00000000",
        "10000.00000000",
    )
    (config,) = await paper.trader.ok("GET", "/fapi/v1/symbolConfig", symbol=BTC)
    assert (config["leverage"], config["marginType"]) == (20, "CROSSED")
    assert await paper.trader.ok("GET", "/fapi/v3/positionRisk") == []
    assert (await paper.trader.ok("GET", "/fapi/v1/accountConfig"))["dualSidePosition"] is False


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_a_position_in_all_views(paper: Paper, version: str) -> None:
    """0.05 BTC at 60,000, leverage 20, then 61,000."""
    await paper.trader.market("BUY", "0.05")
    await paper.control.price("61000")
    (balance,) = await paper.trader.ok("GET", f"/fapi/{version}/balance")
    assert (balance["balance"], balance["crossUnPnl"]) == ("9998.50000000", "50.00000000")
    assert balance["availableBalance"] == "9896.00000000"  # 9,998.5 + 50 - 152.5
    assert balance["maxWithdrawAmount"] == "9896.00000000"
    account = await paper.trader.ok("GET", f"/fapi/{version}/account")
    assert (account["totalMarginBalance"], account["totalInitialMargin"]) == (
        "10048.50000000",
        "152.50000000",
    )
    (held,) = (p for p in account["positions"] if p["symbol"] == BTC)
    assert (held["positionAmt"], held["unrealizedProfit"]) == ("0.050", "50.00000000")
    (risk,) = await paper.trader.ok("GET", f"/fapi/{version}/positionRisk", symbol=BTC)
    assert (risk["positionAmt"], risk["markPrice"]) == ("0.050", "61000.00000000")
    assert (risk["entryPrice"], risk["breakEvenPrice"]) == ("60000.00000000", "60030.00000000")
    assert (risk["unRealizedProfit"], risk["maintMargin"]) == ("50.00000000", "12.20000000")
    assert ("leverage" in risk) == (version == "v2")


async def test_the_new_position_list_holds_only_what_is_in_use(paper: Paper) -> None:
    await paper.trader.market("SELL", "0.05")
    rows = await paper.trader.ok("GET", "/fapi/v3/positionRisk")
    assert [(row["symbol"], row["positionAmt"]) for row in rows] == [(BTC, "-0.050")]
    assert len(await paper.trader.ok("GET", "/fapi/v2/positionRisk")) > 5


async def test_leverage(paper: Paper) -> None:
    answer = await paper.trader.ok("POST", "/fapi/v1/leverage", symbol=BTC, leverage=50)
    assert answer == {"symbol": BTC, "leverage": 50, "maxNotionalValue": "12000000"}
    for leverage, code in ((126, -4028), (0, -4028), ("ten", -1100), ("1.5", -1100)):
        reply = await paper.trader.call("POST", "/fapi/v1/leverage", symbol=BTC, leverage=leverage)
        assert reply.code == code
    (config,) = await paper.trader.ok("GET", "/fapi/v1/symbolConfig", symbol=BTC)
    assert config["leverage"] == 50


@pytest.mark.parametrize(
    ("path", "terms", "code"),
    [
        ("marginType", {"symbol": BTC, "marginType": "CROSSED"}, -4046),
        ("marginType", {"symbol": BTC, "marginType": "CROSS"}, -1130),
        ("marginType", {"symbol": BTC}, -1102),
        ("positionSide/dual", {"dualSidePosition": "false"}, -4059),
        ("positionSide/dual", {"dualSidePosition": "perhaps"}, -1130),
        ("multiAssetsMargin", {"multiAssetsMargin": "false"}, -4171),
        ("positionMargin", {"symbol": BTC, "amount": "5", "type": 1}, -4049),
        ("positionMargin", {"symbol": BTC, "amount": "5", "type": 3}, -1130),
        ("leverage", {"symbol": BTC, "leverage": 10, "colour": "red"}, -1104),
    ],
)
async def test_settings_that_are_refused(paper: Paper, path: str, terms: dict[str, Any], code: int) -> None:
    assert (await paper.trader.call("POST", f"/fapi/v1/{path}", **terms)).code == code


async def test_settings_take_effect(paper: Paper) -> None:
    done = {"code": 200, "msg": "success"}
    assert await paper.trader.ok("POST", "/fapi/v1/marginType", symbol=BTC, marginType="ISOLATED") == done
    await paper.trader.market("BUY", "0.05")
    added = await paper.trader.ok("POST", "/fapi/v1/positionMargin", symbol=BTC, amount="12.5", type=1)
    assert (added["amount"], added["type"], added["code"]) == (12.5, 1, 200)
    (risk,) = await paper.trader.ok("GET", "/fapi/v3/positionRisk")
    assert risk["isolatedWallet"] == "162.50000000"
    await paper.trader.market("SELL", "0.05", reduceOnly="true")
    assert await paper.trader.ok("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true") == done
    assert await paper.trader.ok("GET", "/fapi/v1/positionSide/dual") == {"dualSidePosition": True}


async def test_hedge_mode_holds_both_sides(paper: Paper) -> None:
    await paper.trader.ok("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    await paper.trader.market("BUY", "0.05", positionSide="LONG")
    await paper.trader.market("SELL", "0.02", positionSide="SHORT")
    rows = await paper.trader.ok("GET", "/fapi/v3/positionRisk", symbol=BTC)
    assert {row["positionSide"]: row["positionAmt"] for row in rows} == {"LONG": "0.050", "SHORT": "-0.020"}
    terms = {"symbol": BTC, "side": "SELL", "type": "MARKET", "quantity": "0.05", "positionSide": "LONG"}
    for flag in ("true", "false"):
        assert (await paper.trader.call("POST", "/fapi/v1/order", **terms, reduceOnly=flag)).code == -1106
    await paper.trader.ok("POST", "/fapi/v1/order", **terms)


async def test_income_tells_every_change_of_the_wallet(paper: Paper) -> None:
    await paper.trader.market("BUY", "0.05")
    await paper.control.price("61000")
    await paper.trader.market("SELL", "0.05")
    rows = await paper.trader.ok("GET", "/fapi/v1/income")
    assert [(row["incomeType"], row["income"]) for row in rows] == [
        ("TRANSFER", "10000.00000000"),
        ("COMMISSION", "-1.50000000"),
        ("REALIZED_PNL", "50.00000000"),
        ("COMMISSION", "-1.52500000"),
    ]
    (realized,) = await paper.trader.ok("GET", "/fapi/v1/income", incomeType="REALIZED_PNL", symbol=BTC)
    assert realized["tradeId"] == "2"
    assert len(await paper.trader.ok("GET", "/fapi/v1/income", limit=2, page=2)) == 2
    (balance,) = await paper.trader.ok("GET", "/fapi/v3/balance")
    assert balance["balance"] == "10046.97500000"


async def test_brackets_fees_and_limits(paper: Paper) -> None:
    (btc,) = await paper.trader.ok("GET", "/fapi/v1/leverageBracket", symbol=BTC)
    assert btc["brackets"][1] == {
        "bracket": 2,
        "initialLeverage": 100,
        "notionalCap": 800_000,
        "notionalFloor": 300_000,
        "maintMarginRatio": 0.005,
        "cum": 300.0,
    }
    fees = await paper.trader.ok("GET", "/fapi/v1/commissionRate", symbol=BTC)
    assert (fees["makerCommissionRate"], fees["takerCommissionRate"]) == ("0.000200", "0.000500")
    limits = await paper.trader.ok("GET", "/fapi/v1/rateLimit/order")
    assert [(limit["intervalNum"], limit["limit"]) for limit in limits] == [(10, 300), (1, 1200)]


async def test_listen_keys_need_the_key_but_no_signature(paper: Paper) -> None:
    path, send = "/fapi/v1/listenKey", paper.trader.send
    assert (await send("PUT", path)).code == -1125
    opened = (await send("POST", path)).body["listenKey"]
    assert (await send("POST", path)).body["listenKey"] == opened
    assert (await send("PUT", path)).status == 200
    assert (await send("DELETE", path)).body == {}
    assert (await send("PUT", path)).code == -1125
    assert (await send("POST", path, headers={})).code == -2014


async def test_T05_what_the_key_may_do(paper: Paper) -> None:
    path = "/sapi/v1/account/apiRestrictions"
    usual = await paper.trader.ok("GET", path)
    assert (usual["enableFutures"], usual["enableWithdrawals"], usual["ipRestrict"]) == (True, False, True)
    keys = await paper.control.open_account(permissions={"withdrawals": True, "universal_transfer": True})
    risky = type(paper.trader)(paper.session, paper.server.url, keys)
    permitted = await risky.ok("GET", path)
    assert (permitted["enableWithdrawals"], permitted["permitsUniversalTransfer"]) == (True, True)
