"""The strategy service's process: settings -> database and worker -> serve."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from strategy_service.backtests import Backtests
from strategy_service.config import Settings
from strategy_service.servicer import StrategyServicer
from strategy_service.worker import open_worker
from tradekit.service.admin import admin_server
from tradekit.service.clock import Clock, UtcClock
from tradekit.service.config import ConfigurationError, Environment
from tradekit.service.database import Database, open_database
from tradekit.service.log import configure
from tradekit.service.server import grpc_server, until_stopped
from tradingbot.strategy.v1 import strategy_pb2_grpc

log = logging.getLogger("strategy_service")

CALLERS = {"tradingbot.strategy.v1.StrategyService": frozenset({"gateway"})}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running service really listens, each "host:port"."""

    grpc: str
    admin: str


@asynccontextmanager
async def serve(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Addresses]:
    """Runs the strategy service as long as the context is open."""
    async with open_database(settings.database_url, pool_size=4) as database, open_worker() as worker:
        backtests = Backtests(database, worker, clock or UtcClock())

        def register(server: grpc.aio.Server) -> None:
            strategy_pb2_grpc.add_StrategyServiceServicer_to_server(StrategyServicer(backtests), server)

        async def problem() -> str | None:
            return await _problem(database)

        async with (
            admin_server(settings.admin_address, problem) as admin,
            grpc_server(
                register,
                domain="strategy",
                address=settings.listen_address,
                tls=settings.tls,
                callers=CALLERS,
            ) as address,
        ):
            log.info("strategy.started", extra={"address": address})
            yield Addresses(grpc=address, admin=admin)
            log.info("strategy.stopping")


async def _problem(database: Database) -> str | None:
    """What keeps the service from its work; None when nothing does."""
    try:
        async with database.begin() as session:
            await session.execute(text("SELECT 1 FROM strategy.backtests LIMIT 1"))
    except (SQLAlchemyError, OSError) as error:
        return f"the database does not answer: {type(error).__name__}"
    return None


async def run() -> int:
    """Runs the service until it is asked to end; the exit code."""
    try:
        settings = Settings.from_environment(Environment())
    except ConfigurationError as error:
        sys.stderr.write(f"The strategy service cannot start:\n{error}\n")
        return 2
    configure("strategy", settings.log_level)
    async with serve(settings):
        await until_stopped()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(run()))
