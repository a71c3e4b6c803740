"""Making a position smaller: closes, and the removal of what was left on the exchange for it.

Nothing here waits for a limit, an age or a sick side system: an order that can only reduce is always tried
again.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from execution_service.accounts import Account
from execution_service.exchanges import errors
from execution_service.exchanges.types import OrderRef, OrderStatus, Position
from execution_service.journal import Journal
from execution_service.orders import Orders, updated
from execution_service.progress import Progress
from execution_service.signals import Leg, LegKind, LegState, OrderSide, Signal
from tradekit.market.sizing import Side

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LAST_PAUSE_S = 0.2, 5.0
MAX_ROUNDS = 20


class CloseRefused(Exception):
    """The exchange refuses to close the position; a person must look."""

    def __init__(self, error: errors.Refused) -> None:
        super().__init__(error.message)
        self.error = error


async def close_positions(
    progress: Progress, account: Account, wanted: Callable[[Position], bool]
) -> tuple[Decimal, list[Position]]:
    """Closes the symbol's positions that are `wanted` at market, reduce-only; resumes what was begun before.

    Returns:
        How much was closed, and the positions as they were first seen (empty when there was none).

    Raises:
        CloseRefused: The exchange will not, for a reason that waiting does not mend.
    """
    await _settle_earlier(progress, account)
    seen: list[Position] = []
    for _ in range(MAX_ROUNDS):
        positions = [
            position for position in await read_positions(account, progress.signal.symbol) if wanted(position)
        ]
        seen = seen or positions
        if not positions:
            break
        await _close_one(progress, account, positions[0])
    legs = [leg for leg in progress.signal.legs if leg.kind is LegKind.CLOSE]
    return sum((leg.filled_quantity for leg in legs), Decimal(0)), seen


async def _settle_earlier(progress: Progress, account: Account) -> None:
    """A close that was begun before a restart is found out about before another one is thought of."""
    for leg in progress.signal.legs:
        if leg.kind is LegKind.CLOSE and not leg.state.final:
            assert leg.side is not None
            await Orders(progress, account, _position_side(leg)).place(leg)


async def _close_one(progress: Progress, account: Account, position: Position) -> None:
    orders = Orders(progress, account, position.side)
    side = OrderSide.closing(position.side)
    index = sum(
        leg.kind is LegKind.CLOSE and leg.state is not LegState.REFUSED for leg in progress.signal.legs
    )
    pause = FIRST_PAUSE_S
    while True:
        try:
            await orders.place(orders.new_leg(LegKind.CLOSE, index, side=side, quantity=position.quantity))
            return
        except errors.NothingToReduce:
            return  # gone, or smaller than it was: it is read anew
        except errors.NotSent as error:
            if isinstance(error, errors.ClockSkew):
                await account.market_data.market.refresh_clock()
            pause = max(min(pause * 2, LAST_PAUSE_S), error.retry_after.total_seconds())
            await asyncio.sleep(pause)
        except errors.Refused as error:
            raise CloseRefused(error) from error


def _position_side(leg: Leg) -> Side:
    return Side.LONG if leg.side is OrderSide.SELL else Side.SHORT


async def read_positions(account: Account, symbol: str) -> list[Position]:
    """The symbol's positions as the exchange has them now; asks until it answers.

    Raises:
        CloseRefused: The exchange refuses to answer (the key is not accepted).
    """
    pause = FIRST_PAUSE_S
    while True:
        try:
            return await account.exchange.get_positions(symbol)
        except errors.Refused as error:
            raise CloseRefused(error) from error
        except errors.ExchangeError as error:
            log.warning("positions.question_failed", extra={"reason": error.reason})
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE_S)


async def clear_leftovers(
    journal: Journal, account: Account, signal: Signal, *, keep: frozenset[str]
) -> None:
    """Cancels every stop and target of ours for the signal's market but those in `keep` (client order ids).

    An order that has ended by itself is recorded as the exchange says it ended.
    """
    for owner in await journal.resting(signal.account_id, signal.symbol):
        for leg in owner.legs:
            leftover = leg.state in (LegState.OPEN, LegState.UNKNOWN) and leg.kind.conditional
            if leftover and leg.client_order_id not in keep:
                await _cancel(journal, account, owner, leg)


async def _cancel(journal: Journal, account: Account, owner: Signal, leg: Leg) -> None:
    ref = OrderRef(owner.symbol, leg.client_order_id, leg.kind.conditional)
    pause = FIRST_PAUSE_S
    while True:
        try:
            ended = await _cancelled(account, ref, owner, leg)
        except errors.Refused as error:
            log.error(
                "leftover.not_cancelled",
                extra={"client_order_id": leg.client_order_id, "reason": error.reason},
            )
            return
        except errors.ExchangeError:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE_S)
            continue
        await Progress(owner, journal, journal.clock).put([ended])
        return


async def _cancelled(account: Account, ref: OrderRef, owner: Signal, leg: Leg) -> Leg:
    try:
        await account.exchange.cancel_order(ref, signal_id=str(owner.id))
    except errors.OrderUnknown:
        # It has filled, or gone with the position.
        order = await account.exchange.find_order(ref)
        if order is not None and order.status is not OrderStatus.OPEN:
            return updated(leg, order)
    return replace(leg, state=LegState.CANCELED, reason="", message="")
