"""Protected or closed: a live stop covers the whole position, or the position is being closed.

The stop follows the position's size on the exchange itself (`quantity` None: the whole position), so that
partial fills and additions are covered without a new order.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from decimal import Decimal

from execution_service.accounts import Account
from execution_service.closing import clear_leftovers
from execution_service.exchanges import errors
from execution_service.exchanges.types import Position
from execution_service.journal import Journal
from execution_service.orders import Orders
from execution_service.progress import Progress
from execution_service.signals import Leg, LegKind, LegState, OrderSide, Plan
from tradekit.market.instrument import Instrument
from tradekit.market.sizing import (
    DEFAULT_STOP_ATR,
    DEFAULT_TARGET_ATR,
    Level,
    LevelKind,
    StopOnWrongSide,
    Target,
    split_targets,
    stop_price,
    target_price,
)

log = logging.getLogger(__name__)

# From the fill: after this a stop that cannot be placed makes us close the position. Ten seconds are
# promised.
STOP_DEADLINE_S = 8.0
RETRY_PAUSE_S = 0.3
DEFAULT_STOP = Level(LevelKind.ATR, DEFAULT_STOP_ATR)
DEFAULT_TARGETS = (Target(Level(LevelKind.ATR, DEFAULT_TARGET_ATR), Decimal(1)),)


@dataclass(frozen=True, slots=True)
class NotProtected(Exception):
    """No stop can be placed: the position must be closed.

    Attributes:
        reason: Stable, UPPER_SNAKE.
        message: A sentence for the user.
    """

    reason: str
    message: str


class Protection:
    """Places stop, targets and trailing stop for the position that a signal's entry opened."""

    def __init__(
        self, progress: Progress, account: Account, journal: Journal, instrument: Instrument, plan: Plan
    ) -> None:
        self._progress = progress
        self._account = account
        self._journal = journal
        self._instrument = instrument
        self._plan = plan
        self._orders = Orders(progress, account, plan.side)
        self._side = OrderSide.closing(plan.side)

    async def place(self, position: Position, entry_price: Decimal) -> None:
        """Puts the stop and everything else in place; returns when the stop is live.

        Args:
            position: As it is on the exchange now.
            entry_price: What distances are measured from.

        Raises:
            NotProtected: No stop can be placed.
        """
        try:
            stop_trigger = self._stop_trigger(entry_price)
        except StopOnWrongSide as error:
            raise NotProtected("STOP_ON_WRONG_SIDE", f"The price has passed the stop: {error}.") from error
        # An earlier stop for the whole position covers this one too, until its place is needed.
        await clear_leftovers(self._journal, self._account, self._progress.signal, keep=self._own_ids())
        async with asyncio.TaskGroup() as group:
            stop = group.create_task(self._place_stop(stop_trigger))
            for index, (target, quantity) in enumerate(self._targets(position, entry_price)):
                group.create_task(self._place_target(index, target, quantity))
            if self._progress.signal.alert.trailing_percent is not None:
                group.create_task(self._place_trailing(position))
        problem = stop.result()
        if problem is not None:
            raise problem

    def _own_ids(self) -> frozenset[str]:
        return frozenset(leg.client_order_id for leg in self._progress.signal.legs)

    def _stop_trigger(self, entry_price: Decimal) -> Decimal:
        return stop_price(
            self._progress.signal.alert.stop_loss or DEFAULT_STOP,
            side=self._plan.side,
            entry_price=entry_price,
            atr=self._plan.atr,
            instrument=self._instrument,
        )

    def _targets(
        self, position: Position, entry_price: Decimal
    ) -> list[tuple[Decimal | None, Decimal | None]]:
        """(trigger price, None if passed already; quantity, None for the whole position) of each target."""
        targets = self._progress.signal.alert.take_profits or DEFAULT_TARGETS
        parts: list[Decimal | None] = [None]
        if len(targets) > 1 or targets[0].share < 1:
            parts = list(split_targets(position.quantity, targets, self._instrument))
        return [
            (self._target_trigger(target, entry_price), part)
            for target, part in zip(targets, parts, strict=True)
            if part != 0
        ]

    def _target_trigger(self, target: Target, entry_price: Decimal) -> Decimal | None:
        try:
            return target_price(
                target.level,
                side=self._plan.side,
                entry_price=entry_price,
                atr=self._plan.atr,
                instrument=self._instrument,
            )
        except StopOnWrongSide:
            return None

    async def _place_stop(self, trigger: Decimal) -> NotProtected | None:
        """Places the stop; tries again until the deadline. Returns why it could not be done, or None."""
        deadline = time.monotonic() + STOP_DEADLINE_S
        refusals = 0
        while True:
            try:
                leg = await self._orders.place(self._stop_leg(trigger))
                if leg.state in (LegState.OPEN, LegState.FILLED):
                    return None
                refusals += 1
            except errors.WouldTrigger as error:
                return NotProtected("STOP_WOULD_TRIGGER", error.message)
            except errors.NotSent as error:
                if isinstance(error, errors.ClockSkew):
                    await self._account.market_data.market.refresh_clock()
                wait = max(RETRY_PAUSE_S, error.retry_after.total_seconds())
                if time.monotonic() + wait > deadline:
                    return NotProtected("STOP_NOT_PLACED", f"The stop could not be placed: {error.message}")
                await asyncio.sleep(wait)
            except errors.Refused as error:
                refusals += 1
                if refusals > 1:
                    return NotProtected("STOP_REFUSED", error.message)
                await self._make_room(error)

    async def _make_room(self, error: errors.Refused) -> None:
        """What may mend a refused stop: newer rules, or the removal of a stop that stands in its place."""
        if isinstance(error, errors.RulesChanged):
            self._account.market_data.forget_rules()
        if isinstance(error, errors.ProtectionExists):
            await clear_leftovers(self._journal, self._account, self._progress.signal, keep=frozenset())

    def _stop_leg(self, trigger: Decimal) -> Leg:
        known = self._progress.signal.leg(LegKind.STOP_LOSS)
        if known is not None and known.state in (LegState.INTENDED, LegState.UNKNOWN, LegState.OPEN):
            return known
        return self._orders.new_leg(LegKind.STOP_LOSS, side=self._side, trigger_price=trigger)

    async def _place_target(self, index: int, trigger: Decimal | None, quantity: Decimal | None) -> None:
        """Places one target. A position without it is still protected: what fails is told, no more."""
        if trigger is None:
            self._progress.note("take_profit.passed", leg=f"take_profit.{index}")
            return
        leg = self._progress.signal.leg(LegKind.TAKE_PROFIT, index)
        if leg is None or leg.state is LegState.REFUSED:
            leg = self._orders.new_leg(
                LegKind.TAKE_PROFIT, index, side=self._side, trigger_price=trigger, quantity=quantity
            )
        await self._try_optional(leg)

    async def _place_trailing(self, position: Position) -> None:
        leg = self._progress.signal.leg(LegKind.TRAILING_STOP)
        if leg is None or leg.state is LegState.REFUSED:
            leg = self._orders.new_leg(
                LegKind.TRAILING_STOP,
                side=self._side,
                quantity=position.quantity,
                trailing_percent=self._progress.signal.alert.trailing_percent,
            )
        await self._try_optional(leg)

    async def _try_optional(self, leg: Leg) -> None:
        for attempt in range(5):
            try:
                await self._orders.place(leg)
                return
            except errors.NotSent as error:
                await asyncio.sleep(max(RETRY_PAUSE_S * 2**attempt, error.retry_after.total_seconds()))
            except errors.Refused as error:
                log.warning("target.refused", extra={"leg": leg.kind.value, "reason": error.reason})
                return
            assert leg.side is not None
            leg = self._orders.new_leg(
                leg.kind,
                leg.index,
                side=leg.side,
                trigger_price=leg.trigger_price,
                quantity=leg.quantity,
                trailing_percent=leg.trailing_percent,
            )
