"""What OKX's channels push: the market as it changes, the account as things happen to it."""

import pytest

from tests.paper_exchange.conftest import Control, OkxPaper, StillClock
from tests.paper_exchange.okx import SWAP, Json, OkxTrader, serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("channel", "field", "before", "after"),
    [
        ("tickers", "last", "60000", "61000"),
        ("mark-price", "markPx", "60000", "61000"),
        ("price-limit", "buyLmt", "63000", "64050"),
    ],
)
async def test_market_channels_show_the_price_and_its_change(
    okx: OkxPaper, channel: str, field: str, before: str, after: str
) -> None:
    async with okx.trader.socket("public") as stream:
        await stream.subscribed(channel, instId=SWAP)
        push = await stream.pushed(channel)
        assert push["arg"] == {"channel": channel, "instId": SWAP}
        assert push["data"][0][field] == before
        await okx.control.price("61000")
        while (row := await stream.pushed_row(channel))[field] == before:
            pass
        assert row[field] == after


async def test_funding_index_and_instruments_show_themselves_at_once(okx: OkxPaper) -> None:
    async with okx.trader.socket("public") as stream:
        await stream.subscribed("funding-rate", instId=SWAP)
        assert (await stream.pushed_row("funding-rate"))["fundingTime"]
        await stream.subscribed("index-tickers", instId="BTC-USDT")
        assert (await stream.pushed_row("index-tickers"))["idxPx"] == "60000"
        await stream.request("subscribe", {"channel": "instruments", "instType": "SWAP"})
        assert len((await stream.pushed("instruments"))["data"]) == 11


async def test_a_candle_moves_and_is_finished_once() -> None:
    clock = StillClock()
    async with serving(clock=clock) as (server, session):
        control = Control(session)
        await control.price("60000")
        trader = OkxTrader(session, server.url, {})
        async with trader.socket("business") as stream:
            await stream.subscribed("candle1m", instId=SWAP)
            first = (await stream.pushed("candle1m"))["data"][0]
            assert (first[4], first[8]) == ("60000", "0")
            clock.forward(ms=10_000)
            await control.price("60100")
            while (row := (await stream.pushed("candle1m"))["data"][0])[4] != "60100":
                pass
            assert (row[0], row[2], row[8]) == (first[0], "60100", "0")
            clock.forward(ms=60_000)
            while (row := (await stream.pushed("candle1m"))["data"][0])[8] == "0":
                assert row[0] == first[0]
            assert (row[0], row[4]) == (first[0], "60100")
            following = (await stream.pushed("candle1m"))["data"][0]
            assert int(following[0]) == int(first[0]) + 60_000


def patched(book: dict[str, list[str]], rows: list[list[str]]) -> None:
    for row in rows:
        book[row[0]] = row
        if row[1] == "0":
            del book[row[0]]


async def test_book_updates_lead_from_the_snapshot_to_the_book(okx: OkxPaper) -> None:
    async with okx.trader.socket("public") as stream:
        await stream.subscribed("books", instId=SWAP)
        snapshot = await stream.pushed("books")
        row = snapshot["data"][0]
        assert (snapshot["action"], row["prevSeqId"], len(row["asks"])) == ("snapshot", -1, 400)
        asks = {level[0]: level for level in row["asks"]}
        await okx.control.price("60005")
        update = await stream.pushed("books")
        assert (update["action"], update["data"][0]["prevSeqId"]) == ("update", row["seqId"])
        patched(asks, update["data"][0]["asks"])
        book = await okx.trader.row("market/books", instId=SWAP, sz=400)
        assert asks == {level[0]: level for level in book["asks"]}


async def test_small_books_are_always_whole(okx: OkxPaper) -> None:
    async with okx.trader.socket("public") as stream:
        for channel, depth in (("books5", 5), ("bbo-tbt", 1)):
            await stream.subscribed(channel, instId=SWAP)
            push = await stream.pushed(channel)
            assert "action" not in push
            assert [len(push["data"][0][side]) for side in ("asks", "bids")] == [depth, depth]


async def test_each_second_has_its_trade(okx: OkxPaper) -> None:
    async with okx.trader.socket("public") as stream:
        await stream.subscribed("trades", instId=SWAP)
        first, second = [await stream.pushed_row("trades") for _ in range(2)]
        assert int(second["tradeId"]) == int(first["tradeId"]) + 1


# Account


async def test_orders_are_pushed_as_they_become(okx: OkxPaper) -> None:
    async with okx.trader.socket("private", login=True) as stream:
        await stream.subscribed("orders", instType="SWAP")
        order = await okx.trader.order("buy", "1", clOrdId="tb1")
        live, filled = [await stream.pushed_row("orders") for _ in range(2)]
        assert (live["state"], live["accFillSz"], live["fee"]) == ("live", "0", "0")
        expected = {
            "state": "filled", "accFillSz": "1", "fillPx": "60000", "fillSz": "1", "execType": "T",
            "fillFee": "-0.3", "clOrdId": "tb1", "ordId": order["ordId"], "tdMode": "cross",
        }  # fmt: skip
        assert expected.items() <= filled.items()


async def test_partial_fills_amendments_and_cancels_are_pushed(okx: OkxPaper) -> None:
    await okx.control.fault(kind="partial_fill", ratio="0.4")
    async with okx.trader.socket("private", login=True) as stream:
        await stream.subscribed("orders", instType="ANY", instId=SWAP)
        order = await okx.trader.order("buy", "1", "60000")
        body = {"instId": SWAP, "ordId": order["ordId"]}
        await okx.trader.do("trade/amend-order", body | {"newPx": "59000"})
        await okx.trader.do("trade/cancel-order", body)
        rows = [await stream.pushed_row("orders") for _ in range(4)]
    assert [(row["state"], row["accFillSz"], row["amendResult"]) for row in rows] == [
        ("live", "0", ""),
        ("partially_filled", "0.4", ""),
        ("partially_filled", "0.4", "0"),
        ("canceled", "0.4", ""),
    ]


async def test_other_accounts_and_instruments_are_not_pushed(okx: OkxPaper) -> None:
    other = await okx.another()
    async with okx.trader.socket("private", login=True) as stream:
        await stream.subscribed("orders", instType="SWAP", instId="ETH-USDT-SWAP")
        await other.order("buy", "1", instId="ETH-USDT-SWAP")
        await okx.trader.order("buy", "1")
        mine = await okx.trader.order("buy", "1", instId="ETH-USDT-SWAP")
        assert (await stream.pushed_row("orders"))["ordId"] == mine["ordId"]


async def test_positions_show_themselves_and_their_end(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "1")
    async with okx.trader.socket("private", login=True) as stream:
        await stream.subscribed("positions", instType="SWAP")
        snapshot = await stream.pushed("positions")
        assert (snapshot["eventType"], snapshot["data"][0]["pos"]) == ("snapshot", "1")
        await okx.trader.do("trade/close-position", {"instId": SWAP, "mgnMode": "cross"})
        push = await stream.pushed("positions")
        assert (push["eventType"], push["data"][0]["pos"]) == ("event_update", "0")
        assert push["data"][0]["posId"] == snapshot["data"][0]["posId"]


async def test_the_account_shows_itself_and_its_changes(okx: OkxPaper) -> None:
    async with okx.trader.socket("private", login=True) as stream:
        await stream.subscribed("account", ccy="USDT")
        assert (await stream.pushed_row("account"))["totalEq"] == "10000"
        await okx.trader.order("buy", "1")
        assert (await stream.pushed_row("account"))["details"][0]["cashBal"] == "9999.7"


async def test_balance_and_position_come_together(okx: OkxPaper) -> None:
    async with okx.trader.socket("private", login=True) as stream:
        await stream.subscribed("balance_and_position")
        assert (await stream.pushed_row("balance_and_position"))["eventType"] == "snapshot"
        await okx.trader.order("buy", "1")
        row = await stream.pushed_row("balance_and_position")
    assert (row["eventType"], row["balData"][0]["cashBal"]) == ("filled", "9999.7")
    assert row["posData"][0]["pos"] == "1"
    assert row["trades"] == [{"instId": SWAP, "tradeId": "1"}]


async def test_algo_orders_are_pushed_on_the_business_socket(okx: OkxPaper) -> None:
    await okx.trader.order("buy", "1")
    async with okx.trader.socket("business", login=True) as stream:
        await stream.subscribed("orders-algo", instType="SWAP")
        terms = {"sz": "1", "reduceOnly": True, "slTriggerPx": "59000", "slOrdPx": "-1"}
        await okx.trader.algo("conditional", "sell", algoClOrdId="s1", **terms)
        await okx.control.price("59000")
        rows: list[Json] = [await stream.pushed_row("orders-algo") for _ in range(2)]
    assert [(row["algoClOrdId"], row["state"]) for row in rows] == [("s1", "live"), ("s1", "effective")]
    assert (rows[1]["actualSide"], rows[1]["actualSz"]) == ("sl", "1")


async def test_trailing_stops_have_a_channel_of_their_own(okx: OkxPaper) -> None:
    async with okx.trader.socket("business", login=True) as stream:
        await stream.subscribed("algo-advance", instType="SWAP")
        await okx.trader.algo("conditional", "sell", sz="1", slTriggerPx="59000", slOrdPx="-1")
        await okx.trader.algo("move_order_stop", "sell", sz="1", callbackRatio="0.01")
        assert (await stream.pushed_row("algo-advance"))["ordType"] == "move_order_stop"


async def test_fills_have_a_short_channel(okx: OkxPaper) -> None:
    async with okx.trader.socket("private", login=True) as stream:
        await stream.subscribed("fills")
        await okx.trader.order("buy", "1", clOrdId="tb1")
        row = await stream.pushed_row("fills")
    assert (row["fillPx"], row["fillSz"], row["clOrdId"], row["execType"]) == ("60000", "1", "tb1", "T")
