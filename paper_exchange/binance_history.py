"""Binance's endpoints about what is past but for orders and fills: amendments, moved margin, liquidations."""

from enum import StrEnum

from paper_exchange.binance_errors import BinanceError, either
from paper_exchange.binance_request import BinanceRequest, Endpoint, Routes, by_symbol
from paper_exchange.binance_wire import Json, money, plain, queried_order_json
from paper_exchange.exchange import Exchange
from paper_exchange.orders import Amendment, Order, OrderType
from paper_exchange.refusals import Reason, Refused

_MONTH_MS = 30 * 86_400_000
_QUARTER_MS = 90 * 86_400_000
_ADD, _REDUCE = 1, 2


class AutoCloseType(StrEnum):
    LIQUIDATION = "LIQUIDATION"
    ADL = "ADL"


class BinanceHistory:
    """Answers from the account's books."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._books = exchange.books

    def routes(self) -> Routes:
        return {
            ("GET", "/fapi/v1/orderAmendment"): Endpoint(self._amendments),
            ("GET", "/fapi/v1/positionMargin/history"): Endpoint(self._margin_changes),
            ("GET", "/fapi/v1/forceOrders"): Endpoint(self._forced_orders, weight=by_symbol(20, 50)),
        }

    def _amendments(self, request: BinanceRequest) -> list[Json]:
        """The changes of one order, newest first; of the last three months."""
        symbol = self._exchange.instrument(request.parameters.symbol()).symbol
        order = self._named(request, symbol)
        start_ms, end_ms = request.parameters.window()
        limit = request.parameters.limit(default=50, maximum=100)
        earliest = max(request.now_ms - _QUARTER_MS, start_ms or 0)
        found = [
            amendment
            for amendment in self._books.of(request.account).amendments
            if amendment.order_id == order.order_id
            and amendment.time_ms >= earliest
            and (end_ms is None or amendment.time_ms <= end_ms)
        ]
        return [self._amendment(amendment, order) for amendment in found[::-1][:limit]]

    def _named(self, request: BinanceRequest, symbol: str) -> Order:
        book = self._books.of(request.account)
        order_id = request.parameters.integer("orderId")
        client_id = request.parameters.client_id("origClientOrderId")
        if order_id is None and client_id is None:
            raise either("origClientOrderId", "orderId")
        order = (
            book.orders.get(order_id)
            if order_id is not None
            else book.orders_by_client_id.get(client_id or "")
        )
        if order is None or order.symbol != symbol:
            raise Refused(Reason.ORDER_UNKNOWN)
        return order

    def _amendment(self, amendment: Amendment, order: Order) -> Json:
        instrument = self._exchange.instrument(order.symbol)
        price, quantity = instrument.price_precision, instrument.quantity_precision
        return {
            "amendmentId": amendment.amendment_id,
            "symbol": order.symbol,
            "pair": order.symbol,
            "orderId": order.order_id,
            "clientOrderId": order.client_order_id,
            "time": amendment.time_ms,
            "amendment": {
                "price": {
                    "before": plain(amendment.price_before, price),
                    "after": plain(amendment.price_after, price),
                },
                "origQty": {
                    "before": plain(amendment.quantity_before, quantity),
                    "after": plain(amendment.quantity_after, quantity),
                },
                "count": amendment.number,
            },
        }

    def _margin_changes(self, request: BinanceRequest) -> list[Json]:
        """Margin that the user has moved, oldest first; of the last thirty days."""
        instrument = self._exchange.instrument(request.parameters.symbol())
        kind = request.parameters.integer("type")
        if kind not in (None, _ADD, _REDUCE):
            raise BinanceError(-1130, "Data sent for parameter 'type' is not valid.")
        start_ms, end_ms = request.parameters.window()
        limit = request.parameters.limit(default=500, maximum=1000)
        earliest = max(request.now_ms - _MONTH_MS, start_ms or 0)
        rows = [
            {
                "symbol": change.symbol,
                "type": _ADD if change.amount > 0 else _REDUCE,
                "deltaType": "USER_ADJUST",
                "amount": money(abs(change.amount)),
                "asset": instrument.quote,
                "time": change.time_ms,
                "positionSide": change.side,
            }
            for change in self._books.of(request.account).margin_changes
            if change.symbol == instrument.symbol
            and change.time_ms >= earliest
            and (end_ms is None or change.time_ms <= end_ms)
        ]
        return [row for row in rows if kind in (None, row["type"])][-limit:]

    def _forced_orders(self, request: BinanceRequest) -> list[Json]:
        """Liquidation orders, newest first; the exchange knows no auto-deleveraging."""
        given = request.parameters.optional_symbol()
        symbol = None if given is None else self._exchange.instrument(given).symbol
        kind = request.parameters.choice(
            "autoCloseType", AutoCloseType, -1130, "Data sent for parameter 'autoCloseType' is not valid."
        )
        start_ms, end_ms = request.parameters.window()
        limit = request.parameters.limit(default=50, maximum=100)
        orders = [
            order
            for order in self._books.of(request.account).orders.values()
            if order.type is OrderType.LIQUIDATION
            and kind is not AutoCloseType.ADL
            and symbol in (None, order.symbol)
            and order.create_ms >= (start_ms or 0)
            and (end_ms is None or order.create_ms <= end_ms)
        ]
        return [
            queried_order_json(order, self._exchange.instrument(order.symbol))
            for order in orders[::-1][:limit]
        ]
