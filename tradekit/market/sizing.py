"""How large an order is and where its stop and targets stand: the same arithmetic for live and backtest."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from enum import StrEnum

from tradekit.market.instrument import Instrument, Rounding, round_to_step

DEFAULT_SIZE_PERCENT = Decimal(10)
DEFAULT_STOP_ATR = Decimal("1.5")
DEFAULT_TARGET_ATR = Decimal(3)
ATR_PERIOD = 14

_HUNDRED = Decimal(100)
# A rounded quotient or product must not be more than was meant.
_DOWN = Context(prec=80, rounding=ROUND_FLOOR)
# So many digits of a quantity that is no multiple of anything are shown to a person.
_SHOWN = Context(prec=12, rounding=ROUND_FLOOR)


class Side(StrEnum):
    """Direction of a position."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """1 for long, -1 for short."""
        return 1 if self is Side.LONG else -1

    @property
    def opposite(self) -> "Side":
        """The other direction."""
        return Side.SHORT if self is Side.LONG else Side.LONG


class SizeType(StrEnum):
    """Unit of a size.

    `PERCENT_BALANCE`: percent of the available balance that becomes the position's notional. The leverage
    sets the margin that the position takes, not its size (TradingView's percent_of_equity means the same).
    """

    PERCENT_BALANCE = "percent_balance"
    QUOTE = "quote"
    BASE = "base"
    RISK_PERCENT = "risk_percent"


@dataclass(frozen=True, slots=True)
class Size:
    """How large a position is to be; `value` > 0 in the unit of `type`."""

    type: SizeType
    value: Decimal


DEFAULT_SIZE = Size(SizeType.PERCENT_BALANCE, DEFAULT_SIZE_PERCENT)


class LevelKind(StrEnum):
    """How a price level is given."""

    PRICE = "price"
    PERCENT = "percent"
    ATR = "atr"


@dataclass(frozen=True, slots=True)
class Level:
    """A price, or a distance from the entry price: percent of it, or multiples of the ATR; value > 0."""

    kind: LevelKind
    value: Decimal

    def distance(self, entry_price: Decimal, atr: Decimal | None) -> Decimal:
        """How far the level is from the entry, >= 0 in the quote currency.

        Args:
            entry_price: > 0.
            atr: Average true range in the quote currency; needed for an ATR level only.
        """
        match self.kind:
            case LevelKind.PRICE:
                return abs(entry_price - self.value)
            case LevelKind.PERCENT:
                return entry_price * self.value / _HUNDRED
            case LevelKind.ATR:
                if atr is None:
                    raise ValueError("an ATR level without an ATR")
                return atr * self.value


@dataclass(frozen=True, slots=True)
class Target:
    """A take-profit level and the share (0, 1] of the position that it closes."""

    level: Level
    share: Decimal


class SizeRefused(ValueError):
    """The order would be outside of what the exchange accepts."""

    reason = "SIZE_REFUSED"


class BelowMinSize(SizeRefused):
    """The order is smaller than the exchange's smallest."""

    reason = "BELOW_MIN_SIZE"


class AboveMaxSize(SizeRefused):
    """The order is larger than the exchange's largest."""

    reason = "ABOVE_MAX_SIZE"


class StopOnWrongSide(ValueError):
    """The stop or target is on the side of the price where it would trigger at once."""


def entry_quantity(
    size: Size,
    *,
    available_balance: Decimal,
    price: Decimal,
    stop_distance: Decimal,
    instrument: Instrument,
) -> Decimal:
    """The quantity of an entry, on the lot, rounded down.

    Args:
        size: What was asked for.
        available_balance: Free margin in the quote currency.
        price: What a unit costs, > 0.
        stop_distance: Between entry and stop in the quote currency, > 0; counts for RISK_PERCENT.
        instrument: The market's rules.

    Raises:
        BelowMinSize: Under the smallest quantity or notional of the market.
        AboveMaxSize: Over the largest quantity of the market.
    """
    wanted = _wanted_quantity(size, available_balance, price, stop_distance)
    quantity = instrument.quantity(wanted)
    minimum = smallest_quantity(instrument, price)
    if quantity < minimum:
        raise BelowMinSize(
            f"The order of {_plain(_SHOWN.plus(wanted))} {instrument.symbol} is below the exchange's minimum "
            f"of {_plain(minimum)} (minimum notional {_plain(instrument.min_notional)})."
        )
    if quantity > instrument.max_quantity:
        raise AboveMaxSize(
            f"The order of {_plain(quantity)} {instrument.symbol} is above the exchange's maximum of "
            f"{_plain(instrument.max_quantity)}."
        )
    return quantity


def _wanted_quantity(
    size: Size, available_balance: Decimal, price: Decimal, stop_distance: Decimal
) -> Decimal:
    with localcontext(_DOWN):
        match size.type:
            case SizeType.PERCENT_BALANCE:
                return available_balance * size.value / _HUNDRED / price
            case SizeType.QUOTE:
                return size.value / price
            case SizeType.BASE:
                return size.value
            case SizeType.RISK_PERCENT:
                return available_balance * size.value / _HUNDRED / stop_distance


def smallest_quantity(instrument: Instrument, price: Decimal) -> Decimal:
    """The smallest quantity that can open a position at `price`, on the lot."""
    with localcontext(prec=80, rounding=ROUND_CEILING):
        needed = max(instrument.min_quantity, instrument.min_notional / price)
    return round_to_step(needed, instrument.lot_size, Rounding.UP)


def stop_price(
    level: Level, *, side: Side, entry_price: Decimal, atr: Decimal | None, instrument: Instrument
) -> Decimal:
    """Where the stop of a `side` position stands, on the tick, rounded away from the entry.

    Raises:
        StopOnWrongSide: A price on the profit side, or a distance that leaves no price above zero.
    """
    return _level_price(level, direction=-side.sign, entry_price=entry_price, atr=atr, instrument=instrument)


def target_price(
    level: Level, *, side: Side, entry_price: Decimal, atr: Decimal | None, instrument: Instrument
) -> Decimal:
    """Where a take profit of a `side` position stands, on the tick, rounded away from the entry.

    Raises:
        StopOnWrongSide: A price on the loss side, or a distance that leaves no price above zero.
    """
    return _level_price(level, direction=side.sign, entry_price=entry_price, atr=atr, instrument=instrument)


def _level_price(
    level: Level, *, direction: int, entry_price: Decimal, atr: Decimal | None, instrument: Instrument
) -> Decimal:
    exact = (
        level.value
        if level.kind is LevelKind.PRICE
        else entry_price + direction * level.distance(entry_price, atr)
    )
    rounded = instrument.price(exact, Rounding.UP if direction > 0 else Rounding.DOWN)
    if rounded <= 0 or (rounded - entry_price) * direction <= 0:
        where = "above" if direction > 0 else "below"
        raise StopOnWrongSide(f"{_plain(rounded)} is not {where} the price {_plain(entry_price)}")
    return rounded


def split_targets(quantity: Decimal, targets: Sequence[Target], instrument: Instrument) -> list[Decimal]:
    """How much of a position each target closes, on the lot.

    When the shares add up to 1, the last target takes what rounding left over. A part under the market's
    smallest quantity joins the next one, and what is left at the end the last one that is large enough; only
    when none is, one part under the smallest quantity remains.
    """
    parts = [instrument.quantity(_DOWN.multiply(quantity, target.share)) for target in targets]
    if parts and sum(target.share for target in targets) == 1:
        parts[-1] = quantity - sum(parts[:-1])
    joined = [Decimal(0)] * len(parts)
    carried = Decimal(0)
    for index, part in enumerate(parts):
        carried += part
        if carried >= instrument.min_quantity:
            joined[index], carried = carried, Decimal(0)
    if carried:
        large_enough = [index for index, part in enumerate(joined) if part]
        joined[large_enough[-1] if large_enough else -1] += carried
    return joined


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")
