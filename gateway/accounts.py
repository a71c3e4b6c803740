"""A user's exchange accounts: kept by the vault, with a webhook secret of ours."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from gateway.dependencies import Resources, ask
from gateway.errors import Problem, not_found, unavailable
from gateway.models import User
from gateway.paper_accounts import ExchangeKeys
from tradekit.service.errors import DeadlineExceeded, NotFound, ServiceError
from tradekit.service.secret import Secret
from tradingbot.execution.v1 import execution_pb2
from tradingbot.vault.v1 import vault_pb2 as pb

log = logging.getLogger(__name__)

NO_ACCOUNT = "There is no such account."
EXCHANGES = {"binance": pb.EXCHANGE_BINANCE, "okx": pb.EXCHANGE_OKX}
ENVIRONMENTS = {
    "paper": pb.ENVIRONMENT_PAPER,
    "testnet": pb.ENVIRONMENT_TESTNET,
    "live": pb.ENVIRONMENT_LIVE,
}
PAGE_SIZE = 500
# Execution asks the exchange whether anything is open.
RETIRE_TIMEOUT_S = 15.0
# Execution asks the exchange what the key may do.
KEY_CHECK_TIMEOUT_S = 12.0


@dataclass(frozen=True)
class Registration:
    """An account to register.

    Attributes:
        keys: None: a fresh account of the paper exchange.
        allow_operator_secret: Whether the operator-wide webhook secret opens it.
        allow_withdrawal_key: Whether a key that may withdraw is taken.
    """

    exchange: str
    environment: str
    keys: ExchangeKeys | None
    label: str
    allow_operator_secret: bool
    allow_withdrawal_key: bool


@dataclass(frozen=True)
class Registered:
    """A registered account.

    Attributes:
        secret: Its webhook secret, which is shown this once.
        warnings: (code, sentence) of what the user should know of the key.
    """

    account: pb.Account
    secret: Secret
    warnings: tuple[tuple[str, str], ...]


def account_uuid(text: str) -> UUID:
    """The account id in a path.

    Raises:
        Problem: 404, as for an account that does not exist.
    """
    try:
        account_id = UUID(text)
    except ValueError:
        raise not_found(NO_ACCOUNT) from None
    if str(account_id) != text.lower():
        raise not_found(NO_ACCOUNT)
    return account_id


async def register(resources: Resources, user: User, wanted: Registration) -> Registered:
    """Stores the keys in the vault and has them checked by the exchange; what is refused is not kept.

    Raises:
        Problem: The paper exchange does not answer; key_may_withdraw, key_cannot_trade.
        ServiceError: The vault or the exchange refused it, or the exchange does not answer.
    """
    keys = wanted.keys or await resources.paper.open_account(wanted.exchange)
    response = await ask(
        resources.vault.RegisterAccount,
        pb.RegisterAccountRequest(
            user_id=str(user.id),
            exchange=EXCHANGES[wanted.exchange],
            environment=ENVIRONMENTS[wanted.environment],
            api_key=keys.api_key,
            api_secret=keys.api_secret.reveal(),
            passphrase=keys.passphrase.reveal() if keys.passphrase else None,
            label=wanted.label,
        ),
    )
    # Keys that were made here need no check.
    warnings = await _checked_key(resources, response.account, wanted) if wanted.keys else ()
    # Should this fail, the account is there without a secret: rotating gives it its first one.
    secret = await resources.secret_store.rotate(
        UUID(response.account.account_id),
        user.id,
        grace=timedelta(0),
        allow_operator_secret=wanted.allow_operator_secret,
    )
    return Registered(response.account, secret, warnings)


async def _checked_key(
    resources: Resources, account: pb.Account, wanted: Registration
) -> tuple[tuple[str, str], ...]:
    """What the user should know of a key that can stay; one that cannot is deleted again."""
    own = {"user_id": account.user_id, "account_id": account.account_id}
    request = execution_pb2.CheckKeyRequest(**own)
    try:
        found = await ask(resources.execution.CheckKey, request, timeout=KEY_CHECK_TIMEOUT_S)
        _check_permissions(found, allow_withdrawal_key=wanted.allow_withdrawal_key)
    except DeadlineExceeded:
        await _give_up(resources, pb.DeleteAccountRequest(**own))
        raise unavailable(
            "exchange_unavailable", "The exchange does not answer; nothing was registered. Try again later."
        ) from None
    except (ServiceError, Problem):
        await _give_up(resources, pb.DeleteAccountRequest(**own))
        raise
    return _warnings(found)


async def _give_up(resources: Resources, request: pb.DeleteAccountRequest) -> None:
    """Deletes an account that was just made; it has no webhook secret yet, so that nobody can trade by it."""
    try:
        await ask(resources.vault.DeleteAccount, request)
    except ServiceError as error:
        log.warning("account.not_deleted", extra={"account_id": request.account_id, "reason": error.reason})


def _check_permissions(found: execution_pb2.CheckKeyResponse, *, allow_withdrawal_key: bool) -> None:
    if found.HasField("may_trade") and not found.may_trade:
        raise Problem(
            422,
            "key_cannot_trade",
            "The key may not trade futures. Give it that permission at the exchange, then register it again.",
        )
    if found.may_withdraw and not allow_withdrawal_key:
        raise Problem(
            422,
            "key_may_withdraw",
            "The key may withdraw money, which trading does not need. Take that permission away at the "
            "exchange, or send allow_withdrawal_key: true if you want it so.",
        )


def _warnings(found: execution_pb2.CheckKeyResponse) -> tuple[tuple[str, str], ...]:
    warnings = []
    if found.may_withdraw:
        warnings.append(("key_may_withdraw", "The key may withdraw money; trading does not need it."))
    if found.HasField("bound_to_addresses") and not found.bound_to_addresses:
        warnings.append(
            (
                "key_not_bound_to_addresses",
                "The key works from every address. Bind it to this server's at the exchange: a key that "
                "leaks is then of no use elsewhere, and exchanges let unbound keys expire.",
            )
        )
    return tuple(warnings)


async def list_accounts(resources: Resources, user: User) -> list[pb.Account]:
    """All accounts of the user, oldest first."""
    accounts: list[pb.Account] = []
    page_token = ""
    while True:
        page = await ask(
            resources.vault.ListAccounts,
            pb.ListAccountsRequest(user_id=str(user.id), page_size=PAGE_SIZE, page_token=page_token),
        )
        accounts.extend(page.accounts)
        page_token = page.next_page_token
        if not page_token:
            return accounts


async def get_account(resources: Resources, user: User, account_id: UUID) -> pb.Account:
    """The user's account.

    Raises:
        NotFound: There is none for this user.
    """
    request = pb.GetAccountRequest(user_id=str(user.id), account_id=str(account_id))
    return (await ask(resources.vault.GetAccount, request)).account


async def toggle(resources: Resources, user: User, account_id: UUID) -> pb.Account:
    """Turns the account off, or on again; as it is now.

    Raises:
        NotFound: There is none for this user.
    """
    request = pb.ToggleAccountRequest(user_id=str(user.id), account_id=str(account_id))
    return (await ask(resources.vault.ToggleAccount, request)).account


async def delete(resources: Resources, user: User, account_id: UUID) -> None:
    """Deletes the account when nothing of it is open: execution lets go, then the keys, then the secret.

    Raises:
        NotFound: There is none for this user.
        Aborted: ACCOUNT_IN_USE.
    """
    own = {"user_id": str(user.id), "account_id": str(account_id)}
    try:
        await get_account(resources, user, account_id)
        await ask(
            resources.execution.RetireAccount,
            execution_pb2.RetireAccountRequest(**own),
            timeout=RETIRE_TIMEOUT_S,
        )
        await ask(resources.vault.DeleteAccount, pb.DeleteAccountRequest(**own))
    except NotFound:
        # A deletion that was cut off before its last step left a secret for nothing.
        await resources.secret_store.delete(account_id, user.id)
        raise
    await resources.secret_store.delete(account_id, user.id)


async def rotate_secret(
    resources: Resources,
    user: User,
    account_id: UUID,
    *,
    grace: timedelta,
    allow_operator_secret: bool | None,
) -> Secret:
    """A new webhook secret for the account.

    Raises:
        NotFound: There is none for this user.
    """
    await get_account(resources, user, account_id)
    return await resources.secret_store.rotate(
        account_id, user.id, grace=grace, allow_operator_secret=allow_operator_secret
    )
