"""What an OKX account has and is set to, and what it had."""

from decimal import Decimal
from typing import Any

import pytest

from tests.paper_exchange.conftest import OkxPaper
from tests.paper_exchange.okx import SWAP, Json

pytestmark = pytest.mark.anyio


def details(row: Json) -> Json:
    (only,) = row["details"]
    return dict(only)


async def test_the_balance_adds_up(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "10")
    await okx.trader.order("buy", "1", "59000")
    await okx.control.price("61000")
    row = details(await okx.trader.row("account/balance"))
    # 0.1 BTC: bought for 6,000 at 0.05 %, worth 100 more now; margin at leverage 20.
    assert (row["cashBal"], row["upl"], row["eq"]) == ("9997", "100", "10097")
    assert (row["imr"], row["ordFrozen"]) == ("334.5", "29.5")  # 6,100 / 20 + 590 / 20
    assert (row["availEq"], row["frozenBal"]) == ("9762.5", "334.5")
    assert (await okx.trader.row("account/balance", ccy="BTC"))["details"] == []


@pytest.mark.parametrize(("side", "sign"), [("buy", 1), ("sell", -1)])
async def test_a_net_position_is_signed(okx: OkxPaper, side: str, sign: int) -> None:
    await okx.trader.order(side, "10")
    await okx.control.price("61000")
    row = await okx.trader.position()
    expected = {
        "instId": SWAP, "posSide": "net", "pos": str(10 * sign), "avgPx": "60000", "markPx": "61000",
        "upl": str(100 * sign), "lever": "20", "mgnMode": "cross", "imr": "305", "margin": "",
        "notionalUsd": "6100", "fee": "-3", "realizedPnl": "-3", "ccy": "USDT",
    }  # fmt: skip
    assert expected.items() <= row.items()


async def test_a_position_keeps_its_id_until_it_is_closed(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "1")
    first = await okx.trader.position()
    await okx.trader.order("buy", "1")
    grown = await okx.trader.position()
    assert (grown["posId"], grown["cTime"]) == (first["posId"], first["cTime"])
    assert await okx.trader.rows("account/positions", posId=first["posId"])
    await okx.trader.order("sell", "3")
    turned = await okx.trader.position()
    assert turned["posId"] != first["posId"]
    assert (turned["pos"], turned["fee"]) == ("-1", "-0.3")


async def test_unknown_and_other_instruments_of_positions(okx: OkxPaper) -> None:
    assert await okx.trader.rows("account/positions", instType="MARGIN") == []
    assert await okx.trader.rows("account/positions", instId="ETH-USDT-SWAP") == []
    assert (await okx.trader.get("account/positions", instId="NO-USDT-SWAP")).code == 51001


async def test_the_configuration_tells_mode_and_permissions(okx: OkxPaper) -> None:
    trader = await okx.another(permissions={"withdrawals": True, "ip_restrict": False})
    row = await trader.row("account/config")
    expected = {"acctLv": "2", "posMode": "net_mode", "perm": "read_only,withdraw,trade", "ip": ""}
    assert expected.items() <= row.items()
    await trader.do("account/set-position-mode", {"posMode": "long_short_mode"})
    assert (await trader.row("account/config"))["posMode"] == "long_short_mode"


# Settings


async def test_leverage_belongs_to_the_margin_mode(okx: OkxPaper) -> None:
    for mode, lever in (("cross", "10"), ("isolated", 3)):
        body = {"instId": SWAP, "mgnMode": mode, "lever": lever}
        expected = {"instId": SWAP, "lever": str(lever), "mgnMode": mode, "posSide": "net"}
        assert await okx.trader.do("account/set-leverage", body) == expected
    for mode, lever in (("cross", "10"), ("isolated", "3")):
        assert (await okx.trader.row("account/leverage-info", instId=SWAP, mgnMode=mode))["lever"] == lever


@pytest.mark.parametrize(
    ("terms", "code", "status"),
    [
        ({"lever": "126"}, 59102, 200),
        ({"lever": "0"}, 51000, 400),
        ({"lever": "2.5"}, 51000, 400),
        ({"lever": ""}, 50014, 400),
        ({"mgnMode": "cash"}, 51000, 400),
        ({"instId": "NO-USDT-SWAP"}, 51001, 200),
    ],
)
async def test_a_wrong_leverage_is_refused(
    okx: OkxPaper, terms: dict[str, str], code: int, status: int
) -> None:
    body = {"instId": SWAP, "mgnMode": "cross", "lever": "10"} | terms
    reply = await okx.trader.post("account/set-leverage", body)
    assert (reply.status, reply.code, reply.body["data"]) == (status, code, [])


async def test_too_little_margin_for_a_lower_leverage(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "250")
    body = {"instId": SWAP, "mgnMode": "cross", "lever": "2"}
    assert (await okx.trader.post("account/set-leverage", body)).code == 59103


async def test_long_short_mode_tells_both_sides_and_needs_one_for_isolated(okx: OkxPaper) -> None:
    await okx.trader.do("account/set-position-mode", {"posMode": "long_short_mode"})
    body = {"instId": SWAP, "mgnMode": "isolated", "lever": "7"}
    assert (await okx.trader.post("account/set-leverage", body)).code == 51000
    assert (await okx.trader.do("account/set-leverage", body | {"posSide": "long"}))["posSide"] == "long"
    rows = await okx.trader.rows("account/leverage-info", instId=SWAP, mgnMode="isolated")
    assert [(row["posSide"], row["lever"]) for row in rows] == [("long", "7"), ("short", "7")]


async def test_the_position_mode_is_fixed_while_something_is_open(okx: OkxPaper) -> None:
    hedged, net = {"posMode": "long_short_mode"}, {"posMode": "net_mode"}
    assert await okx.trader.do("account/set-position-mode", net) == net
    order = await okx.trader.order("buy", "1", "59000")
    reply = await okx.trader.post("account/set-position-mode", hedged)
    assert (reply.status, reply.code) == (200, 59000)
    await okx.trader.do("trade/cancel-order", {"instId": SWAP, "ordId": order["ordId"]})
    assert await okx.trader.do("account/set-position-mode", hedged) == hedged
    assert (await okx.trader.post("account/set-position-mode", {"posMode": "both"})).code == 51000


async def test_isolated_margin_is_added_and_taken_back(okx: OkxPaper) -> None:
    body = {"instId": SWAP, "posSide": "net", "type": "add", "amt": "100"}
    assert (await okx.trader.post("account/position/margin-balance", body)).code == 59300
    await okx.trader.order("buy", "1", tdMode="isolated")
    await okx.trader.do("account/position/margin-balance", body)
    assert (await okx.trader.position())["margin"] == "130"
    await okx.trader.do("account/position/margin-balance", body | {"type": "reduce"})
    assert (await okx.trader.position())["margin"] == "30"
    assert (await okx.trader.post("account/position/margin-balance", body | {"type": "reduce"})).code == 59301


# Sizes, fees, history


async def test_the_largest_order_is_accepted_and_one_lot_more_is_not(okx: OkxPaper) -> None:
    row = await okx.trader.row("account/max-size", instId=SWAP, tdMode="cross")
    assert Decimal(row["maxBuy"]) > 300
    available = await okx.trader.row("account/max-avail-size", instId=SWAP, tdMode="cross")
    assert available["availBuy"] == "10000"
    await okx.trader.order("buy", row["maxBuy"])
    closable = await okx.trader.row("account/max-avail-size", instId=SWAP, tdMode="cross", reduceOnly=True)
    assert (closable["availBuy"], closable["availSell"]) == ("0", row["maxBuy"])


async def test_fees_that_are_paid_are_negative(okx: OkxPaper) -> None:
    row = await okx.trader.row("account/trade-fee", instType="SWAP", instId=SWAP)
    assert (row["maker"], row["taker"]) == ("-0.0002", "-0.0005")


async def test_bills_tell_every_change_of_the_balance(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "10")
    await okx.control.price("61000")
    await okx.trader.order("sell", "10")
    rows = await okx.trader.rows("account/bills")
    assert [(row["balChg"], row["bal"], row["type"]) for row in rows] == [
        ("-3.05", "10093.95", "2"), ("100", "10097", "2"), ("-3", "9997", "2"), ("10000", "10000", "1"),
    ]  # fmt: skip
    assert [row["balChg"] for row in await okx.trader.rows("account/bills", type="1")] == ["10000"]
    older = await okx.trader.rows("account/bills", after=rows[1]["billId"], limit=1)
    assert [row["balChg"] for row in older] == ["-3"]


async def test_closed_positions_are_told_with_their_result(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "10")
    await okx.trader.order("buy", "10")
    await okx.control.price("61000")
    await okx.trader.order("sell", "25")
    (row,) = await okx.trader.rows("account/positions-history", instType="SWAP")
    expected = {
        "direction": "long", "openAvgPx": "60000", "closeAvgPx": "61000", "openMaxPos": "20",
        "closeTotalPos": "20", "pnl": "200", "fee": "-12.1", "realizedPnl": "187.9", "type": "2",
    }  # fmt: skip
    assert expected.items() <= row.items()


async def test_a_liquidation_is_told_as_such(okx: OkxPaper) -> None:
    await okx.trader.do("account/set-leverage", {"instId": SWAP, "mgnMode": "isolated", "lever": "100"})
    await okx.trader.order("buy", "1", tdMode="isolated")
    await okx.control.price("59000")
    assert await okx.trader.rows("account/positions") == []
    (row,) = await okx.trader.rows("account/positions-history")
    assert row["type"] == "3"
    (latest, _) = await okx.trader.rows("trade/orders-history", instType="SWAP")
    assert (latest["category"], latest["state"], latest["clOrdId"]) == ("full_liquidation", "filled", "")


async def test_a_partial_liquidation_leaves_whole_lots(okx: OkxPaper) -> None:
    """OKX's lots of this market are coarser than the market's step."""
    trader, swap = await okx.another(balance="60000"), "XRP-USDT-SWAP"
    await okx.control.price("2.4001", swap)
    await trader.do("account/set-leverage", {"instId": swap, "mgnMode": "cross", "lever": "20"})
    await trader.order("buy", "3500", instId=swap)
    await okx.control.price("2.2517", swap)
    (row,) = await trader.rows("account/positions", instId=swap)
    assert row["pos"] == "3330.81"  # worth 750,000, the bracket below
    await trader.do("trade/close-position", {"instId": swap, "mgnMode": "cross"})


async def test_funding_is_paid_and_told(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "10")
    exchange = okx.server.exchange
    due_ms = exchange.market.next_funding_ms(exchange.books.counters.second * 1000)
    rate = exchange.market.funding_rate("BTCUSDT", due_ms - 1)
    exchange.advance(due_ms + 1000)
    paid = Decimal(-6000) * rate
    row = await okx.trader.position()
    assert Decimal(row["fundingFee"]) == round(paid, 8)
    assert Decimal((await okx.trader.rows("account/bills"))[0]["balChg"]) == round(paid, 8)


# Lists of orders


async def listed(okx: OkxPaper, path: str, **query: Any) -> list[str]:
    return [row["ordId"] for row in await okx.trader.rows(f"trade/{path}", **query)]


async def test_orders_are_listed_newest_first_and_paged_by_id(okx: OkxPaper) -> None:
    ids = [(await okx.trader.order("buy", "1", f"{59000 + n}"))["ordId"] for n in range(5)]
    newest = ids[::-1]
    assert await listed(okx, "orders-pending") == newest
    assert await listed(okx, "orders-pending", limit=2) == newest[:2]
    assert await listed(okx, "orders-pending", after=newest[1], limit=2) == newest[2:4]
    assert await listed(okx, "orders-pending", before=newest[3]) == newest[:3]
    assert await listed(okx, "orders-pending", before=newest[4], limit=2) == newest[2:4]
    assert await listed(okx, "orders-pending", ordType="market") == []
    assert await listed(okx, "orders-pending", instType="SPOT") == []
    assert await listed(okx, "orders-pending", instId="ETH-USDT-SWAP") == []
    assert (await okx.trader.get("trade/orders-pending", limit="0")).code == 51000


async def test_ended_orders_go_to_the_history(okx: OkxPaper) -> None:
    filled = (await okx.trader.order("buy", "1"))["ordId"]
    canceled = (await okx.trader.order("buy", "1", "59000", ordType="fok"))["ordId"]
    resting = (await okx.trader.order("buy", "1", "59000"))["ordId"]
    for path in ("orders-history", "orders-history-archive"):
        assert await listed(okx, path, instType="SWAP") == [canceled, filled]
        assert await listed(okx, path, instType="SWAP", state="filled") == [filled]
    assert await listed(okx, "orders-pending") == [resting]
    assert (await okx.trader.get("trade/orders-history")).code == 50014


async def test_fills_tell_fee_profit_and_liquidity(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "1", tag="mine")
    await okx.trader.order("sell", "1", "60500")
    await okx.control.price("60500")
    sold, bought = await okx.trader.rows("trade/fills", instType="SWAP")
    assert (bought["execType"], bought["fee"], bought["feeRate"], bought["tag"]) == (
        "T",
        "-0.3",
        "-0.0005",
        "mine",
    )
    assert (sold["execType"], sold["fillPnl"], sold["fillPx"], sold["fillSz"]) == ("M", "5", "60500", "1")
    assert len(await okx.trader.rows("trade/fills-history", instType="SWAP")) == 2
    assert (await okx.trader.get("trade/fills-history")).code == 50014
