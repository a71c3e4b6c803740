"""OKX's order endpoints that only read: one order, pending ones, history, fills."""

from collections.abc import Iterable

from paper_exchange.exchange import Exchange
from paper_exchange.okx_contracts import INST_TYPE, Json, Listing
from paper_exchange.okx_errors import OkxError, missing
from paper_exchange.okx_limits import Limit, Scope
from paper_exchange.okx_order_wire import ORDER_STATES, OrderWire, order_type
from paper_exchange.okx_paging import page
from paper_exchange.okx_request import Endpoint, OkxRequest, Permission, Routes, private
from paper_exchange.okx_trade import find_order
from paper_exchange.orders import Fill, Order

DAY_MS = 86_400_000
QUARTER_MS = 92 * DAY_MS


class OkxOrders:
    """Answers what became of orders."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing
        self._wire = OrderWire(exchange, listing)

    def routes(self) -> Routes:
        trade = "/api/v5/trade"
        one = Endpoint(self._order, Limit("order", 60, Scope.ACCOUNT), Permission.READ)
        return {
            ("GET", f"{trade}/order"): one,
            **private("GET", f"{trade}/orders-pending", self._pending, 60),
            **private("GET", f"{trade}/orders-history", self._history, 40),
            **private("GET", f"{trade}/orders-history-archive", self._archive, 20),
            **private("GET", f"{trade}/fills", self._fills, 60),
            **private("GET", f"{trade}/fills-history", self._fills_history, 10),
        }

    def _order(self, request: OkxRequest) -> list[Json]:
        contract = self._listing.get(request.fields.text("instId"))
        order = find_order(self._exchange, request.account, request.fields)
        if order is None or order.symbol != contract.market.symbol:
            raise OkxError(51603)
        return [self._wire.order(request.account, order)]

    def _pending(self, request: OkxRequest) -> list[Json]:
        return self._page(request, self._exchange.books.of(request.account).open_orders.values(), 0)

    def _history(self, request: OkxRequest) -> list[Json]:
        return self._ended(request, request.now_ms - 7 * DAY_MS)

    def _archive(self, request: OkxRequest) -> list[Json]:
        return self._ended(request, request.now_ms - QUARTER_MS)

    def _ended(self, request: OkxRequest, since_ms: int) -> list[Json]:
        request.fields.text("instType")
        orders = self._exchange.books.of(request.account).orders.values()
        return self._page(request, (order for order in orders if not order.is_open), since_ms)

    def _page(self, request: OkxRequest, orders: Iterable[Order], since_ms: int) -> list[Json]:
        chosen = page(
            [order for order in orders if self._is_wanted(request, order)],
            request.fields,
            id_of=lambda order: order.order_id,
            time_of=lambda order: order.create_ms,
            since_ms=since_ms,
        )
        return [self._wire.order(request.account, order) for order in chosen]

    def _is_wanted(self, request: OkxRequest, order: Order) -> bool:
        kinds, state = request.fields.names("ordType"), request.fields.optional("state")
        return (
            is_of(request, order.symbol, self._listing)
            and (kinds is None or order_type(order) in kinds)
            and state in (None, ORDER_STATES[order.status])
        )

    def _fills(self, request: OkxRequest) -> list[Json]:
        return self._fills_since(request, request.now_ms - 3 * DAY_MS)

    def _fills_history(self, request: OkxRequest) -> list[Json]:
        if request.fields.optional("instType") is None:
            raise missing("instType")
        return self._fills_since(request, request.now_ms - QUARTER_MS)

    def _fills_since(self, request: OkxRequest, since_ms: int) -> list[Json]:
        order_id = request.fields.integer("ordId")
        book = self._exchange.books.of(request.account)
        fills: Iterable[Fill] = book.fills if order_id is None else book.fills_by_order.get(order_id, [])
        chosen = page(
            [fill for fill in fills if is_of(request, fill.symbol, self._listing)],
            request.fields,
            id_of=lambda fill: fill.trade_id,
            time_of=lambda fill: fill.time_ms,
            since_ms=since_ms,
        )
        return [self._wire.fill(fill) for fill in chosen]


def is_of(request: OkxRequest, symbol: str, listing: Listing) -> bool:
    """Whether a market is among those that instType, instFamily, uly and instId leave."""
    contract = listing.of_symbol(symbol)
    fields = request.fields
    family = fields.optional("instFamily") or fields.optional("uly")
    return (
        fields.optional("instType") in (None, "ANY", INST_TYPE)
        and family in (None, contract.family)
        and fields.optional("instId") in (None, contract.inst_id)
    )
