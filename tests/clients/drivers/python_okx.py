"""python-okx on the paper exchange: its own classes, unchanged; only the address is another one."""

# The client is installed in an environment of its own, which mypy does not see.
# mypy: disable-error-code="import-not-found"

import asyncio
import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import certifi
from okx.Account import AccountAPI
from okx.MarketData import MarketAPI
from okx.PublicData import PublicAPI
from okx.Trade import TradeAPI
from okx.websocket.WsPrivateAsync import WsPrivateAsync
from okx.websocket.WsPublicAsync import WsPublicAsync

from tests.clients.drivers.desk import PRICE, Act, Desk

desk = Desk()
paper = desk.paper
# python-okx opens no socket without TLS, and trusts what this list of authorities names.
certifi.where = lambda: desk.authority
SWAP = "BTC-USDT-SWAP"
HOUR_MS = 3_600_000


class Refused(Exception):
    """What python-okx hands back as data: it raises nothing for a refused request."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


def data(answer: dict[str, Any]) -> Any:
    """The rows of an answer; the first refusal in it is raised."""
    for row in answer.get("data", []):
        if isinstance(row, dict) and row.get("sCode", "0") != "0":
            raise Refused(row["sCode"], row["sMsg"])
    if answer["code"] != "0":
        raise Refused(answer["code"], answer["msg"])
    return answer["data"]


def open_api(kind: Any, **changed: str) -> Any:
    keys = {**desk.keys, **changed}
    return kind(keys["api_key"], keys["api_secret"], keys["passphrase"], flag="1", domain=paper.url)


account, trade = open_api(AccountAPI), open_api(TradeAPI)
market_data, public = MarketAPI(flag="1", domain=paper.url), PublicAPI(flag="1", domain=paper.url)


def code_of(error: Exception) -> object:
    return error.code if isinstance(error, Refused) else error


def refuses(operation: str, code: int) -> Callable[[Act], Act]:
    return desk.refuses(operation, code, code_of)


def place(side: str, kind: str, contracts: str, **more: Any) -> Any:
    (row,) = data(trade.place_order(SWAP, "cross", side, kind, contracts, **more))
    return row


def market(side: str, contracts: str, **more: Any) -> Any:
    return place(side, "market", contracts, **more)


def stop(side: str, price: str, client_id: str = "", contracts: str = "5") -> Any:
    (row,) = data(
        trade.place_algo_order(
            SWAP, "cross", side, "conditional", contracts, reduceOnly="true", slTriggerPx=price, slOrdPx="-1",
            algoClOrdId=client_id,
        )
    )  # fmt: skip
    return row


def pending_algos(kind: str) -> dict[str, str]:
    return {row["algoClOrdId"]: row["algoId"] for row in data(trade.order_algos_list(kind, instType="SWAP"))}


# --- Market data


@desk.works("server time")
def _() -> None:
    assert abs(int(data(public.get_system_time())[0]["ts"]) / 1000 - time.time()) < 5


@desk.works("markets and their filters")
def _() -> None:
    (row,) = data(public.get_instruments("SWAP", instId=SWAP))
    assert (row["tickSz"], row["ctVal"], row["ctValCcy"], row["settleCcy"]) == ("0.1", "0.01", "BTC", "USDT")


@desk.works("ticker")
def _() -> None:
    assert Decimal(data(market_data.get_ticker(SWAP))[0]["last"]) == Decimal(PRICE)


@desk.works("order book")
def _() -> None:
    (book,) = data(market_data.get_orderbook(SWAP, sz="5"))
    assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])


@desk.works("candles")
def _() -> None:
    rows = data(market_data.get_candlesticks(SWAP, bar="1H", limit="200"))
    assert len(rows) == 200
    assert int(rows[0][0]) - int(rows[1][0]) == HOUR_MS


@desk.works("candles of a span")
def _() -> None:
    end = int(data(public.get_system_time())[0]["ts"]) // HOUR_MS * HOUR_MS
    rows = data(
        market_data.get_history_candlesticks(SWAP, after=str(end), before=str(end - HOUR_MS - 1), bar="1m")
    )
    assert [int(rows[-1][0]), int(rows[0][0]), len(rows)] == [end - HOUR_MS, end - 60_000, 60]


@desk.works("mark price and funding")
def _() -> None:
    assert Decimal(data(public.get_mark_price("SWAP", instId=SWAP))[0]["markPx"]) == Decimal(PRICE)
    assert data(public.get_funding_rate(SWAP))[0]["instId"] == SWAP
    assert len(data(public.funding_rate_history(SWAP, limit="3"))) == 3


# --- Account and settings


@desk.works("balance")
def _() -> None:
    (row,) = data(account.get_account_balance("USDT"))[0]["details"]
    assert Decimal(row["cashBal"]) == Decimal(10_000)


@desk.works("account")
def _() -> None:
    (row,) = data(account.get_account_config())
    assert row["posMode"] == "net_mode"
    assert "trade" in row["perm"]


@desk.works("set leverage")
def _() -> None:
    data(account.set_leverage("10", "cross", instId=SWAP))
    assert data(account.get_leverage("cross", instId=SWAP))[0]["lever"] == "10"


@desk.works("leverage brackets")
def _() -> None:
    rows = data(public.get_position_tiers("SWAP", "cross", instFamily="BTC-USDT"))
    assert int(Decimal(rows[0]["maxLever"])) >= 100


@desk.works("margin mode")
def _() -> None:
    data(account.set_leverage("5", "isolated", instId=SWAP))
    (row,) = data(trade.place_order(SWAP, "isolated", "buy", "limit", "1", px="55000"))
    assert data(trade.get_order(SWAP, ordId=row["ordId"]))[0]["tdMode"] == "isolated"
    data(trade.cancel_order(SWAP, ordId=row["ordId"]))


@desk.works("position mode")
def _() -> None:
    data(account.set_position_mode("long_short_mode"))
    assert data(account.get_account_config())[0]["posMode"] == "long_short_mode"
    data(account.set_position_mode("net_mode"))


@desk.works("fees")
def _() -> None:
    assert Decimal(data(account.get_fee_rates("SWAP", instFamily="BTC-USDT"))[0]["takerU"]) < 0


# --- Orders: one contract is 0.01 BTC


@desk.works("limit order")
def _() -> None:
    assert place("buy", "limit", "1", px="55000", clOrdId="pyokxlimit1")["clOrdId"] == "pyokxlimit1"
    assert (paper.order("pyokxlimit1")["price"], paper.order("pyokxlimit1")["quantity"]) == ("55000", "0.01")


@desk.works("query by client id")
def _() -> None:
    (order,) = data(trade.get_order(SWAP, clOrdId="pyokxlimit1"))
    assert (order["state"], Decimal(order["px"]), order["sz"]) == ("live", Decimal(55_000), "1")


@desk.works("open orders")
def _() -> None:
    assert [o["clOrdId"] for o in data(trade.get_order_list("SWAP", instId=SWAP))] == ["pyokxlimit1"]


@desk.works("amend order")
def _() -> None:
    data(trade.amend_order(SWAP, clOrdId="pyokxlimit1", newSz="2", newPx="54000"))
    assert (paper.order("pyokxlimit1")["price"], paper.order("pyokxlimit1")["quantity"]) == ("54000", "0.02")


@desk.works("cancel order")
def _() -> None:
    data(trade.cancel_order(SWAP, clOrdId="pyokxlimit1"))
    assert data(trade.get_order(SWAP, clOrdId="pyokxlimit1"))[0]["state"] == "canceled"


@desk.works("several orders at once")
def _() -> None:
    one = {"instId": SWAP, "tdMode": "cross", "side": "buy", "ordType": "limit", "sz": "1"}
    rows = data(trade.place_multiple_orders([{**one, "px": price} for price in ("54000", "53000")]))
    assert len({row["ordId"] for row in rows}) == 2


@desk.works("cancel all orders")
def _() -> None:
    rows = data(trade.get_order_list("SWAP"))
    data(trade.cancel_multiple_orders([{"instId": SWAP, "ordId": row["ordId"]} for row in rows]))
    assert data(trade.get_order_list("SWAP")) == []


@desk.works("post-only order")
def _() -> None:
    row = place("buy", "post_only", "1", px="59000")
    assert data(trade.get_order(SWAP, ordId=row["ordId"]))[0]["state"] == "live"
    data(trade.cancel_order(SWAP, ordId=row["ordId"]))


@desk.works("market order")
def _() -> None:
    market("buy", "5", clOrdId="pyokxmarket1")
    (order,) = data(trade.get_order(SWAP, clOrdId="pyokxmarket1"))
    assert (order["state"], order["accFillSz"], Decimal(order["avgPx"])) == ("filled", "5", Decimal(PRICE))


@desk.works("positions")
def _() -> None:
    (row,) = data(account.get_positions(instType="SWAP", instId=SWAP))
    assert (row["pos"], Decimal(row["avgPx"]), row["lever"]) == ("5", Decimal(PRICE), "10")


@desk.works("stop loss")
def _() -> None:
    assert stop("sell", "58000", "pyokxstop1")["algoClOrdId"] == "pyokxstop1"


@desk.works("take profit")
def _() -> None:
    data(
        trade.place_algo_order(
            SWAP, "cross", "sell", "conditional", "5", reduceOnly="true", tpTriggerPx="63000", tpOrdPx="-1",
            algoClOrdId="pyokxtake1",
        )
    )  # fmt: skip


@desk.works("trailing stop")
def _() -> None:
    data(
        trade.place_algo_order(
            SWAP, "cross", "sell", "move_order_stop", "5", reduceOnly="true", callbackRatio="0.01",
            algoClOrdId="pyokxtrail1",
        )
    )  # fmt: skip
    assert set(pending_algos("move_order_stop")) == {"pyokxtrail1"}


@desk.works("query conditional orders")
def _() -> None:
    assert set(pending_algos("conditional")) == {"pyokxstop1", "pyokxtake1"}
    assert data(trade.get_algo_order_details(algoClOrdId="pyokxstop1"))[0]["state"] == "live"


@desk.works("cancel conditional orders")
def _() -> None:
    found = {**pending_algos("conditional"), **pending_algos("move_order_stop")}
    data(
        trade.cancel_algo_order(
            [{"instId": SWAP, "algoId": found[name]} for name in ("pyokxtrail1", "pyokxtake1")]
        )
    )
    assert set(pending_algos("conditional")) == {"pyokxstop1"}
    assert pending_algos("move_order_stop") == {}


@desk.works("a stop triggers")
def _() -> None:
    paper.price("57900")
    assert [row for row in data(account.get_positions(instType="SWAP")) if Decimal(row["pos"] or 0)] == []
    assert data(trade.get_algo_order_details(algoClOrdId="pyokxstop1"))[0]["state"] == "effective"
    paper.price(PRICE)


@desk.works("entry with stop and target attached")
def _() -> None:
    attached = {
        "attachAlgoClOrdId": "pyokxattached1",
        **{"slTriggerPx": "58000", "slOrdPx": "-1", "tpTriggerPx": "63000", "tpOrdPx": "-1"},
    }
    market("buy", "2", clOrdId="pyokxentry1", attachAlgoOrds=[attached])
    (algo,) = data(trade.order_algos_list("oco", instType="SWAP"))
    assert (algo["slTriggerPx"], algo["tpTriggerPx"]) == ("58000", "63000")


@desk.works("close a position")
def _() -> None:
    data(trade.close_positions(SWAP, "cross"))
    assert paper.positions() == {}


@desk.works("hedge mode: both sides")
def _() -> None:
    for kind in ("oco", "conditional"):
        for name in pending_algos(kind).values():
            data(trade.cancel_algo_order([{"instId": SWAP, "algoId": name}]))
    data(account.set_position_mode("long_short_mode"))
    market("buy", "2", posSide="long")
    market("sell", "1", posSide="short")
    rows = {row["posSide"]: Decimal(row["pos"]) for row in data(account.get_positions(instType="SWAP"))}
    assert rows == {"long": 2, "short": 1}
    market("sell", "2", posSide="long")
    market("buy", "1", posSide="short")
    data(account.set_position_mode("net_mode"))


@desk.works("fills")
def _() -> None:
    rows = data(trade.get_fills(instType="SWAP", instId=SWAP))
    assert rows[-1]["fillSz"] == "5"
    assert len({row["tradeId"] for row in rows}) == len(rows) >= 8


@desk.works("order history")
def _() -> None:
    ids = {row["clOrdId"] for row in data(trade.get_orders_history("SWAP", instId=SWAP))}
    assert {"pyokxlimit1", "pyokxmarket1"} <= ids


@desk.works("account history")
def _() -> None:
    assert len(data(account.get_account_bills(instType="SWAP"))) >= 8


# --- Refusals


@refuses("wrong secret", 50113)
def _() -> None:
    data(open_api(AccountAPI, api_secret="x" * 32).get_account_balance())


@refuses("unknown key", 50111)
def _() -> None:
    data(open_api(AccountAPI, api_key="00000000-0000-0000-0000-000000000000").get_account_balance())


@refuses("wrong passphrase", 50105)
def _() -> None:
    data(open_api(AccountAPI, passphrase="no").get_account_balance())


@refuses("key of the other environment", 50101)
def _() -> None:
    keys = paper.account("okx", environment="demo")
    wrong = AccountAPI(keys["api_key"], keys["api_secret"], keys["passphrase"], flag="0", domain=paper.url)
    data(wrong.get_account_balance())


@refuses("late timestamp", 50102)
def _() -> None:
    # The client stamps by the machine's clock, so that the exchange's is moved.
    paper.fault("clock_offset", offset_s=60)
    try:
        data(account.get_account_balance())
    finally:
        paper.fault("clock_offset", offset_s=0)


@refuses("unknown market", 51001)
def _() -> None:
    data(market_data.get_candlesticks("NOPE-USDT-SWAP"))


@refuses("off the lot", 51121)
def _() -> None:
    market("buy", "1.0001")


@refuses("below the minimum", 51020)
def _() -> None:
    market("buy", "0.0001")


@refuses("not enough margin", 51008)
def _() -> None:
    market("buy", "1000")


@refuses("client id in use", 51016)
def _() -> None:
    place("buy", "limit", "1", px="55000", clOrdId="pyokxtwice")
    place("buy", "limit", "1", px="55000", clOrdId="pyokxtwice")


@refuses("client id malformed", 51000)
def _() -> None:
    place("buy", "limit", "1", px="55000", clOrdId="with-a-dash")


@refuses("cancel what is not there", 51400)
def _() -> None:
    data(trade.cancel_order(SWAP, clOrdId="neverwas"))


@refuses("query what is not there", 51603)
def _() -> None:
    data(trade.get_order(SWAP, clOrdId="neverwas"))


@refuses("stop beyond the market", 51280)
def _() -> None:
    market("buy", "1")
    try:
        stop("sell", "61000")
    finally:
        data(trade.close_positions(SWAP, "cross"))


@refuses("close without a position", 51023)
def _() -> None:
    data(trade.close_positions(SWAP, "cross"))


@refuses("reduce-only without a position", 51169)
def _() -> None:
    market("sell", "1", reduceOnly="true")


@refuses("leverage too high", 59102)
def _() -> None:
    data(account.set_leverage("126", "cross", instId=SWAP))


@refuses("position mode with open orders", 59000)
def _() -> None:
    data(account.set_position_mode("long_short_mode"))


@refuses("position side of the other mode", 51000)
def _() -> None:
    market("buy", "1", posSide="long")


@refuses("too many requests", 50011)
def _() -> None:
    paper.fault("error_code", code=50011, path="/api/v5/account/balance")
    data(account.get_account_balance())


@refuses("outcome unknown", 50004)
def _() -> None:
    paper.fault("error_code", code=50004, path="/api/v5/trade/order", executed=True)
    try:
        place("buy", "limit", "1", px="55000", clOrdId="pyokxunknown1")
    finally:
        assert paper.order("pyokxunknown1")["status"] == "NEW"


# --- Streams


def heard(
    path: str, argument: dict[str, str], act: Callable[[], object], wanted: Callable[[Any], bool]
) -> None:
    """Subscribes, does something as soon as it is confirmed, and waits until `wanted` is true of a row."""

    async def listen() -> None:
        url = f"{desk.tls_websocket_url}/ws/v5/{path}"
        is_private = path == "private" or argument["channel"] == "orders-algo"
        stream: Any = (
            WsPrivateAsync(desk.keys["api_key"], desk.keys["passphrase"], desk.keys["api_secret"], url)
            if is_private
            else WsPublicAsync(url)
        )
        messages: asyncio.Queue[str] = asyncio.Queue()
        await stream.connect()
        reading = asyncio.create_task(stream.consume())
        try:
            async with asyncio.timeout(20):
                await stream.subscribe([argument], messages.put_nowait)
                while json.loads(await messages.get()).get("event") != "subscribe":
                    pass
                await asyncio.to_thread(act)
                while not any(map(wanted, json.loads(await messages.get()).get("data", []))):
                    pass
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await stream.factory.close()

    asyncio.run(listen())


SWAPS = {"instType": "SWAP"}


@desk.works("user stream: order")
def _() -> None:
    heard(
        "private",
        {"channel": "orders", **SWAPS},
        lambda: market("buy", "2", clOrdId="pyokxheard1"),
        lambda row: (row["clOrdId"], row["state"]) == ("pyokxheard1", "filled"),
    )


@desk.works("user stream: position and balance")
def _() -> None:
    heard(
        "private",
        {"channel": "positions", **SWAPS},
        lambda: data(trade.close_positions(SWAP, "cross")),
        lambda row: row["instId"] == SWAP and Decimal(row["pos"] or 0) == 0,
    )


@desk.works("user stream: conditional order")
def _() -> None:
    market("buy", "1")
    heard(
        "business",
        {"channel": "orders-algo", **SWAPS},
        lambda: stop("sell", "50000", "pyokxheard2", "1"),
        lambda row: (row["algoClOrdId"], row["state"]) == ("pyokxheard2", "live"),
    )


@desk.works("market stream: candles")
def _() -> None:
    heard(
        "business",
        {"channel": "candle1m", "instId": SWAP},
        lambda: paper.price("60010"),
        lambda row: Decimal(row[4]) == 60_010,
    )


@desk.works("market stream: prices")
def _() -> None:
    heard(
        "public",
        {"channel": "tickers", "instId": SWAP},
        lambda: paper.price("60020"),
        lambda row: Decimal(row["last"]) == 60_020,
    )


paper.price(PRICE)
desk.run()
