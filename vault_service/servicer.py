"""Proto <-> domain, one short method per RPC. No decisions."""

import re
import uuid
from typing import Any

import grpc

from tradekit.service.errors import InvalidArgument, ServiceError
from tradekit.service.secret import Secret
from tradekit.service.server import caller_name
from tradekit.service.wire import field_invalid, timestamp_from, uuid_from
from tradingbot.vault.v1 import vault_pb2, vault_pb2_grpc
from vault_service.cipher import ApiCredentials
from vault_service.errors import BatchTooLarge
from vault_service.models import Environment, Exchange, ExchangeAccount
from vault_service.private_key import PrivateKeyUnusable, checked_pem, is_pem
from vault_service.rules.schema import SignedRequest
from vault_service.signer import Signer, SigningOutcome, SigningRequest
from vault_service.vault import Vault

MAX_BATCH = 256
MAX_PAGE_SIZE = 500
MAX_SECRET_LENGTH = 4_096
MAX_CLOCK_OFFSET_MS = 60_000

_EXCHANGES = {
    vault_pb2.EXCHANGE_BINANCE: Exchange.BINANCE,
    vault_pb2.EXCHANGE_OKX: Exchange.OKX,
}
_ENVIRONMENTS = {
    vault_pb2.ENVIRONMENT_PAPER: Environment.PAPER,
    vault_pb2.ENVIRONMENT_TESTNET: Environment.TESTNET,
    vault_pb2.ENVIRONMENT_LIVE: Environment.LIVE,
}
_EXCHANGE_NUMBERS = {exchange: number for number, exchange in _EXCHANGES.items()}
_ENVIRONMENT_NUMBERS = {environment: number for number, environment in _ENVIRONMENTS.items()}

# They become headers and parts of signed texts: no space, no control character, no encoding to guess.
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_SIGNAL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

Context = grpc.aio.ServicerContext[Any, Any]


class VaultServicer(vault_pb2_grpc.VaultServiceServicer):
    """VaultService: accounts, for the gateway."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def RegisterAccount(
        self, request: vault_pb2.RegisterAccountRequest, context: Context
    ) -> vault_pb2.RegisterAccountResponse:
        """Seals and stores an account's keys."""
        exchange = _exchange_from(request.exchange)
        account = await self._vault.register(
            uuid_from(request.user_id, field="user_id"),
            exchange=exchange,
            environment=_environment_from(request.environment),
            credentials=_credentials_from(request, exchange),
            label=_label_from(request.label),
        )
        return vault_pb2.RegisterAccountResponse(account=_account_to(account))

    async def ListAccounts(
        self, request: vault_pb2.ListAccountsRequest, context: Context
    ) -> vault_pb2.ListAccountsResponse:
        """Lists a user's accounts."""
        if not 0 <= request.page_size <= MAX_PAGE_SIZE:
            raise field_invalid("page_size", f"must be from 0 to {MAX_PAGE_SIZE}")
        page = await self._vault.list(
            uuid_from(request.user_id, field="user_id"),
            size=request.page_size or MAX_PAGE_SIZE,
            after=uuid_from(request.page_token, field="page_token") if request.page_token else None,
        )
        return vault_pb2.ListAccountsResponse(
            accounts=[_account_to(account) for account in page.accounts],
            next_page_token=str(page.next_after or ""),
            total_count=page.total_count,
        )

    async def GetAccount(
        self, request: vault_pb2.GetAccountRequest, context: Context
    ) -> vault_pb2.GetAccountResponse:
        """Reads one account."""
        account = await self._vault.get(*_owner_and_account(request))
        return vault_pb2.GetAccountResponse(account=_account_to(account))

    async def ToggleAccount(
        self, request: vault_pb2.ToggleAccountRequest, context: Context
    ) -> vault_pb2.ToggleAccountResponse:
        """Turns an account over."""
        account = await self._vault.toggle(*_owner_and_account(request))
        return vault_pb2.ToggleAccountResponse(account=_account_to(account))

    async def DeleteAccount(
        self, request: vault_pb2.DeleteAccountRequest, context: Context
    ) -> vault_pb2.DeleteAccountResponse:
        """Deletes an account."""
        await self._vault.delete(*_owner_and_account(request))
        return vault_pb2.DeleteAccountResponse()


class SignerServicer(vault_pb2_grpc.SignerServiceServicer):
    """SignerService: signatures, for execution."""

    def __init__(self, vault: Vault, signer: Signer) -> None:
        self._vault = vault
        self._signer = signer

    async def DescribeAccount(
        self, request: vault_pb2.DescribeAccountRequest, context: Context
    ) -> vault_pb2.DescribeAccountResponse:
        """Reads one account."""
        account = await self._vault.get(*_owner_and_account(request))
        return vault_pb2.DescribeAccountResponse(account=_account_to(account))

    async def Sign(self, request: vault_pb2.SignRequest, context: Context) -> vault_pb2.SignResponse:
        """Signs a batch."""
        if len(request.items) > MAX_BATCH:
            raise BatchTooLarge(MAX_BATCH)
        if not request.items:
            raise field_invalid("items", "must hold at least one request")
        caller = caller_name(context)
        parsed = [_signing_request_from(item, caller) for item in request.items]
        well_formed = [item for item in parsed if isinstance(item, SigningRequest)]
        signed = iter(await self._signer.sign(well_formed) if well_formed else ())
        outcomes = (next(signed) if isinstance(item, SigningRequest) else item for item in parsed)
        return vault_pb2.SignResponse(results=[_result_to(outcome) for outcome in outcomes])


def _owner_and_account(
    request: vault_pb2.GetAccountRequest
    | vault_pb2.ToggleAccountRequest
    | vault_pb2.DeleteAccountRequest
    | vault_pb2.DescribeAccountRequest,
) -> tuple[uuid.UUID, uuid.UUID]:
    user_id = uuid_from(request.user_id, field="user_id")
    return user_id, uuid_from(request.account_id, field="account_id")


def _exchange_from(number: vault_pb2.Exchange.ValueType) -> Exchange:
    if number not in _EXCHANGES:
        raise field_invalid("exchange", "must be a supported exchange")
    return _EXCHANGES[number]


def _environment_from(number: vault_pb2.Environment.ValueType) -> Environment:
    if number not in _ENVIRONMENTS:
        raise field_invalid("environment", "must be paper, testnet or live")
    return _ENVIRONMENTS[number]


def _credentials_from(request: vault_pb2.RegisterAccountRequest, exchange: Exchange) -> ApiCredentials:
    passphrase = request.passphrase if request.HasField("passphrase") else None
    if exchange is Exchange.OKX and not passphrase:
        raise field_invalid("passphrase", "is needed for an OKX account")
    if exchange is not Exchange.OKX and passphrase:
        raise field_invalid("passphrase", "belongs to OKX accounts only")
    return ApiCredentials(
        api_key=_visible(request.api_key, field="api_key", longest=512),
        api_secret=_api_secret_from(request.api_secret, exchange),
        passphrase=_visible(passphrase, field="passphrase", longest=128) if passphrase else None,
    )


def _api_secret_from(text: str, exchange: Exchange) -> Secret:
    secret = Secret(text)
    if not is_pem(secret):
        return _visible(text, field="api_secret", longest=MAX_SECRET_LENGTH)
    if exchange is not Exchange.BINANCE:
        raise field_invalid(
            "api_secret", "must be an HMAC secret: private keys belong to Binance accounts only"
        )
    if len(text) > MAX_SECRET_LENGTH:
        raise field_invalid("api_secret", f"must be at most {MAX_SECRET_LENGTH} characters")
    try:
        return checked_pem(secret)
    except PrivateKeyUnusable as problem:
        raise field_invalid("api_secret", str(problem)) from None


def _visible(text: str, *, field: str, longest: int) -> Secret:
    if len(text) > longest or not _VISIBLE.fullmatch(text):
        raise field_invalid(field, f"must be 1 to {longest} visible ASCII characters")
    return Secret(text)


def _label_from(text: str) -> str:
    if len(text) > 100 or not (text.isprintable() or not text):
        raise field_invalid("label", "must be at most 100 printable characters")
    return text


def _signing_request_from(item: vault_pb2.SignItem, caller: str) -> SigningRequest | InvalidArgument:
    try:
        if abs(item.clock_offset_ms) > MAX_CLOCK_OFFSET_MS:
            raise field_invalid("clock_offset_ms", f"must be within {MAX_CLOCK_OFFSET_MS} ms")
        if item.HasField("signal_id") and not _SIGNAL_ID.fullmatch(item.signal_id):
            raise field_invalid("signal_id", "must be 1 to 64 letters, digits, - or _")
        return SigningRequest(
            caller=caller,
            user_id=uuid_from(item.user_id, field="user_id"),
            account_id=uuid_from(item.account_id, field="account_id"),
            method=item.method,
            path=item.path,
            parameters=[(parameter.name, parameter.value) for parameter in item.parameters],
            clock_offset_ms=item.clock_offset_ms,
            signal_id=item.signal_id if item.HasField("signal_id") else None,
        )
    except InvalidArgument as error:
        return error


def _account_to(account: ExchangeAccount) -> vault_pb2.Account:
    return vault_pb2.Account(
        account_id=str(account.id),
        user_id=str(account.user_id),
        exchange=_EXCHANGE_NUMBERS[Exchange(account.exchange)],
        environment=_ENVIRONMENT_NUMBERS[Environment(account.environment)],
        label=account.label,
        active=account.is_active,
        create_time=timestamp_from(account.created_at),
    )


def _result_to(outcome: SigningOutcome) -> vault_pb2.SignResult:
    if isinstance(outcome, SignedRequest):
        headers = [vault_pb2.Header(name=name, value=value) for name, value in outcome.headers.items()]
        signed = vault_pb2.SignedRequest(target=outcome.target, body=outcome.body, headers=headers)
        return vault_pb2.SignResult(signed=signed)
    return vault_pb2.SignResult(error=_error_to(outcome))


def _error_to(error: ServiceError) -> vault_pb2.SignError:
    return vault_pb2.SignError(status_code=error.code.value[0], reason=error.reason, message=error.message)
