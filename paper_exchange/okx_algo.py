"""OKX's algo endpoints: orders that wait for their trigger."""

from collections.abc import Iterable
from dataclasses import replace

from paper_exchange.accounts import Account
from paper_exchange.exchange import Exchange
from paper_exchange.matching import watched_price
from paper_exchange.okx_algo_terms import (
    AlgoTerms,
    amended_leg,
    check_sides,
    kind_of,
    legs_of,
    split,
    trigger_kind,
)
from paper_exchange.okx_contracts import Json, Listing
from paper_exchange.okx_errors import OkxError, missing
from paper_exchange.okx_fields import Fields
from paper_exchange.okx_limits import Limit, Scope
from paper_exchange.okx_order_terms import TRIGGERS, order_price
from paper_exchange.okx_order_wire import ALGO_STATES, OrderWire, algo_type
from paper_exchange.okx_orders import QUARTER_MS, is_of
from paper_exchange.okx_paging import page
from paper_exchange.okx_request import Endpoint, OkxRequest, Permission, Routes, Rows, private
from paper_exchange.orders import ConditionalOrder

_ENDED = ("effective", "canceled", "order_failed")
Row = dict[str, str]


class OkxAlgo:
    """Places, changes and tells algo orders."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing
        self._terms = AlgoTerms(exchange, listing)
        self._wire = OrderWire(exchange, listing)

    def routes(self) -> Routes:
        trade = "/api/v5/trade"
        place = Endpoint(self._place, Limit("place algo", 20, Scope.INSTRUMENT), Permission.TRADE, Rows.ORDER)
        cancel = Endpoint(
            self._cancel, Limit("cancel algo", 20, Scope.INSTRUMENT), Permission.TRADE, Rows.ORDERS, most=10
        )
        amend = Endpoint(self._amend, Limit("amend algo", 20, Scope.INSTRUMENT), Permission.TRADE, Rows.ORDER)
        return {
            ("POST", f"{trade}/order-algo"): place,
            ("POST", f"{trade}/cancel-algos"): cancel,
            ("POST", f"{trade}/amend-algos"): amend,
            **private("GET", f"{trade}/order-algo", self._order, 20),
            **private("GET", f"{trade}/orders-algo-pending", self._pending, 20),
            **private("GET", f"{trade}/orders-algo-history", self._history, 20),
        }

    def _place(self, request: OkxRequest) -> Row:
        new = self._terms.new_conditional(request.account, request.fields, request.now_ms)
        order = self._exchange.place_conditional(request.account, new, request.now_ms)
        return self._row(order, request, clOrdId="", tag=order.tag)

    def _cancel(self, request: OkxRequest) -> Row:
        order = self._find(request.account, request.fields)
        if order is None:
            raise OkxError(51400)
        self._exchange.cancel_conditional(order, request.now_ms)
        return self._row(order, request, clOrdId="", tag=order.tag)

    def _amend(self, request: OkxRequest) -> Row:
        """New size, triggers or prices of a TP/SL or a trigger order."""
        fields = request.fields
        order = self._find(request.account, fields)
        if order is None or not order.is_open or algo_type(order) == "move_order_stop":
            raise OkxError(51503)
        size = fields.positive("newSz")
        changed = order
        if size is not None and not order.close_position:
            changed = replace(order, quantity=self._listing.of_symbol(order.symbol).coins(size))
        amended = self._amended_trigger if algo_type(order) == "trigger" else self._amended_exits
        self._exchange.amend_conditional(order, amended(changed, request), request.now_ms)
        return self._row(order, request, reqId=fields.optional("reqId") or "")

    def _amended_exits(self, order: ConditionalOrder, request: OkxRequest) -> ConditionalOrder:
        stop, profit = legs_of(order)
        stop, profit = amended_leg(stop, request.fields, "Sl"), amended_leg(profit, request.fields, "Tp")
        check_sides(order.side, stop, profit, self._exchange.market.quote(order.symbol, request.now_ms))
        first, second = split(stop, profit)
        return replace(
            order,
            type=kind_of(stop, profit),
            trigger_price=first.trigger_price,
            price=first.price,
            working_type=first.working_type,
            take_profit=second,
        )

    def _amended_trigger(self, order: ConditionalOrder, request: OkxRequest) -> ConditionalOrder:
        fields = request.fields
        trigger = fields.positive("newTriggerPx") or order.trigger_price
        price = fields.decimal("newOrdPx")
        limit = order.price if price is None else order_price(price, "newOrdPx")
        kind = fields.choice("newTriggerPxType", TRIGGERS)
        working_type = order.working_type if kind is None else TRIGGERS[kind]
        watched = watched_price(working_type, self._exchange.market.quote(order.symbol, request.now_ms))
        return replace(
            order,
            type=trigger_kind(order.side, trigger, limit, watched),
            trigger_price=trigger,
            price=limit,
            working_type=working_type,
        )

    def _find(self, account: Account, fields: Fields) -> ConditionalOrder | None:
        """The order of `algoId`, or else `algoClOrdId`."""
        book = self._exchange.books.of(account)
        algo_id, client_id = fields.integer("algoId"), fields.optional("algoClOrdId")
        if algo_id is not None:
            return book.conditional.get(algo_id)
        if client_id is None:
            raise OkxError(50015, param="algoId or algoClOrdId")
        return book.conditional_by_client_id.get(client_id)

    def _row(self, order: ConditionalOrder, request: OkxRequest, **more: str) -> Row:
        return {
            "algoId": str(order.algo_id),
            "algoClOrdId": self._wire.client_algo_id(order),
            **more,
            "sCode": "0",
            "sMsg": "",
            "ts": str(request.shown_ms),
        }

    # Reading

    def _order(self, request: OkxRequest) -> list[Json]:
        order = self._find(request.account, request.fields)
        if order is None:
            raise OkxError(51603)
        return [self._wire.algo(request.account, order)]

    def _pending(self, request: OkxRequest) -> list[Json]:
        waiting = self._exchange.books.of(request.account).open_conditional.values()
        return self._page(request, waiting, 0)

    def _history(self, request: OkxRequest) -> list[Json]:
        state = request.fields.choice("state", _ENDED)
        if state is None and request.fields.optional("algoId") is None:
            raise OkxError(50015, param="state or algoId")
        orders = self._exchange.books.of(request.account).conditional.values()
        ended = (o for o in orders if not o.is_open and state in (None, ALGO_STATES[o.status]))
        return self._page(request, ended, request.now_ms - QUARTER_MS)

    def _page(self, request: OkxRequest, orders: Iterable[ConditionalOrder], since_ms: int) -> list[Json]:
        kinds = request.fields.names("ordType")
        if kinds is None:
            raise missing("ordType")
        algo_id, client_id = request.fields.integer("algoId"), request.fields.optional("algoClOrdId")
        chosen = page(
            [
                order
                for order in orders
                if algo_type(order) in kinds
                and is_of(request, order.symbol, self._listing)
                and algo_id in (None, order.algo_id)
                and client_id in (None, order.client_algo_id)
            ],
            request.fields,
            id_of=lambda order: order.algo_id,
            time_of=lambda order: order.create_ms,
            since_ms=since_ms,
        )
        return [self._wire.algo(request.account, order) for order in chosen]
