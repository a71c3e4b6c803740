"""What an order to OKX says, and what its receipt tells.

Sources: OKX API guide v5, "Place order" (attachAlgoOrds) and "Place algo order".
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from execution_service.exchanges import errors
from execution_service.exchanges.reading import read
from execution_service.exchanges.requests import Parameters
from execution_service.exchanges.types import Order, OrderKind, OrderStatus, Send
from execution_service.signals import OrderSide
from tradekit.service.wire import decimal_text

AT_MARKET = "-1"
_ATTACHED = "attachAlgoOrds.0"


@dataclass(frozen=True, slots=True)
class AttachedExits:
    """Stop and target that OKX itself places when their entry has ended, over what it has filled.

    They are one conditional order: with both prices an `oco`, of which one leg ends the other. While the
    entry rests they are part of it, are found nowhere else, and end with it if nothing has filled; what is
    filled meanwhile is not protected. Then the client id finds them as a conditional order, told as the stop
    if there is one. They outlive a position that is closed otherwise, and must be cancelled.

    A price on the wrong side of the entry's (of a market order: of the last one) refuses the entry with
    `WouldTrigger`, an id that was used with `OrderExists`.

    Attributes:
        client_order_id: Of both; never the entry's.
        stop_loss: Trigger price, quote currency.
        take_profit: Trigger price, quote currency.
    """

    client_order_id: str
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None

    def __post_init__(self) -> None:
        if self.stop_loss is None and self.take_profit is None:
            raise ValueError("neither a stop nor a target")

    def terms(self) -> Parameters:
        """What their entry says of them."""
        terms = {"attachAlgoClOrdId": self.client_order_id}
        if self.take_profit is not None:
            terms |= _leg("tp", self.take_profit)
        if self.stop_loss is not None:
            terms |= _leg("sl", self.stop_loss)
        return {f"{_ATTACHED}.{name}": value for name, value in terms.items()}


def trigger_terms(prefix: str, price: Decimal) -> Parameters:
    """A conditional order of one leg (`tp` or `sl`)."""
    return {"ordType": "conditional"} | _leg(prefix, price)


def end_of(send: Send) -> datetime:
    """After this OKX takes the order no more."""
    return send.timestamp + timedelta(milliseconds=send.valid_ms)


def id_of(row: Any, own_name: str, name: str, send: Send) -> str:
    """OKX's id of the order that was accepted, if it is the one that was sent."""
    own, theirs = read(lambda row: (row[own_name], str(row[name])), row)
    if own != send.client_order_id or not theirs:
        raise errors.OutcomeUnknown("The exchange answered with somebody else's order.")
    return theirs


def accepted(
    symbol: str,
    side: OrderSide,
    quantity: Decimal | None,
    kind: OrderKind,
    send: Send,
    *,
    exchange_order_id: str,
    limit_price: Decimal | None,
    trigger_price: Decimal | None,
    reduce_only: bool,
) -> Order:
    """An order of which no more is known than that OKX has taken it."""
    return Order(
        symbol=symbol,
        side=side,
        kind=kind,
        status=OrderStatus.OPEN,
        client_order_id=send.client_order_id,
        exchange_order_id=exchange_order_id,
        quantity=quantity,
        filled_quantity=Decimal(0),
        average_price=None,
        limit_price=limit_price,
        trigger_price=trigger_price,
        reduce_only=reduce_only,
    )


def _leg(prefix: str, price: Decimal) -> Parameters:
    """At market, as soon as the last price is there."""
    return {
        f"{prefix}TriggerPx": decimal_text(price),
        f"{prefix}TriggerPxType": "last",
        f"{prefix}OrdPx": AT_MARKET,
    }
