"""What an exchange accepts for a market: steps, limits, and rounding with a stated direction."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from enum import Enum


class Rounding(Enum):
    """Which way a value goes when it is not on the step."""

    DOWN = ROUND_FLOOR
    UP = ROUND_CEILING


# Digits for whatever the wire carries: only the quotient is rounded, and never to the other side.
_CONTEXTS = {rounding: Context(prec=80, rounding=rounding.value) for rounding in Rounding}


def round_to_step(value: Decimal, step: Decimal, rounding: Rounding) -> Decimal:
    """The multiple of `step` (> 0) that is nearest to `value` on the side that `rounding` names."""
    context = _CONTEXTS[rounding]
    return context.multiply(context.divide(value, step).to_integral_value(rounding.value), step)


@dataclass(frozen=True, slots=True)
class Instrument:
    """The trading rules of one market. Quantities are in the base currency, whatever the exchange counts in.

    Attributes:
        symbol: Exchange-neutral, for example "BTCUSDT".
        tick_size: Step of prices.
        lot_size: Step of quantities.
        min_quantity: Smallest order.
        max_quantity: Largest market order.
        min_notional: Smallest quantity x price of an order that opens; 0 where the exchange has none.
        trading: Whether the exchange takes orders for it now.
    """

    symbol: str
    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    trading: bool

    def price(self, value: Decimal, rounding: Rounding) -> Decimal:
        """`value` on the tick."""
        return round_to_step(value, self.tick_size, rounding)

    def quantity(self, value: Decimal) -> Decimal:
        """`value` on the lot, rounded down: never more than was meant."""
        return round_to_step(value, self.lot_size, Rounding.DOWN)
