"""The execution service: `python -m execution_service`."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import uvloop

from execution_service.accounts import Accounts
from execution_service.claim import sole_executor
from execution_service.config import Settings, read_settings
from execution_service.exchanges.http import open_hosts
from execution_service.exchanges.registry import Registry
from execution_service.executor import OrderExecutor
from execution_service.journal import Journal, open_journal
from execution_service.key_check import KeyCheck
from execution_service.lanes import STOP_GRACE_S
from execution_service.servicer import ExecutionServicer
from execution_service.signer import Signer
from execution_service.streams import Streams
from execution_service.warmth import Warmth
from execution_service.watch import Watch
from tradekit.service import log
from tradekit.service.admin import admin_server
from tradekit.service.channel import dial
from tradekit.service.clock import Clock, UtcClock, new_id
from tradekit.service.config import ConfigurationError, Environment
from tradekit.service.errors import ServiceError
from tradekit.service.server import grpc_server, until_stopped
from tradingbot.execution.v1 import execution_pb2_grpc

logger = logging.getLogger("execution_service")

SWEEP_PAUSE_S = 5.0
RESTART_PAUSE_S = 1.0
CALLERS = {"tradingbot.execution.v1.ExecutionService": frozenset({"gateway"})}


@dataclass(frozen=True, slots=True)
class Running:
    """A running execution service.

    Attributes:
        address: Where it really listens.
        claim_lost: Set when it must end, since another process may execute.
    """

    address: str
    claim_lost: asyncio.Event


@asynccontextmanager
async def serve(settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    """Runs the service as soon as no other process executes; ends in order on exit."""
    async with (
        sole_executor(settings.database_url) as lost,
        open_journal(settings.database_url, clock) as journal,
        dial(settings.vault_address, service="vault", tls=settings.tls) as vault,
        open_hosts(clock) as hosts,
    ):
        signer = Signer(vault)
        registry = Registry(settings.base_urls, hosts, signer.sign, clock, settings.stream_urls)
        accounts = Accounts(signer.describe, registry.connect, clock)
        executor = OrderExecutor(journal, accounts, clock, partial(new_id, clock))
        key_check = KeyCheck(signer.describe, settings.base_urls, settings.spot_urls, hosts, signer.sign)
        servicer = ExecutionServicer(executor, accounts, journal, key_check)
        # What was begun before comes before what is new.
        resumed = await executor.resume()
        logger.info("execution.started", extra={"resumed_signals": resumed})
        async with (
            grpc_server(
                lambda server: execution_pb2_grpc.add_ExecutionServiceServicer_to_server(servicer, server),
                domain="execution",
                address=settings.listen_address,
                tls=settings.tls,
                callers=CALLERS,
            ) as address,
            admin_server(settings.admin_address, partial(_health, journal)),
            # Ended first, so that calls that wait for an outcome are answered and the server can end.
            _work(executor, servicer, lost),
            _background(_tasks(executor, accounts, journal, registry, clock)),
        ):
            yield Running(address, lost)


@asynccontextmanager
async def _work(
    executor: OrderExecutor, servicer: ExecutionServicer, claim_lost: asyncio.Event
) -> AsyncIterator[None]:
    """On exit lets what is under way come to its end, unless another process may be at it by now."""
    try:
        yield
    finally:
        servicer.stop()
        await executor.stop(0 if claim_lost.is_set() else STOP_GRACE_S)


def _tasks(
    executor: OrderExecutor, accounts: Accounts, journal: Journal, registry: Registry, clock: Clock
) -> Mapping[str, Callable[[], Awaitable[None]]]:
    warmth = Warmth(accounts, journal, clock)
    watch = Watch(executor, accounts, journal)
    return {
        "sweep": partial(_sweep, executor),
        "watch": watch.run,
        "streams": Streams(accounts, registry.stream, watch.told, clock).run,
        "remember": warmth.remember,
        "warmth": warmth.run,
    }


@asynccontextmanager
async def _background(works: Mapping[str, Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Does what goes on beside the calls until exit."""
    tasks = [asyncio.create_task(_kept_going(name, work)) for name, work in works.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _kept_going(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Begins a work again that has broken down: without it, positions would silently be watched no more."""
    while True:
        try:
            await work()
        except Exception:
            logger.exception("background.broke_down", extra={"work": name})
            await asyncio.sleep(RESTART_PAUSE_S)
        else:
            return


async def _sweep(executor: OrderExecutor) -> None:
    """Now and then takes up what nobody works on."""
    while True:
        await asyncio.sleep(SWEEP_PAUSE_S)
        try:
            await executor.resume()
        except ServiceError as error:
            logger.warning("sweep.waits", extra={"reason": error.reason})


async def _health(journal: Journal) -> str | None:
    try:
        await journal.check()
    except ServiceError as error:
        return error.message
    return None


async def _main(settings: Settings) -> int:
    async with serve(settings, UtcClock()) as running:
        stopped = asyncio.create_task(until_stopped())
        lost = asyncio.create_task(running.claim_lost.wait())
        await asyncio.wait((stopped, lost), return_when=asyncio.FIRST_COMPLETED)
        if running.claim_lost.is_set():
            # Another process may execute by now; the supervisor starts us anew.
            logger.error("claim.lost")
            return 1
    return 0


def main() -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    try:
        settings = read_settings(Environment())
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.configure("execution", settings.log_level)
    return uvloop.run(_main(settings))


if __name__ == "__main__":
    sys.exit(main())
