"""Protected or closed: a live stop covers the whole position, or the position is being closed.

The stop follows the position's size on the exchange itself (`quantity` None: the whole position), so that
partial fills and additions are covered without a new order.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Iterable
from dataclasses import dataclass
from decimal import Decimal

from execution_service.accounts import Account
from execution_service.closing import mend_clock
from execution_service.exchanges import errors
from execution_service.exchanges.types import Order, OrderKind, Position
from execution_service.leftovers import Leftovers, entries_of, protection_of
from execution_service.orders import Orders, OutcomeHidden
from execution_service.progress import Progress
from execution_service.signals import Leg, LegKind, LegState, OrderSide, Plan, Signal
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
# A target that is refused for now is tried again this often, and never for so long that a close would wait.
TARGET_ATTEMPTS = 5
LONGEST_TARGET_PAUSE_S = 2.0
# A second refusal of this kind may be for a reason that has just been mended.
STOP_REFUSALS = 3
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


_Orders = list[tuple[Signal, Leg]]


class Protection:
    """Places stop, targets and trailing stop for the position that a signal's entry opened."""

    def __init__(
        self, progress: Progress, account: Account, leftovers: Leftovers, instrument: Instrument, plan: Plan
    ) -> None:
        self._progress = progress
        self._account = account
        self._leftovers = leftovers
        self._instrument = instrument
        self._plan = plan
        self._orders = Orders(progress, account, plan.side)
        self._side = OrderSide.closing(plan.side)

    async def place(self, position: Position, entry_price: Decimal) -> None:
        """Puts the stop and everything else in place; returns when that is done.

        Args:
            position: As it is on the exchange now.
            entry_price: What distances are measured from.

        Raises:
            NotProtected: No stop can be placed.
        """
        try:
            trigger = self._stop_trigger(entry_price)
        except StopOnWrongSide as error:
            raise NotProtected("STOP_ON_WRONG_SIDE", f"The price has passed the stop: {error}.") from error
        earlier = await self._earlier()
        targets = [asyncio.create_task(work) for work in self._other_orders(position, entry_price, earlier)]
        try:
            # It comes first: the tasks begin when this has to wait.
            await self._place_stop_in_time(trigger, earlier)
        except BaseException:
            # Nothing that is going on beside it may hold up what must be done now.
            for task in targets:
                task.cancel()
            await asyncio.gather(*targets, return_exceptions=True)
            raise
        await _all(targets)
        # An entry that rests on the other side would eat into the position that is wanted now.
        await self._cancel(earlier, LegKind.ENTRY)

    async def _place_stop_in_time(self, trigger: Decimal, earlier: _Orders) -> None:
        """The stop, or why there is none, before the position has been open for too long."""
        try:
            async with asyncio.timeout(STOP_DEADLINE_S):
                # Binance takes one stop for the whole position; until now the earlier one covered this too.
                await self._cancel(earlier, LegKind.STOP_LOSS)
                await self._place_stop(trigger)
        except TimeoutError as error:
            message = "The exchange did not confirm the stop in time."
            raise NotProtected("STOP_NOT_PLACED", message) from error
        except OutcomeHidden as error:
            raise NotProtected(error.reason, error.message) from error

    async def _earlier(self) -> _Orders:
        """What other signals have placed and is to go: this side's protection, the other side's entries."""
        own, side = self._progress.signal.id, self._plan.side
        replaced = protection_of(frozenset({side}))
        contrary = entries_of(frozenset({side.opposite}))
        return await self._leftovers.waiting(
            lambda owner, leg: owner.id != own and (replaced(owner, leg) or contrary(owner, leg))
        )

    async def _cancel(self, earlier: _Orders, kind: LegKind) -> None:
        orders = [(owner, leg) for owner, leg in earlier if leg.kind is kind]
        if orders:
            await self._leftovers.cancel(orders)

    def _other_orders(
        self, position: Position, entry_price: Decimal, earlier: _Orders
    ) -> list[Coroutine[object, object, None]]:
        async def trailing() -> None:
            await self._cancel(earlier, LegKind.TRAILING_STOP)
            if self._progress.signal.alert.trailing_percent is not None:
                await self._place_trailing(position)

        async def targets() -> None:
            await self._cancel(earlier, LegKind.TAKE_PROFIT)
            await _all(
                self._place_target(index, *target, position=position)
                for index, target in enumerate(self._targets(position, entry_price))
                if target is not None
            )

        return [targets(), trailing()]

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
    ) -> list[tuple[Decimal | None, Decimal | None] | None]:
        """(trigger price, None if passed already; quantity, None for the whole position) of each target.

        A target is None when its share is too small for an order of its own; it is in another one's then.
        """
        targets = self._progress.signal.alert.take_profits or DEFAULT_TARGETS
        parts: list[Decimal | None] = [None]
        if len(targets) > 1 or targets[0].share < 1:
            parts = list(split_targets(position.quantity, targets, self._instrument))
        return [
            None if part == 0 else (self._target_trigger(target, entry_price), part)
            for target, part in zip(targets, parts, strict=True)
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

    async def _place_stop(self, trigger: Decimal) -> None:
        """Places the stop; tries again as long as it makes sense.

        Raises:
            NotProtected: It cannot be placed.
        """
        refusals = 0
        while True:
            try:
                leg = await self._orders.place(self._stop_leg(trigger))
                if leg.state in (LegState.OPEN, LegState.FILLED):
                    return
                refusals += 1
            except errors.WouldTrigger as error:
                raise NotProtected("STOP_WOULD_TRIGGER", error.message) from error
            except errors.NotSent as error:
                await mend_clock(self._account, error)
                await asyncio.sleep(max(RETRY_PAUSE_S, error.retry_after.total_seconds()))
            except errors.Refused as error:
                refusals += 1
                if refusals > 1 and await self._is_covered(error):
                    return
                if refusals >= STOP_REFUSALS or isinstance(error, errors.KeyRejected):
                    raise NotProtected("STOP_REFUSED", error.message) from error
                await self._make_room(error)

    async def _make_room(self, error: errors.Refused) -> None:
        """What may mend a refused stop: newer rules, or the removal of a stop that stands in its place."""
        if isinstance(error, errors.RulesChanged):
            self._account.market_data.forget_rules()
        if isinstance(error, errors.ProtectionExists):
            await self._cancel(await self._earlier(), LegKind.STOP_LOSS)
        await asyncio.sleep(RETRY_PAUSE_S)

    async def _is_covered(self, error: errors.Refused) -> bool:
        """Whether a stop for the whole position that is not in our journal stands in the way: it protects."""
        if not isinstance(error, errors.ProtectionExists):
            return False
        try:
            orders = await self._account.exchange.get_open_orders(self._progress.signal.symbol)
        except errors.ExchangeError:
            return False
        found = next((order for order in orders if self._covers(order)), None)
        if found is None:
            return False
        self._progress.note("stop_loss.others_stop_stays", client_order_id=found.client_order_id)
        return True

    def _covers(self, order: Order) -> bool:
        return order.kind is OrderKind.STOP_LOSS and order.quantity is None and order.side is self._side

    def _stop_leg(self, trigger: Decimal) -> Leg:
        known = self._progress.signal.leg(LegKind.STOP_LOSS)
        if known is not None and known.state in (LegState.INTENDED, LegState.UNKNOWN, LegState.OPEN):
            return known
        return self._orders.new_leg(LegKind.STOP_LOSS, side=self._side, trigger_price=trigger)

    async def _place_target(
        self, index: int, trigger: Decimal | None, quantity: Decimal | None, *, position: Position
    ) -> None:
        """Places one target. A position without it is still protected: what fails is told, no more."""
        if trigger is None:
            self._progress.note("take_profit.passed", leg=f"take_profit.{index}")
            return
        await self._place_optional(
            LegKind.TAKE_PROFIT,
            index,
            position,
            quantity=quantity,
            trigger_price=trigger,
            trailing_percent=None,
        )

    async def _place_trailing(self, position: Position) -> None:
        await self._place_optional(
            LegKind.TRAILING_STOP,
            0,
            position,
            quantity=position.quantity,
            trigger_price=None,
            trailing_percent=self._progress.signal.alert.trailing_percent,
        )

    async def _place_optional(
        self,
        kind: LegKind,
        index: int,
        position: Position,
        *,
        quantity: Decimal | None,
        trigger_price: Decimal | None,
        trailing_percent: Decimal | None,
    ) -> None:
        """Places an order that the position can do without, in the place of a smaller one of its own."""
        leg = self._progress.signal.leg(kind, index)
        if leg is not None and _smaller(leg, position.quantity if quantity is None else quantity):
            own_id = leg.client_order_id
            await self._leftovers.withdraw(lambda owner, old: old.client_order_id == own_id)
            leg = self._progress.signal.leg(kind, index)
        for attempt in range(TARGET_ATTEMPTS):
            if leg is None or leg.state in (LegState.REFUSED, LegState.CANCELED):
                leg = self._orders.new_leg(
                    kind,
                    index,
                    side=self._side,
                    quantity=quantity,
                    trigger_price=trigger_price,
                    trailing_percent=trailing_percent,
                )
            if await self._is_settled(leg, attempt):
                return
            leg = self._progress.signal.leg(kind, index)

    async def _is_settled(self, leg: Leg, attempt: int) -> bool:
        """Sends an order that the position can do without; False: it is worth another attempt."""
        try:
            await self._orders.place(leg)
        except errors.NotSent as error:
            await mend_clock(self._account, error)
            wait = max(RETRY_PAUSE_S * 2**attempt, error.retry_after.total_seconds())
            if wait > LONGEST_TARGET_PAUSE_S or attempt + 1 == TARGET_ATTEMPTS:
                self._progress.note(f"{leg.kind.value}.given_up", reason=error.reason, message=error.message)
                return True
            await asyncio.sleep(wait)
            return False
        except (errors.Refused, OutcomeHidden) as error:
            log.warning("target.refused", extra={"leg": leg.kind.value, "reason": error.reason})
        return True


async def _all(works: Iterable[Awaitable[None]]) -> None:
    """Does all of them to their ends, then raises what the first one that failed has raised."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if outcome is not None:
            raise outcome


def _smaller(leg: Leg, quantity: Decimal) -> bool:
    """Whether a resting order covers less than it should by now: its entry has filled some more.

    An order that follows the position by itself has no quantity.
    """
    return leg.state is LegState.OPEN and leg.quantity is not None and leg.quantity < quantity
