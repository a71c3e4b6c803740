"""One signal on its way: its newest state, and every change of it written down before it counts."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from execution_service.journal import Change, Guard, Journal, Step
from execution_service.signals import Leg, LegState, Plan, Signal, SignalState
from tradekit.market.sizing import Side
from tradekit.service.clock import Clock
from tradekit.service.wire import decimal_text

# An entry that is older than this is not sent any more.
ENTRY_AGE_LIMIT = timedelta(seconds=60)


class Progress:
    """Holds a signal while it is worked on. `signal` is what the journal knows, never more."""

    def __init__(self, signal: Signal, journal: Journal, clock: Clock, *, behind: bool = False) -> None:
        self.signal = signal
        self._journal = journal
        self._clock = clock
        self._noted: list[Step] = []
        self._behind = behind
        # Set when there is nothing more to wait for: the signal is final, or nobody works on it any more.
        self.ended = asyncio.Event()

    async def catch_up(self) -> None:
        """Reads the signal anew when what we hold may be old: after a restart or a failed write."""
        if self._behind:
            self.signal = await self._journal.get(self.signal.id)
            self._behind = False

    def is_fresh(self, after: timedelta = timedelta(0)) -> bool:
        """Whether an entry may still be sent `after` some more time: its alert is within the age limit."""
        return self._clock.now() + after - self.signal.receive_time <= ENTRY_AGE_LIMIT

    def note(self, kind: str, **attributes: str) -> None:
        """Adds a step to the history; it is written with the next change."""
        self._noted.append(Step(kind, attributes))

    def decide(self, plan: Plan) -> None:
        """The signal's plan is made; written with its first order."""
        self.signal = replace(self.signal, plan=plan)

    async def move(
        self,
        state: SignalState,
        *,
        reason: str = "",
        message: str = "",
        guard: Guard | None = None,
        unguard: frozenset[Side] = frozenset(),
    ) -> None:
        """Writes the signal's new state, and what else changes with it."""
        signal = self.signal.moved_to(state, reason=reason, message=message)
        if signal.state.final:
            signal = replace(signal, finish_time=self._clock.now())
            attributes = {"message": message} | ({"reason": reason} if reason else {})
            self.note(f"signal.{state.value}", **attributes)
        await self._write(Change(signal, guard=guard, unguard=unguard))
        if signal.state.final:
            self.ended.set()

    async def record(self, *, unguard: frozenset[Side] = frozenset()) -> None:
        """Writes the noted steps and what is watched no more; the signal itself stays as it is."""
        await self._write(Change(self.signal, unguard=unguard))

    async def put(self, legs: Sequence[Leg], *, guard: Guard | None = None) -> None:
        """Writes legs as they are now, and a position to watch if one is given."""
        signal = self.signal
        for leg in legs:
            before = _same(signal, leg)
            if before is not None:
                before.moved_to(leg.state)
            if before is None or before.state is not leg.state:
                self._noted.append(_step_of(leg))
            signal = signal.with_leg(leg)
        await self._write(Change(signal, legs=tuple(legs), guard=guard))

    async def _write(self, change: Change) -> None:
        steps, self._noted = tuple(self._noted), []
        try:
            await self._journal.write(replace(change, steps=steps))
        except BaseException:
            # It may have been written all the same. Its steps are not kept: what was not written is done
            # again and noted again, what was written must not stand in the history twice.
            self._behind = True
            raise
        self.signal = _merged(self.signal, change)

    def guard(self) -> Guard:
        """That the signal's position is to be watched."""
        signal = self.signal
        assert signal.plan is not None
        return Guard(
            user_id=signal.user_id,
            account_id=signal.account_id,
            symbol=signal.symbol,
            signal_id=signal.id,
            side=signal.plan.side,
        )


def _merged(signal: Signal, change: Change) -> Signal:
    """What the journal knows now: several legs of one signal are written at the same time."""
    merged = signal
    for leg in change.legs:
        merged = merged.with_leg(leg)
    new = change.signal
    return replace(
        merged,
        state=new.state,
        reason=new.reason,
        message=new.message,
        finish_time=new.finish_time,
        plan=new.plan or merged.plan,
    )


def _same(signal: Signal, leg: Leg) -> Leg | None:
    found = [
        old for old in signal.legs if (old.kind, old.index, old.attempt) == (leg.kind, leg.index, leg.attempt)
    ]
    return found[0] if found else None


def _step_of(leg: Leg) -> Step:
    attributes = {
        "leg": f"{leg.kind.value}.{leg.index}",
        "client_order_id": leg.client_order_id,
        "exchange_order_id": leg.exchange_order_id,
        "quantity": _text(leg.quantity),
        "filled_quantity": _text(leg.filled_quantity) if leg.filled_quantity else "",
        "average_price": _text(leg.average_price),
        "trigger_price": _text(leg.trigger_price),
        "limit_price": _text(leg.limit_price),
        "leverage": str(leg.leverage or ""),
        "reason": leg.reason,
        "message": leg.message,
    }
    name = {LegState.OPEN: "placed", LegState.FILLED: "filled"}.get(leg.state, leg.state.value)
    return Step(f"{leg.kind.value}.{name}", {key: value for key, value in attributes.items() if value})


def _text(value: Decimal | None) -> str:
    return "" if value is None else decimal_text(value)
