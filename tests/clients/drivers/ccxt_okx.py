"""ccxt's okx and ccxt.pro's streams on the paper exchange; only the addresses are other ones."""

# The client is installed in an environment of its own, which mypy does not see.
# mypy: disable-error-code="import-not-found"

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.pro

from tests.clients.drivers.desk import PRICE, Act, Desk

desk = Desk()
paper = desk.paper
MARKET = "BTC/USDT:USDT"
SWAP = "BTC-USDT-SWAP"
HOUR_MS = 3_600_000


def moved(urls: Any) -> Any:
    """The client's own table of addresses with other hosts."""
    if isinstance(urls, dict):
        return {name: moved(url) for name, url in urls.items()}
    if urls.startswith("ws"):
        return re.sub(r"^wss?://[^/]+", desk.websocket_url, urls)
    return re.sub(r"^https?://[^/]+", paper.url, urls)


def client_of(keys: dict[str, str], kind: Any = ccxt.okx, **more: Any) -> Any:
    # Swaps only, which are what the paper exchange lists; and a test need not keep ccxt's pauses.
    options = {"defaultType": "swap", "fetchMarkets": {"types": ["swap"]}, "fetchCurrencies": False}
    given = {"apiKey": keys["api_key"], "secret": keys["api_secret"], "password": keys["passphrase"]}
    client = kind({**given, "options": options, "enableRateLimit": False, **more})
    client.urls["api"] = moved(client.urls["api"])
    client.hostname = paper.url.removeprefix("http://")
    return client


client = client_of(desk.keys)


def code_of(error: Exception) -> object:
    """The exchange's code, which ccxt keeps in the text of its exceptions."""
    found = re.search(r"\{.*\}", str(error))
    if not found:
        return error
    body = json.loads(found[0])
    rows = [row for row in body.get("data") or [] if isinstance(row, dict) and row.get("sCode", "0") != "0"]
    return rows[0]["sCode"] if rows else body["code"]


def refuses(operation: str, code: int) -> Callable[[Act], Act]:
    return desk.refuses(operation, code, code_of)


def limit(client_order_id: str, price: float = 55_000, **more: Any) -> Any:
    return client.create_order(MARKET, "limit", "buy", 1, price, {"clientOrderId": client_order_id, **more})


def market(side: str, contracts: float, **more: Any) -> Any:
    return client.create_order(MARKET, "market", side, contracts, None, more)


def close() -> Any:
    return client.close_position(MARKET, None, {"marginMode": "cross"})


# --- Market data


@desk.works("server time")
def _() -> None:
    assert abs(client.fetch_time() / 1000 - time.time()) < 5


@desk.works("markets and their filters")
def _() -> None:
    row = client.load_markets()[MARKET]
    assert (row["precision"]["price"], row["contractSize"], row["settle"]) == (0.1, 0.01, "USDT")
    assert (row["swap"], row["linear"], row["active"]) == (True, True, True)


@desk.works("ticker")
def _() -> None:
    assert client.fetch_ticker(MARKET)["last"] == float(PRICE)


@desk.works("order book")
def _() -> None:
    book = client.fetch_order_book(MARKET, 5)
    assert book["bids"][0][0] < book["asks"][0][0]


@desk.works("candles")
def _() -> None:
    rows = client.fetch_ohlcv(MARKET, "1h", limit=200)
    assert len(rows) == 200
    assert rows[1][0] - rows[0][0] == HOUR_MS


@desk.works("candles of a span")
def _() -> None:
    end = client.fetch_time() // HOUR_MS * HOUR_MS
    rows = client.fetch_ohlcv(MARKET, "1m", since=end - HOUR_MS, limit=60)
    assert [rows[0][0], rows[-1][0], len(rows)] == [end - HOUR_MS, end - 60_000, 60]


@desk.works("mark price and funding")
def _() -> None:
    assert client.fetch_mark_price(MARKET)["markPrice"] == float(PRICE)
    assert client.fetch_funding_rate(MARKET)["fundingRate"] is not None
    assert len(client.fetch_funding_rate_history(MARKET, limit=3)) == 3


# --- Account and settings


@desk.works("balance")
def _() -> None:
    assert client.fetch_balance()["USDT"]["total"] == 10_000


@desk.works("account")
def _() -> None:
    (account,) = client.fetch_accounts()
    assert account["info"]["posMode"] == "net_mode"


@desk.works("set leverage")
def _() -> None:
    client.set_leverage(10, MARKET, {"mgnMode": "cross"})
    assert client.fetch_leverage(MARKET, {"mgnMode": "cross"})["longLeverage"] == 10


@desk.works("leverage brackets")
def _() -> None:
    tiers = client.fetch_market_leverage_tiers(MARKET)
    assert tiers[0]["maxLeverage"] >= 100


@desk.works("margin mode")
def _() -> None:
    client.set_leverage(5, MARKET, {"mgnMode": "isolated"})
    order = limit("ccxtokxisolated", marginMode="isolated")
    assert client.fetch_order(order["id"], MARKET)["info"]["tdMode"] == "isolated"
    client.cancel_order(order["id"], MARKET)


@desk.works("position mode")
def _() -> None:
    client.set_position_mode(True)
    assert client.fetch_position_mode()["hedged"] is True
    client.set_position_mode(False)


@desk.works("fees")
def _() -> None:
    assert client.fetch_trading_fee(MARKET)["taker"] > 0


# --- Orders: one contract is 0.01 BTC


@desk.works("limit order")
def _() -> None:
    assert limit("ccxtokxlimit1")["clientOrderId"] == "ccxtokxlimit1"
    order = paper.order("ccxtokxlimit1")
    assert (order["price"], order["quantity"]) == ("55000", "0.01")


@desk.works("query by client id")
def _() -> None:
    order = client.fetch_order("", MARKET, {"clOrdId": "ccxtokxlimit1"})
    assert (order["status"], order["price"], order["amount"]) == ("open", 55_000, 1)


@desk.works("open orders")
def _() -> None:
    assert [order["clientOrderId"] for order in client.fetch_open_orders(MARKET)] == ["ccxtokxlimit1"]


@desk.works("amend order")
def _() -> None:
    order = client.fetch_order("", MARKET, {"clOrdId": "ccxtokxlimit1"})
    client.edit_order(order["id"], MARKET, "limit", "buy", 2, 54_000)
    assert paper.order("ccxtokxlimit1")["price"] == "54000"


@desk.works("cancel order")
def _() -> None:
    client.cancel_order("", MARKET, {"clOrdId": "ccxtokxlimit1"})
    assert client.fetch_order("", MARKET, {"clOrdId": "ccxtokxlimit1"})["status"] == "canceled"


@desk.works("several orders at once")
def _() -> None:
    one = {"symbol": MARKET, "type": "limit", "side": "buy", "amount": 1}
    placed = client.create_orders([{**one, "price": price} for price in (54_000, 53_000)])
    assert len({order["id"] for order in placed}) == 2


@desk.works("cancel all orders")
def _() -> None:
    # ccxt offers no cancel_all_orders here: it cancels by a list of ids.
    client.cancel_orders([order["id"] for order in client.fetch_open_orders(MARKET)], MARKET)
    assert client.fetch_open_orders(MARKET) == []


@desk.works("post-only order")
def _() -> None:
    order = client.create_order(MARKET, "limit", "buy", 1, 59_000, {"postOnly": True})
    assert client.fetch_order(order["id"], MARKET)["status"] == "open"
    client.cancel_order(order["id"], MARKET)


@desk.works("market order")
def _() -> None:
    order = market("buy", 5, clientOrderId="ccxtokxmarket1")
    found = client.fetch_order(order["id"], MARKET)
    assert (found["status"], found["filled"], found["average"]) == ("closed", 5, float(PRICE))


@desk.works("positions")
def _() -> None:
    (row,) = client.fetch_positions([MARKET])
    assert (row["side"], row["contracts"], row["entryPrice"]) == ("long", 5, float(PRICE))


def conditional(kind: str, price: float, client_id: str) -> Any:
    params = {kind: price, "reduceOnly": True, "algoClOrdId": client_id}
    return client.create_order(MARKET, "market", "sell", 5, None, params)


def pending(kind: str) -> dict[str, str]:
    orders = client.fetch_open_orders(MARKET, params={"ordType": kind})
    return {order["info"]["algoClOrdId"]: order["id"] for order in orders}


@desk.works("stop loss")
def _() -> None:
    assert conditional("stopLossPrice", 58_000, "ccxtokxstop1")["id"]


@desk.works("take profit")
def _() -> None:
    assert conditional("takeProfitPrice", 63_000, "ccxtokxtake1")["id"]


@desk.works("trailing stop")
def _() -> None:
    params = {"trailingPercent": "1", "reduceOnly": True, "algoClOrdId": "ccxtokxtrail1"}
    client.create_order(MARKET, "market", "sell", 5, None, params)
    assert set(pending("move_order_stop")) == {"ccxtokxtrail1"}


@desk.works("query conditional orders")
def _() -> None:
    assert set(pending("conditional")) == {"ccxtokxstop1", "ccxtokxtake1"}


@desk.works("cancel conditional orders")
def _() -> None:
    client.cancel_order(pending("move_order_stop")["ccxtokxtrail1"], MARKET, {"trailing": True})
    client.cancel_order(pending("conditional")["ccxtokxtake1"], MARKET, {"stop": True})
    assert set(pending("conditional")) == {"ccxtokxstop1"}


@desk.works("a stop triggers")
def _() -> None:
    paper.price("57900")
    assert [row for row in client.fetch_positions([MARKET]) if row["contracts"]] == []
    assert pending("conditional") == {}
    paper.price(PRICE)


@desk.works("entry with stop and target attached")
def _() -> None:
    levels = {"stopLoss": {"triggerPrice": 58_000}, "takeProfit": {"triggerPrice": 63_000}}
    market("buy", 2, clientOrderId="ccxtokxentry1", **levels)
    orders = client.fetch_open_orders(MARKET, params={"ordType": "oco"})
    assert [(order["stopLossPrice"], order["takeProfitPrice"]) for order in orders] == [(58_000, 63_000)]


@desk.works("close a position")
def _() -> None:
    close()
    assert paper.positions() == {}


@desk.works("hedge mode: both sides")
def _() -> None:
    for order in client.fetch_open_orders(MARKET, params={"ordType": "oco"}):
        client.cancel_order(order["id"], MARKET, {"stop": True})
    client.set_position_mode(True)
    market("buy", 2, positionSide="long")
    market("sell", 1, positionSide="short")
    rows = {row["side"]: row["contracts"] for row in client.fetch_positions([MARKET]) if row["contracts"]}
    assert rows == {"long": 2, "short": 1}
    market("sell", 2, positionSide="long")
    market("buy", 1, positionSide="short")
    client.set_position_mode(False)


@desk.works("fills")
def _() -> None:
    trades = client.fetch_my_trades(MARKET)
    assert trades[0]["amount"] == 5
    assert len({trade["id"] for trade in trades}) == len(trades) >= 8


@desk.works("order history")
def _() -> None:
    ids = {o["clientOrderId"] for o in client.fetch_closed_orders(MARKET)}
    assert "ccxtokxmarket1" in ids


@desk.works("account history")
def _() -> None:
    assert len(client.fetch_ledger("USDT")) >= 8


# --- Refusals


@refuses("wrong secret", 50113)
def _() -> None:
    client_of({**desk.keys, "api_secret": "x" * 32}).fetch_balance()


@refuses("unknown key", 50111)
def _() -> None:
    client_of({**desk.keys, "api_key": "00000000-0000-0000-0000-000000000000"}).fetch_balance()


@refuses("wrong passphrase", 50105)
def _() -> None:
    client_of({**desk.keys, "passphrase": "no"}).fetch_balance()


@refuses("key of the other environment", 50101)
def _() -> None:
    client_of(paper.account("okx", environment="demo")).fetch_balance()


@refuses("late timestamp", 50102)
def _() -> None:
    late = client_of(desk.keys)
    late.options["timeDifference"] = 60_000
    late.fetch_balance()


@refuses("unknown market", 51001)
def _() -> None:
    # ccxt itself knows which markets there are; this is the raw call.
    client.publicGetMarketCandles({"instId": "NOPE-USDT-SWAP"})


def raw_order(**changed: str) -> Any:
    terms = {"instId": SWAP, "tdMode": "cross", "side": "buy", "ordType": "market", "sz": "1"}
    return client.privatePostTradeOrder({**terms, **changed})


@refuses("off the lot", 51121)
def _() -> None:
    # ccxt cuts amounts to the lot; this is the raw call.
    raw_order(sz="1.0001")


@refuses("below the minimum", 51020)
def _() -> None:
    raw_order(sz="0.0001")


@refuses("not enough margin", 51008)
def _() -> None:
    market("buy", 1_000)


@refuses("client id in use", 51016)
def _() -> None:
    limit("ccxtokxtwice")
    limit("ccxtokxtwice")


@refuses("client id malformed", 51000)
def _() -> None:
    limit("with-a-dash")


@refuses("cancel what is not there", 51400)
def _() -> None:
    client.cancel_order("", MARKET, {"clOrdId": "neverwas"})


@refuses("query what is not there", 51603)
def _() -> None:
    client.fetch_order("", MARKET, {"clOrdId": "neverwas"})


@refuses("stop beyond the market", 51280)
def _() -> None:
    market("buy", 1)
    try:
        client.create_order(MARKET, "market", "sell", 1, None, {"stopLossPrice": 61_000, "reduceOnly": True})
    finally:
        close()


@refuses("close without a position", 51023)
def _() -> None:
    close()


@refuses("reduce-only without a position", 51169)
def _() -> None:
    market("sell", 1, reduceOnly=True)


@refuses("leverage too high", 59102)
def _() -> None:
    # ccxt itself stops at 125.
    client.privatePostAccountSetLeverage({"instId": SWAP, "lever": "126", "mgnMode": "cross"})


@refuses("position mode with open orders", 59000)
def _() -> None:
    client.set_position_mode(True)


@refuses("position side of the other mode", 51000)
def _() -> None:
    market("buy", 1, positionSide="long")


@refuses("too many requests", 50011)
def _() -> None:
    paper.fault("error_code", code=50011, path="/api/v5/account/balance")
    client.fetch_balance()


@refuses("outcome unknown", 50004)
def _() -> None:
    # ccxt places single orders as batches of one.
    paper.fault("error_code", code=50004, path="/api/v5/trade/batch-orders", executed=True)
    try:
        limit("ccxtokxunknown1")
    finally:
        assert paper.order("ccxtokxunknown1")["status"] == "NEW"


# --- Streams


def heard(
    watch: Callable[[Any], Awaitable[Any]], act: Callable[[], object], wanted: Callable[[Any], bool]
) -> None:
    """Watches and does something until `wanted` is true of what comes.

    ccxt tells nobody when the exchange has confirmed a subscription: what is done before is not heard of.
    """

    async def listen() -> None:
        streams = client_of(desk.keys, ccxt.pro.okx)
        try:
            async with asyncio.timeout(15):
                await streams.load_markets()
                coming = asyncio.ensure_future(watch(streams))
                while not (coming.done() and wanted(coming.result())):
                    if coming.done():
                        coming = asyncio.ensure_future(watch(streams))
                    await asyncio.to_thread(act)
                    await asyncio.wait({coming}, timeout=0.5)
        finally:
            await streams.close()

    asyncio.run(listen())


@desk.works("user stream: order")
def _() -> None:
    heard(
        lambda streams: streams.watch_orders(MARKET),
        lambda: market("buy", 2),
        lambda orders: any((o["status"], o["filled"]) == ("closed", 2) for o in orders),
    )


@desk.works("user stream: position and balance")
def _() -> None:
    heard(
        lambda streams: streams.watch_balance(),
        lambda: market("buy", 1),
        lambda balance: 0 < balance["USDT"]["total"] < 10_000,
    )


@desk.works("user stream: conditional order")
def _() -> None:
    heard(
        lambda streams: streams.watch_orders(MARKET, params={"stop": True}),
        lambda: client.create_order(
            MARKET, "market", "sell", 1, None, {"stopLossPrice": 50_000, "reduceOnly": True}
        ),
        lambda orders: any((o["status"], o["stopLossPrice"]) == ("open", 50_000) for o in orders),
    )


@desk.works("market stream: candles")
def _() -> None:
    heard(
        lambda streams: streams.watch_ohlcv(MARKET, "1m"),
        lambda: paper.price("60010"),
        lambda rows: rows[-1][4] == 60_010,
    )


@desk.works("market stream: prices")
def _() -> None:
    heard(
        lambda streams: streams.watch_ticker(MARKET),
        lambda: paper.price("60020"),
        lambda ticker: Decimal(str(ticker["last"])) == 60_020,
    )


paper.price(PRICE)
desk.run()
