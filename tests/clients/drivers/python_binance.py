"""python-binance on the paper exchange: its own methods, unchanged; only the addresses are other ones."""

# The client is installed in an environment of its own, which mypy does not see.
# mypy: disable-error-code="import-not-found"

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

from binance import AsyncClient, BinanceSocketManager
from binance.client import Client
from binance.exceptions import BinanceAPIException

from tests.clients.drivers.desk import PRICE, SYMBOL, Act, Desk

desk = Desk()
paper = desk.paper


def client_of(api_key: str, api_secret: str) -> Client:
    client = Client(api_key, api_secret, ping=False)
    client.FUTURES_URL = f"{paper.url}/fapi"
    return client


client = client_of(desk.keys["api_key"], desk.keys["api_secret"])


def code_of(error: Exception) -> object:
    return error.code if isinstance(error, BinanceAPIException) else error


def refuses(operation: str, code: int) -> Callable[[Act], Act]:
    return desk.refuses(operation, code, code_of)


def limit(client_order_id: str, price: str = "55000", **more: object) -> Any:
    terms = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010"}
    return client.futures_create_order(**terms, price=price, newClientOrderId=client_order_id, **more)


def market(side: str, quantity: str, **more: object) -> Any:
    terms = {"symbol": SYMBOL, "side": side, "type": "MARKET", "quantity": quantity}
    return client.futures_create_order(**terms, newOrderRespType="RESULT", **more)


def conditional(kind: str, side: str, price: str, **more: object) -> Any:
    return client.futures_create_order(symbol=SYMBOL, side=side, type=kind, triggerPrice=price, **more)


def position() -> Decimal:
    rows = client.futures_position_information(symbol=SYMBOL)
    return sum((Decimal(row["positionAmt"]) for row in rows), Decimal(0))


# --- Market data


@desk.works("server time")
def _() -> None:
    assert client.futures_ping() == {}
    assert abs(client.futures_time()["serverTime"] / 1000 - time.time()) < 5


@desk.works("markets and their filters")
def _() -> None:
    rows = {row["symbol"]: row for row in client.futures_exchange_info()["symbols"]}
    filters = {item["filterType"]: item for item in rows[SYMBOL]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.10"
    assert filters["LOT_SIZE"]["stepSize"] == "0.001"


@desk.works("ticker")
def _() -> None:
    assert Decimal(client.futures_symbol_ticker(symbol=SYMBOL)["price"]) == Decimal(PRICE)
    assert Decimal(client.futures_ticker(symbol=SYMBOL)["lastPrice"]) == Decimal(PRICE)


@desk.works("order book")
def _() -> None:
    book = client.futures_order_book(symbol=SYMBOL, limit=5)
    assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
    assert len(book["bids"]) == 5


@desk.works("candles")
def _() -> None:
    rows = client.futures_klines(symbol=SYMBOL, interval="1h", limit=200)
    assert len(rows) == 200
    assert {after[0] - before[0] for before, after in pairwise(rows)} == {3_600_000}


@desk.works("candles of a span")
def _() -> None:
    end = client.futures_time()["serverTime"] // 3_600_000 * 3_600_000
    rows = client.futures_klines(
        symbol=SYMBOL, interval="1m", startTime=end - 3_600_000, endTime=end - 1, limit=1500
    )
    assert [rows[0][0], rows[-1][0], len(rows)] == [end - 3_600_000, end - 60_000, 60]


@desk.works("mark price and funding")
def _() -> None:
    assert Decimal(client.futures_mark_price(symbol=SYMBOL)["markPrice"]) == Decimal(PRICE)
    rates = client.futures_funding_rate(symbol=SYMBOL, limit=3)
    assert [rate["symbol"] for rate in rates] == [SYMBOL] * 3
    assert rates[1]["fundingTime"] - rates[0]["fundingTime"] == 8 * 3_600_000


# --- Account and settings


@desk.works("balance")
def _() -> None:
    (row,) = [row for row in client.futures_account_balance() if row["asset"] == "USDT"]
    assert Decimal(row["balance"]) == Decimal(row["availableBalance"]) == Decimal(10_000)


@desk.works("account")
def _() -> None:
    account = client.futures_account()
    assert Decimal(account["totalWalletBalance"]) == Decimal(10_000)
    assert account["canTrade"] is True


@desk.works("set leverage")
def _() -> None:
    assert client.futures_change_leverage(symbol=SYMBOL, leverage=10)["leverage"] == 10
    (row,) = client.futures_symbol_config(symbol=SYMBOL)
    assert row["leverage"] == 10


@desk.works("leverage brackets")
def _() -> None:
    (row,) = client.futures_leverage_bracket(symbol=SYMBOL)
    assert row["brackets"][0]["initialLeverage"] == 125


@desk.works("margin mode")
def _() -> None:
    client.futures_change_margin_type(symbol=SYMBOL, marginType="ISOLATED")
    (row,) = client.futures_symbol_config(symbol=SYMBOL)
    assert row["marginType"] == "ISOLATED"
    client.futures_change_margin_type(symbol=SYMBOL, marginType="CROSSED")


@desk.works("position mode")
def _() -> None:
    client.futures_change_position_mode(dualSidePosition="true")
    assert client.futures_get_position_mode() == {"dualSidePosition": True}
    client.futures_change_position_mode(dualSidePosition="false")


@desk.works("fees")
def _() -> None:
    assert Decimal(client.futures_commission_rate(symbol=SYMBOL)["takerCommissionRate"]) > 0


# --- Orders


@desk.works("limit order")
def _() -> None:
    order = limit("py-limit-1")
    assert (order["status"], order["clientOrderId"]) == ("NEW", "py-limit-1")
    assert paper.order("py-limit-1")["price"] == "55000"


@desk.works("query by client id")
def _() -> None:
    order = client.futures_get_order(symbol=SYMBOL, origClientOrderId="py-limit-1")
    assert (order["status"], Decimal(order["price"])) == ("NEW", Decimal(55_000))


@desk.works("open orders")
def _() -> None:
    assert [o["clientOrderId"] for o in client.futures_get_open_orders(symbol=SYMBOL)] == ["py-limit-1"]


@desk.works("amend order")
def _() -> None:
    client.futures_modify_order(
        symbol=SYMBOL, side="BUY", quantity="0.020", price="54000", origClientOrderId="py-limit-1"
    )
    assert paper.order("py-limit-1")["price"] == "54000"


@desk.works("cancel order")
def _() -> None:
    assert client.futures_cancel_order(symbol=SYMBOL, origClientOrderId="py-limit-1")["status"] == "CANCELED"
    assert paper.order("py-limit-1")["status"] == "CANCELED"


@desk.works("several orders at once")
def _() -> None:
    one = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010"}
    orders = [{**one, "price": price} for price in ("54000", "53000")]
    placed = client.futures_place_batch_order(batchOrders=orders)
    assert [Decimal(order["price"]) for order in placed] == [Decimal(54_000), Decimal(53_000)]


@desk.works("cancel all orders")
def _() -> None:
    assert client.futures_cancel_all_open_orders(symbol=SYMBOL)["code"] == 200
    assert client.futures_get_open_orders(symbol=SYMBOL) == []


@desk.works("post-only order")
def _() -> None:
    order = client.futures_create_order(
        symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTX", quantity="0.010", price="59000"
    )
    assert client.futures_cancel_order(symbol=SYMBOL, orderId=order["orderId"])["timeInForce"] == "GTX"


@desk.works("market order")
def _() -> None:
    order = market("BUY", "0.050", newClientOrderId="py-market-1")
    assert (order["status"], order["executedQty"]) == ("FILLED", "0.050")
    assert paper.positions() == {"BOTH": "0.05"}


@desk.works("positions")
def _() -> None:
    (row,) = client.futures_position_information(symbol=SYMBOL)
    assert (Decimal(row["positionAmt"]), Decimal(row["entryPrice"])) == (Decimal("0.05"), Decimal(PRICE))


@desk.works("stop loss")
def _() -> None:
    order = conditional("STOP_MARKET", "SELL", "58000", closePosition="true", clientAlgoId="py-stop-1")
    assert (order["algoStatus"], order["clientAlgoId"]) == ("NEW", "py-stop-1")


@desk.works("take profit")
def _() -> None:
    conditional(
        "TAKE_PROFIT_MARKET", "SELL", "63000", quantity="0.050", reduceOnly="true", clientAlgoId="py-take-1"
    )
    assert paper.order("py-take-1")["trigger_price"] == "63000"


@desk.works("trailing stop")
def _() -> None:
    order = client.futures_create_algo_order(
        symbol=SYMBOL, side="SELL", type="TRAILING_STOP_MARKET", callbackRate="1", quantity="0.050",
        reduceOnly="true", clientAlgoId="py-trail-1",
    )  # fmt: skip
    assert order["algoStatus"] == "NEW"


@desk.works("query conditional orders")
def _() -> None:
    assert client.futures_get_algo_order(clientAlgoId="py-stop-1")["algoStatus"] == "NEW"
    found = {order["clientAlgoId"] for order in client.futures_get_open_algo_orders(symbol=SYMBOL)}
    assert found == {"py-stop-1", "py-take-1", "py-trail-1"}


@desk.works("cancel conditional orders")
def _() -> None:
    client.futures_cancel_algo_order(clientAlgoId="py-trail-1")
    client.futures_cancel_algo_order(clientAlgoId="py-take-1")
    assert [o["clientAlgoId"] for o in client.futures_get_open_algo_orders(symbol=SYMBOL)] == ["py-stop-1"]


@desk.works("a stop triggers")
def _() -> None:
    paper.price("57900")
    assert position() == 0
    assert client.futures_get_algo_order(clientAlgoId="py-stop-1")["algoStatus"] == "FINISHED"
    paper.price(PRICE)


@desk.works("close a position")
def _() -> None:
    market("BUY", "0.020")
    market("SELL", "0.020", reduceOnly="true")
    assert paper.positions() == {}


@desk.works("hedge mode: both sides")
def _() -> None:
    client.futures_change_position_mode(dualSidePosition="true")
    market("BUY", "0.020", positionSide="LONG")
    market("SELL", "0.010", positionSide="SHORT")
    assert paper.positions() == {"LONG": "0.02", "SHORT": "-0.01"}
    assert {row["positionSide"] for row in client.futures_position_information(symbol=SYMBOL)} == {
        "LONG",
        "SHORT",
    }
    market("SELL", "0.020", positionSide="LONG")
    market("BUY", "0.010", positionSide="SHORT")
    client.futures_change_position_mode(dualSidePosition="false")


@desk.works("fills")
def _() -> None:
    trades = client.futures_account_trades(symbol=SYMBOL)
    assert Decimal(trades[0]["qty"]) == Decimal("0.05")
    assert len({trade["id"] for trade in trades}) == len(trades) >= 8


@desk.works("order history")
def _() -> None:
    orders = client.futures_get_all_orders(symbol=SYMBOL)
    assert {"py-limit-1", "py-market-1"} <= {order["clientOrderId"] for order in orders}


@desk.works("account history")
def _() -> None:
    kinds = {row["incomeType"] for row in client.futures_income_history(symbol=SYMBOL)}
    assert {"COMMISSION", "REALIZED_PNL"} <= kinds


# --- Refusals


@refuses("wrong secret", -1022)
def _() -> None:
    client_of(desk.keys["api_key"], "x" * 64).futures_account_balance()


@refuses("unknown key", -2015)
def _() -> None:
    client_of("k" * 64, desk.keys["api_secret"]).futures_account_balance()


@refuses("late timestamp", -1021)
def _() -> None:
    late = client_of(desk.keys["api_key"], desk.keys["api_secret"])
    late.timestamp_offset = -60_000
    late.futures_account_balance()


@refuses("unknown market", -1121)
def _() -> None:
    client.futures_klines(symbol="NOPEUSDT", interval="1h")


@refuses("too many decimals", -1111)
def _() -> None:
    market("BUY", "0.0100001")


@refuses("price off the tick", -4014)
def _() -> None:
    limit("py-refused", price="55000.05")


@refuses("below the minimum", -4164)
def _() -> None:
    market("BUY", "0.001")


@refuses("not enough margin", -2019)
def _() -> None:
    market("BUY", "5.000")


@refuses("client id in use", -4116)
def _() -> None:
    limit("py-twice")
    limit("py-twice")


@refuses("cancel what is not there", -2011)
def _() -> None:
    client.futures_cancel_order(symbol=SYMBOL, origClientOrderId="never-was")


@refuses("query what is not there", -2013)
def _() -> None:
    client.futures_get_order(symbol=SYMBOL, origClientOrderId="never-was")


@refuses("stop beyond the market", -2021)
def _() -> None:
    conditional("STOP_MARKET", "SELL", "61000", quantity="0.010")


@refuses("reduce-only without a position", -2022)
def _() -> None:
    market("SELL", "0.010", reduceOnly="true")


@refuses("post-only that would take", -5022)
def _() -> None:
    client.futures_create_order(
        symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTX", quantity="0.010", price="61000"
    )


@refuses("leverage too high", -4028)
def _() -> None:
    client.futures_change_leverage(symbol=SYMBOL, leverage=126)


@refuses("margin mode unchanged", -4046)
def _() -> None:
    client.futures_change_margin_type(symbol="ETHUSDT", marginType="CROSSED")


@refuses("position mode unchanged", -4059)
def _() -> None:
    client.futures_change_position_mode(dualSidePosition="false")


@refuses("position mode with open orders", -4067)
def _() -> None:
    client.futures_change_position_mode(dualSidePosition="true")


@refuses("position side of the other mode", -4061)
def _() -> None:
    market("BUY", "0.010", positionSide="LONG")


@refuses("conditional order in the wrong place", -4120)
def _() -> None:
    # The client itself sends conditional orders to the right place; this is the raw call.
    terms = {"symbol": SYMBOL, "side": "SELL", "type": "STOP_MARKET", "stopPrice": "58000"}
    client._request_futures_api("post", "order", True, data={**terms, "quantity": "0.01"})


@refuses("too many requests", -1003)
def _() -> None:
    paper.fault("error_code", code=-1003, retry_after=1, path="/fapi/v3/balance")
    client.futures_account_balance()


@refuses("outcome unknown", -1007)
def _() -> None:
    paper.fault("error_code", code=-1007, path="/fapi/v1/order", executed=True)
    try:
        limit("py-unknown-1")
    finally:
        assert paper.order("py-unknown-1")["status"] == "NEW"


# --- Streams


def heard(
    open_socket: Callable[[Any], Any], act: Callable[[], object], *wanted: Callable[[Any], bool]
) -> None:
    """Opens a stream, does something, and waits until each of `wanted` was true of a message."""

    async def listen() -> None:
        own = AsyncClient(desk.keys["api_key"], desk.keys["api_secret"])
        own.FUTURES_URL = f"{paper.url}/fapi"
        sockets = BinanceSocketManager(own)
        sockets.FSTREAM_URL = f"{desk.websocket_url}/"
        waiting = list(wanted)
        socket = open_socket(sockets)
        # It looks only this often whether it was closed.
        socket.TIMEOUT = 0.1
        try:
            async with asyncio.timeout(10), socket as stream:
                await asyncio.to_thread(act)
                while waiting:
                    message = await stream.recv()
                    waiting = [condition for condition in waiting if not condition(message)]
        finally:
            await own.close_connection()

    asyncio.run(listen())


@desk.works("user stream: order")
def _() -> None:
    heard(
        lambda sockets: sockets.futures_user_socket(),
        lambda: market("BUY", "0.020", newClientOrderId="py-heard-1"),
        lambda m: m["e"] == "ORDER_TRADE_UPDATE" and (m["o"]["c"], m["o"]["X"]) == ("py-heard-1", "FILLED"),
    )


@desk.works("user stream: position and balance")
def _() -> None:
    heard(
        lambda sockets: sockets.futures_user_socket(),
        lambda: market("SELL", "0.020", reduceOnly="true"),
        lambda m: m["e"] == "ACCOUNT_UPDATE" and m["a"]["P"][0]["pa"] in ("0", "0.000"),
    )


@desk.works("user stream: conditional order")
def _() -> None:
    heard(
        lambda sockets: sockets.futures_user_socket(),
        lambda: conditional("STOP_MARKET", "SELL", "50000", quantity="0.01", clientAlgoId="py-heard-2"),
        lambda m: m["e"] == "ALGO_UPDATE" and (m["o"]["caid"], m["o"]["X"]) == ("py-heard-2", "NEW"),
    )


@desk.works("market stream: candles")
def _() -> None:
    heard(
        lambda sockets: sockets.kline_futures_socket(SYMBOL),
        lambda: paper.price("60010"),
        lambda m: m["e"] == "continuous_kline" and Decimal(m["k"]["c"]) == 60_010,
    )


@desk.works("market stream: prices")
def _() -> None:
    heard(
        lambda sockets: sockets.symbol_mark_price_socket(SYMBOL),
        lambda: paper.price("60020"),
        lambda m: m["data"]["e"] == "markPriceUpdate" and Decimal(m["data"]["p"]) > 60_000,
    )


paper.price(PRICE)
desk.run()
