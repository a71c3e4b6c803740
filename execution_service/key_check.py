"""Whether an exchange takes a key, and what the key may do: asked once, when an account is registered."""

from collections.abc import Awaitable, Callable, Mapping

from execution_service.accounts import Describe
from execution_service.exchanges import AccountKey, binance_key, binance_limits, okx_key, okx_limits
from execution_service.exchanges.binance import BinanceWords
from execution_service.exchanges.budget import Tariff
from execution_service.exchanges.http import Host
from execution_service.exchanges.okx_market import OKXWords
from execution_service.exchanges.requests import Sign, SignedRequests
from execution_service.exchanges.types import KeyPermissions
from tradekit.service.errors import FailedPrecondition

Hosts = Callable[[str, Tariff], Host]


class KeyCheck:
    """Asks each exchange in its own way.

    Args:
        describe: What an account is; the vault knows.
        base_urls: (exchange, environment) -> where it trades.
        spot_urls: (exchange, environment) -> the host that tells permissions, where that is another one.
        hosts: Gives the host of a URL.
        sign: Has the vault sign a request.
    """

    def __init__(
        self,
        describe: Describe,
        base_urls: Mapping[tuple[str, str], str],
        spot_urls: Mapping[tuple[str, str], str],
        hosts: Hosts,
        sign: Sign,
    ) -> None:
        self._describe = describe
        self._base_urls = base_urls
        self._spot_urls = spot_urls
        self._hosts = hosts
        self._sign = sign
        self._ask: Mapping[str, Callable[[AccountKey, str], Awaitable[KeyPermissions]]] = {
            "binance": self._binance,
            "okx": self._okx,
        }

    async def permissions(self, user_id: str, account_id: str) -> KeyPermissions:
        """What the account's key may do.

        Raises:
            KeyRejected: The exchange does not take it.
            ExchangeError: The exchange did not answer.
            ServiceError: NOT_FOUND ACCOUNT_NOT_FOUND, FAILED_PRECONDITION EXCHANGE_UNSUPPORTED.
        """
        account, _ = await self._describe(user_id, account_id)
        base_url = self._base_urls.get((account.exchange, account.environment.value))
        if base_url is None or account.exchange not in self._ask:
            raise FailedPrecondition(
                "EXCHANGE_UNSUPPORTED", f"Trading on {account.exchange} is not available yet."
            )
        return await self._ask[account.exchange](account, base_url)

    async def _binance(self, account: AccountKey, base_url: str) -> KeyPermissions:
        words = BinanceWords()
        host = self._hosts(base_url, binance_limits.TARIFF)
        # Its clock is the same exchange's: the spot host has no futures route to ask for it.
        await words.refresh_clock(host)
        futures = SignedRequests(account, host, self._sign, words)
        spot_url = self._spot_urls.get((account.exchange, account.environment.value))
        if spot_url is None:
            return await binance_key.key_permissions(futures, None)
        spot_host = self._hosts(spot_url, binance_limits.TARIFF)
        spot_host.clock_offset = host.clock_offset
        return await binance_key.key_permissions(
            futures, SignedRequests(account, spot_host, self._sign, words)
        )

    async def _okx(self, account: AccountKey, base_url: str) -> KeyPermissions:
        host = self._hosts(base_url, okx_limits.TARIFF)
        return await okx_key.key_permissions(SignedRequests(account, host, self._sign, OKXWords()))
