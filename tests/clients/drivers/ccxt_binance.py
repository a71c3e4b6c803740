"""ccxt's binanceusdm and ccxt.pro's streams on the paper exchange; only the addresses are other ones."""

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

from tests.clients.drivers.desk import PRICE, SYMBOL, Act, Desk

desk = Desk()
paper = desk.paper
MARKET = "BTC/USDT:USDT"
HOUR_MS = 3_600_000


def moved(urls: Any, http: str, websocket: str) -> Any:
    """The client's own table of addresses with other hosts."""
    if isinstance(urls, dict):
        return {name: moved(url, http, websocket) for name, url in urls.items()}
    return re.sub(r"^https?://[^/]+", http, re.sub(r"^wss?://[^/]+", websocket, urls))


def client_of(api_key: str, secret: str, kind: Any = ccxt.binanceusdm) -> Any:
    # Coins and their networks are the spot host's affair, which the paper exchange has none of; and a test
    # need not keep the pauses that ccxt makes between requests.
    settings = {"options": {"fetchCurrencies": False}, "enableRateLimit": False}
    client = kind({"apiKey": api_key, "secret": secret, **settings})
    client.urls["api"] = moved(client.urls["api"], paper.url, desk.websocket_url)
    return client


client = client_of(desk.keys["api_key"], desk.keys["api_secret"])


def code_of(error: Exception) -> object:
    """The exchange's code, which ccxt keeps in the text of its exceptions."""
    found = re.search(r"\{.*\}", str(error))
    return json.loads(found[0])["code"] if found else error


def refuses(operation: str, code: int) -> Callable[[Act], Act]:
    return desk.refuses(operation, code, code_of)


def limit(client_order_id: str, price: float = 55_000, **more: Any) -> Any:
    return client.create_order(
        MARKET, "limit", "buy", 0.01, price, {"clientOrderId": client_order_id, **more}
    )


def market(side: str, amount: float, **more: Any) -> Any:
    return client.create_order(MARKET, "market", side, amount, None, more)


# --- Market data


@desk.works("server time")
def _() -> None:
    assert abs(client.fetch_time() / 1000 - time.time()) < 5


@desk.works("markets and their filters")
def _() -> None:
    rows = client.load_markets()
    assert (rows[MARKET]["precision"]["price"], rows[MARKET]["precision"]["amount"]) == (0.1, 0.001)
    assert (rows[MARKET]["swap"], rows[MARKET]["linear"], rows[MARKET]["active"]) == (True, True, True)


@desk.works("ticker")
def _() -> None:
    assert client.fetch_ticker(MARKET)["last"] == float(PRICE)


@desk.works("order book")
def _() -> None:
    book = client.fetch_order_book(MARKET, 5)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert len(book["bids"]) == 5


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
    assert client.fetch_funding_rate(MARKET)["markPrice"] == float(PRICE)
    assert len(client.fetch_funding_rate_history(MARKET, limit=3)) == 3


# --- Account and settings


@desk.works("balance")
def _() -> None:
    assert client.fetch_balance()["USDT"]["total"] == 10_000


@desk.works("account")
def _() -> None:
    assert client.fetch_balance()["info"]["totalWalletBalance"].startswith("10000")


@desk.works("set leverage")
def _() -> None:
    client.set_leverage(10, MARKET)
    assert client.fetch_leverages([MARKET])[MARKET]["longLeverage"] == 10


@desk.works("leverage brackets")
def _() -> None:
    tiers = client.fetch_leverage_tiers([MARKET])[MARKET]
    assert tiers[0]["maxLeverage"] == 125


@desk.works("margin mode")
def _() -> None:
    client.set_margin_mode("isolated", MARKET)
    assert client.fetch_margin_mode(MARKET)["marginMode"] == "isolated"
    client.set_margin_mode("cross", MARKET)


@desk.works("position mode")
def _() -> None:
    client.set_position_mode(True)
    assert client.fetch_position_mode(MARKET)["hedged"] is True
    client.set_position_mode(False)


@desk.works("fees")
def _() -> None:
    assert client.fetch_trading_fee(MARKET)["taker"] > 0


# --- Orders


@desk.works("limit order")
def _() -> None:
    order = limit("ccxt-limit-1")
    assert (order["status"], order["clientOrderId"]) == ("open", "ccxt-limit-1")
    assert paper.order("ccxt-limit-1")["price"] == "55000"


@desk.works("query by client id")
def _() -> None:
    order = client.fetch_order("", MARKET, {"clientOrderId": "ccxt-limit-1"})
    assert (order["status"], order["price"]) == ("open", 55_000)


@desk.works("open orders")
def _() -> None:
    assert [order["clientOrderId"] for order in client.fetch_open_orders(MARKET)] == ["ccxt-limit-1"]


@desk.works("amend order")
def _() -> None:
    order = client.fetch_order("", MARKET, {"clientOrderId": "ccxt-limit-1"})
    client.edit_order(order["id"], MARKET, "limit", "buy", 0.02, 54_000)
    assert paper.order("ccxt-limit-1")["price"] == "54000"


@desk.works("cancel order")
def _() -> None:
    assert client.cancel_order("", MARKET, {"clientOrderId": "ccxt-limit-1"})["status"] == "canceled"


@desk.works("several orders at once")
def _() -> None:
    one = {"symbol": MARKET, "type": "limit", "side": "buy", "amount": 0.01}
    placed = client.create_orders([{**one, "price": price} for price in (54_000, 53_000)])
    assert [order["price"] for order in placed] == [54_000, 53_000]


@desk.works("cancel all orders")
def _() -> None:
    client.cancel_all_orders(MARKET)
    assert client.fetch_open_orders(MARKET) == []


@desk.works("post-only order")
def _() -> None:
    order = client.create_order(MARKET, "limit", "buy", 0.01, 59_000, {"postOnly": True})
    assert client.cancel_order(order["id"], MARKET)["timeInForce"] == "PO"


@desk.works("market order")
def _() -> None:
    order = market("buy", 0.05, clientOrderId="ccxt-market-1")
    assert (order["status"], order["filled"]) == ("closed", 0.05)
    assert paper.positions() == {"BOTH": "0.05"}


@desk.works("positions")
def _() -> None:
    (row,) = client.fetch_positions([MARKET])
    assert (row["side"], row["contracts"], row["entryPrice"]) == ("long", 0.05, float(PRICE))


@desk.works("stop loss")
def _() -> None:
    client.create_order(
        MARKET, "market", "sell", 0.05, None,
        {"stopLossPrice": 58_000, "reduceOnly": True, "clientOrderId": "ccxt-stop-1"},
    )  # fmt: skip
    assert paper.order("ccxt-stop-1")["trigger_price"] == "58000"


@desk.works("take profit")
def _() -> None:
    client.create_order(
        MARKET, "market", "sell", 0.05, None,
        {"takeProfitPrice": 63_000, "reduceOnly": True, "clientOrderId": "ccxt-take-1"},
    )  # fmt: skip
    assert paper.order("ccxt-take-1")["type"] == "TAKE_PROFIT_MARKET"


@desk.works("trailing stop")
def _() -> None:
    client.create_order(
        MARKET, "market", "sell", 0.05, None,
        {"trailingPercent": 1, "reduceOnly": True, "clientOrderId": "ccxt-trail-1"},
    )  # fmt: skip
    assert paper.order("ccxt-trail-1")["callback_rate"] == "1"


def conditional_ids() -> dict[str, str]:
    open_orders = client.fetch_open_orders(MARKET, params={"trigger": True})
    return {order["clientOrderId"]: order["id"] for order in open_orders}


@desk.works("query conditional orders")
def _() -> None:
    assert set(conditional_ids()) == {"ccxt-stop-1", "ccxt-take-1", "ccxt-trail-1"}
    found = client.fetch_order(conditional_ids()["ccxt-stop-1"], MARKET, {"trigger": True})
    assert found["triggerPrice"] == 58_000


@desk.works("cancel conditional orders")
def _() -> None:
    for name in ("ccxt-trail-1", "ccxt-take-1"):
        client.cancel_order(conditional_ids()[name], MARKET, {"trigger": True})
    assert set(conditional_ids()) == {"ccxt-stop-1"}


@desk.works("a stop triggers")
def _() -> None:
    paper.price("57900")
    assert client.fetch_positions([MARKET]) == []
    assert paper.order("ccxt-stop-1")["status"] == "FINISHED"
    paper.price(PRICE)


@desk.works("close a position")
def _() -> None:
    market("buy", 0.02)
    market("sell", 0.02, reduceOnly=True)
    assert paper.positions() == {}


@desk.works("hedge mode: both sides")
def _() -> None:
    client.set_position_mode(True)
    market("buy", 0.02, positionSide="LONG")
    market("sell", 0.01, positionSide="SHORT")
    rows = {row["side"]: row["contracts"] for row in client.fetch_positions([MARKET])}
    assert rows == {"long": 0.02, "short": 0.01}
    market("sell", 0.02, positionSide="LONG")
    market("buy", 0.01, positionSide="SHORT")
    client.set_position_mode(False)


@desk.works("fills")
def _() -> None:
    trades = client.fetch_my_trades(MARKET)
    assert trades[0]["amount"] == 0.05
    assert len({trade["id"] for trade in trades}) == len(trades) >= 8


@desk.works("order history")
def _() -> None:
    ids = {order["clientOrderId"] for order in client.fetch_orders(MARKET)}
    assert {"ccxt-limit-1", "ccxt-market-1"} <= ids


@desk.works("account history")
def _() -> None:
    kinds = {row["info"]["incomeType"] for row in client.fetch_ledger("USDT")}
    assert {"COMMISSION", "REALIZED_PNL"} <= kinds


# --- Refusals


@refuses("wrong secret", -1022)
def _() -> None:
    client_of(desk.keys["api_key"], "x" * 64).fetch_balance()


@refuses("unknown key", -2015)
def _() -> None:
    client_of("k" * 64, desk.keys["api_secret"]).fetch_balance()


@refuses("late timestamp", -1021)
def _() -> None:
    late = client_of(desk.keys["api_key"], desk.keys["api_secret"])
    late.options["timeDifference"] = 60_000
    late.fetch_balance()


@refuses("unknown market", -1121)
def _() -> None:
    # ccxt itself knows which markets there are; this is the raw call.
    client.fapiPublicGetKlines({"symbol": "NOPEUSDT", "interval": "1h"})


@refuses("too many decimals", -1111)
def _() -> None:
    # ccxt cuts amounts to the market's step; this is the raw call.
    client.fapiPrivatePostOrder({"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "0.0100001"})


@refuses("price off the tick", -4014)
def _() -> None:
    client.fapiPrivatePostOrder(
        {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01",
         "price": "55000.05"}
    )  # fmt: skip


@refuses("below the minimum", -4164)
def _() -> None:
    market("buy", 0.001)


@refuses("not enough margin", -2019)
def _() -> None:
    market("buy", 5)


@refuses("client id in use", -4116)
def _() -> None:
    limit("ccxt-twice")
    limit("ccxt-twice")


@refuses("cancel what is not there", -2011)
def _() -> None:
    client.cancel_order("", MARKET, {"clientOrderId": "never-was"})


@refuses("query what is not there", -2013)
def _() -> None:
    client.fetch_order("", MARKET, {"clientOrderId": "never-was"})


@refuses("stop beyond the market", -2021)
def _() -> None:
    client.create_order(MARKET, "market", "sell", 0.01, None, {"stopLossPrice": 61_000})


@refuses("reduce-only without a position", -2022)
def _() -> None:
    market("sell", 0.01, reduceOnly=True)


@refuses("post-only that would take", -5022)
def _() -> None:
    client.create_order(MARKET, "limit", "buy", 0.01, 61_000, {"postOnly": True})


@refuses("leverage too high", -4028)
def _() -> None:
    # ccxt itself stops at 125, and so does the exchange.
    client.fapiPrivatePostLeverage({"symbol": SYMBOL, "leverage": 126})


@refuses("margin mode unchanged", -4046)
def _() -> None:
    # ccxt takes this refusal for a success; this is the raw call.
    client.fapiPrivatePostMarginType({"symbol": "ETHUSDT", "marginType": "CROSSED"})


@refuses("position mode unchanged", -4059)
def _() -> None:
    client.set_position_mode(False)


@refuses("position mode with open orders", -4067)
def _() -> None:
    client.set_position_mode(True)


@refuses("position side of the other mode", -4061)
def _() -> None:
    market("buy", 0.01, positionSide="LONG")


@refuses("conditional order in the wrong place", -4120)
def _() -> None:
    client.fapiPrivatePostOrder(
        {"symbol": SYMBOL, "side": "SELL", "type": "STOP_MARKET", "stopPrice": "58000", "quantity": "0.01"}
    )


@refuses("too many requests", -1003)
def _() -> None:
    paper.fault("error_code", code=-1003, retry_after=1, path="/fapi/v?/account")
    client.fetch_balance()


@refuses("outcome unknown", -1007)
def _() -> None:
    paper.fault("error_code", code=-1007, path="/fapi/v1/order", executed=True)
    try:
        limit("ccxt-unknown-1")
    finally:
        assert paper.order("ccxt-unknown-1")["status"] == "NEW"


# --- Streams


def heard(
    watch: Callable[[Any], Awaitable[Any]], act: Callable[[], object], wanted: Callable[[Any], bool]
) -> None:
    """Watches, does something when the stream is open, and waits until `wanted` is true of what comes."""

    async def listen() -> None:
        streams = client_of(desk.keys["api_key"], desk.keys["api_secret"], ccxt.pro.binanceusdm)
        try:
            async with asyncio.timeout(15):
                await streams.load_markets()
                coming = asyncio.ensure_future(watch(streams))
                while not any(socket.connected.done() for socket in streams.clients.values()):
                    await asyncio.wait({coming}, timeout=0.02)
                await asyncio.to_thread(act)
                while not wanted(await coming):
                    coming = asyncio.ensure_future(watch(streams))
        finally:
            await streams.close()

    asyncio.run(listen())


@desk.works("user stream: order")
def _() -> None:
    heard(
        lambda streams: streams.watch_orders(MARKET),
        lambda: market("buy", 0.02, clientOrderId="ccxt-heard-1"),
        lambda orders: any((o["clientOrderId"], o["status"]) == ("ccxt-heard-1", "closed") for o in orders),
    )


@desk.works("user stream: position and balance")
def _() -> None:
    heard(
        lambda streams: streams.watch_balance(),
        lambda: market("sell", 0.02, reduceOnly=True),
        lambda balance: 0 < balance["USDT"]["total"] < 10_000,
    )


@desk.works("user stream: conditional order")
def _() -> None:
    heard(
        lambda streams: streams.watch_orders(MARKET),
        lambda: client.create_order(
            MARKET, "market", "sell", 0.01, None, {"stopLossPrice": 50_000, "clientOrderId": "ccxt-heard-2"}
        ),
        lambda orders: any((o["clientOrderId"], o["status"]) == ("ccxt-heard-2", "open") for o in orders),
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
