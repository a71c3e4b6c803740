"""What requests work with: opened once a process, reached through FastAPI's dependencies."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from gateway.addresses import client_address
from gateway.config import Settings
from gateway.errors import unauthorized
from gateway.models import User
from gateway.paper_accounts import PaperAccounts
from gateway.tokens import Tokens
from gateway.users import Users
from gateway.webhook_secrets import WebhookSecrets, WebhookSecretStore
from tradekit.service.channel import call, call_metadata
from tradekit.service.clock import Clock
from tradekit.service.database import Database

if TYPE_CHECKING:
    from tradingbot.execution.v1.execution_pb2_grpc import ExecutionServiceAsyncStub
    from tradingbot.strategy.v1.strategy_pb2_grpc import StrategyServiceAsyncStub
    from tradingbot.vault.v1.vault_pb2_grpc import VaultServiceAsyncStub

CALL_TIMEOUT_S = 5.0

RequestT = TypeVar("RequestT", contravariant=True)
ResponseT = TypeVar("ResponseT", covariant=True)


class Method(Protocol[RequestT, ResponseT]):
    """A method of a service, as its stub offers it."""

    def __call__(
        self, request: RequestT, *, timeout: float, metadata: tuple[tuple[str, str], ...]
    ) -> Awaitable[ResponseT]: ...


async def ask(
    method: Method[RequestT, ResponseT], request: RequestT, *, timeout: float = CALL_TIMEOUT_S
) -> ResponseT:
    """Calls another service with a deadline and this request's id.

    Raises:
        ServiceError: What the service said, or the failure of the call itself.
    """
    return await call(method(request, timeout=timeout, metadata=call_metadata()))


@dataclass(frozen=True)
class Resources:
    """Everything that lives as long as the process.

    Attributes:
        health: Service name -> stub of its health service.
        secrets: The accounts' webhook secrets in memory.
        secret_store: Where they are made and rotated.
    """

    settings: Settings
    clock: Clock
    database: Database
    vault: "VaultServiceAsyncStub"
    execution: "ExecutionServiceAsyncStub"
    strategy: "StrategyServiceAsyncStub"
    health: Mapping[str, Any]
    tokens: Tokens
    users: Users
    secrets: WebhookSecrets
    secret_store: WebhookSecretStore
    paper: PaperAccounts


def get_resources(request: Request) -> Resources:
    """The resources of this application."""
    resources: Resources = request.app.state.resources
    return resources


ResourcesOf = Annotated[Resources, Depends(get_resources)]

_bearer = HTTPBearer(
    auto_error=False,
    description="An access token from /auth/login, or the session token of a NextAuth database session.",
)


async def get_current_user(
    request: Request, resources: ResourcesOf, _documented: Annotated[object, Depends(_bearer)]
) -> User:
    """The user who sends this request.

    Raises:
        Problem: 401 unauthorized, token_expired.
    """
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized()
    return await resources.tokens.user_of(token.strip())


CurrentUser = Annotated[User, Depends(get_current_user)]


def get_client_address(request: Request, resources: ResourcesOf) -> str:
    """Where the request comes from, behind our own proxies; "unknown" when nobody can tell."""
    peer = request.client.host if request.client else None
    forwarded = request.headers.getlist("x-forwarded-for")
    address = client_address(peer, forwarded, resources.settings.trusted_proxies)
    return str(address) if address else "unknown"


ClientAddress = Annotated[str, Depends(get_client_address)]
