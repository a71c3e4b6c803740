"""The gateway process: `python -m gateway`."""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import uvicorn
import uvloop
from argon2 import PasswordHasher
from grpc_health.v1 import health_pb2_grpc
from starlette.types import ASGIApp

from gateway.app import create_app
from gateway.config import Settings, read_settings
from gateway.dependencies import Resources
from gateway.fills import Fills
from gateway.listener import BACKLOG, open_listener
from gateway.paper_accounts import open_paper_accounts
from gateway.passwords import Passwords
from gateway.routes.health import OK, readiness
from gateway.signing_keys import SigningKeys
from gateway.tokens import Tokens
from gateway.users import Users
from gateway.webhook_secrets import WebhookSecrets, WebhookSecretStore
from tradekit.service.admin import admin_server
from tradekit.service.channel import dial
from tradekit.service.clock import Clock, UtcClock
from tradekit.service.config import ConfigurationError, Environment
from tradekit.service.database import open_database
from tradekit.service.log import configure
from tradekit.service.server import DRAIN_SECONDS, until_stopped
from tradingbot.execution.v1.execution_pb2_grpc import ExecutionServiceStub
from tradingbot.strategy.v1.strategy_pb2_grpc import StrategyServiceStub
from tradingbot.vault.v1.vault_pb2_grpc import VaultServiceStub

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 75


@dataclass(frozen=True)
class Running:
    """A gateway that answers.

    Attributes:
        address: "host:port" that it really has.
        admin_address: The same for its admin port.
    """

    address: str
    admin_address: str
    resources: Resources


@asynccontextmanager
async def serve(
    settings: Settings, *, clock: Clock | None = None, hasher: PasswordHasher | None = None
) -> AsyncIterator[Running]:
    """Runs the gateway while the block runs; on exit finishes what is open.

    Args:
        settings: Ports may be 0.
        clock: None: the machine's.
        hasher: How costly password hashes are; None: argon2id as RFC 9106 recommends it for little memory.
    """
    async with open_resources(settings, clock or UtcClock(), hasher or PasswordHasher()) as resources:
        fills = Fills(resources.database, resources.execution)
        async with (
            resources.secrets.kept_fresh(settings.database_url),
            fills.followed(settings.database_url),
            _http_server(create_app(resources), settings) as address,
            admin_server(settings.admin_address, lambda: _problem(resources)) as admin_address,
        ):
            yield Running(address, admin_address, resources)


@asynccontextmanager
async def open_resources(
    settings: Settings, clock: Clock, hasher: PasswordHasher
) -> AsyncIterator[Resources]:
    """Yields everything that lives as long as the process; closes it on exit."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings.database_url))
        channels = {
            name: await stack.enter_async_context(dial(address, service=name, tls=settings.tls))
            for name, address in (
                ("vault", settings.vault_address),
                ("execution", settings.execution_address),
                ("strategy", settings.strategy_address),
            )
        }
        secrets = WebhookSecrets(clock, settings.webhook_secret)
        yield Resources(
            settings=settings,
            clock=clock,
            database=database,
            vault=VaultServiceStub(channels["vault"]),
            execution=ExecutionServiceStub(channels["execution"]),
            strategy=StrategyServiceStub(channels["strategy"]),
            health={name: health_pb2_grpc.HealthStub(channel) for name, channel in channels.items()},
            tokens=Tokens(database, SigningKeys(settings.secret_key, settings.secret_keys_retired), clock),
            users=Users(database, Passwords(hasher), clock, demo_allowed=not settings.production),
            secrets=secrets,
            secret_store=WebhookSecretStore(database, secrets, clock),
            paper=await stack.enter_async_context(open_paper_accounts(settings.paper_base_url)),
        )


async def _problem(resources: Resources) -> str | None:
    bad = [f"{name} {state}" for name, state in (await readiness(resources)).items() if state != OK]
    return ", ".join(bad) or None


class _HttpServer(uvicorn.Server):
    """A server that says when it answers and leaves signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _http_server(app: ASGIApp, settings: Settings) -> AsyncIterator[str]:
    # Whatever handlers there are: an address may hold a token that somebody put there.
    logging.getLogger("uvicorn.access").disabled = True
    listener = open_listener(settings.listen_address, settings.listen_descriptor)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Addresses behind proxies are read where they are needed, by our own rule.
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(DRAIN_SECONDS),
    )
    server = _HttpServer(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        await server.answers.wait()
        bound = listener.getsockname()
        try:
            yield f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"
        finally:
            server.should_exit = True


async def _run(settings: Settings) -> None:
    async with serve(settings) as running:
        log.info("gateway.ready", extra={"address": running.address, "admin": running.admin_address})
        if settings.webhook_secret:
            log.warning("webhook.operator_secret_set", extra={"hint": "It opens every account that opts in."})
        await until_stopped()


def main() -> int:
    """Runs until SIGTERM or SIGINT."""
    try:
        settings = read_settings(Environment())
    except ConfigurationError as error:
        sys.stderr.write(f"gateway cannot start:\n{error}\n")
        return 2
    configure("gateway", settings.log_level)
    uvloop.run(_run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
