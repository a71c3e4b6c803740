"""Binance's Algo Order endpoints: all conditional orders since 2025-12-09."""

from decimal import Decimal
from enum import StrEnum

from paper_exchange.accounts import Account
from paper_exchange.binance_errors import BinanceError, either, mandatory, not_required
from paper_exchange.binance_order_terms import (
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
from paper_exchange.binance_wire import Json, conditional_json, queried_conditional_json
from paper_exchange.exchange import Exchange, NewConditionalOrder
from paper_exchange.orders import (
    ZERO,
    ConditionalOrder,
    ConditionalStatus,
    ConditionalType,
    TimeInForce,
    TriggerPrice,
)
from paper_exchange.refusals import Reason, Refused

_WEEK_MS = 7 * 86_400_000
_FORGOTTEN_MS = 3 * 86_400_000
_WORKING_TYPES = (TriggerPrice.LAST, TriggerPrice.MARK)
_CLOSES_POSITIONS = (ConditionalType.STOP_MARKET, ConditionalType.TAKE_PROFIT_MARKET)


class AlgoType(StrEnum):
    CONDITIONAL = "CONDITIONAL"


class BinanceAlgo:
    """Answers everything about conditional orders."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._books = exchange.books

    def routes(self) -> Routes:
        path = "/fapi/v1/algoOrder"
        return {
            ("POST", path): Endpoint(self._place, weight=0, orders=lambda parameters: 1, trades=True),
            ("GET", path): Endpoint(self._query),
            ("DELETE", path): Endpoint(self._cancel, trades=True),
            ("DELETE", "/fapi/v1/algoOpenOrders"): Endpoint(self._cancel_all, trades=True),
            ("GET", "/fapi/v1/openAlgoOrders"): Endpoint(self._open_orders, weight=by_symbol(1, 40)),
            ("GET", "/fapi/v1/allAlgoOrders"): Endpoint(self._all_orders, weight=5),
        }

    def _place(self, request: BinanceRequest) -> Json:
        new = _new_conditional(request.parameters, request.account)
        request.parameters.finish()
        order = self._exchange.place_conditional(request.account, new, request.now_ms)
        return conditional_json(order, self._exchange.instrument(order.symbol))

    def _query(self, request: BinanceRequest) -> Json:
        order = self._named(request)
        if order is None or _is_forgotten(order, request.now_ms):
            raise Refused(Reason.ORDER_UNKNOWN)
        return self._queried(order)

    def _cancel(self, request: BinanceRequest) -> Json:
        named = self._named(request)
        request.parameters.finish()
        order = self._exchange.cancel_conditional(named, request.now_ms)
        return {
            "algoId": order.algo_id,
            "clientAlgoId": order.client_algo_id,
            "code": "200",
            "msg": "success",
        }

    def _cancel_all(self, request: BinanceRequest) -> Json:
        symbol = request.parameters.symbol()
        request.parameters.finish()
        self._exchange.cancel_all_conditional(request.account, symbol, request.now_ms)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def _open_orders(self, request: BinanceRequest) -> list[Json]:
        symbol = request.parameters.optional_symbol()
        algo_id = request.parameters.integer("algoId")
        request.parameters.choice("algoType", AlgoType, -4500, "Invalid algoType.")
        if symbol is not None:
            self._exchange.instrument(symbol)
        return [
            self._queried(order)
            for order in self._books.of(request.account).open_conditional.values()
            if symbol in (None, order.symbol) and algo_id in (None, order.algo_id)
        ]

    def _all_orders(self, request: BinanceRequest) -> list[Json]:
        """All of a symbol by id; from `algoId` on, else the latest of the last seven days."""
        symbol = self._exchange.instrument(request.parameters.symbol()).symbol
        first_id = request.parameters.integer("algoId")
        start_ms, end_ms = request.parameters.window()
        page = request.parameters.integer("page") or 1
        limit = request.parameters.limit(default=500, maximum=1000)
        earliest = request.now_ms - _WEEK_MS if start_ms is None else start_ms
        orders = [
            order
            for order in self._books.of(request.account).conditional.values()
            if order.symbol == symbol
            and not _is_forgotten(order, request.now_ms)
            and (first_id is None or order.algo_id >= first_id)
            and (first_id is not None or order.create_ms >= earliest)
            and (end_ms is None or order.create_ms <= end_ms)
        ]
        if first_id is not None:
            return [self._queried(order) for order in orders[:limit]]
        end = len(orders) - (page - 1) * limit
        return [self._queried(order) for order in orders[max(end - limit, 0) : max(end, 0)]]

    def _named(self, request: BinanceRequest) -> ConditionalOrder | None:
        """The order that algoId or clientAlgoId names; the id wins when both are sent."""
        book = self._books.of(request.account)
        algo_id = request.parameters.integer("algoId")
        client_id = request.parameters.client_id("clientAlgoId")
        # Clients send the symbol along though it is not needed.
        symbol = request.parameters.optional_symbol()
        if algo_id is None and client_id is None:
            raise either("algoId", "clientAlgoId")
        order = (
            book.conditional.get(algo_id)
            if algo_id is not None
            else book.conditional_by_client_id.get(client_id or "")
        )
        return order if order is not None and symbol in (None, order.symbol) else None

    def _queried(self, order: ConditionalOrder) -> Json:
        account = self._books.accounts[order.account_id]
        actual = self._books.of(account).orders.get(order.order_id) if order.order_id is not None else None
        return queried_conditional_json(order, actual, self._exchange.instrument(order.symbol))


def _new_conditional(parameters: Parameters, account: Account) -> NewConditionalOrder:
    """Reads a new conditional order.

    Raises:
        BinanceError: what is missing, superfluous or not a word of the protocol.
    """
    if parameters.choice("algoType", AlgoType, -4500, "Invalid algoType.") is None:
        raise mandatory("algoType")
    symbol, side = parameters.symbol(), side_of(parameters)
    kind = parameters.choice("type", ConditionalType, -1116, "Invalid orderType.")
    if kind is None:
        raise mandatory("type")
    close_position = parameters.flag("closePosition") or False
    quantity, reduces = _size(parameters, kind, account, close_position=close_position)
    time_in_force = time_in_force_of(parameters) or TimeInForce.GTC
    price, trigger_price = _prices(parameters, kind)
    activation_price, callback_rate = _trail(parameters, kind)
    working_type = parameters.choice("workingType", _WORKING_TYPES, -4031, "Invalid parameter working type")
    if working_type is TriggerPrice.INDEX:
        raise BinanceError(-4031, "Invalid parameter working type")
    response_type_of(parameters)
    return NewConditionalOrder(
        symbol=symbol,
        side=side,
        position_side=position_side_of(parameters),
        type=kind,
        quantity=quantity,
        price=price,
        trigger_price=trigger_price,
        working_type=working_type or TriggerPrice.LAST,
        time_in_force=time_in_force,
        close_position=close_position,
        price_protect=parameters.flag("priceProtect") or False,
        reduce_only=reduces,
        client_algo_id=parameters.client_id("clientAlgoId"),
        good_till_ms=good_till_of(parameters, time_in_force),
        activation_price=activation_price,
        callback_rate=callback_rate,
        self_trade_prevention=self_trade_prevention_of(parameters),
    )


def _size(
    parameters: Parameters, kind: ConditionalType, account: Account, *, close_position: bool
) -> tuple[Decimal, bool]:
    """Quantity and reduceOnly; closePosition stands instead of both."""
    quantity, reduces = parameters.decimal("quantity"), reduce_only_of(parameters, account)
    if not close_position:
        if quantity is None:
            raise mandatory("quantity")
        return quantity, reduces
    if kind not in _CLOSES_POSITIONS:
        raise BinanceError(
            -4136, f"Target strategy invalid for orderType {kind},closePosition {str(close_position).lower()}"
        )
    if quantity:
        raise BinanceError(-4137, "Quantity must be zero with closePosition equals true.")
    if reduces:
        raise not_required("reduceonly")
    return ZERO, False


def _prices(parameters: Parameters, kind: ConditionalType) -> tuple[Decimal, Decimal]:
    """Limit price and trigger price, as the type needs them."""
    price, trigger_price = parameters.decimal("price"), parameters.decimal("triggerPrice")
    if kind.is_limit and price is None:
        raise mandatory("price")
    if not kind.is_limit and price:
        raise not_required("price")
    trails = kind is ConditionalType.TRAILING_STOP_MARKET
    if trails and trigger_price is not None:
        raise not_required("triggerprice")
    if not trails and trigger_price is None:
        raise mandatory("triggerPrice")
    return price or ZERO, trigger_price or ZERO


def _trail(parameters: Parameters, kind: ConditionalType) -> tuple[Decimal, Decimal]:
    """Activation price (zero: at once) and callback rate in percent of a trailing stop."""
    activation_price, rate = parameters.decimal("activatePrice"), parameters.decimal("callbackRate")
    if kind is ConditionalType.TRAILING_STOP_MARKET:
        if rate is None:
            raise mandatory("callbackRate")
        return activation_price or ZERO, rate
    for name, value in (("activateprice", activation_price), ("callbackrate", rate)):
        if value is not None:
            raise not_required(name)
    return ZERO, ZERO


def _is_forgotten(order: ConditionalOrder, now_ms: int) -> bool:
    ended = order.status in (ConditionalStatus.CANCELED, ConditionalStatus.EXPIRED)
    return ended and now_ms - order.create_ms > _FORGOTTEN_MS
