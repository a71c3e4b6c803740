"""The accounts that trade: who they are, and what is kept at hand so that an entry need not ask first."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from execution_service.echoes import Echoes
from execution_service.exchanges import Exchange
from execution_service.exchanges.errors import ExchangeError, KeyRejected
from execution_service.exchanges.events import BalanceUpdate, PositionUpdate
from execution_service.exchanges.types import AccountKey, Balance, Position
from execution_service.fresh import Fresh
from execution_service.market_data import MarketData
from tradekit.service.clock import Clock
from tradekit.service.errors import DeadlineExceeded, NotFound, Unavailable

log = logging.getLogger(__name__)

# How old what we know may be when an entry is sized by it. Our own orders renew it at once; what a person
# does on the exchange by hand is seen after this long at the latest, and the position is read anew after
# every fill.
BALANCE_AGE = timedelta(seconds=60)
POSITIONS_AGE = timedelta(seconds=30)
# The same while a stream tells every change. What is available moves with the price of an open position.
LIVE_AGE = timedelta(minutes=5)
DESCRIPTION_AGE = timedelta(seconds=1)
VAULT_PATIENCE_S = 0.5
# A key that was refused is not tried again before this.
KEY_PAUSE = timedelta(minutes=1)

Describe = Callable[[str, str], Awaitable[tuple[AccountKey, bool]]]
Connect = Callable[[AccountKey], tuple[Exchange, MarketData]]


class Account:
    """One account: its exchange, its market, and its newest known numbers."""

    def __init__(self, exchange: Exchange, market_data: MarketData, clock: Clock) -> None:
        self.key = exchange.account
        self.exchange = exchange
        self.market_data = market_data
        self._clock = clock
        self._balance = Fresh(exchange.get_account_balance, clock)
        self._positions = Fresh(exchange.get_positions, clock)
        self._leverages: dict[str, Fresh[int]] = {}
        self.live = False
        self.echoes = Echoes()
        self.used_at: datetime = clock.now()
        self._key_rejected: tuple[KeyRejected, datetime] | None = None

    @property
    def key_rejected(self) -> KeyRejected | None:
        """Why no entry is tried: the exchange refused the key, and has not answered for it since."""
        return None if self._key_rejected is None else self._key_rejected[0]

    def reject_key(self, error: KeyRejected) -> None:
        """The exchange has refused the key."""
        self._key_rejected = (error, self._clock.now())

    async def balance(self) -> Balance:
        """The account's money."""
        return await self._balance.get(self._balance_age())

    async def positions_of(self, symbol: str) -> tuple[Position, ...]:
        """The symbol's open positions.

        A person may have changed them in the last half minute, unless a stream tells.
        """
        positions = await self._positions.get(self._positions_age())
        return tuple(position for position in positions if position.symbol == symbol)

    async def positions_now(self) -> list[Position]:
        """All open positions, asked for now."""
        return await self._positions.renew()

    async def leverage(self, symbol: str) -> int:
        """The symbol's leverage; it changes by our hand only, or is read again after 5 minutes."""
        if symbol not in self._leverages:
            self._leverages[symbol] = Fresh(lambda: self.exchange.get_leverage(symbol), self._clock)
        return await self._leverages[symbol].get(timedelta(minutes=5))

    def leverage_is(self, symbol: str, leverage: int) -> None:
        """The exchange has just told the symbol's leverage."""
        self._leverages.setdefault(
            symbol, Fresh(lambda: self.exchange.get_leverage(symbol), self._clock)
        ).put(leverage)

    def traded(self) -> None:
        """Something was bought or sold: balance and positions are other ones now."""
        self.used_at = self._clock.now()
        self._balance.expire()
        self._positions.expire()

    async def ask_anew(self) -> None:
        """Asks for balance and positions, which somebody else has changed.

        Until the answers are there, who needs them gets what was known; when they do not come, he asks.
        """
        try:
            await self._positions.renew()
            await self._balance.renew()
        except ExchangeError as error:
            self._balance.expire()
            self._positions.expire()
            log.info("account.not_renewed", extra={"reason": error.reason})

    def agrees_with(self, event: BalanceUpdate | PositionUpdate) -> bool:
        """Whether what is known is what the exchange tells."""
        if isinstance(event, BalanceUpdate):
            balance = self._balance.peek(LIVE_AGE)
            return balance is not None and (
                event.currency != balance.currency or event.total == balance.total
            )
        positions = self._positions.peek(LIVE_AGE)
        return positions is not None and _held(positions, event) == event.quantity

    def stream_began(self) -> None:
        """Every change is told from now on."""
        self.live = True
        self.echoes.begin()

    def stream_ended(self) -> None:
        """Nothing is told any more."""
        self.live = False
        self.echoes.end()

    async def renew_quietly(self) -> None:
        """Asks for balance and positions after a trade, so that the next alert need not; may fail."""
        try:
            await self.keep_warm()
        except ExchangeError as error:
            log.info("account.not_renewed", extra={"reason": error.reason})

    async def keep_warm(self) -> None:
        """Asks for balance and positions when they are getting old."""
        rejected = self._key_rejected
        retried = rejected is not None and self._clock.now() - rejected[1] > KEY_PAUSE
        await self._positions.get(self._positions_age() / 2)
        await (self._balance.renew() if retried else self._balance.get(self._balance_age() / 2))
        if retried and self._key_rejected is rejected:
            self._key_rejected = None

    def _positions_age(self) -> timedelta:
        return LIVE_AGE if self.live else POSITIONS_AGE

    def _balance_age(self) -> timedelta:
        is_flat = self._positions.peek(self._positions_age()) == []
        return LIVE_AGE if self.live and is_flat else BALANCE_AGE


def _held(positions: Sequence[Position], event: PositionUpdate) -> Decimal:
    """How much is held of the position that an event is about."""
    return sum(
        (
            held.quantity
            for held in positions
            if held.symbol == event.symbol and event.side in (held.side, None)
        ),
        Decimal(0),
    )


class Accounts:
    """All accounts that this process has met."""

    def __init__(self, describe: Describe, connect: Connect, clock: Clock) -> None:
        self._describe = describe
        self._connect = connect
        self._clock = clock
        self._descriptions: dict[tuple[str, str], Fresh[tuple[AccountKey, bool]]] = {}
        self._known: dict[tuple[str, str], Account] = {}

    async def get(self, user_id: str, account_id: str) -> Account:
        """The account.

        Raises:
            ServiceError: NOT_FOUND ACCOUNT_NOT_FOUND, or the vault could not be asked.
        """
        name = (user_id, account_id)
        if name not in self._known:
            # Callers come back from one shared question in the order in which they asked.
            try:
                key, _ = await self._description(name).get(DESCRIPTION_AGE)
            except NotFound:
                self.forget(*name)
                raise
            if name not in self._known:
                self._known[name] = Account(*self._connect(key), self._clock)
        return self._known[name]

    def is_live(self, user_id: str, account_id: str) -> bool:
        """Whether a stream tells what happens to the account."""
        account = self._known.get((user_id, account_id))
        return account is not None and account.live

    async def is_active(self, account: Account) -> bool:
        """Whether it takes entries. A yes may be a second old; the vault has the last word when it signs.

        While the vault does not answer, what it said last holds.
        """
        description = self._description((account.key.user_id, account.key.account_id))
        try:
            async with asyncio.timeout(VAULT_PATIENCE_S):
                _, active = await description.get(DESCRIPTION_AGE)
                if not active:
                    _, active = await description.renew()
                return active
        except (Unavailable, DeadlineExceeded, TimeoutError):
            known = description.peek(timedelta.max)
            return known is None or known[1]

    def forget(self, user_id: str, account_id: str) -> None:
        """The account is gone."""
        self._known.pop((user_id, account_id), None)
        self._descriptions.pop((user_id, account_id), None)

    def used_since(self, instant: datetime) -> list[Account]:
        """The accounts that had something to do since then."""
        return [account for account in self._known.values() if account.used_at >= instant]

    def _description(self, name: tuple[str, str]) -> Fresh[tuple[AccountKey, bool]]:
        return self._descriptions.setdefault(name, Fresh(lambda: self._describe(*name), self._clock))
