"""Binance USD-M futures: its words <-> ours.

Sources: Binance's derivatives documentation and change log up to 2026-10-23. Conditional orders go to the
Algo Order API (`/fapi/v1/algoOrder`) since 2025-12-09; the order endpoint refuses them with -4120. The
answer to a new order documents no average price any more: it is read from the order afterwards.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from execution_service.exchanges import binance_answers as answers
from execution_service.exchanges import errors
from execution_service.exchanges.binance_limits import limits_from
from execution_service.exchanges.binance_stream import BinanceStream
from execution_service.exchanges.http import Answer, Host
from execution_service.exchanges.reading import decimal, instant, milliseconds, read
from execution_service.exchanges.requests import Parameters, Sign, SignedRequests, ask_public
from execution_service.exchanges.types import (
    AccountKey,
    Balance,
    FundingRate,
    LeverageBracket,
    MarginMode,
    Order,
    OrderRef,
    Position,
    PositionMode,
    Send,
)
from execution_service.signals import OrderSide
from tradekit.market.instrument import Instrument
from tradekit.market.sizing import Side
from tradekit.market.timeframe import Timeframe
from tradekit.market.volatility import Candle
from tradekit.service.wire import decimal_text

T = TypeVar("T")

QUERY_VALID_MS = 5_000
# The most rows that one question for candles brings.
CANDLES_PER_PAGE = 1_500

# Bars that Binance offers, longest first.
_INTERVALS = tuple(
    (name, timedelta(minutes=minutes))
    for name, minutes in (
        ("1w", 10_080), ("3d", 4_320), ("1d", 1_440), ("12h", 720), ("8h", 480), ("6h", 360), ("4h", 240),
        ("2h", 120), ("1h", 60), ("30m", 30), ("15m", 15), ("5m", 5), ("3m", 3), ("1m", 1),
    )
)  # fmt: skip


class BinanceWords:
    """What every request to Binance has."""

    def checked(self, answer: Answer, host: Host) -> Any:
        """The body of a good answer."""
        return answers.checked(answer, host)

    def stamp(self, host: Host) -> Parameters:
        """When it is asked, and how long that is good."""
        return {"recvWindow": str(QUERY_VALID_MS), "timestamp": str(milliseconds(host.exchange_time()))}

    async def refresh_clock(self, host: Host) -> None:
        """Asks for the server's time; the answer is taken to be half a round trip old."""
        before = host.now()
        served = await ask_public(self, host, "/fapi/v1/time", {}, lambda body: instant(body["serverTime"]))
        after = host.now()
        host.clock_offset = served - (before + (after - before) / 2)


class BinanceMarket:
    """What Binance tells everybody."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._words = BinanceWords()

    def exchange_time(self) -> datetime:
        """Binance's clock as well as we know it."""
        return self._host.exchange_time()

    async def refresh_clock(self) -> None:
        """Asks for the server's time."""
        await self._words.refresh_clock(self._host)

    async def instruments(self) -> dict[str, Instrument]:
        """The trading rules of all perpetuals; the same answer tells how much may be asked."""

        def read(body: Any) -> dict[str, Instrument]:
            self._host.budget.set_limits(limits_from(body))
            return answers.instruments(body)

        return await self._get("/fapi/v1/exchangeInfo", {}, read)

    async def last_prices(self) -> dict[str, Decimal]:
        """The price of the last trade of every symbol; weight 2."""
        return await self._get(
            "/fapi/v2/ticker/price",
            {},
            lambda rows: {row["symbol"]: decimal(row["price"]) for row in rows},
        )

    async def candles(self, symbol: str, timeframe: Timeframe, count: int) -> Sequence[Candle]:
        """Closed candles, oldest first; Binance's last row is the unfinished one."""
        name, span = _interval(timeframe)
        parameters = {"symbol": symbol, "interval": name, "limit": str(count + 1)}
        return self._closed(await self._klines(parameters), span)

    async def candles_between(
        self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime
    ) -> Sequence[Candle]:
        """Closed candles of a span, page by page."""
        name, span = _interval(timeframe)
        candles: list[Candle] = []
        first, last = milliseconds(start), milliseconds(end) - 1
        while first <= last:
            page = await self._klines(
                {
                    "symbol": symbol,
                    "interval": name,
                    "startTime": str(first),
                    "endTime": str(last),
                    "limit": str(CANDLES_PER_PAGE),
                }
            )
            candles += page
            if len(page) < CANDLES_PER_PAGE:
                break
            first = milliseconds(page[-1].open_time) + 1
        return self._closed(candles, span)

    async def mark_price(self, symbol: str) -> Decimal:
        """The mark price of the premium index."""
        return await self._get(
            "/fapi/v1/premiumIndex", {"symbol": symbol}, lambda row: decimal(row["markPrice"])
        )

    async def funding_rate(self, symbol: str) -> FundingRate:
        """The next payment of the premium index."""
        return await self._get("/fapi/v1/premiumIndex", {"symbol": symbol}, answers.funding_rate)

    async def _klines(self, parameters: Parameters) -> list[Candle]:
        return await self._get("/fapi/v1/klines", parameters, lambda rows: list(map(answers.candle, rows)))

    def _closed(self, candles: Sequence[Candle], span: timedelta) -> list[Candle]:
        now = self.exchange_time()
        return [candle for candle in candles if candle.open_time + span <= now]

    async def _get(self, path: str, parameters: Parameters, read: Callable[[Any], T]) -> T:
        return await ask_public(self._words, self._host, path, parameters, read)


class BinanceClient:
    """One account on Binance USD-M futures, in one-way or hedge mode.

    Args:
        account: Whose it is.
        host: Where it trades.
        sign: Has the vault sign a request.
    """

    def __init__(self, account: AccountKey, host: Host, sign: Sign) -> None:
        self.account = account
        self._host = host
        self._requests = SignedRequests(account, host, sign, BinanceWords())
        self._position_mode: PositionMode | None = None
        # Asking for it counts 30: orders that come together ask once.
        self._asking_mode = asyncio.Lock()

    async def get_account_balance(self) -> Balance:
        """The USDT row of the futures wallet."""
        return await self._requests.ask("GET", "/fapi/v3/balance", {}, answers.balance)

    async def get_positions(self, symbol: str | None = None) -> list[Position]:
        """The open positions; symbols with orders only are left out."""
        parameters = {"symbol": symbol} if symbol else {}
        return await self._requests.ask("GET", "/fapi/v3/positionRisk", parameters, answers.positions)

    async def get_leverage(self, symbol: str) -> int:
        """The symbol's leverage from its configuration."""
        return await self._requests.ask(
            "GET", "/fapi/v1/symbolConfig", {"symbol": symbol}, lambda rows: int(rows[0]["leverage"])
        )

    async def set_leverage(self, symbol: str, leverage: int, *, signal_id: str) -> int:
        """Sets the symbol's leverage for new and open positions alike."""
        parameters = {"symbol": symbol, "leverage": str(leverage)}
        return await self._requests.ask(
            "POST", "/fapi/v1/leverage", parameters, lambda body: int(body["leverage"]), signal_id=signal_id
        )

    async def max_leverage(self, symbol: str) -> int:
        """That of the smallest positions."""
        return (await self.leverage_brackets(symbol))[0].max_leverage

    async def leverage_brackets(self, symbol: str) -> Sequence[LeverageBracket]:
        """The symbol's brackets."""
        return await self._requests.ask(
            "GET", "/fapi/v1/leverageBracket", {"symbol": symbol}, answers.brackets
        )

    async def get_margin_mode(self, symbol: str) -> MarginMode:
        """The symbol's mode from its configuration."""
        return await self._requests.ask(
            "GET", "/fapi/v1/symbolConfig", {"symbol": symbol}, answers.margin_mode
        )

    async def set_margin_mode(self, symbol: str, mode: MarginMode, *, signal_id: str) -> None:
        """Sets the symbol's mode. Binance refuses an unchanged one with -4046; for us that is success."""
        name = "ISOLATED" if mode is MarginMode.ISOLATED else "CROSSED"
        parameters = {"symbol": symbol, "marginType": name}
        with suppress(errors.AlreadySo):
            await self._requests.ask(
                "POST", "/fapi/v1/marginType", parameters, lambda body: None, signal_id=signal_id
            )

    async def get_position_mode(self) -> PositionMode:
        """One-way or hedge; the account's, for all symbols."""
        return await self._requests.ask(
            "GET",
            "/fapi/v1/positionSide/dual",
            {},
            lambda body: PositionMode.HEDGE if body["dualSidePosition"] is True else PositionMode.ONE_WAY,
        )

    async def create_market_order(
        self,
        symbol: str,
        side: OrderSide,
        quantity: Decimal,
        *,
        position: Side,
        reduce_only: bool,
        send: Send,
    ) -> Order:
        """A MARKET order; its answer is asked to hold the result, not only the receipt."""
        parameters = {"type": "MARKET", "quantity": decimal_text(quantity), "newOrderRespType": "RESULT"}
        parameters |= await self._direction(position, reduce_only=reduce_only)
        return await self._place_order(symbol, side, parameters, send)

    async def create_limit_order(
        self,
        symbol: str,
        side: OrderSide,
        quantity: Decimal,
        price: Decimal,
        *,
        position: Side,
        send: Send,
        post_only: bool = False,
    ) -> Order:
        """A LIMIT order, good till cancelled; GTX is Binance's word for post-only."""
        parameters = {
            "type": "LIMIT",
            "timeInForce": "GTX" if post_only else "GTC",
            "quantity": decimal_text(quantity),
            "price": decimal_text(price),
            "newOrderRespType": "RESULT",
        }
        parameters |= await self._direction(position, reduce_only=False)
        return await self._place_order(symbol, side, parameters, send)

    async def create_stop_loss(
        self,
        symbol: str,
        side: OrderSide,
        trigger_price: Decimal,
        *,
        position: Side,
        quantity: Decimal | None,
        send: Send,
    ) -> Order:
        """A STOP_MARKET order on the last price, as charts and backtests see it."""
        return await self._place_trigger("STOP_MARKET", symbol, side, trigger_price, position, quantity, send)

    async def create_take_profit(
        self,
        symbol: str,
        side: OrderSide,
        trigger_price: Decimal,
        *,
        position: Side,
        quantity: Decimal | None,
        send: Send,
    ) -> Order:
        """A TAKE_PROFIT_MARKET order on the last price."""
        return await self._place_trigger(
            "TAKE_PROFIT_MARKET", symbol, side, trigger_price, position, quantity, send
        )

    async def create_trailing_stop(
        self, symbol: str, side: OrderSide, percent: Decimal, *, position: Side, quantity: Decimal, send: Send
    ) -> Order:
        """A TRAILING_STOP_MARKET order that is armed at once."""
        parameters = {
            "type": "TRAILING_STOP_MARKET",
            "callbackRate": decimal_text(percent),
            "quantity": decimal_text(quantity),
        }
        parameters |= await self._direction(position, reduce_only=True)
        return await self._place_algo(symbol, side, parameters, send)

    async def close_position(self, position: Position, *, send: Send) -> Order:
        """A reduce-only MARKET order over the whole position."""
        return await self.create_market_order(
            position.symbol,
            OrderSide.closing(position.side),
            position.quantity,
            position=position.side,
            reduce_only=True,
            send=send,
        )

    async def cancel_order(self, ref: OrderRef, *, signal_id: str) -> None:
        """Cancels by our client order id."""
        path, name = _place_of(ref)
        parameters = {"symbol": ref.symbol} if not ref.conditional else {}
        parameters[name] = ref.client_order_id
        await self._requests.ask("DELETE", path, parameters, lambda body: None, signal_id=signal_id)

    async def find_order(self, ref: OrderRef) -> Order | None:
        """Asks by our client order id."""
        path, name = _place_of(ref)
        parameters = {"symbol": ref.symbol} if not ref.conditional else {}
        parameters[name] = ref.client_order_id
        try:
            return await self._requests.ask("GET", path, parameters, lambda body: _named(body, ref))
        except errors.OrderUnknown:
            return None

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        """Plain and conditional orders; Binance keeps them apart."""
        parameters = {"symbol": symbol} if symbol else {}
        plain = await self._requests.ask(
            "GET", "/fapi/v1/openOrders", parameters, lambda rows: list(map(answers.order, rows))
        )
        algo = await self._requests.ask(
            "GET", "/fapi/v1/openAlgoOrders", parameters, lambda rows: list(map(answers.algo_order, rows))
        )
        return plain + algo

    def user_stream(self, url: str) -> BinanceStream:
        """The user data stream."""
        return BinanceStream(self._requests, self._host, url)

    async def _place_trigger(
        self,
        kind: str,
        symbol: str,
        side: OrderSide,
        trigger_price: Decimal,
        position: Side,
        quantity: Decimal | None,
        send: Send,
    ) -> Order:
        parameters = {
            "type": kind,
            "triggerPrice": decimal_text(trigger_price),
            "workingType": "CONTRACT_PRICE",
        }
        if quantity is None:
            # Follows the position's size and goes with it; takes neither quantity nor reduceOnly.
            parameters["closePosition"] = "true"
            parameters |= await self._direction(position, reduce_only=False)
        else:
            parameters["quantity"] = decimal_text(quantity)
            parameters |= await self._direction(position, reduce_only=True)
        return await self._place_algo(symbol, side, parameters, send)

    async def _direction(self, position: Side, *, reduce_only: bool) -> Parameters:
        """Hedge mode names the position and forbids reduceOnly (-1106); one-way mode the opposite (-4061)."""
        async with self._asking_mode:
            mode = self._position_mode = self._position_mode or await self.get_position_mode()
        if mode is PositionMode.HEDGE:
            return {"positionSide": position.value.upper()}
        return {"reduceOnly": "true"} if reduce_only else {}

    async def _place_order(self, symbol: str, side: OrderSide, parameters: Parameters, send: Send) -> Order:
        head = {"symbol": symbol, "side": side.value.upper()}
        body = await self._create("/fapi/v1/order", head | parameters, "newClientOrderId", send)
        return _matching(read(answers.order, body), symbol, side, send)

    async def _place_algo(self, symbol: str, side: OrderSide, parameters: Parameters, send: Send) -> Order:
        head = {"algoType": "CONDITIONAL", "symbol": symbol, "side": side.value.upper()}
        body = await self._create("/fapi/v1/algoOrder", head | parameters, "clientAlgoId", send)
        return _matching(read(answers.algo_order, body), symbol, side, send)

    async def _create(self, path: str, parameters: Parameters, id_name: str, send: Send) -> Any:
        parameters = parameters | {
            id_name: send.client_order_id,
            "recvWindow": str(send.valid_ms),
            "timestamp": str(milliseconds(send.timestamp)),
        }
        try:
            return await self._requests.place(
                path, parameters, valid_ms=send.valid_ms, signal_id=send.signal_id
            )
        except errors.ModeChanged:
            # The user has switched between one-way and hedge mode: it is read anew with the next order.
            self._position_mode = None
            raise


def _interval(timeframe: Timeframe) -> tuple[str, timedelta]:
    """The longest bar that is not longer, and its length."""
    return next((row for row in _INTERVALS if row[1] <= timeframe.duration), _INTERVALS[-1])


def _place_of(ref: OrderRef) -> tuple[str, str]:
    if ref.conditional:
        return "/fapi/v1/algoOrder", "clientAlgoId"
    return "/fapi/v1/order", "origClientOrderId"


def _matching(order: Order, symbol: str, side: OrderSide, send: Send) -> Order:
    """The order, if it is the one that was sent; anything else proves nothing about ours."""
    if (order.symbol, order.side, order.client_order_id) != (symbol, side, send.client_order_id):
        raise errors.OutcomeUnknown("The exchange answered with somebody else's order.")
    return order


def _named(body: Any, ref: OrderRef) -> Order:
    order = answers.algo_order(body) if ref.conditional else answers.order(body)
    if order.client_order_id != ref.client_order_id or order.symbol != ref.symbol:
        raise errors.OutcomeUnknown("The exchange answered with somebody else's order.")
    return order
