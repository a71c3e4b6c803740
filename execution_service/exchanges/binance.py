"""Binance USD-M futures: its words <-> ours.

Sources: Binance's derivatives documentation and change log up to 2026-10-23. Conditional orders go to the
Algo Order API (`/fapi/v1/algoOrder`) since 2025-12-09; the order endpoint refuses them with -4120. The
answer to a new order documents no average price any more: it is read from the order afterwards.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from execution_service.exchanges import errors
from execution_service.exchanges.http import Answer, Host
from execution_service.exchanges.types import (
    AccountKey,
    Balance,
    Order,
    OrderKind,
    OrderRef,
    OrderStatus,
    Position,
    Send,
)
from execution_service.signals import OrderSide
from tradekit.market.instrument import Instrument
from tradekit.market.sizing import Side
from tradekit.market.timeframe import Timeframe
from tradekit.market.volatility import Candle
from tradekit.service.wire import decimal_text
from tradingbot.vault.v1 import vault_pb2

T = TypeVar("T")

CURRENCY = "USDT"
QUERY_VALID_MS = 5_000

Sign = Callable[[vault_pb2.SignItem], Awaitable[vault_pb2.SignedRequest]]
Parameters = dict[str, str]

_ORDER_STATUS = {
    "NEW": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.OPEN,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.CANCELED,
    "EXPIRED_IN_MATCH": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REFUSED,
}
_ALGO_STATUS = {
    "NEW": OrderStatus.OPEN,
    "TRIGGERING": OrderStatus.OPEN,
    "TRIGGERED": OrderStatus.FILLED,
    "FINISHED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REFUSED,
}
_KINDS = {
    "MARKET": OrderKind.MARKET,
    "LIMIT": OrderKind.LIMIT,
    "STOP_MARKET": OrderKind.STOP_LOSS,
    "TAKE_PROFIT_MARKET": OrderKind.TAKE_PROFIT,
    "TRAILING_STOP_MARKET": OrderKind.TRAILING_STOP,
}
# Bars that Binance offers, longest first.
_INTERVALS = tuple(
    (name, timedelta(minutes=minutes))
    for name, minutes in (
        ("1w", 10_080), ("3d", 4_320), ("1d", 1_440), ("12h", 720), ("8h", 480), ("6h", 360), ("4h", 240),
        ("2h", 120), ("1h", 60), ("30m", 30), ("15m", 15), ("5m", 5), ("3m", 3), ("1m", 1),
    )
)  # fmt: skip


class BinanceMarket:
    """What Binance tells everybody."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def exchange_time(self) -> datetime:
        """Binance's clock as well as we know it."""
        return self._host.exchange_time()

    async def refresh_clock(self) -> None:
        """Asks for the server's time; the answer is taken to be half a round trip old."""
        before = self._host.now()
        body = await self._get("/fapi/v1/time", {})
        after = self._host.now()
        self._host.clock_offset = _instant(body["serverTime"]) - (before + (after - before) / 2)

    async def instruments(self) -> dict[str, Instrument]:
        """The trading rules of all perpetuals."""
        body = await self._get("/fapi/v1/exchangeInfo", {})
        rows = [row for row in body["symbols"] if row.get("contractType") == "PERPETUAL"]
        instruments = [_read(_instrument, row) for row in rows]
        return {instrument.symbol: instrument for instrument in instruments}

    async def last_prices(self) -> dict[str, Decimal]:
        """The price of the last trade of every symbol; weight 2."""
        rows = await self._get("/fapi/v2/ticker/price", {})
        return {row["symbol"]: _decimal(row["price"]) for row in rows}

    async def candles(self, symbol: str, timeframe: Timeframe, count: int) -> Sequence[Candle]:
        """Closed candles, oldest first; Binance's last row is the unfinished one."""
        duration = timeframe.duration
        name, span = next((row for row in _INTERVALS if row[1] <= duration), _INTERVALS[-1])
        parameters = {"symbol": symbol, "interval": name, "limit": str(count + 1)}
        rows = await self._get("/fapi/v1/klines", parameters)
        now = self.exchange_time()
        candles = [_read(_candle, row) for row in rows]
        return [candle for candle in candles if candle.open_time + span <= now]

    async def _get(self, path: str, parameters: Parameters) -> Any:
        return _checked(await self._host.get(path, parameters), self._host)


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
        self._sign = sign
        self._hedge_mode: bool | None = None

    async def get_account_balance(self) -> Balance:
        """The USDT row of the futures wallet."""
        rows = await self._query("GET", "/fapi/v3/balance", {})
        row = next((row for row in rows if row["asset"] == CURRENCY), None)
        if row is None:
            return Balance(CURRENCY, Decimal(0), Decimal(0), Decimal(0))
        return Balance(
            currency=CURRENCY,
            total=_decimal(row["balance"]),
            available=_decimal(row["availableBalance"]),
            unrealized_profit=_decimal(row["crossUnPnl"]),
        )

    async def get_positions(self, symbol: str | None = None) -> list[Position]:
        """The open positions; symbols with orders only are left out."""
        rows = await self._query("GET", "/fapi/v3/positionRisk", {"symbol": symbol} if symbol else {})
        positions = [_read(_position, row) for row in rows]
        return [position for position in positions if position.quantity > 0]

    async def get_leverage(self, symbol: str) -> int:
        """The symbol's leverage from its configuration."""
        rows = await self._query("GET", "/fapi/v1/symbolConfig", {"symbol": symbol})
        return int(rows[0]["leverage"])

    async def set_leverage(self, symbol: str, leverage: int, *, signal_id: str) -> int:
        """Sets the symbol's leverage for new and open positions alike."""
        parameters = {"symbol": symbol, "leverage": str(leverage)}
        body = await self._query("POST", "/fapi/v1/leverage", parameters, signal_id=signal_id)
        return int(body["leverage"])

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
        self, symbol: str, side: OrderSide, quantity: Decimal, price: Decimal, *, position: Side, send: Send
    ) -> Order:
        """A LIMIT order, good till cancelled."""
        parameters = {
            "type": "LIMIT",
            "timeInForce": "GTC",
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
        await self._query("DELETE", path, parameters, signal_id=signal_id)

    async def find_order(self, ref: OrderRef) -> Order | None:
        """Asks by our client order id."""
        path, name = _place_of(ref)
        parameters = {"symbol": ref.symbol} if not ref.conditional else {}
        parameters[name] = ref.client_order_id
        try:
            body = await self._query("GET", path, parameters)
        except errors.OrderUnknown:
            return None
        order = _read(_algo_order if ref.conditional else _order, body)
        if order.client_order_id != ref.client_order_id or order.symbol != ref.symbol:
            raise errors.OutcomeUnknown("The exchange answered with somebody else's order.")
        return order

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        """Plain and conditional orders; Binance keeps them apart."""
        parameters = {"symbol": symbol} if symbol else {}
        plain = await self._query("GET", "/fapi/v1/openOrders", parameters)
        algo = await self._query("GET", "/fapi/v1/openAlgoOrders", parameters)
        return [_read(_order, row) for row in plain] + [_read(_algo_order, row) for row in algo]

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
        if self._hedge_mode is None:
            body = await self._query("GET", "/fapi/v1/positionSide/dual", {})
            self._hedge_mode = body["dualSidePosition"] is True
        if self._hedge_mode:
            return {"positionSide": position.value.upper()}
        return {"reduceOnly": "true"} if reduce_only else {}

    async def _place_order(self, symbol: str, side: OrderSide, parameters: Parameters, send: Send) -> Order:
        head = {"symbol": symbol, "side": side.value.upper()}
        body = await self._create("/fapi/v1/order", head | parameters, "newClientOrderId", send)
        return _matching(_read(_order, body), symbol, side, send)

    async def _place_algo(self, symbol: str, side: OrderSide, parameters: Parameters, send: Send) -> Order:
        head = {"algoType": "CONDITIONAL", "symbol": symbol, "side": side.value.upper()}
        body = await self._create("/fapi/v1/algoOrder", head | parameters, "clientAlgoId", send)
        return _matching(_read(_algo_order, body), symbol, side, send)

    async def _create(self, path: str, parameters: Parameters, id_name: str, send: Send) -> Any:
        parameters = parameters | {
            id_name: send.client_order_id,
            "recvWindow": str(send.valid_ms),
            "timestamp": str(_milliseconds(send.timestamp)),
        }
        return await self._request("POST", path, parameters, send.signal_id)

    async def _query(self, method: str, path: str, parameters: Parameters, *, signal_id: str = "") -> Any:
        """A request that may be repeated: a lost answer means `Unreachable`, a wrong clock is mended once."""
        for last in (False, True):
            stamp = {
                "recvWindow": str(QUERY_VALID_MS),
                "timestamp": str(_milliseconds(self._host.exchange_time())),
            }
            try:
                return await self._request(method, path, parameters | stamp, signal_id)
            except errors.ClockSkew:
                if last:
                    raise
                await BinanceMarket(self._host).refresh_clock()
            except errors.OutcomeUnknown as error:
                raise errors.Unreachable(error.message, exchange_code=error.exchange_code) from error
        raise AssertionError("unreachable")

    async def _request(self, method: str, path: str, parameters: Parameters, signal_id: str) -> Any:
        item = vault_pb2.SignItem(
            user_id=self.account.user_id,
            account_id=self.account.account_id,
            method=method,
            path=path,
            parameters=[vault_pb2.Parameter(name=name, value=value) for name, value in parameters.items()],
            clock_offset_ms=round(self._host.clock_offset / timedelta(milliseconds=1)),
            signal_id=signal_id or None,
        )
        signed = await self._sign(item)
        return _checked(await self._host.send(method, signed), self._host)


def _place_of(ref: OrderRef) -> tuple[str, str]:
    if ref.conditional:
        return "/fapi/v1/algoOrder", "clientAlgoId"
    return "/fapi/v1/order", "origClientOrderId"


def _matching(order: Order, symbol: str, side: OrderSide, send: Send) -> Order:
    """The order, if it is the one that was sent; anything else proves nothing about ours."""
    if (order.symbol, order.side, order.client_order_id) != (symbol, side, send.client_order_id):
        raise errors.OutcomeUnknown("The exchange answered with somebody else's order.")
    return order


def _checked(answer: Answer, host: Host) -> Any:
    """The body of a good answer.

    Raises:
        ExchangeError: What the answer means.
    """
    body = answer.body
    refused = isinstance(body, dict) and isinstance(body.get("code"), int) and body["code"] < 0
    if 200 <= answer.status < 300 and isinstance(body, dict | list) and not refused:
        return body
    error = _error_from(answer)
    if isinstance(error, errors.RateLimited):
        host.hold_back(error.retry_after)
    raise error


def _error_from(answer: Answer) -> errors.ExchangeError:
    body = answer.body if isinstance(answer.body, dict) else {}
    code = body["code"] if isinstance(body.get("code"), int) else 0
    text = str(body.get("msg", ""))[:200]
    if answer.status in (418, 429) or code in (-1003, -1015):
        wait = answer.retry_after or timedelta(seconds=60 if answer.status == 418 else 5)
        return errors.RateLimited(
            "The exchange's rate limit is reached.", exchange_code=str(code), retry_after=wait
        )
    if answer.status == 503 and _surely_not_done(code, text):
        return errors.Unreachable(
            "The exchange is overloaded.", exchange_code=str(code), retry_after=_BUSY_WAIT
        )
    if code in _MEANINGS and answer.status < 500:
        kind, sentence = _MEANINGS[code]
        return kind(sentence.format(text=text), exchange_code=str(code))
    if code in (-1000, -1001, -1006, -1007) or answer.status >= 500 or answer.status == 408 or not code:
        if answer.status == 403:
            # The web firewall in front of Binance: the request did not get through.
            return errors.Unreachable("The exchange's firewall refused the request.", retry_after=_BUSY_WAIT)
        return errors.OutcomeUnknown("The exchange did not say what became of it.", exchange_code=str(code))
    return errors.Refused(f"The exchange refused: {text} ({code}).", exchange_code=str(code))


_BUSY_WAIT = timedelta(milliseconds=400)


def _surely_not_done(code: int, text: str) -> bool:
    # Documented as sure failures; the third text of a 503, "Unknown error, …", is not.
    return code == -1008 or text.startswith(("Service Unavailable.", "Internal error; unable to process"))


_Meaning = type[errors.ExchangeError]
_KEY = "The exchange does not accept the API key: {text}"
_FILTER = "The order does not fit the market's rules: {text}"
# Binance's documented codes; texts change, codes do not.
_MEANINGS: dict[int, tuple[_Meaning, str]] = {
    **dict.fromkeys((-1021, -5028), (errors.ClockSkew, "The clock differs from the exchange's.")),
    **dict.fromkeys((-1022, -2014, -2015, -1002, -2017), (errors.KeyRejected, _KEY)),
    **dict.fromkeys((-2018, -2019), (errors.BalanceInsufficient, "Insufficient balance: {text}")),
    **dict.fromkeys((-2021, -4142), (errors.WouldTrigger, "The price is already beyond the trigger.")),
    **dict.fromkeys((-2022, -4118), (errors.NothingToReduce, "There is nothing (more) to close: {text}")),
    **dict.fromkeys((-2011, -2013), (errors.OrderUnknown, "The exchange knows no such order.")),
    -4116: (errors.OrderExists, "An order with this client id is open."),
    -4130: (errors.ProtectionExists, "Another stop or target for the whole position is open."),
    **dict.fromkeys((-4046, -4059, -4171), (errors.AlreadySo, "The setting is already so.")),
    **dict.fromkeys(
        (-1013, -1111, -4003, -4004, -4005, -4013, -4014, -4016, -4023, -4024, -4164),
        (errors.RulesChanged, _FILTER),
    ),
}


def _read(read: Callable[[Any], T], row: Any) -> T:
    """What `read` makes of a part of an answer.

    Raises:
        OutcomeUnknown: The answer is not of the documented shape: it says nothing.
    """
    try:
        return read(row)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise errors.OutcomeUnknown("The exchange's answer cannot be read.") from error


def _instrument(row: dict[str, Any]) -> Instrument:
    filters = {item["filterType"]: item for item in row["filters"]}
    lot, market_lot = filters["LOT_SIZE"], filters.get("MARKET_LOT_SIZE", filters["LOT_SIZE"])
    return Instrument(
        symbol=row["symbol"],
        tick_size=_decimal(filters["PRICE_FILTER"]["tickSize"]),
        lot_size=max(_decimal(lot["stepSize"]), _decimal(market_lot["stepSize"])),
        min_quantity=max(_decimal(lot["minQty"]), _decimal(market_lot["minQty"])),
        max_quantity=min(_decimal(lot["maxQty"]), _decimal(market_lot["maxQty"])),
        min_notional=_decimal(filters["MIN_NOTIONAL"]["notional"]),
        trading=row["status"] == "TRADING",
    )


def _candle(row: list[Any]) -> Candle:
    return Candle(_instant(row[0]), *(_decimal(value) for value in row[1:5]))


def _position(row: dict[str, Any]) -> Position:
    amount = _decimal(row["positionAmt"])
    liquidation = _decimal(row["liquidationPrice"])
    return Position(
        symbol=row["symbol"],
        side=Side.LONG if amount > 0 else Side.SHORT,
        quantity=abs(amount),
        entry_price=_decimal(row["entryPrice"]),
        mark_price=_decimal(row["markPrice"]),
        unrealized_profit=_decimal(row["unRealizedProfit"]),
        liquidation_price=liquidation if liquidation > 0 else None,
    )


def _order(row: dict[str, Any]) -> Order:
    average = _optional(row.get("avgPrice"))
    return Order(
        symbol=row["symbol"],
        side=OrderSide(row["side"].lower()),
        kind=_KINDS.get(row.get("type", ""), OrderKind.OTHER),
        status=_ORDER_STATUS[row["status"]],
        client_order_id=row["clientOrderId"],
        exchange_order_id=str(row["orderId"]),
        quantity=_optional(row.get("origQty")),
        filled_quantity=_decimal(row.get("executedQty", "0")),
        average_price=average,
        limit_price=_optional(row.get("price")),
        trigger_price=None,
        reduce_only=row.get("reduceOnly") is True,
    )


def _algo_order(row: dict[str, Any]) -> Order:
    return Order(
        symbol=row["symbol"],
        side=OrderSide(row["side"].lower()),
        kind=_KINDS.get(row.get("orderType", ""), OrderKind.OTHER),
        status=_ALGO_STATUS[row["algoStatus"]],
        client_order_id=row["clientAlgoId"],
        exchange_order_id=str(row["algoId"]),
        quantity=None if row.get("closePosition") is True else _optional(row.get("quantity")),
        filled_quantity=_optional(row.get("actualQty")) or Decimal(0),
        average_price=_optional(row.get("actualPrice")),
        limit_price=_optional(row.get("price")),
        trigger_price=_optional(row.get("triggerPrice")),
        reduce_only=row.get("reduceOnly") is True or row.get("closePosition") is True,
    )


def _decimal(value: object) -> Decimal:
    """A finite number from text or JSON.

    Raises:
        OutcomeUnknown: It is none; an answer with such a number says nothing.
    """
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise errors.OutcomeUnknown("The exchange sent a number that is none.")
    return number


def _optional(value: object) -> Decimal | None:
    """A number above 0, or None: Binance writes "0" or "" for what does not apply."""
    number = _decimal(value) if value not in (None, "") else Decimal(0)
    return number if number > 0 else None


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
