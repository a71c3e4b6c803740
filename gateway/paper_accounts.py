"""Opens accounts on the paper exchange, for users who bring no keys of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from gateway.errors import unavailable
from tradekit.service.secret import Secret

TIMEOUT = aiohttp.ClientTimeout(total=5.0)
MAX_ANSWER_BYTES = 16_384


@dataclass(frozen=True)
class ExchangeKeys:
    """What an exchange gives to those who trade by program."""

    api_key: str
    api_secret: Secret
    passphrase: Secret | None


class PaperAccounts:
    """The paper exchange's way to a fresh account."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def open_account(self, exchange: str) -> ExchangeKeys:
        """A fresh account with play money.

        Args:
            exchange: Whose protocol it will be traded by: "binance" or "okx".

        Raises:
            Problem: 503 paper_exchange_unavailable.
        """
        try:
            return await self._open(exchange)
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
            raise unavailable(
                "paper_exchange_unavailable", "The paper exchange does not answer. Try again in a moment."
            ) from None

    async def _open(self, exchange: str) -> ExchangeKeys:
        async with self._session.post(
            "/paper/accounts",
            json={"exchange": exchange},
            headers={"X-Paper-Control": "1"},
            allow_redirects=False,
        ) as response:
            if response.status not in (200, 201):
                raise ValueError(f"status {response.status}")
            keys = await response.json()
        passphrase = keys.get("passphrase")
        return ExchangeKeys(
            api_key=str(keys["api_key"]),
            api_secret=Secret(str(keys["api_secret"])),
            passphrase=Secret(str(passphrase)) if passphrase else None,
        )


@asynccontextmanager
async def open_paper_accounts(base_url: str) -> AsyncIterator[PaperAccounts]:
    """Yields the way to the paper exchange at `base_url`; closes its connections on exit."""
    async with aiohttp.ClientSession(base_url, timeout=TIMEOUT) as session:
        yield PaperAccounts(session)
