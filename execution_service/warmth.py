"""Keeps at hand what the next alert will need, so that its entry need not ask the exchange first."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from datetime import timedelta

from execution_service.accounts import Account, Accounts
from execution_service.exchanges import errors
from execution_service.journal import Journal
from execution_service.market_data import MarketData
from tradekit.service.clock import Clock
from tradekit.service.errors import ServiceError

log = logging.getLogger(__name__)

PRICE_PAUSE_S = 2.0
CLOCK_PAUSE_S = 60.0
# An account that had an alert within this is expected to have another one.
EXPECTED_AGAIN = timedelta(days=7)
# Balance and positions of an account count 10 of the 2,400 that Binance allows an address in a minute. All
# accounts together take at most a quarter of it, the watch another quarter, prices and ranges an eighth: what
# is left belongs to orders.
ACCOUNTS_PER_SECOND = 1.0
ACCOUNT_PAUSE_S = 10.0
# At the start, while interrupted signals are taken up, which must not wait for us: 6 for each market.
REMEMBER_PAUSE_S = 0.5


class Warmth:
    """Asks ahead of time."""

    def __init__(self, accounts: Accounts, journal: Journal, clock: Clock) -> None:
        self._accounts = accounts
        self._journal = journal
        self._clock = clock

    async def remember(self) -> None:
        """Takes up the accounts and markets that had alerts of late."""
        for user_id, account_id, symbol in await self._journal.recent_markets(
            self._clock.now() - EXPECTED_AGAIN
        ):
            try:
                account = await self._accounts.get(str(user_id), str(account_id))
                await account.leverage(symbol)
                await account.market_data.average_true_range(symbol, None)
            except (errors.ExchangeError, ServiceError) as error:
                log.info("warmth.account", extra={"account_id": str(account_id), "reason": error.reason})
            await asyncio.sleep(REMEMBER_PAUSE_S)

    async def run(self) -> None:
        """Keeps warm until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_prices())
            group.create_task(self._keep_accounts())
            group.create_task(self._keep_clocks())

    async def _keep_prices(self) -> None:
        while True:
            for market_data in self._markets():
                await self._quietly(market_data.keep_warm(), "warmth.prices")
            await asyncio.sleep(PRICE_PAUSE_S)

    async def _keep_accounts(self) -> None:
        while True:
            accounts = self._expected()
            for account in accounts:
                await self._quietly(account.keep_warm(), "warmth.account")
                # Spread, so that an order never waits behind a burst of questions.
                await asyncio.sleep(1 / ACCOUNTS_PER_SECOND)
            await asyncio.sleep(max(ACCOUNT_PAUSE_S - len(accounts) / ACCOUNTS_PER_SECOND, 0.1))

    async def _keep_clocks(self) -> None:
        while True:
            for market_data in self._markets():
                await self._quietly(market_data.market.refresh_clock(), "warmth.clock")
            await asyncio.sleep(CLOCK_PAUSE_S)

    def _expected(self) -> Sequence[Account]:
        return self._accounts.used_since(self._clock.now() - EXPECTED_AGAIN)

    def _markets(self) -> list[MarketData]:
        return list(dict.fromkeys(account.market_data for account in self._expected()))

    async def _quietly(self, question: Awaitable[object], event: str) -> None:
        """A question that nobody waits for may fail."""
        try:
            await question
        except (errors.ExchangeError, ServiceError) as error:
            log.info(event, extra={"reason": error.reason})
