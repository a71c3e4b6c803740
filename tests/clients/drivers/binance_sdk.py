"""Binance's own SDK for USD-M futures on the paper exchange.

Its models declare the type of every field of every answer; an answer that does not fit is logged as a warning
and parsed loosely. Here each such warning is a failure: the paper exchange answers in the declared types.
"""

# The client is installed in an environment of its own, which mypy does not see.
# mypy: disable-error-code="import-not-found"

import asyncio
import logging
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_common.errors import Error
from binance_sdk_derivatives_trading_usds_futures import DerivativesTradingUsdsFutures

from tests.clients.drivers.desk import PRICE, SYMBOL, Act, Desk, NotOffered

desk = Desk()
paper = desk.paper
HOUR_MS = 3_600_000


class Warned(logging.Handler):
    """Keeps what the SDK warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


warned = Warned()
logging.getLogger().addHandler(warned)


def rest_of(api_key: str, api_secret: str) -> Any:
    configuration = ConfigurationRestAPI(
        api_key=api_key, api_secret=api_secret, base_path=paper.url, backoff=1, timeout=5000
    )
    return DerivativesTradingUsdsFutures(config_rest_api=configuration).rest_api


rest = rest_of(desk.keys["api_key"], desk.keys["api_secret"])


def ask(method: str, /, *, client: Any = rest, **parameters: Any) -> Any:
    """The data of an answer, which must fit its model."""
    warned.texts.clear()
    answer = getattr(client, method)(**parameters).data()
    assert warned.texts == []
    return answer


def code_of(error: Exception) -> object:
    return error.status_code if isinstance(error, Error) else error


def refuses(operation: str, code: int) -> Callable[[Act], Act]:
    return desk.refuses(operation, code, code_of)


def limit(client_order_id: str, price: float = 55000.0, **more: Any) -> Any:
    terms = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": 0.01}
    return ask("new_order", **terms, price=price, new_client_order_id=client_order_id, **more)


def market(side: str, quantity: float, **more: Any) -> Any:
    terms = {"symbol": SYMBOL, "side": side, "type": "MARKET", "quantity": quantity}
    return ask("new_order", **terms, new_order_resp_type="RESULT", **more)


def conditional(kind: str, side: str, price: float, **more: Any) -> Any:
    terms = {"algo_type": "CONDITIONAL", "symbol": SYMBOL, "side": side, "type": kind}
    return ask("new_algo_order", **terms, trigger_price=price, **more)


def conditional_ids() -> set[str]:
    return {order.client_algo_id for order in ask("current_all_algo_open_orders", symbol=SYMBOL)}


# --- Market data


@desk.works("server time")
def _() -> None:
    assert abs(ask("check_server_time").server_time / 1000 - time.time()) < 5


@desk.works("markets and their filters")
def _() -> None:
    rows = {row.symbol: row for row in ask("exchange_information").symbols}
    filters = {item.filter_type: item for item in rows[SYMBOL].filters}
    assert filters["PRICE_FILTER"].tick_size == "0.10"
    assert filters["LOT_SIZE"].step_size == "0.001"


@desk.works("ticker")
def _() -> None:
    answer = ask("symbol_price_ticker_v2", symbol=SYMBOL)
    assert Decimal(answer.actual_instance.price) == Decimal(PRICE)
    day = ask("ticker24hr_price_change_statistics", symbol=SYMBOL)
    assert Decimal(day.actual_instance.last_price) == Decimal(PRICE)


@desk.works("order book")
def _() -> None:
    book = ask("order_book", symbol=SYMBOL, limit=5)
    assert Decimal(book.bids[0][0]) < Decimal(book.asks[0][0])


@desk.works("candles")
def _() -> None:
    rows = ask("kline_candlestick_data", symbol=SYMBOL, interval="1h", limit=200)
    assert len(rows) == 200
    assert int(rows[1][0]) - int(rows[0][0]) == HOUR_MS


@desk.works("candles of a span")
def _() -> None:
    end = ask("check_server_time").server_time // HOUR_MS * HOUR_MS
    rows = ask(
        "kline_candlestick_data", symbol=SYMBOL, interval="1m", start_time=end - HOUR_MS, end_time=end - 1
    )
    assert [int(rows[0][0]), int(rows[-1][0]), len(rows)] == [end - HOUR_MS, end - 60_000, 60]


@desk.works("mark price and funding")
def _() -> None:
    assert Decimal(ask("mark_price", symbol=SYMBOL).actual_instance.mark_price) == Decimal(PRICE)
    assert len(ask("get_funding_rate_history", symbol=SYMBOL, limit=3)) == 3


# --- Account and settings


@desk.works("balance")
def _() -> None:
    (row,) = [row for row in ask("futures_account_balance_v3") if row.asset == "USDT"]
    assert Decimal(row.balance) == Decimal(10_000)


@desk.works("account")
def _() -> None:
    assert Decimal(ask("account_information_v3").total_wallet_balance) == Decimal(10_000)
    assert ask("futures_account_configuration").can_trade is True


@desk.works("set leverage")
def _() -> None:
    assert ask("change_initial_leverage", symbol=SYMBOL, leverage=10).leverage == 10
    (row,) = ask("symbol_configuration", symbol=SYMBOL)
    assert row.leverage == 10


@desk.works("leverage brackets")
def _() -> None:
    answer = ask("notional_and_leverage_brackets", symbol=SYMBOL).actual_instance
    row = answer[0] if isinstance(answer, list) else answer
    assert row.brackets[0].initial_leverage == 125


@desk.works("margin mode")
def _() -> None:
    ask("change_margin_type", symbol=SYMBOL, margin_type="ISOLATED")
    (row,) = ask("symbol_configuration", symbol=SYMBOL)
    assert row.margin_type == "ISOLATED"
    ask("change_margin_type", symbol=SYMBOL, margin_type="CROSSED")


@desk.works("position mode")
def _() -> None:
    ask("change_position_mode", dual_side_position="true")
    assert ask("get_current_position_mode").dual_side_position is True
    ask("change_position_mode", dual_side_position="false")


@desk.works("fees")
def _() -> None:
    assert Decimal(ask("user_commission_rate", symbol=SYMBOL).taker_commission_rate) > 0


# --- Orders


@desk.works("limit order")
def _() -> None:
    order = limit("sdk-limit-1")
    assert (order.status, order.client_order_id) == ("NEW", "sdk-limit-1")
    assert paper.order("sdk-limit-1")["price"] == "55000"


@desk.works("query by client id")
def _() -> None:
    order = ask("query_order", symbol=SYMBOL, orig_client_order_id="sdk-limit-1")
    assert (order.status, Decimal(order.price)) == ("NEW", Decimal(55_000))


@desk.works("open orders")
def _() -> None:
    assert [order.client_order_id for order in ask("current_all_open_orders", symbol=SYMBOL)] == [
        "sdk-limit-1"
    ]


@desk.works("amend order")
def _() -> None:
    ask(
        "modify_order", symbol=SYMBOL, side="BUY", quantity=0.02, price=54000.0,
        orig_client_order_id="sdk-limit-1",
    )  # fmt: skip
    assert paper.order("sdk-limit-1")["price"] == "54000"


@desk.works("cancel order")
def _() -> None:
    assert ask("cancel_order", symbol=SYMBOL, orig_client_order_id="sdk-limit-1").status == "CANCELED"


@desk.works("several orders at once")
def _() -> None:
    one = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010"}
    placed = ask(
        "place_multiple_orders", batch_orders=[{**one, "price": price} for price in ("54000", "53000")]
    )
    assert [Decimal(order.price) for order in placed] == [Decimal(54_000), Decimal(53_000)]


@desk.works("cancel all orders")
def _() -> None:
    ask("cancel_all_open_orders", symbol=SYMBOL)
    assert ask("current_all_open_orders", symbol=SYMBOL) == []


@desk.works("post-only order")
def _() -> None:
    order = ask(
        "new_order",
        symbol=SYMBOL,
        side="BUY",
        type="LIMIT",
        time_in_force="GTX",
        quantity=0.01,
        price=59000.0,
    )
    assert ask("cancel_order", symbol=SYMBOL, order_id=order.order_id).time_in_force == "GTX"


@desk.works("market order")
def _() -> None:
    order = market("BUY", 0.05, new_client_order_id="sdk-market-1")
    assert (order.status, order.executed_qty) == ("FILLED", "0.050")
    assert paper.positions() == {"BOTH": "0.05"}


@desk.works("positions")
def _() -> None:
    (row,) = ask("position_information_v3", symbol=SYMBOL)
    assert (Decimal(row.position_amt), Decimal(row.entry_price)) == (Decimal("0.05"), Decimal(PRICE))


@desk.works("stop loss")
def _() -> None:
    order = conditional("STOP_MARKET", "SELL", 58000.0, close_position="true", client_algo_id="sdk-stop-1")
    assert (order.algo_status, order.client_algo_id) == ("NEW", "sdk-stop-1")


@desk.works("take profit")
def _() -> None:
    conditional(
        "TAKE_PROFIT_MARKET", "SELL", 63000.0, quantity=0.05, reduce_only="true", client_algo_id="sdk-take-1"
    )
    assert paper.order("sdk-take-1")["trigger_price"] == "63000"


@desk.works("trailing stop")
def _() -> None:
    order = ask(
        "new_algo_order", algo_type="CONDITIONAL", symbol=SYMBOL, side="SELL", type="TRAILING_STOP_MARKET",
        callback_rate=1.0, quantity=0.05, reduce_only="true", client_algo_id="sdk-trail-1",
    )  # fmt: skip
    assert order.algo_status == "NEW"


@desk.works("query conditional orders")
def _() -> None:
    assert ask("query_algo_order", client_algo_id="sdk-stop-1").algo_status == "NEW"
    assert conditional_ids() == {"sdk-stop-1", "sdk-take-1", "sdk-trail-1"}


@desk.works("cancel conditional orders")
def _() -> None:
    ask("cancel_algo_order", client_algo_id="sdk-trail-1")
    ask("cancel_algo_order", client_algo_id="sdk-take-1")
    assert conditional_ids() == {"sdk-stop-1"}


@desk.works("a stop triggers")
def _() -> None:
    paper.price("57900")
    assert ask("position_information_v3", symbol=SYMBOL) == []
    assert ask("query_algo_order", client_algo_id="sdk-stop-1").algo_status == "FINISHED"
    paper.price(PRICE)


@desk.works("close a position")
def _() -> None:
    market("BUY", 0.02)
    market("SELL", 0.02, reduce_only="true")
    assert paper.positions() == {}


@desk.works("hedge mode: both sides")
def _() -> None:
    ask("change_position_mode", dual_side_position="true")
    market("BUY", 0.02, position_side="LONG")
    market("SELL", 0.01, position_side="SHORT")
    rows = ask("position_information_v3", symbol=SYMBOL)
    assert {row.position_side: Decimal(row.position_amt) for row in rows} == {
        "LONG": Decimal("0.02"),
        "SHORT": Decimal("-0.01"),
    }
    market("SELL", 0.02, position_side="LONG")
    market("BUY", 0.01, position_side="SHORT")
    ask("change_position_mode", dual_side_position="false")


@desk.works("fills")
def _() -> None:
    trades = ask("account_trade_list", symbol=SYMBOL)
    assert Decimal(trades[0].qty) == Decimal("0.05")
    assert len({trade.id for trade in trades}) == len(trades) >= 8


@desk.works("order history")
def _() -> None:
    ids = {order.client_order_id for order in ask("all_orders", symbol=SYMBOL)}
    assert {"sdk-limit-1", "sdk-market-1"} <= ids


@desk.works("account history")
def _() -> None:
    kinds = {row.income_type for row in ask("get_income_history", symbol=SYMBOL)}
    assert {"COMMISSION", "REALIZED_PNL"} <= kinds


# --- Refusals


@refuses("wrong secret", -1022)
def _() -> None:
    ask("futures_account_balance_v3", client=rest_of(desk.keys["api_key"], "x" * 64))


@refuses("unknown key", -2015)
def _() -> None:
    ask("futures_account_balance_v3", client=rest_of("k" * 64, desk.keys["api_secret"]))


@refuses("late timestamp", -1021)
def _() -> None:
    # The SDK stamps by the machine's clock, so that the exchange's is moved.
    paper.fault("clock_offset", offset_s=60)
    try:
        ask("futures_account_balance_v3")
    finally:
        paper.fault("clock_offset", offset_s=0)


@refuses("unknown market", -1121)
def _() -> None:
    ask("kline_candlestick_data", symbol="NOPEUSDT", interval="1h")


@refuses("too many decimals", -1111)
def _() -> None:
    market("BUY", 0.0100001)


@refuses("price off the tick", -4014)
def _() -> None:
    limit("sdk-refused", price=55000.05)


@refuses("below the minimum", -4164)
def _() -> None:
    market("BUY", 0.001)


@refuses("not enough margin", -2019)
def _() -> None:
    market("BUY", 5.0)


@refuses("client id in use", -4116)
def _() -> None:
    limit("sdk-twice")
    limit("sdk-twice")


@refuses("cancel what is not there", -2011)
def _() -> None:
    ask("cancel_order", symbol=SYMBOL, orig_client_order_id="never-was")


@refuses("query what is not there", -2013)
def _() -> None:
    ask("query_order", symbol=SYMBOL, orig_client_order_id="never-was")


@refuses("stop beyond the market", -2021)
def _() -> None:
    conditional("STOP_MARKET", "SELL", 61000.0, quantity=0.01)


@refuses("reduce-only without a position", -2022)
def _() -> None:
    market("SELL", 0.01, reduce_only="true")


@refuses("post-only that would take", -5022)
def _() -> None:
    ask(
        "new_order",
        symbol=SYMBOL,
        side="BUY",
        type="LIMIT",
        time_in_force="GTX",
        quantity=0.01,
        price=61000.0,
    )


@refuses("leverage too high", -4028)
def _() -> None:
    ask("change_initial_leverage", symbol=SYMBOL, leverage=126)


@refuses("margin mode unchanged", -4046)
def _() -> None:
    ask("change_margin_type", symbol="ETHUSDT", margin_type="CROSSED")


@refuses("position mode unchanged", -4059)
def _() -> None:
    ask("change_position_mode", dual_side_position="false")


@refuses("position mode with open orders", -4067)
def _() -> None:
    ask("change_position_mode", dual_side_position="true")


@refuses("position side of the other mode", -4061)
def _() -> None:
    market("BUY", 0.01, position_side="LONG")


@refuses("conditional order in the wrong place", -4120)
def _() -> None:
    ask("new_order", symbol=SYMBOL, side="SELL", type="STOP_MARKET", quantity=0.01)


@refuses("too many requests", -1003)
def _() -> None:
    paper.fault("error_code", code=-1003, retry_after=1, path="/fapi/v3/balance")
    ask("futures_account_balance_v3")


@refuses("outcome unknown", -1007)
def _() -> None:
    paper.fault("error_code", code=-1007, path="/fapi/v1/order", executed=True)
    try:
        limit("sdk-unknown-1")
    except Error as error:
        assert paper.order("sdk-unknown-1")["status"] == "NEW"
        if code_of(error) is None and "execution status unknown" in str(error):
            raise NotOffered("raises `ClientError` with the text of HTTP 408 but without its code") from error
        raise


# --- Streams


def heard(stream: str, act: Callable[[], object], *wanted: Callable[[Any], bool]) -> None:
    """Subscribes, does something, and waits until each of `wanted` was true of a message."""
    warned.texts.clear()

    async def listen() -> None:
        configuration = ConfigurationWebSocketStreams(stream_url=desk.websocket_url)
        streams = DerivativesTradingUsdsFutures(config_ws_streams=configuration).websocket_streams
        await streams.create_connection()
        messages: asyncio.Queue[Any] = asyncio.Queue()
        waiting = list(wanted)
        try:
            async with asyncio.timeout(10):
                if stream == "user":
                    key = (await asyncio.to_thread(ask, "start_user_data_stream")).listen_key
                    handle = await streams.user_data(key)
                elif stream == "candles":
                    handle = await streams.kline_candlestick_streams(symbol=SYMBOL.lower(), interval="1m")
                else:
                    handle = await streams.mark_price_stream(symbol=SYMBOL.lower(), update_speed="1s")
                handle.on("message", messages.put_nowait)
                await asyncio.to_thread(act)
                while waiting:
                    message = await messages.get()
                    waiting = [condition for condition in waiting if not condition(message)]
        finally:
            await streams.close_connection(close_session=True)

    asyncio.run(listen())
    assert [text for text in warned.texts if "pars" in text or "match" in text] == []


def event(message: Any, kind: str) -> Any:
    """The event inside, when it is of this kind."""
    inside = getattr(message, "actual_instance", message)
    return (
        inside
        if getattr(inside, "e", None) == kind or type(inside).__name__.lower().startswith(kind)
        else None
    )


@desk.works("user stream: order")
def _() -> None:
    heard(
        "user",
        lambda: market("BUY", 0.02, new_client_order_id="sdk-heard-1"),
        lambda m: (
            (e := event(m, "ordertradeupdate")) is not None and (e.o.c, e.o.X) == ("sdk-heard-1", "FILLED")
        ),
    )


@desk.works("user stream: position and balance")
def _() -> None:
    heard(
        "user",
        lambda: market("SELL", 0.02, reduce_only="true"),
        lambda m: (e := event(m, "accountupdate")) is not None and Decimal(e.a.P[0].pa) == 0,
    )


@desk.works("user stream: conditional order")
def _() -> None:
    heard(
        "user",
        lambda: conditional("STOP_MARKET", "SELL", 50000.0, quantity=0.01, client_algo_id="sdk-heard-2"),
        lambda m: (e := event(m, "algoupdate")) is not None and (e.o.caid, e.o.X) == ("sdk-heard-2", "NEW"),
    )


@desk.works("market stream: candles")
def _() -> None:
    heard("candles", lambda: paper.price("60010"), lambda m: Decimal(m.k.c) == 60_010)


@desk.works("market stream: prices")
def _() -> None:
    heard("prices", lambda: paper.price("60020"), lambda m: Decimal(m.p) > 60_000)


paper.price(PRICE)
desk.run()
