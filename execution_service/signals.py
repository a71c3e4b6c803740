"""A signal, its legs, and their states: the words of the journal.

A *signal* is one alert that was made durable. A *leg* is one request to the exchange made for it. The states
of both change only by `Signal.moved_to` and `Leg.moved_to`, which refuse a step that is not drawn here:

    signal   RECEIVED -> EXECUTING -> PROTECTING -> DONE
                 |            |            └------> FAILED
                 └------------┴--> DONE | REJECTED | EXPIRED | FAILED

    leg      INTENDED -> OPEN -> FILLED | CANCELED
                 ├--> UNKNOWN -> OPEN | FILLED | CANCELED | REFUSED | DEAD, or INTENDED: proven dead, sent
                 again └--> FILLED | CANCELED | REFUSED | DEAD
"""

import base64
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from tradekit.market.alert import Alert
from tradekit.market.sizing import Side


class SignalState(StrEnum):
    """How far a signal has come."""

    RECEIVED = "received"
    EXECUTING = "executing"
    PROTECTING = "protecting"
    DONE = "done"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self in _FINAL


_FINAL = frozenset({SignalState.DONE, SignalState.REJECTED, SignalState.EXPIRED, SignalState.FAILED})
_SIGNAL_STEPS = {
    SignalState.RECEIVED: frozenset({SignalState.EXECUTING}) | _FINAL,
    SignalState.EXECUTING: frozenset({SignalState.PROTECTING}) | _FINAL,
    SignalState.PROTECTING: frozenset({SignalState.DONE, SignalState.FAILED}),
}


class LegKind(StrEnum):
    """What a leg is for."""

    LEVERAGE = "leverage"
    ENTRY = "entry"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"
    CLOSE = "close"

    @property
    def conditional(self) -> bool:
        """Whether it waits on the exchange for a price."""
        return self in (LegKind.STOP_LOSS, LegKind.TAKE_PROFIT, LegKind.TRAILING_STOP)


class LegState(StrEnum):
    """How far a leg has come."""

    INTENDED = "intended"
    UNKNOWN = "unknown"
    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    REFUSED = "refused"
    DEAD = "dead"

    @property
    def final(self) -> bool:
        """Whether the exchange will do nothing more for it."""
        return self not in (LegState.INTENDED, LegState.UNKNOWN, LegState.OPEN)


_ENDS = frozenset({LegState.FILLED, LegState.CANCELED, LegState.REFUSED, LegState.DEAD})
_LEG_STEPS = {
    LegState.INTENDED: frozenset({LegState.UNKNOWN, LegState.OPEN}) | _ENDS,
    LegState.UNKNOWN: frozenset({LegState.OPEN, LegState.INTENDED}) | _ENDS,
    LegState.OPEN: frozenset({LegState.FILLED, LegState.CANCELED, LegState.REFUSED, LegState.UNKNOWN}),
}


class StepNotAllowed(AssertionError):
    """Our bug: a state was to change in a way that is not drawn."""


class OrderSide(StrEnum):
    """What an order does."""

    BUY = "buy"
    SELL = "sell"

    @classmethod
    def opening(cls, side: Side) -> "OrderSide":
        """The order that opens a `side` position."""
        return cls.BUY if side is Side.LONG else cls.SELL

    @classmethod
    def closing(cls, side: Side) -> "OrderSide":
        """The order that closes a `side` position."""
        return cls.SELL if side is Side.LONG else cls.BUY


@dataclass(frozen=True, slots=True)
class Leg:
    """One request to the exchange.

    Attributes:
        signal_id: What it is for.
        kind: What it does.
        index: Counts legs of one kind from 0.
        attempt: Counts orders for this leg from 0: one more only after the one before was certainly not done.
        client_order_id: Ours; empty for a leverage change.
        side: None for a leverage change.
        quantity: Base currency; None: the whole position.
        valid_until: By the exchange's clock: after it the request can no longer be accepted.
    """

    signal_id: uuid.UUID
    kind: LegKind
    index: int = 0
    attempt: int = 0
    state: LegState = LegState.INTENDED
    side: OrderSide | None = None
    quantity: Decimal | None = None
    trigger_price: Decimal | None = None
    limit_price: Decimal | None = None
    trailing_percent: Decimal | None = None
    leverage: int | None = None
    client_order_id: str = ""
    exchange_order_id: str = ""
    filled_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None
    valid_until: datetime | None = None
    reason: str = ""
    message: str = ""

    def moved_to(self, state: LegState) -> "Leg":
        """This leg in `state`; the same state again is allowed."""
        if state is not self.state and state not in _LEG_STEPS.get(self.state, frozenset()):
            raise StepNotAllowed(f"leg {self.kind} cannot go from {self.state} to {state}")
        return replace(self, state=state)


@dataclass(frozen=True, slots=True)
class Plan:
    """What was decided for an entry, once: a signal that is resumed does not decide again.

    Attributes:
        side: Of the position.
        quantity: Of the entry, base currency.
        reference_price: What it was computed from: the mark price, or the limit price.
        atr: Average true range; None when nothing needs it.
        position_before: The symbol's position when it was decided; below 0 for a short.
    """

    side: Side
    quantity: Decimal
    reference_price: Decimal
    atr: Decimal | None
    position_before: Decimal


@dataclass(frozen=True, slots=True)
class Signal:
    """One alert and what was done for it.

    Attributes:
        symbol: Exchange-neutral, for example "BTCUSDT".
        sequence: Grows with each signal that was made durable.
        finish_time: None while it is not final.
        plan: None until it was decided.
    """

    id: uuid.UUID
    user_id: uuid.UUID
    account_id: uuid.UUID
    exchange: str
    symbol: str
    alert: Alert
    receive_time: datetime
    sequence: int = 0
    state: SignalState = SignalState.RECEIVED
    reason: str = ""
    message: str = ""
    finish_time: datetime | None = None
    plan: Plan | None = None
    legs: tuple[Leg, ...] = ()

    def moved_to(self, state: SignalState, *, reason: str = "", message: str = "") -> "Signal":
        """This signal in `state`; the same state again is allowed unless it is final."""
        if state is not self.state and state not in _SIGNAL_STEPS.get(self.state, frozenset()):
            raise StepNotAllowed(f"signal {self.id} cannot go from {self.state} to {state}")
        return replace(self, state=state, reason=reason, message=message)

    def with_leg(self, leg: Leg) -> "Signal":
        """This signal with `leg` added or put in the place of the same order's earlier state."""
        key = (leg.kind, leg.index, leg.attempt)
        others = [old for old in self.legs if (old.kind, old.index, old.attempt) != key]
        position = next(
            (place for place, old in enumerate(self.legs) if (old.kind, old.index, old.attempt) == key),
            len(others),
        )
        return replace(self, legs=(*others[:position], leg, *others[position:]))

    def leg(self, kind: LegKind, index: int = 0) -> Leg | None:
        """The newest attempt of a leg, or None."""
        found = [leg for leg in self.legs if leg.kind is kind and leg.index == index]
        return max(found, key=lambda leg: leg.attempt, default=None)


_CODES = {
    LegKind.ENTRY: "e",
    LegKind.STOP_LOSS: "s",
    LegKind.TAKE_PROFIT: "t",
    LegKind.TRAILING_STOP: "r",
    LegKind.CLOSE: "c",
}
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
OUR_PREFIX = "tb"


def client_order_id(signal_id: uuid.UUID, kind: LegKind, index: int, attempt: int) -> str:
    """The client order id of a leg: 32 characters of [a-z0-9], the same whenever it is asked for.

    It is "tb", the signal's id in base 32, the leg's letter, its index and its attempt (0 to 1295). Binance
    takes at most 36 characters, OKX 32 letters and digits.
    """
    text = base64.b32encode(signal_id.bytes).decode().rstrip("=").lower()
    tens, ones = divmod(attempt, len(_DIGITS))
    return f"{OUR_PREFIX}{text}{_CODES[kind]}{_DIGITS[index]}{_DIGITS[tens]}{_DIGITS[ones]}"
