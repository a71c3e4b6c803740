"""The accounts that trade: who they are, and what is kept at hand so that an entry need not ask first."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from execution_service.exchanges import Exchange
from execution_service.exchanges.types import AccountKey, Balance, Position
from execution_service.fresh import Fresh
from execution_service.market_data import MarketData
from tradekit.service.clock import Clock

# How old what we know may be when an entry is sized by it. Our own orders renew it at once; what a person
# does on the exchange by hand is seen after this long at the latest, and the position is read anew after
# every fill.
BALANCE_AGE = timedelta(seconds=60)
POSITIONS_AGE = timedelta(seconds=30)
DESCRIPTION_AGE = timedelta(minutes=5)

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
        self.used_at: datetime = clock.now()

    async def balance(self) -> Balance:
        """The account's money."""
        return await self._balance.get(BALANCE_AGE)

    async def position(self, symbol: str) -> Position | None:
        """The symbol's open position; the first one where there are two (hedge mode)."""
        positions = await self._positions.get(POSITIONS_AGE)
        return next((position for position in positions if position.symbol == symbol), None)

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

    async def keep_warm(self) -> None:
        """Asks for balance and positions when they are getting old."""
        await self._balance.get(BALANCE_AGE / 2)
        await self._positions.get(POSITIONS_AGE / 2)


class Accounts:
    """All accounts that this process has met."""

    def __init__(self, describe: Describe, connect: Connect, clock: Clock) -> None:
        self._describe = describe
        self._connect = connect
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[Account, Fresh[tuple[AccountKey, bool]]]] = {}

    async def get(self, user_id: str, account_id: str) -> Account:
        """The account.

        Raises:
            ServiceError: NOT_FOUND ACCOUNT_NOT_FOUND, or the vault could not be asked.
        """
        known = self._known.get((user_id, account_id))
        if known is None:
            description = Fresh(lambda: self._describe(user_id, account_id), self._clock)
            key, _ = await description.get(DESCRIPTION_AGE)
            exchange, market_data = self._connect(key)
            known = (Account(exchange, market_data, self._clock), description)
            # Two that asked at the same time share one account, and so one set of numbers.
            known = self._known.setdefault((user_id, account_id), known)
        return known[0]

    async def is_active(self, account: Account) -> bool:
        """Whether it takes entries: a yes may be minutes old (the vault has the last word), a no never is."""
        _, description = self._known[account.key.user_id, account.key.account_id]
        _, active = await description.get(DESCRIPTION_AGE)
        if not active:
            _, active = await description.renew()
        return active

    def forget(self, user_id: str, account_id: str) -> None:
        """The account is gone, or not what it was."""
        self._known.pop((user_id, account_id), None)

    def used_since(self, instant: datetime) -> list[Account]:
        """The accounts that had something to do since then."""
        return [account for account, _ in self._known.values() if account.used_at >= instant]
