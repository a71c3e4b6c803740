"""Reads what an OKX algo order asks for: conditional, oco, trigger, move_order_stop."""

from dataclasses import replace
from decimal import Decimal

from paper_exchange.accounts import Account
from paper_exchange.exchange import Exchange, NewConditionalOrder
from paper_exchange.market import Quote
from paper_exchange.matching import is_beyond, watched_price
from paper_exchange.okx_contracts import Contract, Listing
from paper_exchange.okx_errors import OkxError, missing, wrong
from paper_exchange.okx_fields import Fields
from paper_exchange.okx_order_terms import (
    TRIGGERS,
    OrderTerms,
    leg_of,
    order_price,
    position_side_of,
    side_of,
)
from paper_exchange.orders import (
    ZERO,
    ConditionalOrder,
    ConditionalType,
    ExitLeg,
    PositionSide,
    Side,
)

KINDS = ("conditional", "oco", "trigger", "move_order_stop")
_RATIOS = (Decimal("0.001"), Decimal("0.2"))
_HUNDRED = Decimal(100)


class AlgoTerms:
    """Turns the fields of an algo order into a command."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing
        self._orders = OrderTerms(exchange, listing)

    def new_conditional(self, account: Account, fields: Fields, now_ms: int) -> NewConditionalOrder:
        """The algo order that is asked for.

        Raises:
            OkxError: a field is missing or wrong, or a trigger is on the wrong side of the market.
        """
        contract = self._listing.get(fields.text("instId"))
        kind = fields.choice("ordType", KINDS)
        if kind is None:
            raise missing("ordType")
        side, position_side = side_of(fields), position_side_of(account, fields)
        quote = self._exchange.market.quote(contract.market.symbol, now_ms)
        client_id = fields.client_id("algoClOrdId")
        self._orders.check_algo_id(account, client_id)
        closes = self._closes(account, contract, fields, side, position_side, kind)
        base = NewConditionalOrder(
            symbol=contract.market.symbol,
            side=side,
            position_side=position_side,
            type=ConditionalType.STOP_MARKET,
            quantity=ZERO if closes else _quantity(contract, fields),
            close_position=closes,
            reduce_only=not closes and fields.flag("reduceOnly") and position_side is PositionSide.BOTH,
            client_algo_id=client_id,
            cancel_on_close=fields.flag("cxlOnClosePos"),
            tag=fields.tag(),
            original_type=kind,
        )
        self._orders.use_margin_mode(account, contract, fields, now_ms)
        match kind:
            case "trigger":
                return _triggered(base, fields, quote)
            case "move_order_stop":
                return _trailing(base, fields, quote)
            case _:
                return _exits(base, fields, quote)

    def _closes(
        self,
        account: Account,
        contract: Contract,
        fields: Fields,
        side: Side,
        position_side: PositionSide,
        kind: str,
    ) -> bool:
        """Whether it is to close the whole position (`closeFraction` 1), which only one TP/SL may."""
        fraction = fields.decimal("closeFraction")
        if fraction is None:
            return False
        if fraction != 1 or kind not in ("conditional", "oco"):
            raise wrong("closeFraction")
        if position_side is PositionSide.BOTH and not fields.flag("reduceOnly"):
            raise wrong("reduceOnly")
        symbol = contract.market.symbol
        if not account.position(symbol, position_side).closable(side):
            raise OkxError(51023)
        waiting = self._exchange.books.of(account).open_conditional.values()
        if any(
            other.close_position and (other.symbol, other.position_side) == (symbol, position_side)
            for other in waiting
        ):
            raise OkxError(51088)
        return True


def _quantity(contract: Contract, fields: Fields) -> Decimal:
    size = fields.positive("sz")
    if size is None:
        raise missing("sz")
    return contract.coins(size)


def _exits(base: NewConditionalOrder, fields: Fields, quote: Quote) -> NewConditionalOrder:
    """A stop loss, a take profit, or (oco) both; a conditional order with both is its stop loss."""
    stop, profit = leg_of(fields, "sl"), leg_of(fields, "tp")
    if base.original_type == "oco" and (stop is None or profit is None):
        raise wrong("slTriggerPx" if stop is None else "tpTriggerPx")
    if base.original_type == "conditional" and stop is not None:
        profit = None
    if base.close_position and any(leg is not None and leg.price for leg in (stop, profit)):
        raise wrong("slOrdPx" if stop is not None and stop.price else "tpOrdPx")
    check_sides(base.side, stop, profit, quote)
    first, second = split(stop, profit)
    return replace(
        base,
        type=kind_of(stop, profit),
        trigger_price=first.trigger_price,
        price=first.price,
        working_type=first.working_type,
        take_profit=second,
    )


def split(stop: ExitLeg | None, profit: ExitLeg | None) -> tuple[ExitLeg, ExitLeg | None]:
    """The leg that the order watches as its own, and the other one."""
    if stop is not None:
        return stop, profit
    if profit is None:
        raise wrong("slTriggerPx")
    return profit, None


def kind_of(stop: ExitLeg | None, profit: ExitLeg | None) -> ConditionalType:
    if stop is not None:
        return ConditionalType.STOP if stop.price else ConditionalType.STOP_MARKET
    limit = profit is not None and profit.price
    return ConditionalType.TAKE_PROFIT if limit else ConditionalType.TAKE_PROFIT_MARKET


def check_sides(side: Side, stop: ExitLeg | None, profit: ExitLeg | None, quote: Quote) -> None:
    """Refuses triggers that the market is beyond already: 51277 to 51280."""
    buys = side is Side.BUY
    if profit is not None and _is_beyond(ConditionalType.TAKE_PROFIT, side, profit, quote):
        raise OkxError(51277 if buys else 51279)
    if stop is not None and _is_beyond(ConditionalType.STOP, side, stop, quote):
        raise OkxError(51278 if buys else 51280)


def _is_beyond(kind: ConditionalType, side: Side, leg: ExitLeg, quote: Quote) -> bool:
    return is_beyond(kind, side, leg.trigger_price, watched_price(leg.working_type, quote))


def _triggered(base: NewConditionalOrder, fields: Fields, quote: Quote) -> NewConditionalOrder:
    """Triggers when the price reaches `triggerPx`, from whichever side it comes."""
    trigger, price = fields.positive("triggerPx"), fields.decimal("orderPx")
    if trigger is None or price is None:
        raise wrong("triggerPx" if trigger is None else "orderPx")
    if fields.objects("attachAlgoOrds"):
        raise wrong("attachAlgoOrds")
    working_type = TRIGGERS[fields.choice("triggerPxType", TRIGGERS) or "last"]
    limit = order_price(price, "orderPx")
    return replace(
        base,
        type=trigger_kind(base.side, trigger, limit, watched_price(working_type, quote)),
        trigger_price=trigger,
        price=limit,
        working_type=working_type,
    )


def trigger_kind(side: Side, trigger: Decimal, limit: Decimal, watched: Decimal) -> ConditionalType:
    """A trigger in the direction of the order's side works as a stop, against it as a take profit."""
    if trigger == watched:
        raise wrong("triggerPx")
    if (trigger > watched) == (side is Side.BUY):
        return ConditionalType.STOP if limit else ConditionalType.STOP_MARKET
    return ConditionalType.TAKE_PROFIT if limit else ConditionalType.TAKE_PROFIT_MARKET


def _trailing(base: NewConditionalOrder, fields: Fields, quote: Quote) -> NewConditionalOrder:
    """Follows the price by a ratio (0.001 to 0.2 here) or a difference, at once or from `activePx` on."""
    ratio, spread = fields.positive("callbackRatio"), fields.positive("callbackSpread")
    if (ratio is None) == (spread is None):
        raise wrong("callbackRatio")
    low, high = _RATIOS
    if ratio is not None and not low <= ratio <= high:
        raise wrong("callbackRatio")
    active = fields.positive("activePx") or ZERO
    reached = active >= quote.last if base.side is Side.BUY else active <= quote.last
    return replace(
        base,
        type=ConditionalType.TRAILING_STOP_MARKET,
        callback_rate=(ratio or ZERO) * _HUNDRED,
        callback_spread=spread or ZERO,
        activation_price=ZERO if reached else active,
    )


def legs_of(order: ConditionalOrder) -> tuple[ExitLeg | None, ExitLeg | None]:
    """Stop loss and take profit of a waiting TP/SL order."""
    first = ExitLeg(order.trigger_price, order.price, order.working_type)
    return (None, first) if order.type.takes_profit else (first, order.take_profit)


def amended_leg(leg: ExitLeg | None, fields: Fields, prefix: str) -> ExitLeg | None:
    """A leg with its new trigger, price and kind of trigger; a new trigger of 0 takes it away."""
    trigger = fields.decimal(f"new{prefix}TriggerPx")
    if trigger == 0:
        return None
    price, kind = fields.decimal(f"new{prefix}OrdPx"), fields.choice(f"new{prefix}TriggerPxType", TRIGGERS)
    if trigger is None and price is None and kind is None:
        return leg
    if leg is None and (trigger is None or price is None):
        raise wrong(f"new{prefix}TriggerPx")
    changed = leg or ExitLeg(ZERO, ZERO, TRIGGERS["last"])
    return ExitLeg(
        trigger or changed.trigger_price,
        changed.price if price is None else order_price(price, f"new{prefix}OrdPx"),
        changed.working_type if kind is None else TRIGGERS[kind],
    )
