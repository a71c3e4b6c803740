"""Binance's public endpoints over HTTP."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from paper_exchange.instruments import LISTED
from tests.paper_exchange.conftest import BTC, Paper

pytestmark = pytest.mark.anyio


async def get(paper: Paper, target: str) -> Any:
    reply = await paper.trader.send("GET", target, headers={})
    assert reply.status == 200, reply.body
    return reply.body


async def test_ping_and_time(paper: Paper) -> None:
    assert await get(paper, "/fapi/v1/ping") == {}
    assert isinstance((await get(paper, "/fapi/v1/time"))["serverTime"], int)


async def test_exchange_info_tells_the_filters_that_are_applied(paper: Paper) -> None:
    info = await get(paper, "/fapi/v1/exchangeInfo")
    assert {limit["rateLimitType"] for limit in info["rateLimits"]} == {"REQUEST_WEIGHT", "ORDERS"}
    symbols = {symbol["symbol"]: symbol for symbol in info["symbols"]}
    assert symbols.keys() == LISTED.keys()
    btc = symbols[BTC]
    assert (btc["status"], btc["contractType"], btc["pricePrecision"]) == ("TRADING", "PERPETUAL", 2)
    filters = {entry["filterType"]: entry for entry in btc["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.10"
    assert filters["LOT_SIZE"] == {
        "filterType": "LOT_SIZE",
        "minQty": "0.001",
        "maxQty": "1000",
        "stepSize": "0.001",
    }
    assert filters["MARKET_LOT_SIZE"]["maxQty"] == "120"
    assert filters["MIN_NOTIONAL"]["notional"] == "100"
    assert filters["PERCENT_PRICE"]["multiplierUp"] == "1.0500"


async def test_F39_changed_filters_are_told_and_applied(paper: Paper) -> None:
    await paper.control.call("POST", "/paper/instruments", {"symbol": BTC, "tick": "1", "step": "0.01"})
    info = await get(paper, "/fapi/v1/exchangeInfo")
    btc = next(symbol for symbol in info["symbols"] if symbol["symbol"] == BTC)
    assert btc["filters"][0]["tickSize"] == "1"
    terms = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "59000.5"}
    assert (await paper.trader.call("POST", "/fapi/v1/order", **terms, quantity="0.01")).code == -4014
    terms["price"] = "59000"
    assert (await paper.trader.call("POST", "/fapi/v1/order", **terms, quantity="0.015")).code == -4023


async def test_klines(paper: Paper) -> None:
    rows = await get(paper, f"/fapi/v1/klines?symbol={BTC}&interval=1h&limit=240")
    assert len(rows) == 240
    assert all(len(row) == 12 for row in rows)
    for row in rows:
        opening, high, low, close = (Decimal(text) for text in row[1:5])
        assert low <= min(opening, close) <= max(opening, close) <= high
    assert rows[-1][4] == "60000.00"
    again = await get(
        paper, f"/fapi/v1/klines?symbol={BTC}&interval=1h&startTime={rows[3][0]}&endTime={rows[5][0]}"
    )
    assert again == rows[3:6]
    minutes = await get(paper, f"/fapi/v1/klines?symbol={BTC}&interval=1m&limit=5000")
    assert len(minutes) == 1500


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("interval=1m", -1102),
        (f"symbol={BTC}", -1102),
        (f"symbol={BTC}&interval=1s", -1120),
        (f"symbol={BTC}&interval=1m&limit=0", -1130),
        (f"symbol={BTC}&interval=1M&startTime=99999999999999999999", -1130),
        (f"symbol={BTC}&interval=1m&startTime=2&endTime=1", -1023),
        ("symbol=NOPE&interval=1m", -1121),
    ],
)
async def test_bad_kline_requests(paper: Paper, query: str, code: int) -> None:
    reply = await paper.trader.send("GET", f"/fapi/v1/klines?{query}", headers={})
    assert (reply.status, reply.code) == (400, code)


async def test_prices_agree(paper: Paper) -> None:
    assert (await get(paper, f"/fapi/v1/ticker/price?symbol={BTC}"))["price"] == "60000.00"
    premium = await get(paper, f"/fapi/v1/premiumIndex?symbol={BTC}")
    assert (premium["markPrice"], premium["indexPrice"]) == ("60000.00000000", "60000.00000000")
    assert premium["nextFundingTime"] > premium["time"]
    best = await get(paper, f"/fapi/v1/ticker/bookTicker?symbol={BTC}")
    assert (best["bidPrice"], best["askPrice"]) == ("59999.90", "60000.10")
    depth = await get(paper, f"/fapi/v1/depth?symbol={BTC}&limit=5")
    assert [level[0] for level in depth["bids"]] == [
        "59999.90",
        "59999.80",
        "59999.70",
        "59999.60",
        "59999.50",
    ]
    assert depth["asks"][0] == [best["askPrice"], depth["asks"][0][1]]
    day = await get(paper, f"/fapi/v1/ticker/24hr?symbol={BTC}")
    assert day["lastPrice"] == "60000.00"
    assert Decimal(day["lowPrice"]) <= 60_000 <= Decimal(day["highPrice"])
    for path in ("v1/ticker/price", "v2/ticker/price", "v1/premiumIndex", "v1/ticker/bookTicker"):
        assert len(await get(paper, f"/fapi/{path}")) == len(LISTED)


async def test_funding_history_matches_the_rate_that_was_shown(paper: Paper) -> None:
    rows = await get(paper, f"/fapi/v1/fundingRate?symbol={BTC}&limit=10")
    assert len(rows) == 10
    assert all(after["fundingTime"] - before["fundingTime"] == 28_800_000 for before, after in pairwise(rows))
    some = await get(paper, f"/fapi/v1/fundingRate?symbol={BTC}&startTime={rows[2]['fundingTime']}&limit=3")
    assert some == rows[2:5]
    market = paper.server.exchange.market
    shown = market.funding_rate(BTC, rows[4]["fundingTime"] - 1)
    assert Decimal(rows[4]["fundingRate"]) == shown
    assert len(await get(paper, "/fapi/v1/fundingInfo")) == len(LISTED)


async def test_trades(paper: Paper) -> None:
    trades = await get(paper, f"/fapi/v1/trades?symbol={BTC}&limit=3")
    assert len(trades) == 3
    aggregate = await get(paper, f"/fapi/v1/aggTrades?symbol={BTC}&fromId={trades[0]['id']}&limit=2")
    assert [row["a"] for row in aggregate] == [trades[0]["id"], trades[1]["id"]]


async def test_an_unknown_path(paper: Paper) -> None:
    reply = await paper.trader.send("GET", "/fapi/v1/nothing", headers={})
    assert (reply.status, reply.code) == (404, -5000)
    reply = await paper.trader.send("PATCH", "/fapi/v1/order", headers={})
    assert (reply.status, reply.code) == (404, -5000)


async def test_open_interest_counts_what_is_held(paper: Paper) -> None:
    await paper.trader.market("BUY", "0.05")
    assert (await get(paper, f"/fapi/v1/openInterest?symbol={BTC}"))["openInterest"] == "0.050"
