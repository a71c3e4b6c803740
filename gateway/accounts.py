"""A user's exchange accounts: kept by the vault, with a webhook secret of ours."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from gateway.dependencies import Resources, ask
from gateway.errors import not_found
from gateway.models import User
from gateway.paper_accounts import ExchangeKeys
from tradekit.service.errors import NotFound
from tradekit.service.secret import Secret
from tradingbot.execution.v1 import execution_pb2
from tradingbot.vault.v1 import vault_pb2 as pb

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


@dataclass(frozen=True)
class Registration:
    """An account to register.

    Attributes:
        keys: None: a fresh account of the paper exchange.
        allow_operator_secret: Whether the operator-wide webhook secret opens it.
    """

    exchange: str
    environment: str
    keys: ExchangeKeys | None
    label: str
    allow_operator_secret: bool


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


async def register(resources: Resources, user: User, wanted: Registration) -> tuple[pb.Account, Secret]:
    """Stores the keys in the vault; the account and its webhook secret, which is shown this once.

    Raises:
        Problem: The paper exchange does not answer.
        ServiceError: The vault refused it.
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
    # Should this fail, the account is there without a secret: rotating gives it its first one.
    secret = await resources.secret_store.rotate(
        UUID(response.account.account_id),
        user.id,
        grace=timedelta(0),
        allow_operator_secret=wanted.allow_operator_secret,
    )
    return response.account, secret


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
