"""`/accounts-secure`: exchange accounts and what is on them."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, Field, SecretStr, model_validator
from typing_extensions import TypedDict

from gateway import accounts
from gateway.accounts import Registration, account_uuid
from gateway.bodies import Body, Name, secret_from
from gateway.dependencies import CurrentUser, Resources, ResourcesOf, ask
from gateway.paper_accounts import ExchangeKeys
from gateway.routes.webhook import PATH as WEBHOOK_PATH
from tradekit.service.secret import Secret
from tradekit.service.wire import instant_from
from tradingbot.execution.v1 import execution_pb2 as execution_pb
from tradingbot.vault.v1 import vault_pb2 as vault_pb

router = APIRouter(prefix="/accounts-secure", tags=["Accounts"])

MAX_GRACE_S = 7 * 24 * 3600
# The exchange is asked while the client waits.
EXCHANGE_TIMEOUT_S = 10.0

Exchange = Literal["binance", "okx"]
Environment = Literal["paper", "testnet", "live"]
_PRINTABLE = re.compile(r"[\x21-\x7e]+", re.ASCII)
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----[\x20-\x7e\r\n]+-----END [A-Z ]+-----\s*", re.ASCII)


def _key(value: str) -> str:
    if not _PRINTABLE.fullmatch(value):
        raise ValueError("must be printable ASCII without spaces")
    return value


def _secret(value: SecretStr) -> SecretStr:
    # Only a private key in PEM form has several lines.
    text = value.get_secret_value()
    if not _PRINTABLE.fullmatch(text) and not _PEM.fullmatch(text):
        raise ValueError("must be printable ASCII without spaces, or a PEM key")
    return value


class Register(Body):
    exchange: Exchange
    api_key: Annotated[str, AfterValidator(_key)] | None = Field(
        None, min_length=1, max_length=512, description="May be left out for `paper`."
    )
    api_secret: Annotated[SecretStr, AfterValidator(_secret)] | None = Field(
        None, min_length=1, max_length=4_096, description="May be left out for `paper`. Never shown again."
    )
    passphrase: Annotated[SecretStr, AfterValidator(_secret)] | None = Field(
        None, min_length=1, max_length=256, description="OKX only, and needed there. Never shown again."
    )
    testnet: bool = Field(True, description="Without `environment`: true is `testnet`, false is `live`.")
    environment: Environment | None = Field(None, description="Wins over `testnet`.")
    label: Name = ""
    allow_operator_secret: bool = Field(
        False, description="Whether the operator-wide webhook secret, if there is one, opens this account."
    )

    allow_withdrawal_key: bool = Field(
        False, description="Whether a key that may withdraw money is taken: trading does not need it."
    )

    @property
    def chosen_environment(self) -> Environment:
        """Where the keys are valid."""
        return self.environment or ("testnet" if self.testnet else "live")

    @model_validator(mode="after")
    def _keys_fit(self) -> "Register":
        given = (self.api_key, self.api_secret, self.passphrase)
        if self.chosen_environment == "paper" and not any(given):
            return self
        if self.api_key is None or self.api_secret is None:
            raise ValueError("api_key and api_secret are needed")
        if (self.passphrase is None) == (self.exchange == "okx"):
            raise ValueError("passphrase is needed for okx, and for okx only")
        return self

    def registration(self) -> Registration:
        """What the domain takes."""
        keys = None
        if self.api_key is not None and self.api_secret is not None:
            passphrase = secret_from(self.passphrase) if self.passphrase else None
            keys = ExchangeKeys(self.api_key, secret_from(self.api_secret), passphrase)
        return Registration(
            exchange=self.exchange,
            environment=self.chosen_environment,
            keys=keys,
            label=self.label,
            allow_operator_secret=self.allow_operator_secret,
            allow_withdrawal_key=self.allow_withdrawal_key,
        )


class RotateSecret(Body):
    grace_s: int = Field(
        default=0, ge=0, le=MAX_GRACE_S, description="For so many seconds the present secret works on."
    )
    allow_operator_secret: bool | None = Field(
        default=None, description="Whether the operator-wide secret opens this account. Left out: as before."
    )


class WebhookAnswer(BaseModel):
    url: str = Field(description="Goes into TradingView's webhook field.")
    secret: str = Field(description="Goes into the alert's message. Shown this once.")


class AccountAnswer(BaseModel):
    id: str
    exchange: Exchange
    testnet: bool
    environment: Environment
    label: str
    is_active: bool
    created_at: datetime


class KeyWarning(BaseModel):
    code: Literal["key_may_withdraw", "key_not_bound_to_addresses"]
    message: str


class RegisteredAnswer(AccountAnswer):
    webhook: WebhookAnswer
    warnings: list[KeyWarning] = Field(description="What the exchange says of the key that is worth a look.")


class AccountsAnswer(BaseModel):
    accounts: list[AccountAnswer]
    total: int


class RotatedAnswer(BaseModel):
    webhook: WebhookAnswer


class ToggledAnswer(BaseModel):
    success: Literal[True] = True
    account_id: str
    is_active: bool


class DeletedAnswer(BaseModel):
    success: Literal[True] = True
    message: str


class BalanceAnswer(BaseModel):
    currency: str
    total: str = Field(description="Decimal: wallet balance without open profit.")
    available: str = Field(description="Decimal: what new orders may use.")
    unrealized_profit: str = Field(description="Decimal: open profit of all positions.")


class PositionJson(TypedDict):
    """An open position; decimals are text."""

    symbol: str
    side: Literal["long", "short"]
    quantity: str
    entry_price: str
    mark_price: str
    unrealized_profit: str
    liquidation_price: str | None
    leverage: int | None


class PositionsAnswer(TypedDict):
    positions: list[PositionJson]


class OrderJson(TypedDict):
    """An open order; decimals are text. Without a quantity it is for the whole position."""

    symbol: str
    side: Literal["buy", "sell"]
    type: str
    client_order_id: str | None
    order_id: str | None
    quantity: str | None
    filled_quantity: str
    limit_price: str | None
    trigger_price: str | None
    reduce_only: bool


class OrdersAnswer(TypedDict):
    orders: list[OrderJson]


@router.post("/register", summary="Register an exchange account")
async def register(body: Register, user: CurrentUser, resources: ResourcesOf) -> RegisteredAnswer:
    """Encrypts the keys, asks the exchange what they may do, and makes the account's webhook secret.

    With `environment: "paper"` and no keys, an account with play money is opened on the paper exchange.
    Nothing is registered when the exchange does not take the key (`key_rejected`, 422), when it may not trade
    (`key_cannot_trade`, 422), when it may withdraw and `allow_withdrawal_key` is not set (`key_may_withdraw`,
    422), or when the exchange does not answer (`exchange_unavailable`, 503).
    """
    registered = await accounts.register(resources, user, body.registration())
    return RegisteredAnswer(
        **_account_answer(registered.account).model_dump(),
        webhook=_webhook_answer(resources, registered.secret),
        warnings=[
            KeyWarning.model_validate({"code": code, "message": text}) for code, text in registered.warnings
        ],
    )


@router.get("/list", summary="List the accounts")
async def list_accounts(user: CurrentUser, resources: ResourcesOf) -> AccountsAnswer:
    """All accounts of the user, oldest first. Keys are never shown."""
    listed = [_account_answer(account) for account in await accounts.list_accounts(resources, user)]
    return AccountsAnswer(accounts=listed, total=len(listed))


@router.delete("/{account_id}", summary="Delete an account")
async def delete(account_id: str, user: CurrentUser, resources: ResourcesOf) -> DeletedAnswer:
    """Deletes the keys for good. Errors: `account_in_use` (409): a position or an order is open."""
    await accounts.delete(resources, user, account_uuid(account_id))
    return DeletedAnswer(message="Account deleted successfully")


@router.post("/{account_id}/toggle", summary="Turn an account off or on")
async def toggle(account_id: str, user: CurrentUser, resources: ResourcesOf) -> ToggledAnswer:
    """An account that is off takes no entries; closing is always allowed."""
    account = await accounts.toggle(resources, user, account_uuid(account_id))
    return ToggledAnswer(account_id=account.account_id, is_active=account.active)


@router.post("/{account_id}/webhook-secret", summary="New webhook secret")
async def rotate_secret(
    account_id: str, user: CurrentUser, resources: ResourcesOf, body: RotateSecret | None = None
) -> RotatedAnswer:
    """Ends the present secret, at once or after `grace_s`, and shows a new one this once."""
    wanted = body or RotateSecret()
    secret = await accounts.rotate_secret(
        resources,
        user,
        account_uuid(account_id),
        grace=timedelta(seconds=wanted.grace_s),
        allow_operator_secret=wanted.allow_operator_secret,
    )
    return RotatedAnswer(webhook=_webhook_answer(resources, secret))


@router.get("/{account_id}/balance", summary="Balance, live from the exchange")
async def balance(account_id: str, user: CurrentUser, resources: ResourcesOf) -> BalanceAnswer:
    """Errors: `exchange_unavailable` (503), `key_rejected` (422)."""
    request = execution_pb.GetBalanceRequest(user_id=str(user.id), account_id=str(account_uuid(account_id)))
    answer = await ask(resources.execution.GetBalance, request, timeout=EXCHANGE_TIMEOUT_S)
    return BalanceAnswer(
        currency=answer.currency,
        total=answer.total,
        available=answer.available,
        unrealized_profit=answer.unrealized_profit,
    )


@router.get("/{account_id}/positions", summary="Open positions, live from the exchange")
async def positions(account_id: str, user: CurrentUser, resources: ResourcesOf) -> PositionsAnswer:
    """Errors: `exchange_unavailable` (503), `key_rejected` (422)."""
    request = execution_pb.ListPositionsRequest(
        user_id=str(user.id), account_id=str(account_uuid(account_id))
    )
    answer = await ask(resources.execution.ListPositions, request, timeout=EXCHANGE_TIMEOUT_S)
    return {"positions": [_position_json(position) for position in answer.positions]}


@router.get("/{account_id}/orders", summary="Open orders, live from the exchange")
async def orders(account_id: str, user: CurrentUser, resources: ResourcesOf) -> OrdersAnswer:
    """Conditional orders included. Errors: `exchange_unavailable` (503), `key_rejected` (422)."""
    request = execution_pb.ListOpenOrdersRequest(
        user_id=str(user.id), account_id=str(account_uuid(account_id))
    )
    answer = await ask(resources.execution.ListOpenOrders, request, timeout=EXCHANGE_TIMEOUT_S)
    return {"orders": [_order_json(order) for order in answer.orders]}


def _webhook_answer(resources: Resources, secret: Secret) -> WebhookAnswer:
    return WebhookAnswer(url=resources.settings.public_url + WEBHOOK_PATH, secret=secret.reveal())


_EXCHANGE_WORDS: dict[int, Exchange] = {vault_pb.EXCHANGE_BINANCE: "binance", vault_pb.EXCHANGE_OKX: "okx"}
_ENVIRONMENT_WORDS: dict[int, Environment] = {
    vault_pb.ENVIRONMENT_PAPER: "paper",
    vault_pb.ENVIRONMENT_TESTNET: "testnet",
    vault_pb.ENVIRONMENT_LIVE: "live",
}


def _account_answer(account: vault_pb.Account) -> AccountAnswer:
    environment = _ENVIRONMENT_WORDS[account.environment]
    return AccountAnswer(
        id=account.account_id,
        exchange=_EXCHANGE_WORDS[account.exchange],
        # As the contract reads the word: everything but real money.
        testnet=environment != "live",
        environment=environment,
        label=account.label,
        is_active=account.active,
        created_at=instant_from(account.create_time),
    )


def _position_json(position: execution_pb.Position) -> PositionJson:
    return {
        "symbol": position.symbol,
        "side": "long" if position.side == "long" else "short",
        "quantity": position.quantity,
        "entry_price": position.entry_price,
        "mark_price": position.mark_price,
        "unrealized_profit": position.unrealized_profit,
        "liquidation_price": position.liquidation_price if position.HasField("liquidation_price") else None,
        "leverage": position.leverage if position.HasField("leverage") else None,
    }


def _order_json(order: execution_pb.OpenOrder) -> OrderJson:
    return {
        "symbol": order.symbol,
        "side": "buy" if order.side == "buy" else "sell",
        "type": order.type,
        "client_order_id": order.client_order_id or None,
        "order_id": order.exchange_order_id or None,
        "quantity": order.quantity if order.HasField("quantity") else None,
        "filled_quantity": order.filled_quantity,
        "limit_price": order.limit_price if order.HasField("limit_price") else None,
        "trigger_price": order.trigger_price if order.HasField("trigger_price") else None,
        "reduce_only": order.reduce_only,
    }
