"""The vault as execution sees it: it signs, and tells what an account is."""

from collections.abc import Sequence

import grpc

from execution_service.exchanges.errors import ExchangeError, OutcomeUnknown, Refused, Unreachable
from execution_service.exchanges.types import AccountKey, Environment
from tradekit.service.batching import Batcher, Overloaded
from tradekit.service.channel import call, call_metadata
from tradekit.service.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ServiceError,
    Unauthenticated,
    code_from_number,
    from_parts,
)
from tradingbot.vault.v1 import vault_pb2, vault_pb2_grpc

SIGN_TIMEOUT_S = 5.0
DESCRIBE_TIMEOUT_S = 2.0

_EXCHANGES = {vault_pb2.EXCHANGE_BINANCE: "binance", vault_pb2.EXCHANGE_OKX: "okx"}
_ENVIRONMENTS = {
    vault_pb2.ENVIRONMENT_PAPER: Environment.PAPER,
    vault_pb2.ENVIRONMENT_TESTNET: Environment.TESTNET,
    vault_pb2.ENVIRONMENT_LIVE: Environment.LIVE,
}


class Signer:
    """Has requests signed, many in one message when many come together."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = vault_pb2_grpc.SignerServiceStub(channel)
        self._batcher: Batcher[vault_pb2.SignItem, vault_pb2.SignResult] = Batcher(
            self._sign_all, largest=256, at_once=2
        )

    async def describe(self, user_id: str, account_id: str) -> tuple[AccountKey, bool]:
        """What the account is, and whether it is active.

        Raises:
            ServiceError: NOT_FOUND ACCOUNT_NOT_FOUND, or the vault could not be asked.
        """
        request = vault_pb2.DescribeAccountRequest(user_id=user_id, account_id=account_id)
        response = await call(
            self._stub.DescribeAccount(request, timeout=DESCRIBE_TIMEOUT_S, metadata=call_metadata())
        )
        account = response.account
        key = AccountKey(
            user_id=account.user_id,
            account_id=account.account_id,
            exchange=_EXCHANGES[account.exchange],
            environment=_ENVIRONMENTS[account.environment],
        )
        return key, account.active

    async def sign(self, item: vault_pb2.SignItem) -> vault_pb2.SignedRequest:
        """The signed form of `item`.

        Raises:
            Unreachable: The vault did not answer: nothing was sent.
            OutcomeUnknown: An order with this client id was signed before and may still be accepted.
            Refused: The vault will not sign it.
        """
        try:
            result = await self._batcher.submit(item)
        except Overloaded as error:
            raise _sick("Too many requests wait for the key vault.") from error
        except ServiceError as error:
            raise _meaning(error) from error
        if result.HasField("error"):
            raise _refusal(result.error)
        return result.signed

    async def _sign_all(
        self, items: Sequence[vault_pb2.SignItem]
    ) -> Sequence[vault_pb2.SignResult | BaseException]:
        # A vault that is just restarting is waited for.
        response = await call(
            self._stub.Sign(
                vault_pb2.SignRequest(items=items),
                timeout=SIGN_TIMEOUT_S,
                wait_for_ready=True,
                metadata=call_metadata(),
            )
        )
        return list(response.results)


# The vault's decision about the request itself; everything else is a vault that is not well, which must
# neither reject an entry for good nor stop a close.
_DECISIONS = (InvalidArgument, Unauthenticated, PermissionDenied, NotFound, FailedPrecondition, DataLoss)


def _refusal(error: vault_pb2.SignError) -> ExchangeError:
    if error.reason == "ORDER_ALREADY_SIGNED":
        return OutcomeUnknown(error.message, reason=error.reason)
    cause = from_parts(code_from_number(error.status_code), error.reason, error.message)
    meaning = _meaning(cause)
    meaning.__cause__ = cause
    return meaning


def _meaning(error: ServiceError) -> ExchangeError:
    if isinstance(error, _DECISIONS):
        return Refused(error.message, reason=error.reason)
    return _sick("The key vault does not answer.")


def _sick(message: str) -> Unreachable:
    return Unreachable(message, reason="VAULT_UNAVAILABLE")
