"""Reads what an OKX order asks for, and refuses what this exchange checks before all exchanges would.

The margin mode belongs to the order (`tdMode`). A market here has one margin type at a time: an order
switches it while nothing of the other mode is open, else it is refused.
"""

from decimal import Decimal

from paper_exchange.accounts import Account
from paper_exchange.exchange import Exchange, NewOrder
from paper_exchange.okx_contracts import Contract, Listing
from paper_exchange.okx_errors import OkxError, missing, wrong
from paper_exchange.okx_fields import Fields
from paper_exchange.okx_settings import POSITION_SIDES, margin_mode_of
from paper_exchange.orders import (
    ZERO,
    AttachedExit,
    ExitLeg,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
    TriggerPrice,
    closes_hedged,
)
from paper_exchange.refusals import Refused

SIDES = {"buy": Side.BUY, "sell": Side.SELL}
TRIGGERS = {"last": TriggerPrice.LAST, "index": TriggerPrice.INDEX, "mark": TriggerPrice.MARK}
ORDER_TYPES: dict[str, tuple[OrderType, TimeInForce]] = {
    "market": (OrderType.MARKET, TimeInForce.GTC),
    "limit": (OrderType.LIMIT, TimeInForce.GTC),
    "post_only": (OrderType.LIMIT, TimeInForce.GTX),
    "fok": (OrderType.LIMIT, TimeInForce.FOK),
    "ioc": (OrderType.LIMIT, TimeInForce.IOC),
    "optimal_limit_ioc": (OrderType.MARKET, TimeInForce.IOC),
}
AT_MARKET = Decimal(-1)
_MOST_ATTACHED = 11


class OrderTerms:
    """Turns the fields of an order into a command."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing

    def new_order(self, account: Account, fields: Fields, now_ms: int) -> NewOrder:
        """The order that is asked for; the margin mode it names is in use from now on.

        Raises:
            OkxError: a field is missing or wrong, or the order contradicts the position.
        """
        contract = self._listing.get(fields.text("instId"))
        side = side_of(fields)
        kind, time_in_force = _order_type(fields)
        size = fields.positive("sz")
        if size is None:
            raise missing("sz")
        price = fields.positive("px") if kind is OrderType.LIMIT else ZERO
        if price is None:
            raise wrong("px")
        client_id = fields.client_id("clOrdId")
        self.check_client_id(account, client_id)
        position_side = position_side_of(account, fields)
        reduces = fields.flag("reduceOnly") and position_side is PositionSide.BOTH
        quantity = contract.coins(size)
        self._check_reduces(account, contract, side, position_side, reduces=reduces, quantity=quantity)
        reference = price or self._exchange.market.last(contract.market.symbol, now_ms)
        attached = self._attached(account, contract, fields, side, reference)
        self.use_margin_mode(account, contract, fields, now_ms)
        return NewOrder(
            symbol=contract.market.symbol,
            side=side,
            position_side=position_side,
            type=kind,
            quantity=quantity,
            price=price,
            time_in_force=time_in_force,
            reduce_only=reduces,
            client_order_id=client_id,
            ends_unfillable=True,
            tag=fields.tag(),
            attached=attached,
        )

    def use_margin_mode(self, account: Account, contract: Contract, fields: Fields, now_ms: int) -> None:
        """Switches the market to the order's `tdMode`."""
        mode = margin_mode_of(fields, "tdMode")
        try:
            self._exchange.settings.use_margin_type(account, contract.market.symbol, mode, now_ms)
        except Refused as refused:
            raise OkxError(
                51000,
                "Parameter tdMode error: this paper exchange holds one margin mode per instrument; "
                "a position or an order has the other one.",
            ) from refused

    def check_client_id(self, account: Account, client_id: str | None) -> None:
        """An id is used once in the life of an account, whatever became of its order."""
        if client_id is not None and client_id in self._exchange.books.of(account).orders_by_client_id:
            raise OkxError(51016)

    def check_algo_id(self, account: Account, client_id: str | None) -> None:
        book = self._exchange.books.of(account)
        if client_id is None:
            return
        if client_id in book.conditional_by_client_id:
            raise OkxError(51065)
        waiting = (exit_ for order in book.open_orders.values() for exit_ in order.attached)
        if any(exit_.client_algo_id == client_id for exit_ in waiting):
            raise OkxError(51068, param=client_id)

    def _check_reduces(
        self,
        account: Account,
        contract: Contract,
        side: Side,
        position_side: PositionSide,
        *,
        reduces: bool,
        quantity: Decimal,
    ) -> None:
        """51169: nothing there to reduce; 51170: it would grow; 51112: less is left than the order closes."""
        closes = closes_hedged(side, position_side)
        if not reduces and not closes:
            return
        position = account.position(contract.market.symbol, position_side)
        if not position.quantity:
            raise OkxError(51169)
        if not position.closable(side):
            raise OkxError(51170)
        promised = sum(
            (
                order.remaining
                for order in self._exchange.books.of(account).open_orders.values()
                if order.reduce_only
                and (order.symbol, order.side, order.position_side)
                == (contract.market.symbol, side, position_side)
            ),
            ZERO,
        )
        if closes and quantity > position.closable(side) - promised:
            raise OkxError(51112)

    def _attached(
        self, account: Account, contract: Contract, fields: Fields, side: Side, reference: Decimal
    ) -> tuple[AttachedExit, ...]:
        """The exits attached to an entry; the old form has them among the order's own fields."""
        items = fields.objects("attachAlgoOrds")
        if fields.optional("tpTriggerPx") or fields.optional("slTriggerPx"):
            items = [*items, fields]
        if len(items) > _MOST_ATTACHED:
            raise wrong("attachAlgoOrds")
        exits = tuple(self._exit(account, contract, item, side, reference) for item in items)
        ids = [exit_.client_algo_id for exit_ in exits if exit_.client_algo_id]
        if len(ids) != len(set(ids)):
            raise OkxError(51068, param="attachAlgoClOrdId")
        return exits

    def _exit(
        self, account: Account, contract: Contract, fields: Fields, side: Side, reference: Decimal
    ) -> AttachedExit:
        stop, profit = leg_of(fields, "sl"), leg_of(fields, "tp")
        if stop is None and profit is None:
            raise wrong("attachAlgoOrds")
        _check_sides(side, stop, profit, reference)
        client_id = fields.client_id("attachAlgoClOrdId")
        self.check_algo_id(account, client_id)
        size = fields.positive("sz") if profit is not None and fields.optional("ordType") is None else None
        return AttachedExit(
            client_algo_id=client_id or "",
            quantity=contract.coins(size) if size else ZERO,
            stop_loss=stop,
            take_profit=profit,
        )


def side_of(fields: Fields) -> Side:
    side = SIDES.get(fields.text("side"))
    if side is None:
        raise wrong("side")
    return side


def position_side_of(account: Account, fields: Fields) -> PositionSide:
    """Net mode needs none; long/short mode needs one."""
    side = POSITION_SIDES[fields.choice("posSide", POSITION_SIDES) or "net"]
    if account.hedge_mode != (side is not PositionSide.BOTH):
        raise wrong("posSide")
    return side


def leg_of(fields: Fields, prefix: str) -> ExitLeg | None:
    """A TP or SL: trigger price, order price (-1: at market) and the price that triggers."""
    trigger = fields.positive(f"{prefix}TriggerPx")
    if trigger is None:
        return None
    price = fields.decimal(f"{prefix}OrdPx")
    if price is None:
        raise wrong(f"{prefix}OrdPx")
    kind = fields.choice(f"{prefix}TriggerPxType", TRIGGERS) or "last"
    return ExitLeg(trigger, order_price(price, f"{prefix}OrdPx"), TRIGGERS[kind])


def order_price(price: Decimal, name: str) -> Decimal:
    """The price of the order that a trigger sends; zero stands for a market order."""
    if price == AT_MARKET:
        return ZERO
    if price <= 0:
        raise wrong(name)
    return price


def _order_type(fields: Fields) -> tuple[OrderType, TimeInForce]:
    kind = fields.choice("ordType", ORDER_TYPES)
    if kind is None:
        raise missing("ordType")
    return ORDER_TYPES[kind]


def _check_sides(side: Side, stop: ExitLeg | None, profit: ExitLeg | None, reference: Decimal) -> None:
    """A purchase takes its profit above and stops below the price of the order, a sale the other way."""
    buys = side is Side.BUY
    if profit is not None and (profit.trigger_price - reference) * side.sign <= 0:
        raise OkxError(51046 if buys else 51048)
    if stop is not None and (reference - stop.trigger_price) * side.sign <= 0:
        raise OkxError(51047 if buys else 51049)
