"""The filters of a contract: whether price, quantity and value of an order are acceptable.

The order of the checks is that of the exchange: precision, quantity, price, then notional value.
"""

from decimal import Decimal

from paper_exchange.instruments import Instrument
from paper_exchange.orders import Side
from paper_exchange.refusals import Reason, Refused


def check_quantity(instrument: Instrument, quantity: Decimal, *, market: bool) -> None:
    """Refuses a quantity that is too fine, not positive, out of bounds or off the step."""
    _check_precision(quantity, instrument.quantity_precision)
    if quantity <= 0:
        raise Refused(Reason.QUANTITY_NOT_POSITIVE)
    if quantity < instrument.min_quantity:
        raise Refused(Reason.QUANTITY_TOO_SMALL)
    if quantity > (instrument.max_market_quantity if market else instrument.max_quantity):
        raise Refused(Reason.QUANTITY_TOO_LARGE)
    if quantity % instrument.step:
        raise Refused(Reason.QUANTITY_OFF_STEP)


def check_price(instrument: Instrument, price: Decimal) -> None:
    """Refuses a price (limit, trigger or activation) that is too fine, out of bounds or off the tick."""
    _check_precision(price, instrument.price_precision)
    if price <= 0:
        raise Refused(Reason.PRICE_NOT_POSITIVE)
    if price < instrument.tick:
        raise Refused(Reason.PRICE_TOO_LOW)
    if price > instrument.max_price:
        raise Refused(Reason.PRICE_TOO_HIGH)
    if price % instrument.tick:
        raise Refused(Reason.PRICE_OFF_TICK)


def check_limit_price(instrument: Instrument, side: Side, price: Decimal, *, mark: Decimal) -> None:
    """Refuses a limit price too far on the expensive side of the mark price."""
    if side is Side.BUY and price > (cap := mark * instrument.price_cap):
        raise Refused(Reason.PRICE_ABOVE_CAP, f"{cap:.{instrument.price_precision}f}")
    if side is Side.SELL and price < (floor := mark * instrument.price_floor):
        raise Refused(Reason.PRICE_BELOW_FLOOR, f"{floor:.{instrument.price_precision}f}")


def check_notional(instrument: Instrument, value: Decimal) -> None:
    """Refuses an order of too small a value; orders that only reduce are not checked."""
    if value < instrument.min_notional:
        raise Refused(Reason.NOTIONAL_TOO_SMALL, str(instrument.min_notional))


def _check_precision(value: Decimal, places: int) -> None:
    if value != round(value, places):
        raise Refused(Reason.PRECISION)
