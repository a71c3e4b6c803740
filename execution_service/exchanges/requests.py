"""How every exchange is asked: public questions, signed questions, and orders.

A question changes nothing that matters: a lost answer means that it was as good as not asked, and a wrong
clock is mended once. An order is sent exactly once, whatever happens. Each waits for its turn first, so that
its time is stamped and its signature made when it goes out.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from execution_service.exchanges import errors
from execution_service.exchanges.budget import Turn
from execution_service.exchanges.http import Answer, Host
from execution_service.exchanges.reading import read as read_part
from execution_service.exchanges.types import AccountKey
from tradekit.service.secret import Secret
from tradingbot.vault.v1 import vault_pb2

T = TypeVar("T")

QUERY_TIMEOUT_S = 5.0
# After an order can be accepted no more, its answer is waited for this long; then the order is asked for.
ANSWER_MARGIN_S = 1.0

Sign = Callable[[vault_pb2.SignItem], Awaitable[vault_pb2.SignedRequest]]
Parameters = dict[str, str]


class Words(Protocol):
    """What differs between exchanges in every request."""

    def checked(self, answer: Answer, host: Host) -> Any:
        """What a good answer holds; raises `ExchangeError` for another one."""
        ...

    def stamp(self, host: Host) -> Parameters:
        """The parameters that tell when a question is asked."""
        ...

    async def refresh_clock(self, host: Host) -> None:
        """Asks the exchange for its clock."""
        ...


async def ask_public(
    words: Words, host: Host, path: str, parameters: Mapping[str, str], read: Callable[[Any], T]
) -> T:
    """The answer to a question that everybody may ask."""
    try:
        async with host.turn("GET", path, parameters) as turn:
            body = words.checked(await host.get(path, parameters, turn=turn), host)
        return read_part(read, body)
    except errors.OutcomeUnknown as error:
        raise errors.Unreachable(error.message, exchange_code=error.exchange_code) from error


class SignedRequests:
    """The requests of one account."""

    def __init__(self, account: AccountKey, host: Host, sign: Sign, words: Words) -> None:
        self._account = account
        self._host = host
        self._sign = sign
        self._words = words

    async def ask(
        self,
        method: str,
        path: str,
        parameters: Parameters,
        read: Callable[[Any], T],
        *,
        signal_id: str = "",
    ) -> T:
        """A request that may be repeated: a lost answer means `Unreachable`, a wrong clock is mended once."""
        try:
            try:
                body = await self._stamped(method, path, parameters, signal_id)
            except errors.ClockSkew:
                await self._words.refresh_clock(self._host)
                body = await self._stamped(method, path, parameters, signal_id)
            return read_part(read, body)
        except errors.OutcomeUnknown as error:
            raise errors.Unreachable(error.message, exchange_code=error.exchange_code) from error

    async def place(self, path: str, parameters: Parameters, *, valid_ms: int, signal_id: str) -> Any:
        """Sends an order, once; `parameters` hold its time.

        Raises:
            RateLimited: Its turn did not come while the exchange would have taken it; it was not sent.
        """
        valid_s = valid_ms / 1000
        async with self._turn("POST", path, parameters, patience_s=valid_s / 2) as turn:
            return await self._send(turn, "POST", path, parameters, signal_id, valid_s + ANSWER_MARGIN_S)

    async def ask_by_key(self, method: str, path: str, read: Callable[[Any], T]) -> T:
        """A request that the API key alone opens: it has neither time nor signature; may be repeated."""
        try:
            async with self._turn(method, path, {}, patience_s=QUERY_TIMEOUT_S) as turn:
                body = await self._send(turn, method, path, {}, "", QUERY_TIMEOUT_S)
            return read_part(read, body)
        except errors.OutcomeUnknown as error:
            raise errors.Unreachable(error.message, exchange_code=error.exchange_code) from error

    async def login(self, path: str) -> Secret:
        """The message that logs in on a WebSocket, as the vault made it for now."""
        item = self._item("GET", path, self._words.stamp(self._host), "")
        return Secret((await self._sign(item)).body)

    async def _stamped(self, method: str, path: str, parameters: Parameters, signal_id: str) -> Any:
        async with self._turn(method, path, parameters, patience_s=QUERY_TIMEOUT_S) as turn:
            stamped = parameters | self._words.stamp(self._host)
            return await self._send(turn, method, path, stamped, signal_id, QUERY_TIMEOUT_S)

    def _turn(
        self, method: str, path: str, parameters: Parameters, *, patience_s: float
    ) -> AbstractAsyncContextManager[Turn]:
        return self._host.turn(
            method, path, parameters, account_id=self._account.account_id, patience_s=patience_s
        )

    async def _send(
        self, turn: Turn, method: str, path: str, parameters: Parameters, signal_id: str, timeout_s: float
    ) -> Any:
        signed = await self._sign(self._item(method, path, parameters, signal_id))
        answer = await self._host.send(method, signed, timeout_s=timeout_s, turn=turn)
        return self._words.checked(answer, self._host)

    def _item(self, method: str, path: str, parameters: Parameters, signal_id: str) -> vault_pb2.SignItem:
        return vault_pb2.SignItem(
            user_id=self._account.user_id,
            account_id=self._account.account_id,
            method=method,
            path=path,
            parameters=[vault_pb2.Parameter(name=name, value=value) for name, value in parameters.items()],
            clock_offset_ms=round(self._host.clock_offset / timedelta(milliseconds=1)),
            signal_id=signal_id or None,
        )
