"""What is past: amendments, moved margin, liquidations, and that they survive a restart."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from paper_exchange.server import start
from tests.paper_exchange.conftest import BTC, Control, Paper, Trader

pytestmark = pytest.mark.anyio


async def amended(trader: Trader) -> dict[str, Any]:
    order: dict[str, Any] = await trader.limit("BUY", "0.010", "50000", newClientOrderId="tb1")
    for quantity, price in (("0.020", "51000"), ("0.020", "52000")):
        await trader.ok(
            "PUT", "/fapi/v1/order", symbol=BTC, orderId=order["orderId"], side="BUY", quantity=quantity,
            price=price,
        )  # fmt: skip
    return order


async def test_the_amendments_of_an_order_are_told_newest_first(paper: Paper) -> None:
    order = await amended(paper.trader)

    rows = await paper.trader.ok("GET", "/fapi/v1/orderAmendment", symbol=BTC, origClientOrderId="tb1")

    assert [row["amendment"]["count"] for row in rows] == [2, 1]
    assert rows[0]["orderId"] == order["orderId"]
    assert rows[0]["amendment"]["price"] == {"before": "51000.00", "after": "52000.00"}
    assert rows[1]["amendment"]["origQty"] == {"before": "0.010", "after": "0.020"}
    one = await paper.trader.ok(
        "GET", "/fapi/v1/orderAmendment", symbol=BTC, orderId=order["orderId"], limit=1
    )
    assert one == rows[:1]


@pytest.mark.parametrize(("terms", "code"), [({}, -1102), ({"orderId": 1}, -2013)])
async def test_amendments_of_no_order(paper: Paper, terms: dict[str, Any], code: int) -> None:
    assert (await paper.trader.call("GET", "/fapi/v1/orderAmendment", symbol=BTC, **terms)).code == code


async def test_moved_margin_is_told(paper: Paper) -> None:
    await paper.trader.ok("POST", "/fapi/v1/marginType", symbol=BTC, marginType="ISOLATED")
    await paper.trader.market("BUY", "0.010")
    for amount, kind in ((10, 1), (4, 2)):
        await paper.trader.ok("POST", "/fapi/v1/positionMargin", symbol=BTC, amount=amount, type=kind)

    path = "/fapi/v1/positionMargin/history"
    rows = await paper.trader.ok("GET", path, symbol=BTC)

    assert [(row["type"], row["amount"], row["deltaType"]) for row in rows] == [
        (1, "10.00000000", "USER_ADJUST"),
        (2, "4.00000000", "USER_ADJUST"),
    ]
    assert [row["type"] for row in await paper.trader.ok("GET", path, symbol=BTC, type=2)] == [2]
    assert await paper.trader.ok("GET", path, symbol="ETHUSDT") == []
    assert (await paper.trader.call("GET", path, symbol=BTC, type=3)).code == -1130


async def test_liquidations_are_told(paper: Paper) -> None:
    await paper.trader.ok("POST", "/fapi/v1/leverage", symbol=BTC, leverage=50)
    await paper.trader.market("BUY", "5")
    await paper.control.price("57000")

    (row,) = await paper.trader.ok("GET", "/fapi/v1/forceOrders")

    assert row["clientOrderId"].startswith("autoclose-")
    assert (row["status"], row["side"], row["executedQty"]) == ("FILLED", "SELL", "5.000")
    assert await paper.trader.ok("GET", "/fapi/v1/forceOrders", autoCloseType="ADL") == []
    assert await paper.trader.ok("GET", "/fapi/v1/forceOrders", symbol="ETHUSDT") == []


async def test_histories_survive_a_restart(tmp_path: Path) -> None:
    server = await start(speed=0, state=tmp_path)
    async with aiohttp.ClientSession(server.url) as session:
        control = Control(session)
        keys = await control.open_account()
        await control.price("60000")
        trader = Trader(session, server.url, keys)
        await amended(trader)
        before = await trader.ok("GET", "/fapi/v1/orderAmendment", symbol=BTC, origClientOrderId="tb1")
    await server.close()

    again = await start(speed=0, state=tmp_path)
    async with aiohttp.ClientSession(again.url) as session:
        trader = Trader(session, again.url, keys)
        after = await trader.ok("GET", "/fapi/v1/orderAmendment", symbol=BTC, origClientOrderId="tb1")
    await again.close()
    assert after == before


async def test_funding_rates_have_a_limit_of_their_own(paper: Paper) -> None:
    replies = [
        await paper.trader.send("GET", f"/fapi/v1/{path}", headers={})
        for path in ("fundingInfo", "fundingRate?limit=1") * 250
    ]
    assert {reply.status for reply in replies} == {200}

    refused = await paper.trader.send("GET", "/fapi/v1/fundingInfo", headers={})
    other = await paper.trader.send("GET", "/fapi/v1/time", headers={})

    assert (refused.status, refused.code, other.status) == (429, -1003, 200)
    assert 0 < int(refused.headers["Retry-After"]) <= 300


async def test_older_trades_need_a_key(paper: Paper) -> None:
    path = f"/fapi/v1/historicalTrades?symbol={BTC}"
    trades = (await paper.trader.send("GET", f"{path}&limit=5")).body
    same = (await paper.trader.send("GET", f"{path}&limit=2&fromId={trades[1]['id']}")).body

    assert same == trades[1:3]
    assert (await paper.trader.send("GET", path, headers={})).code == -2014


async def test_some_more_answers(paper: Paper) -> None:
    assert await paper.trader.ok("GET", "/fapi/v1/feeBurn") == {"feeBurn": False}
    book = (await paper.trader.send("GET", f"/fapi/v1/rpiDepth?symbol={BTC}&limit=5", headers={})).body
    assert len(book["asks"]) == 5
    (candle,) = (
        await paper.trader.send(
            "GET", f"/fapi/v1/premiumIndexKlines?symbol={BTC}&interval=1h&limit=1", headers={}
        )
    ).body
    assert candle[1:5] == ["0.00000000"] * 4


async def test_a_date_too_far_is_refused(paper: Paper) -> None:
    reply = await paper.trader.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="LIMIT", timeInForce="GTD", price="50000",
        quantity="0.010", goodTillDate=253_402_300_799_000,
    )  # fmt: skip

    assert reply.code == -5040
