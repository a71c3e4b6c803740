"""OKX's order endpoints that change something: place, cancel, amend, batches, close, cancel-all-after.

Placing is acknowledged; what became of the order is asked for or pushed afterwards.
"""

from collections.abc import Callable

from paper_exchange.accounts import Account, MarginType, Position
from paper_exchange.exchange import Exchange, NewOrder
from paper_exchange.okx_contracts import Contract, Json, Listing
from paper_exchange.okx_errors import OkxError, wrong
from paper_exchange.okx_fields import Fields
from paper_exchange.okx_limits import Limit, Scope
from paper_exchange.okx_order_terms import OrderTerms
from paper_exchange.okx_order_wire import OrderWire
from paper_exchange.okx_request import Endpoint, OkxRequest, Permission, Routes, Rows, private
from paper_exchange.okx_settings import POSITION_SIDES, margin_mode_of
from paper_exchange.orders import Order, OrderType, PositionSide, Side
from paper_exchange.refusals import Reason, Refused

_COUNTDOWN_S = range(10, 121)
Row = dict[str, str]
Answer = Callable[[OkxRequest], Row]


class OkxTrade:
    """Changes orders."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing
        self._terms = OrderTerms(exchange, listing)
        self._wire = OrderWire(exchange, listing)

    def routes(self) -> Routes:
        trade = "/api/v5/trade"
        return {
            ("POST", f"{trade}/order"): _one("place", self.place, 60, counts=True),
            ("POST", f"{trade}/batch-orders"): _many("place batch", self.place, 300, counts=True),
            ("POST", f"{trade}/cancel-order"): _one("cancel", self.cancel, 60),
            ("POST", f"{trade}/cancel-batch-orders"): _many("cancel batch", self.cancel, 300),
            ("POST", f"{trade}/amend-order"): _one("amend", self.amend, 60, counts=True),
            ("POST", f"{trade}/amend-batch-orders"): _many("amend batch", self.amend, 300, counts=True),
            **private("POST", f"{trade}/close-position", self._close_position, 20, trades=True),
            **private("POST", f"{trade}/cancel-all-after", self._cancel_all_after, 2, trades=True),
        }

    def place(self, request: OkxRequest) -> Row:
        new = self._terms.new_order(request.account, request.fields, request.now_ms)
        order = self._exchange.place(request.account, new, request.now_ms)
        return self._row(order, request, tag=order.tag)

    def cancel(self, request: OkxRequest) -> Row:
        order = self._find(request.account, request.fields, unknown=51400)
        self._exchange.cancel(request.account, order, request.now_ms)
        return self._row(order, request)

    def amend(self, request: OkxRequest) -> Row:
        """Changes size or price; `cxlOnFail` cancels an order that cannot be changed so."""
        fields = request.fields
        order = self._find(request.account, fields, unknown=51503)
        if not order.is_open or order.type is not OrderType.LIMIT:
            raise OkxError(51503)
        try:
            self._amend(order, request)
        except (Refused, OkxError):
            if fields.flag("cxlOnFail"):
                self._exchange.cancel(request.account, order, request.now_ms)
            raise
        return self._row(order, request, reqId=fields.optional("reqId") or "")

    def _amend(self, order: Order, request: OkxRequest) -> None:
        fields, contract = request.fields, self._listing.of_symbol(order.symbol)
        size, price = fields.positive("newSz"), fields.positive("newPx")
        if size is None and price is None:
            raise OkxError(50015, param="newSz or newPx")
        try:
            self._exchange.amend(
                request.account,
                order,
                side=order.side,
                quantity=order.quantity if size is None else contract.coins(size),
                price=price or order.price,
                now_ms=request.now_ms,
            )
        except Refused as refused:
            match refused.reason:
                case Reason.AMEND_NOTHING:
                    return
                case Reason.POST_ONLY_WOULD_TAKE:
                    self._exchange.end_unfillable(order, request.now_ms)
                case _:
                    raise

    def _find(self, account: Account, fields: Fields, *, unknown: int) -> Order:
        """The order of an id; `ordId` goes first."""
        self._listing.get(fields.text("instId"))
        order = find_order(self._exchange, account, fields)
        if order is None:
            raise OkxError(unknown)
        return order

    def _row(self, order: Order, request: OkxRequest, **more: str) -> Row:
        return {
            "clOrdId": self._wire.client_order_id(order),
            "ordId": str(order.order_id),
            **more,
            "sCode": "0",
            "sMsg": "",
            "ts": str(request.shown_ms),
        }

    # Positions

    def _close_position(self, request: OkxRequest) -> list[Json]:
        """Closes a position at market; 51023 when there is none of this margin mode."""
        fields, account = request.fields, request.account
        contract = self._listing.get(fields.text("instId"))
        isolated = margin_mode_of(fields, "mgnMode") is MarginType.ISOLATED
        side = POSITION_SIDES[fields.choice("posSide", POSITION_SIDES) or "net"]
        if account.hedge_mode != (side is not PositionSide.BOTH):
            raise wrong("posSide")
        symbol = contract.market.symbol
        position = account.position(symbol, side)
        if not position.quantity or (account.setting(symbol).margin_type is MarginType.ISOLATED) != isolated:
            raise OkxError(51023)
        client_id = fields.client_id("clOrdId")
        self._terms.check_client_id(account, client_id)
        self._clear_the_way(request, position)
        self._exchange.place(account, _closing(position, contract, client_id, fields.tag()), request.now_ms)
        return [
            {
                "clOrdId": client_id or "",
                "instId": contract.inst_id,
                "posSide": fields.optional("posSide") or "net",
                "tag": fields.tag(),
            }
        ]

    def _clear_the_way(self, request: OkxRequest, position: Position) -> None:
        """Cancels resting orders that would close the position, with `autoCxl`; else they are in the way."""
        resting = [
            order
            for order in self._exchange.books.of(request.account).open_orders.values()
            if order.symbol == position.symbol and order.position_side is position.side and order.reduce_only
        ]
        if resting and not request.fields.flag("autoCxl"):
            raise OkxError(51115)
        for order in resting:
            self._exchange.cancel(request.account, order, request.now_ms)

    def _cancel_all_after(self, request: OkxRequest) -> list[Json]:
        """`timeOut` seconds from now all orders are canceled; 0 calls it off."""
        seconds = request.fields.integer("timeOut")
        if seconds is None or (seconds and seconds not in _COUNTDOWN_S):
            raise wrong("timeOut")
        for contract in self._listing.all():
            self._exchange.cancel_all_after(
                request.account, contract.market.symbol, seconds * 1000, request.now_ms
            )
        trigger = str(request.shown_ms + seconds * 1000) if seconds else "0"
        return [{"tag": request.fields.tag(), "triggerTime": trigger, "ts": str(request.shown_ms)}]


def find_order(exchange: Exchange, account: Account, fields: Fields) -> Order | None:
    """The account's order with this `ordId`, or else `clOrdId`; raises `OkxError` when neither was sent."""
    book = exchange.books.of(account)
    order_id, client_id = fields.integer("ordId"), fields.optional("clOrdId")
    if order_id is not None:
        return book.orders.get(order_id)
    if client_id is None:
        raise OkxError(51003, "Either client order ID or order ID is required.")
    return book.orders_by_client_id.get(client_id)


def _closing(position: Position, contract: Contract, client_id: str | None, tag: str) -> NewOrder:
    return NewOrder(
        symbol=contract.market.symbol,
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        position_side=position.side,
        type=OrderType.MARKET,
        quantity=abs(position.quantity),
        reduce_only=position.side is PositionSide.BOTH,
        client_order_id=client_id,
        tag=tag,
    )


def _one(name: str, answer: Answer, count: int, *, counts: bool = False) -> Endpoint:
    return _endpoint(name, answer, count, Rows.ORDER, counts=counts)


def _many(name: str, answer: Answer, count: int, *, counts: bool = False) -> Endpoint:
    return _endpoint(name, answer, count, Rows.ORDERS, counts=counts)


def _endpoint(name: str, answer: Answer, count: int, rows: Rows, *, counts: bool) -> Endpoint:
    limit = Limit(name, count, Scope.INSTRUMENT)
    return Endpoint(answer, limit, Permission.TRADE, rows, counts_as_order=counts)
