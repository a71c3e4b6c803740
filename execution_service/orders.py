"""An order that is sent at most once: intend, send, record; and what to do when the answer is missing.

The procedure for an unknown outcome: the intent stands in the journal with the instant after which the
exchange can no longer accept it (timestamp + recvWindow). When the answer is missing, the exchange is asked
by client order id, again and again. "No such order" proves nothing before that instant; two of them after
it, a second apart, with a position that nobody else explains, prove the order dead. Only then may it be sent
again, under the same id. When nobody can tell at all, nothing is sent again and a person must look.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from execution_service.accounts import Account
from execution_service.exchanges import errors
from execution_service.exchanges.types import Order, OrderRef, OrderStatus, Send
from execution_service.progress import Progress
from execution_service.signals import Leg, LegKind, LegState, OrderSide, client_order_id
from tradekit.market.sizing import Side

log = logging.getLogger(__name__)

# How long the exchange may take an order, milliseconds. Short for stops: even one whose answer is lost is
# settled well within the ten seconds in which a position must be protected.
ENTRY_VALID_MS = 3_000
PROTECTION_VALID_MS = 2_000
# Behind the instant after which the exchange takes it no more, and between two questions that find nothing.
PROOF_PAUSE = timedelta(seconds=1)
# How long after that instant we go on asking an exchange that refuses to be asked (a revoked key), or that
# knows no such order although the position has moved as if it had.
REFUSAL_PATIENCE = timedelta(seconds=20)
MOVED_PATIENCE = timedelta(seconds=10)
# A market order fills or ends at once; one that does not is watched like an order that rests.
MARKET_PATIENCE_S = 20.0
FIRST_QUESTION_S, LAST_QUESTION_S = 0.1, 1.0

Place = Callable[[Leg, Send], Awaitable[Order]]


class OutcomeHidden(Exception):
    """Nobody can tell what became of an order; it is not sent again, and a person must look.

    Args:
        reason: Stable, UPPER_SNAKE.
        message: A sentence for the user.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Orders:
    """Places the legs of one signal on its account."""

    def __init__(self, progress: Progress, account: Account, position: Side) -> None:
        self._progress = progress
        self._account = account
        self._position = position

    def new_leg(self, kind: LegKind, index: int = 0, *, side: OrderSide, **fields: object) -> Leg:
        """A leg that was never sent, or the next attempt of one that was certainly not done."""
        before = self._progress.signal.leg(kind, index)
        attempt = 0 if before is None else before.attempt + 1
        signal_id = self._progress.signal.id
        leg = Leg(
            signal_id=signal_id,
            kind=kind,
            index=index,
            attempt=attempt,
            side=side,
            client_order_id=client_order_id(signal_id, kind, index, attempt),
        )
        return replace(leg, **fields)  # type: ignore[arg-type]  # the caller names fields of Leg

    async def place(self, leg: Leg) -> Leg:
        """Sends `leg`, or finds out what became of it when it was sent before; returns it open or ended.

        Raises:
            Refused: The exchange said no; the leg stands as refused.
            NotSent: It was certainly not done and may be tried again; the leg stands as refused.
            OutcomeHidden: It cannot be found out.
        """
        known = self._progress.signal.leg(leg.kind, leg.index)
        if known is None or known.attempt != leg.attempt:
            return await self._send(await self._intend(leg))
        if known.state in (LegState.INTENDED, LegState.UNKNOWN):
            return await self._find_out(known)
        if _fills_at_once(known) and not known.filled_quantity:
            return await self._noted(await self._follow_market_order(known))
        return known

    async def _intend(self, leg: Leg) -> Leg:
        valid_until = self._account.market_data.market.exchange_time() + timedelta(
            milliseconds=_valid_ms(leg)
        )
        leg = replace(leg, valid_until=valid_until, state=LegState.INTENDED)
        await self._progress.put([leg])
        return leg

    async def _send(self, leg: Leg) -> Leg:
        assert leg.valid_until is not None
        send = Send(
            client_order_id=leg.client_order_id,
            timestamp=leg.valid_until - timedelta(milliseconds=_valid_ms(leg)),
            valid_ms=_valid_ms(leg),
            signal_id=str(leg.signal_id),
        )
        try:
            order = await self._request(leg, send)
        except errors.OrderExists:
            # Our earlier attempt arrived after all.
            return await self._find_out(await self._unknown(leg))
        except errors.OutcomeUnknown as error:
            return await self._find_out(await self._unknown(leg, error))
        except (errors.Refused, errors.NotSent) as error:
            await self._progress.put(
                [replace(leg, state=LegState.REFUSED, reason=error.reason, message=error.message)]
            )
            raise
        self._account.echoes.expect(leg.client_order_id)
        return await self._record(leg, order)

    async def _request(self, leg: Leg, send: Send) -> Order:
        exchange, symbol = self._account.exchange, self._progress.signal.symbol
        assert leg.side is not None
        match leg.kind:
            case LegKind.STOP_LOSS | LegKind.TAKE_PROFIT:
                create = (
                    exchange.create_stop_loss
                    if leg.kind is LegKind.STOP_LOSS
                    else exchange.create_take_profit
                )
                assert leg.trigger_price is not None
                return await create(
                    symbol,
                    leg.side,
                    leg.trigger_price,
                    position=self._position,
                    quantity=leg.quantity,
                    send=send,
                )
            case LegKind.TRAILING_STOP:
                assert leg.trailing_percent is not None
                assert leg.quantity is not None
                return await exchange.create_trailing_stop(
                    symbol,
                    leg.side,
                    leg.trailing_percent,
                    position=self._position,
                    quantity=leg.quantity,
                    send=send,
                )
        assert leg.quantity is not None
        if leg.limit_price is not None:
            return await exchange.create_limit_order(
                symbol, leg.side, leg.quantity, leg.limit_price, position=self._position, send=send
            )
        return await exchange.create_market_order(
            symbol,
            leg.side,
            leg.quantity,
            position=self._position,
            reduce_only=leg.kind is LegKind.CLOSE,
            send=send,
        )

    async def _unknown(self, leg: Leg, error: errors.OutcomeUnknown | None = None) -> Leg:
        leg = replace(leg, state=LegState.UNKNOWN, reason=error.reason if error else "")
        await self._progress.put([leg])
        return leg

    async def _find_out(self, leg: Leg) -> Leg:
        """What became of an order whose answer is missing; sends it again if it is proven dead."""
        order = await self._ask_until_proven(leg)
        if order is not None:
            return await self._record(leg, order)
        log.info("order.dead", extra={"client_order_id": leg.client_order_id})
        if leg.state is LegState.INTENDED:
            leg = await self._unknown(leg)
        self._progress.note(f"{leg.kind.value}.proven_dead", client_order_id=leg.client_order_id)
        dead = replace(leg, state=LegState.DEAD, reason="NEVER_ARRIVED", message="The order never arrived.")
        if not self._still_wanted(leg):
            await self._progress.put([dead])
            return dead
        return await self._send(await self._intend(leg))

    def _still_wanted(self, leg: Leg) -> bool:
        """An entry that has grown old is not sent again; what protects or closes always is."""
        progress = self._progress
        return leg.kind is not LegKind.ENTRY or progress.is_fresh()

    async def _ask_until_proven(self, leg: Leg) -> Order | None:
        """The order, or None when it is proven that it never arrived.

        Raises:
            OutcomeHidden: Neither can be had.
        """
        assert leg.valid_until is not None
        ref, market = self._ref(leg), self._account.market_data.market
        pause, missed_at = FIRST_QUESTION_S, None
        while True:
            try:
                order = await self._account.exchange.find_order(ref)
                if order is not None:
                    return order
                now = market.exchange_time()
                if now > leg.valid_until + PROOF_PAUSE:
                    missed_at = missed_at or now
                    if now - missed_at >= PROOF_PAUSE and await self._position_is_unmoved(leg):
                        return None
                    if now > leg.valid_until + MOVED_PATIENCE:
                        raise OutcomeHidden("OUTCOME_UNKNOWN", _MOVED)
            except errors.Refused as error:
                if market.exchange_time() > leg.valid_until + REFUSAL_PATIENCE:
                    raise OutcomeHidden(error.reason, f"{_HIDDEN} {error.message}") from error
            except errors.ExchangeError as error:
                log.warning("order.question_failed", extra={"reason": error.reason})
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_QUESTION_S)

    async def _position_is_unmoved(self, leg: Leg) -> bool:
        """Whether the position is not where the order would have taken it.

        A position that went the other way (a stop has triggered, somebody has closed it) says nothing about
        the order.
        """
        plan = self._progress.signal.plan
        if leg.kind is not LegKind.ENTRY or plan is None or leg.quantity is None:
            return True
        positions = await self._account.exchange.get_positions(self._progress.signal.symbol)
        held = sum((position.side.sign * position.quantity for position in positions), Decimal(0))
        return (held - plan.position_before) * plan.side.sign < leg.quantity

    def _ref(self, leg: Leg) -> OrderRef:
        return OrderRef(self._progress.signal.symbol, leg.client_order_id, leg.kind.conditional)

    async def _record(self, leg: Leg, order: Order) -> Leg:
        leg = updated(leg, order)
        if _fills_at_once(leg) and not (leg.kind is LegKind.ENTRY and leg.filled_quantity):
            await self._progress.put([leg])
            leg = await self._follow_market_order(leg)
        elif leg.filled_quantity and leg.average_price is None:
            leg = await self._with_price(leg)
        return await self._noted(leg)

    async def _noted(self, leg: Leg) -> Leg:
        await self._progress.put([leg])
        if leg.filled_quantity:
            self._account.traded()
        return leg

    async def _follow_market_order(self, leg: Leg) -> Leg:
        """A market order's receipt is not its fill: asks until it has ended, an entry until it has begun to
        fill.

        A position that has begun needs its stop before the rest of its entry.
        """
        pause, deadline = 0.05, asyncio.get_running_loop().time() + MARKET_PATIENCE_S
        while asyncio.get_running_loop().time() < deadline:
            try:
                order = await self._account.exchange.find_order(self._ref(leg))
                begun = order is not None and leg.kind is LegKind.ENTRY and order.filled_quantity > 0
                if order is not None and (begun or order.status is not OrderStatus.OPEN):
                    return updated(leg, order)
            except errors.ExchangeError as error:
                log.warning("order.question_failed", extra={"reason": error.reason})
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_QUESTION_S)
        return leg

    async def _with_price(self, leg: Leg) -> Leg:
        """The fill's price is not part of every answer; without it the position's entry price must do."""
        try:
            order = await self._account.exchange.find_order(self._ref(leg))
        except errors.ExchangeError as error:
            log.warning("order.price_unknown", extra={"reason": error.reason})
            return leg
        return leg if order is None else updated(leg, order)


_HIDDEN = "The exchange does not tell what became of the order; look at it there."
_MOVED = "The exchange knows no such order, yet the position has moved; look at it there."


def _fills_at_once(leg: Leg) -> bool:
    """Whether it stands as open although a market order does not rest."""
    return leg.state is LegState.OPEN and leg.limit_price is None and not leg.kind.conditional


def _valid_ms(leg: Leg) -> int:
    return PROTECTION_VALID_MS if leg.kind.conditional else ENTRY_VALID_MS


_STATES = {
    OrderStatus.OPEN: LegState.OPEN,
    OrderStatus.FILLED: LegState.FILLED,
    OrderStatus.CANCELED: LegState.CANCELED,
    OrderStatus.REFUSED: LegState.REFUSED,
}


def updated(leg: Leg, order: Order) -> Leg:
    """The leg as the exchange sees its order."""
    return replace(
        leg,
        state=_STATES[order.status],
        exchange_order_id=order.exchange_order_id,
        # An order for the whole position that the exchange could only take for the size of now.
        quantity=leg.quantity if leg.quantity is not None else order.quantity,
        filled_quantity=max(leg.filled_quantity, order.filled_quantity),
        average_price=order.average_price or leg.average_price,
        reason="" if order.status is not OrderStatus.REFUSED else "ORDER_REFUSED",
    )
