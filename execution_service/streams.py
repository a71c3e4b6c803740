"""Keeps the user streams of all accounts in use open, and passes on what they tell.

A stream says when to ask; what is true is asked for by REST, so that balance and positions have one source
and nothing is summed up from events. While it is live, what is known of an account is good until the stream
says otherwise; while it is not, polling goes on as if there were none. Nothing is replayed: after every
connection everything is asked for anew.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from secrets import SystemRandom

from execution_service import metrics
from execution_service.accounts import Account, Accounts
from execution_service.exchanges.errors import ExchangeError, NotSent
from execution_service.exchanges.events import (
    BalanceUpdate,
    Event,
    LeverageUpdate,
    OrderUpdate,
    PositionUpdate,
    Receive,
    StreamEnded,
    UserStream,
)
from execution_service.exchanges.types import AccountKey
from execution_service.signals import OUR_PREFIX
from tradekit.market.sizing import Side
from tradekit.service.clock import Clock
from tradekit.service.errors import ServiceError

_JITTER = SystemRandom()
log = logging.getLogger(__name__)

# An account that had something to do within this has a stream.
IN_USE = timedelta(days=7)
LOOK_FOR_ACCOUNTS_S = 1.0
# How often a stream that tells nothing is asked whether it should have.
CHECK_S = 1.0
# Exchanges end a connection after 24 hours.
LIFETIME_S = 23 * 3600.0
# Between two attempts; doubled each time, and forgotten after a connection that lasted.
FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 30.0
LASTED_S = 60.0
# What was refused (a key, an inactive account) will be refused again.
REFUSED_PAUSE_S = 60.0
# One trade is told in several events: what they change is asked for once.
SETTLE_S = 0.2

Connect = Callable[[AccountKey], UserStream | None]
Moved = Callable[[Account], None]


class Streams:
    """The streams of all accounts.

    Args:
        accounts: Who trades.
        connect: Gives the stream of an account; None when its exchange has none.
        moved: Is called when an order or position of an account has changed, or may have.
        clock: What time it is.
    """

    def __init__(self, accounts: Accounts, connect: Connect, moved: Moved, clock: Clock) -> None:
        self._accounts = accounts
        self._connect = connect
        self._moved = moved
        self._clock = clock
        self._running: dict[Account, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Keeps them open until it is cancelled."""
        try:
            while True:
                await self._adapt()
                await asyncio.sleep(LOOK_FOR_ACCOUNTS_S)
        finally:
            await self._end(list(self._running))

    async def _adapt(self) -> None:
        """Begins the streams of accounts that have come into use, and ends those of others."""
        in_use = set(self._accounts.used_since(self._clock.now() - IN_USE))
        await self._end([account for account in self._running if account not in in_use])
        for account in in_use - self._running.keys():
            stream = self._connect(account.key)
            if stream is not None:
                self._running[account] = asyncio.create_task(
                    AccountStream(account, stream, self._moved).run()
                )

    async def _end(self, accounts: Sequence[Account]) -> None:
        tasks = [self._running.pop(account) for account in accounts]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class AccountStream:
    """The stream of one account, opened again whenever it ends."""

    def __init__(self, account: Account, stream: UserStream, moved: Moved) -> None:
        self._account = account
        self._stream = stream
        self._moved = moved
        self._changed = asyncio.Event()
        self._is_known = True
        self._told: dict[tuple[str, Side | None], BalanceUpdate | PositionUpdate] = {}
        self._exchange = account.key.exchange

    async def run(self) -> None:
        """Runs until it is cancelled."""
        renewing = asyncio.create_task(self._renew())
        metrics.add_streams(self._exchange, "down", 1)
        try:
            await self._keep_open()
        finally:
            metrics.add_streams(self._exchange, "down", -1)
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _keep_open(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            began = _now()
            cause, wait_s = await self._listen()
            metrics.count_stream_end(self._exchange, cause)
            log.info("stream.ended", extra={"account_id": self._account.key.account_id, "cause": cause})
            pause_s = FIRST_PAUSE_S if _now() - began > LASTED_S else pause_s
            # Not all at once, when an exchange has cut them all.
            await asyncio.sleep(max(wait_s, pause_s * _JITTER.uniform(0.5, 1)))
            pause_s = min(pause_s * 2, LAST_PAUSE_S)

    async def _listen(self) -> tuple[str, float]:
        """Opens the stream and follows it to its end; returns the cause, and how long to stay away."""
        try:
            async with self._stream.open() as receive:
                self._began()
                try:
                    await self._follow(receive)
                finally:
                    self._ended()
        except StreamEnded as error:
            return error.cause, 0
        except NotSent as error:
            return error.reason.lower(), error.retry_after.total_seconds()
        except (ExchangeError, ServiceError) as error:
            return error.reason.lower(), REFUSED_PAUSE_S
        except Exception:
            # Our bug; it must not leave the account without a stream for good.
            log.exception("stream.broke_down", extra={"account_id": self._account.key.account_id})
            return "broke_down", REFUSED_PAUSE_S
        raise AssertionError("a stream is followed until something ends it")

    def _began(self) -> None:
        metrics.add_streams(self._exchange, "down", -1)
        metrics.add_streams(self._exchange, "live", 1)
        log.info("stream.live", extra={"account_id": self._account.key.account_id})
        self._account.stream_began()
        # What happened while nobody told is found by asking.
        self._is_known = False
        self._changed.set()
        self._moved(self._account)

    def _ended(self) -> None:
        metrics.add_streams(self._exchange, "live", -1)
        metrics.add_streams(self._exchange, "down", 1)
        self._account.stream_ended()
        self._moved(self._account)

    async def _follow(self, receive: Receive) -> None:
        ends = _now() + LIFETIME_S
        while True:
            receiving = asyncio.ensure_future(receive())
            try:
                while not receiving.done():
                    self._check(ends)
                    await asyncio.wait({receiving}, timeout=CHECK_S)
            finally:
                if not receiving.done():
                    receiving.cancel()
                    await asyncio.gather(receiving, return_exceptions=True)
            for event in receiving.result():
                self._take(event)

    def _check(self, ends: float) -> None:
        if self._account.echoes.overdue:
            raise StreamEnded("silent")
        if _now() > ends:
            raise StreamEnded("old")

    def _take(self, event: Event) -> None:
        match event:
            case OrderUpdate():
                self._account.echoes.told(event.order.client_order_id)
                if not event.conditional and not event.order.client_order_id.startswith(OUR_PREFIX):
                    # It ties up margin, or frees some, which is not told.
                    self._is_known = False
                    self._changed.set()
                self._moved(self._account)
            case LeverageUpdate():
                self._account.leverage_is(event.symbol, event.leverage)
            case BalanceUpdate():
                self._note((event.currency, None), event)
            case PositionUpdate():
                other_sides = (*Side, None) if event.side is None else (None,)
                for side in other_sides:
                    self._told.pop((event.symbol, side), None)
                self._note((event.symbol, event.side), event)

    def _note(self, key: tuple[str, Side | None], event: BalanceUpdate | PositionUpdate) -> None:
        self._told[key] = event
        self._changed.set()
        self._moved(self._account)

    async def _renew(self) -> None:
        """Asks for balance and positions when they are not as told, so that the next alert need not.

        What our own orders change was asked for when they were answered.
        """
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLE_S)
            self._changed.clear()
            told, self._told = self._told, {}
            was_known, self._is_known = self._is_known, True
            await self._account.renew_quietly()
            if not (was_known and all(map(self._account.agrees_with, told.values()))):
                await self._account.ask_anew()


def _now() -> float:
    return asyncio.get_running_loop().time()
