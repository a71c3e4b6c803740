"""OKX's public data: prices, funding, tiers, candles; the same market that Binance's clients see."""

from typing import Any

import pytest

from paper_exchange.market import FUNDING_INTERVAL_MS
from paper_exchange.okx_candles import interval_of
from paper_exchange.okx_errors import OkxError
from tests.paper_exchange.conftest import OkxPaper
from tests.paper_exchange.okx import SWAP

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000


async def test_public_data_needs_no_key(okx: OkxPaper) -> None:
    for path in (
        "public/time",
        f"public/mark-price?instType=SWAP&instId={SWAP}",
        f"market/ticker?instId={SWAP}",
        "market/tickers?instType=SWAP",
        "market/index-tickers?instId=BTC-USDT",
        f"public/price-limit?instId={SWAP}",
        f"public/open-interest?instType=SWAP&instId={SWAP}",
        "public/underlying?instType=SWAP",
        "system/status",
    ):
        reply = await okx.trader.send("GET", f"/api/v5/{path}", headers={})
        assert (reply.status, reply.body["code"]) == (200, "0"), path


async def test_all_prices_are_the_posted_one(okx: OkxPaper) -> None:
    mark = await okx.trader.row("public/mark-price", instType="SWAP", instId=SWAP)
    ticker = await okx.trader.row("market/ticker", instId=SWAP)
    index = await okx.trader.row("market/index-tickers", instId="BTC-USDT")
    assert (mark["markPx"], ticker["last"], index["idxPx"]) == ("60000", "60000", "60000")
    assert (ticker["bidPx"], ticker["askPx"]) == ("59999.9", "60000.1")


async def test_the_price_limit_is_what_orders_meet(okx: OkxPaper) -> None:
    limit = await okx.trader.row("public/price-limit", instId=SWAP)
    assert (limit["buyLmt"], limit["sellLmt"]) == ("63000", "57000")
    assert (await okx.trader.place("buy", "0.01", "63000")).code == 0
    assert (await okx.trader.place("buy", "0.01", "63000.1")).code == 51006


async def test_the_funding_history_leads_up_to_the_next_rate(okx: OkxPaper) -> None:
    coming = await okx.trader.row("public/funding-rate", instId=SWAP)
    rows = await okx.trader.rows("public/funding-rate-history", instId=SWAP, limit=3)
    times = [int(row["fundingTime"]) for row in rows]
    assert int(coming["fundingTime"]) - times[0] == FUNDING_INTERVAL_MS
    assert times == sorted(times, reverse=True)
    older = await okx.trader.rows("public/funding-rate-history", instId=SWAP, after=times[0], limit=2)
    assert older == rows[1:3]
    newer = await okx.trader.rows("public/funding-rate-history", instId=SWAP, before=times[2])
    assert newer == rows[:2]
    assert len(await okx.trader.rows("public/funding-rate", instId="ANY")) == 11


async def test_tiers_are_the_markets_brackets_in_contracts(okx: OkxPaper) -> None:
    query = {"instType": "SWAP", "tdMode": "cross", "instFamily": "BTC-USDT"}
    first, second, *_ = await okx.trader.rows("public/position-tiers", **query)
    assert (first["minSz"], first["maxSz"], first["mmr"], first["maxLever"]) == ("0", "500", "0.004", "125")
    assert second["minSz"] == "500"
    assert await okx.trader.rows("account/position-tiers", **query)
    assert (await okx.trader.get("public/position-tiers", instType="SWAP", tdMode="cross")).code == 50015


async def test_the_book_lies_around_the_price_in_contracts(okx: OkxPaper) -> None:
    book = await okx.trader.row("market/books", instId=SWAP, sz=3)
    assert [row[0] for row in book["asks"]] == ["60000.1", "60000.2", "60000.3"]
    assert [row[0] for row in book["bids"]] == ["59999.9", "59999.8", "59999.7"]
    assert all(len(row) == 4 for row in book["asks"] + book["bids"])
    trades = await okx.trader.rows("market/trades", instId=SWAP, limit=2)
    assert int(trades[0]["tradeId"]) == int(trades[1]["tradeId"]) + 1


async def test_coins_and_contracts_are_converted(okx: OkxPaper) -> None:
    to_contracts = await okx.trader.row("public/convert-contract-coin", instId=SWAP, sz="0.5")
    to_coins = await okx.trader.row("public/convert-contract-coin", instId=SWAP, sz="50", type="2")
    assert (to_contracts["sz"], to_coins["sz"]) == ("50", "0.5")


# Candles


async def candles(okx: OkxPaper, path: str = "candles", **query: Any) -> list[list[str]]:
    reply = await okx.trader.get(f"market/{path}", **{"instId": SWAP, "bar": "1H", **query})
    assert reply.body["code"] == "0", reply.body
    rows: list[list[str]] = reply.body["data"]
    return rows


async def test_candles_are_nine_strings_newest_first(okx: OkxPaper) -> None:
    rows = await candles(okx, limit=5)
    assert [len(row) for row in rows] == [9] * 5
    opens = [int(row[0]) for row in rows]
    assert opens == [opens[0] - n * HOUR_MS for n in range(5)]
    assert [row[8] for row in rows] == ["0", "1", "1", "1", "1"]
    assert float(rows[1][5]) == pytest.approx(float(rows[1][6]) * 100)  # contracts of 0.01 BTC


async def test_candles_equal_those_of_the_other_protocol(okx: OkxPaper) -> None:
    row = (await candles(okx, limit=2))[1]
    async with okx.session.get(
        "/fapi/v1/klines", params={"symbol": "BTCUSDT", "interval": "1h", "limit": "2"}
    ) as response:
        kline = (await response.json())[0]
    assert int(row[0]) == kline[0]
    assert [float(text) for text in row[1:5]] == [float(text) for text in kline[1:5]]


async def test_candles_are_paged_exclusively(okx: OkxPaper) -> None:
    rows = await candles(okx, limit=6)
    assert await candles(okx, after=rows[1][0], limit=2) == rows[2:4]
    assert await candles(okx, "history-candles", after=rows[1][0], limit=2) == rows[2:4]
    assert await candles(okx, before=rows[3][0], after=rows[0][0]) == rows[1:3]
    assert await candles(okx, after="1000") == []


async def test_mark_and_index_candles_have_no_volumes(okx: OkxPaper) -> None:
    rows = await candles(okx, limit=2)
    assert await candles(okx, "mark-price-candles", limit=2) == [[*row[:5], row[8]] for row in rows]
    assert await candles(okx, "index-candles", instId="BTC-USDT", limit=2) == [
        [*row[:5], row[8]] for row in rows
    ]


async def test_days_open_in_china_unless_utc_is_asked_for(okx: OkxPaper) -> None:
    for bar, hour in (("1D", 16), ("1Dutc", 0), ("6Hutc", None), ("1W", 16), ("1M", 16)):
        (row,) = await candles(okx, bar=bar, limit=1)
        assert hour is None or int(row[0]) // HOUR_MS % 24 == hour, bar
    assert int((await candles(okx, bar="12H", limit=1))[0][0]) // HOUR_MS % 12 == 4


@pytest.mark.parametrize("bar", ["1h", "1d", "7m", "", "utc", "1Hutc", "1s"])
def test_other_bars_do_not_exist(bar: str) -> None:
    with pytest.raises(OkxError, match="Parameter bar error"):
        interval_of(bar)


async def test_limits_of_rows_are_kept(okx: OkxPaper) -> None:
    assert len(await candles(okx, bar="1m", limit=1000)) == 300
    assert len(await candles(okx, "mark-price-candles", bar="1m", limit=1000)) == 100
    assert len(await candles(okx, bar="1m")) == 100
