"""Making a position smaller: the story of a close, and the closing of positions for other stories.

Nothing here waits for a limit, an age or a sick side system: an order that can only reduce is always tried
again.
"""

import asyncio
import logging
from contextlib import suppress
from decimal import Decimal

from execution_service.accounts import Account
from execution_service.exchanges import errors
from execution_service.exchanges.types import Position
from execution_service.journal import Journal
from execution_service.leftovers import Leftovers, entries_of, protection_of
from execution_service.metrics import observe_execution
from execution_service.orders import Orders
from execution_service.progress import Progress
from execution_service.signals import Leg, LegKind, LegState, OrderSide, SignalState
from tradekit.market.alert import Action
from tradekit.market.sizing import Side

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LAST_PAUSE_S = 0.2, 5.0
# A position far larger than one market order needs several; one that is refused so often is a person's case.
MAX_ROUNDS = 30
MAX_REFUSALS = 6
BOTH = frozenset(Side)

_SIDES = {
    Action.CLOSE_LONG: frozenset({Side.LONG}),
    Action.CLOSE_SHORT: frozenset({Side.SHORT}),
    Action.CLOSE_ALL: BOTH,
}
_WORDS = {Action.CLOSE_LONG: "long", Action.CLOSE_SHORT: "short"}


class CloseRefused(Exception):
    """The exchange refuses to close the position, or to tell of it; a person must look."""

    def __init__(self, error: errors.Refused) -> None:
        super().__init__(error.message)
        self.error = error


async def execute_close(progress: Progress, account: Account, journal: Journal) -> None:
    """Closes what the alert says: entries that rest are withdrawn first, so that they open nothing behind us.

    Raises:
        CloseRefused: The exchange will not, for a reason that waiting does not mend.
    """
    signal = progress.signal
    if signal.state is SignalState.RECEIVED:
        await progress.move(SignalState.EXECUTING)
    leftovers = Leftovers(progress, account, journal)
    sides = _SIDES[signal.alert.action]
    await leftovers.withdraw(entries_of(sides))
    closed, seen = await close_positions(progress, account, leftovers, sides)
    observe_execution(signal, journal.clock.now())
    flat = BOTH - {position.side for position in await read_positions(account, signal.symbol)}
    await leftovers.withdraw(protection_of(flat))
    message = _message(progress, seen, done=bool(closed))
    await progress.move(SignalState.DONE, message=message, unguard=flat)


def _message(progress: Progress, seen: list[Position], *, done: bool) -> str:
    signal = progress.signal
    sides = {position.side.value for position in seen} or {
        _position_side(leg).value for leg in signal.legs if leg.kind is LegKind.CLOSE
    }
    side = "/".join(sorted(sides)) or _WORDS.get(signal.alert.action, "open")
    if done:
        return f"{side.upper()} position closed on {signal.exchange}"
    return f"No {side} position to close on {signal.exchange}"


async def close_positions(
    progress: Progress, account: Account, leftovers: Leftovers, sides: frozenset[Side]
) -> tuple[Decimal, list[Position]]:
    """Closes the symbol's positions on `sides` at market, reduce-only; resumes what was begun before.

    Returns:
        How much was closed, and the positions as they were first seen (empty when there was none).

    Raises:
        CloseRefused: The exchange will not, for a reason that waiting does not mend.
    """
    await _settle_earlier(progress, account)
    seen: list[Position] = []
    refusals = 0
    for _ in range(MAX_ROUNDS):
        held = [held for held in await read_positions(account, progress.signal.symbol) if held.side in sides]
        seen = seen or held
        if not held:
            legs = [leg for leg in progress.signal.legs if leg.kind is LegKind.CLOSE]
            return sum((leg.filled_quantity for leg in legs), Decimal(0)), seen
        try:
            await _close_one(progress, account, held[0])
        except errors.NothingToReduce as error:
            refusals += 1
            await _make_way(leftovers, held[0], refusals, error)
    raise CloseRefused(errors.Refused("The position is still open after many orders."))


async def _make_way(
    leftovers: Leftovers, position: Position, refusals: int, error: errors.NothingToReduce
) -> None:
    """Reduce-only was refused: the position has changed, or orders that wait have taken its quantity."""
    if refusals >= MAX_REFUSALS:
        raise CloseRefused(error) from error
    if refusals > 1:
        of_side = protection_of(frozenset({position.side}))
        # The stop for the whole position takes no quantity and stays until the position is gone.
        await leftovers.withdraw(lambda owner, leg: leg.quantity is not None and of_side(owner, leg))
        await asyncio.sleep(FIRST_PAUSE_S * refusals)


async def _settle_earlier(progress: Progress, account: Account) -> None:
    """A close that was begun before a restart is found out about before another one is thought of."""
    for leg in progress.signal.legs:
        if leg.kind is LegKind.CLOSE and not leg.state.final:
            # However it ended: the position is read anew.
            with suppress(errors.Refused, errors.NotSent):
                await Orders(progress, account, _position_side(leg)).place(leg)


async def _close_one(progress: Progress, account: Account, position: Position) -> None:
    """One reduce-only order.

    Raises:
        NothingToReduce: The position is gone, or smaller than it was.
        CloseRefused: It is refused for another reason.
    """
    orders = Orders(progress, account, position.side)
    index = sum(
        leg.kind is LegKind.CLOSE and leg.state is not LegState.REFUSED for leg in progress.signal.legs
    )
    pause, reloaded = FIRST_PAUSE_S, False
    while True:
        quantity = await _closable(account, position)
        side = OrderSide.closing(position.side)
        try:
            await orders.place(orders.new_leg(LegKind.CLOSE, index, side=side, quantity=quantity))
            return
        except errors.NothingToReduce:
            raise
        except errors.NotSent as error:
            await mend_clock(account, error)
            pause = min(pause * 2, LAST_PAUSE_S)
            await asyncio.sleep(max(pause, error.retry_after.total_seconds()))
        except errors.RulesChanged as error:
            if reloaded:
                raise CloseRefused(error) from error
            reloaded = True
            account.market_data.forget_rules()
        except errors.Refused as error:
            raise CloseRefused(error) from error


async def _closable(account: Account, position: Position) -> Decimal:
    """What one market order can close of the position; all of it when the rules cannot be had."""
    try:
        rules = await account.market_data.instrument(position.symbol)
    except errors.ExchangeError:
        rules = None
    if rules is None:
        return position.quantity
    return rules.quantity(min(position.quantity, rules.max_quantity)) or position.quantity


async def mend_clock(account: Account, error: errors.NotSent) -> None:
    """Asks for the exchange's clock when ours was the reason; that it does not answer is no new trouble."""
    if isinstance(error, errors.ClockSkew):
        with suppress(errors.ExchangeError):
            await account.market_data.market.refresh_clock()


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
