"""Binance's order endpoints: place, query, cancel, amend, batches, history, the dead-man's switch."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from paper_exchange.accounts import Account
from paper_exchange.binance_errors import BinanceError, either, error_of, mandatory, not_required
from paper_exchange.binance_order_terms import (
    ResponseType,
    good_till_of,
    position_side_of,
    reduce_only_of,
    response_type_of,
    self_trade_prevention_of,
    side_of,
    time_in_force_of,
)
from paper_exchange.binance_parameters import Parameters
from paper_exchange.binance_request import BinanceRequest, Endpoint, Routes, by_symbol
from paper_exchange.binance_wire import Json, acknowledged, fill_json, order_json, queried_order_json
from paper_exchange.exchange import Exchange, NewOrder
from paper_exchange.orders import (
    ZERO,
    ConditionalType,
    Order,
    OrderStatus,
    OrderType,
    TimeInForce,
)
from paper_exchange.refusals import Reason, Refused

T = TypeVar("T")

_BATCH_PLACE = 5
_BATCH_CANCEL = 10
_WEEK_MS = 7 * 86_400_000
_FORGOTTEN_UNFILLED_MS = 3 * 86_400_000
_FORGOTTEN_MS = 90 * 86_400_000


@dataclass(frozen=True, slots=True)
class _Placement:
    new: NewOrder
    response: ResponseType


class BinanceTrade:
    """Answers everything about plain orders and fills."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._books = exchange.books

    def routes(self) -> Routes:
        one: Callable[[Parameters], int] = lambda parameters: 1  # noqa: E731 # a constant for a typed table
        trade = "/fapi/v1/order"
        return {
            ("POST", trade): Endpoint(self._place, weight=0, orders=one, trades=True),
            ("POST", "/fapi/v1/order/test"): Endpoint(self._test, weight=0, trades=True),
            ("GET", trade): Endpoint(self._query),
            ("PUT", trade): Endpoint(self._amend, orders=one, trades=True),
            ("DELETE", trade): Endpoint(self._cancel, trades=True),
            ("POST", "/fapi/v1/batchOrders"): Endpoint(
                self._place_batch, weight=5, orders=_batch_size, trades=True
            ),
            ("PUT", "/fapi/v1/batchOrders"): Endpoint(
                self._amend_batch, weight=5, orders=_batch_size, trades=True
            ),
            ("DELETE", "/fapi/v1/batchOrders"): Endpoint(self._cancel_batch, trades=True),
            ("DELETE", "/fapi/v1/allOpenOrders"): Endpoint(self._cancel_all, trades=True),
            ("POST", "/fapi/v1/countdownCancelAll"): Endpoint(self._countdown, weight=10, trades=True),
            ("GET", "/fapi/v1/openOrder"): Endpoint(self._query_open),
            ("GET", "/fapi/v1/openOrders"): Endpoint(self._open_orders, weight=by_symbol(1, 40)),
            ("GET", "/fapi/v1/allOrders"): Endpoint(self._all_orders, weight=5),
            ("GET", "/fapi/v1/userTrades"): Endpoint(self._user_trades, weight=5),
        }

    # Placing

    def _place(self, request: BinanceRequest) -> Json:
        placement = _placement(request.parameters, request.account)
        request.parameters.finish()
        return self._placed(request, placement)

    def _placed(self, request: BinanceRequest, placement: _Placement) -> Json:
        order = self._exchange.place(request.account, placement.new, request.now_ms)
        answer = self._json(order)
        if placement.response is ResponseType.ACK:
            return acknowledged(answer, self._exchange.instrument(order.symbol))
        return answer

    def _test(self, request: BinanceRequest) -> Json:
        """All checks of a placement; places nothing."""
        placement = _placement(request.parameters, request.account)
        request.parameters.finish()
        order = self._exchange.check(request.account, placement.new, request.now_ms)
        return self._json(order)

    def _place_batch(self, request: BinanceRequest) -> list[Json]:
        def place(parameters: Parameters) -> Json:
            return self._placed(request, _placement(parameters, request.account))

        return [_or_error(place, each) for each in _batch(request.parameters, _BATCH_PLACE)]

    # Canceling and amending

    def _cancel(self, request: BinanceRequest) -> Json:
        order = self._named(request)
        request.parameters.finish()
        return self._json(self._exchange.cancel(request.account, order, request.now_ms))

    def _cancel_batch(self, request: BinanceRequest) -> list[Json]:
        symbol = self._exchange.instrument(request.parameters.symbol()).symbol
        names = _names(request.parameters)
        request.parameters.finish()

        def cancel(find: Callable[[Account, str], Order | None]) -> Json:
            order = find(request.account, symbol)
            return self._json(self._exchange.cancel(request.account, order, request.now_ms))

        finders = [*map(self._by_id, names[0]), *map(self._by_client_id, names[1])]
        if not 1 <= len(finders) <= _BATCH_CANCEL:
            raise BinanceError(-4082, f"Invalid number of batch place orders: {len(finders)}")
        return [_or_error(cancel, find) for find in finders]

    def _cancel_all(self, request: BinanceRequest) -> Json:
        symbol = request.parameters.symbol()
        request.parameters.finish()
        self._exchange.cancel_all(request.account, symbol, request.now_ms)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def _countdown(self, request: BinanceRequest) -> Json:
        symbol = request.parameters.symbol()
        delay_ms = request.parameters.required_integer("countdownTime")
        if delay_ms < 0:
            raise BinanceError(-1130, "Data sent for parameter 'countdownTime' is not valid.")
        request.parameters.finish()
        self._exchange.cancel_all_after(request.account, symbol, delay_ms, request.now_ms)
        return {"symbol": symbol, "countdownTime": str(delay_ms)}

    def _amend(self, request: BinanceRequest) -> Json:
        return self._amended(request, request.parameters)

    def _amend_batch(self, request: BinanceRequest) -> list[Json]:
        def amend(parameters: Parameters) -> Json:
            return self._amended(request, parameters)

        return [_or_error(amend, each) for each in _batch(request.parameters, _BATCH_PLACE)]

    def _amended(self, request: BinanceRequest, parameters: Parameters) -> Json:
        order = self._named(replace(request, parameters=parameters))
        parameters.ignore("modifyId")
        reduce_only = parameters.flag("reduceOnly")
        side = side_of(parameters)
        quantity, price = parameters.decimal("quantity"), parameters.decimal("price")
        if quantity is None or price is None:
            raise mandatory("quantity" if quantity is None else "price")
        parameters.finish()
        if reduce_only and order is not None and not order.reduce_only:
            raise BinanceError(-5047, "The original order is not a reduce-only order.")
        amended = self._exchange.amend(
            request.account, order, side=side, quantity=quantity, price=price, now_ms=request.now_ms
        )
        return self._json(amended)

    # Queries

    def _query(self, request: BinanceRequest) -> Json:
        order = self._named(request)
        if order is None or _is_forgotten(order, request.now_ms):
            raise Refused(Reason.ORDER_UNKNOWN)
        return self._queried(order)

    def _query_open(self, request: BinanceRequest) -> Json:
        order = self._named(request)
        if order is None or not order.is_open:
            raise Refused(Reason.ORDER_UNKNOWN)
        return self._queried(order)

    def _open_orders(self, request: BinanceRequest) -> list[Json]:
        symbol = self._optional_symbol(request)
        orders = self._books.of(request.account).open_orders.values()
        return [self._queried(order) for order in orders if symbol in (None, order.symbol)]

    def _all_orders(self, request: BinanceRequest) -> list[Json]:
        """Orders by id; from `orderId` on, else by creation time, at most seven days apart."""
        symbol = self._optional_symbol(request)
        first_id = request.parameters.integer("orderId")
        start_ms, end_ms = _week(request.parameters)
        limit = request.parameters.limit(default=500, maximum=1000)
        orders = [
            order
            for order in self._books.of(request.account).orders.values()
            if symbol in (None, order.symbol)
            and not _is_forgotten(order, request.now_ms)
            and (first_id is None or order.order_id >= first_id)
            and (start_ms is None or order.create_ms >= start_ms)
            and (end_ms is None or order.create_ms <= end_ms)
        ]
        forwards = first_id is not None or start_ms is not None
        return [self._queried(order) for order in (orders[:limit] if forwards else orders[-limit:])]

    def _user_trades(self, request: BinanceRequest) -> list[Json]:
        """Fills by id; of one order, from `fromId` on, or by time, at most seven days apart."""
        instrument = self._exchange.instrument(request.parameters.symbol())
        order_id, first_id = request.parameters.integer("orderId"), request.parameters.integer("fromId")
        start_ms, end_ms = _week(request.parameters)
        limit = request.parameters.limit(default=500, maximum=1000)
        if first_id is not None and (start_ms is not None or end_ms is not None):
            raise BinanceError(-1128, "Combination of optional parameters invalid.")
        fills = [
            fill
            for fill in self._books.of(request.account).fills
            if fill.symbol == instrument.symbol
            and order_id in (None, fill.order_id)
            and (first_id is None or fill.trade_id >= first_id)
            and (start_ms is None or fill.time_ms >= start_ms)
            and (end_ms is None or fill.time_ms <= end_ms)
        ]
        forwards = first_id is not None or start_ms is not None
        return [fill_json(fill, instrument) for fill in (fills[:limit] if forwards else fills[-limit:])]

    # Finding

    def _named(self, request: BinanceRequest) -> Order | None:
        """The order that orderId or origClientOrderId names; the id wins when both are sent."""
        symbol = self._exchange.instrument(request.parameters.symbol()).symbol
        order_id = request.parameters.integer("orderId")
        client_id = request.parameters.client_id("origClientOrderId")
        if order_id is not None:
            return self._by_id(order_id)(request.account, symbol)
        if client_id is None:
            raise either("origClientOrderId", "orderId")
        return self._by_client_id(client_id)(request.account, symbol)

    def _by_id(self, order_id: int) -> Callable[[Account, str], Order | None]:
        return lambda account, symbol: _of_symbol(self._books.of(account).orders.get(order_id), symbol)

    def _by_client_id(self, client_id: str) -> Callable[[Account, str], Order | None]:
        return lambda account, symbol: _of_symbol(
            self._books.of(account).orders_by_client_id.get(client_id), symbol
        )

    def _optional_symbol(self, request: BinanceRequest) -> str | None:
        symbol = request.parameters.optional_symbol()
        return None if symbol is None else self._exchange.instrument(symbol).symbol

    def _json(self, order: Order) -> Json:
        return order_json(order, self._exchange.instrument(order.symbol))

    def _queried(self, order: Order) -> Json:
        return queried_order_json(order, self._exchange.instrument(order.symbol))


# Parameters of an order


def _placement(parameters: Parameters, account: Account) -> _Placement:
    """Reads a new order.

    Raises:
        BinanceError: what is missing, superfluous or not a word of the protocol.
    """
    symbol, side = parameters.symbol(), side_of(parameters)
    kind = _type(parameters)
    quantity = parameters.decimal("quantity")
    price, time_in_force = _price_terms(parameters, kind)
    if quantity is None:
        raise mandatory("quantity")
    response = response_type_of(parameters)
    _refuse_conditional_terms(parameters, kind)
    new = NewOrder(
        symbol=symbol,
        side=side,
        position_side=position_side_of(parameters),
        type=kind,
        quantity=quantity,
        price=price,
        time_in_force=time_in_force,
        reduce_only=reduce_only_of(parameters, account),
        client_order_id=parameters.client_id("newClientOrderId"),
        good_till_ms=good_till_of(parameters, time_in_force),
        self_trade_prevention=self_trade_prevention_of(parameters),
    )
    return _Placement(new, response)


def _type(parameters: Parameters) -> OrderType:
    kind = parameters.text("type")
    if kind in set(ConditionalType):
        raise BinanceError(-4120)
    if kind not in (OrderType.LIMIT, OrderType.MARKET):
        raise BinanceError(-1116, "Invalid orderType.")
    return OrderType(kind)


def _refuse_conditional_terms(parameters: Parameters, kind: OrderType) -> None:
    """Terms of conditional orders have no place here; switched off, they do no harm."""
    if parameters.flag("closePosition"):
        raise BinanceError(-4136, f"Target strategy invalid for orderType {kind},closePosition true")
    for name in ("stopPrice", "activationPrice", "callbackRate"):
        if parameters.optional(name) is not None:
            raise not_required(name.lower())
    parameters.ignore("priceProtect", "workingType")


def _price_terms(parameters: Parameters, kind: OrderType) -> tuple[Decimal, TimeInForce]:
    price = parameters.decimal("price")
    time_in_force = time_in_force_of(parameters)
    if kind is OrderType.MARKET:
        if price is not None:
            raise not_required("price")
        if time_in_force is not None:
            raise not_required("timeinforce")
        return ZERO, TimeInForce.GTC
    if time_in_force is None:
        raise mandatory("timeInForce")
    if price is None:
        raise mandatory("price")
    return price, time_in_force


# Batches


def _batch_size(parameters: Parameters) -> int:
    try:
        return len(json.loads(parameters.text("batchOrders")))
    except (ValueError, TypeError):
        return 0


def _batch(parameters: Parameters, most: int) -> list[Parameters]:
    """The parameters of each order of `batchOrders`: a JSON list of objects of scalars."""
    try:
        entries = json.loads(parameters.text("batchOrders"), parse_float=str, parse_int=str)
        each = [Parameters({name: _as_text(value) for name, value in entry.items()}) for entry in entries]
    except (ValueError, TypeError, AttributeError) as error:
        raise BinanceError(-1130, "Data sent for parameter 'batchOrders' is not valid.") from error
    parameters.finish()
    if not 1 <= len(each) <= most:
        raise BinanceError(-4082, f"Invalid number of batch place orders: {len(each)}")
    return each


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        raise TypeError("not a scalar")
    return value


def _names(parameters: Parameters) -> tuple[list[int], list[str]]:
    """orderIdList and origClientOrderIdList, both JSON lists."""
    # ccxt writes the names in lower case, and the real exchange takes them.
    ids = parameters.optional("orderIdList") or parameters.optional("orderidlist")
    clients = parameters.optional("origClientOrderIdList") or parameters.optional("origclientorderidlist")
    if ids is None and clients is None:
        raise either("orderIdList", "origClientOrderIdList")
    try:
        return [int(entry) for entry in json.loads(ids or "[]")], [
            str(entry) for entry in json.loads(clients or "[]")
        ]
    except (ValueError, TypeError) as error:
        raise BinanceError(-1130, "Data sent for parameter 'orderIdList' is not valid.") from error


def _or_error(act: Callable[[T], Json], subject: T) -> Json:
    """One entry of a batch: its answer, or its error in place."""
    try:
        return act(subject)
    except Refused as refused:
        return error_of(refused).body
    except BinanceError as error:
        return error.body


# History


def _week(parameters: Parameters) -> tuple[int | None, int | None]:
    start_ms, end_ms = parameters.window()
    if start_ms is not None and end_ms is not None and end_ms - start_ms > _WEEK_MS:
        raise BinanceError(-4165, "Maximum time interval is 7 days.")
    return start_ms, end_ms


def _is_forgotten(order: Order, now_ms: int) -> bool:
    """Ended orders without a fill are kept for three days, all others for ninety."""
    unfilled = order.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED) and not order.executed
    return now_ms - order.create_ms > (_FORGOTTEN_UNFILLED_MS if unfilled else _FORGOTTEN_MS)


def _of_symbol(order: Order | None, symbol: str) -> Order | None:
    return order if order is not None and order.symbol == symbol else None
