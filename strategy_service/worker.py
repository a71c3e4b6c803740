"""Backtests in a process of their own: they keep a core busy, and the event loop has calls to answer."""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc

from strategy_service.backtest import Plan, run
from strategy_service.candles import Column, checked
from strategy_service.errors import BacktestInterrupted, BacktestsBusy
from strategy_service.models import TradeFields
from strategy_service.statistics import Statistics
from strategy_service.trade_view import trade_fields
from tradekit.service.errors import ServiceError, from_parts

# Running and waiting together; each holds its candles in memory.
MAX_BACKTESTS = 4


@dataclass(frozen=True)
class Report:
    """What a backtest found, in values that can be stored."""

    statistics: Statistics
    trades: list[TradeFields]
    warnings: list[str]


@dataclass(frozen=True)
class _Refusal:
    """A ServiceError on its way between processes: an exception of ours cannot be pickled."""

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: dict[str, str]


class Worker:
    """Runs backtests one after another in a child process; a new child takes the place of one that died."""

    def __init__(self) -> None:
        self._pool = _new_pool()
        self._free = MAX_BACKTESTS

    async def run(self, plan: Plan, columns: Mapping[str, Column]) -> Report:
        """Runs a backtest.

        Raises:
            BacktestsBusy: As many as this process takes are under way.
            BacktestInterrupted: The child died; nothing was recorded.
            CandlesInvalid: With the row.
        """
        if self._free == 0:
            raise BacktestsBusy
        self._free -= 1
        pool = self._pool
        try:
            outcome = await asyncio.wrap_future(pool.submit(_run, plan, dict(columns)))
        except BrokenProcessPool as error:
            if self._pool is pool:
                self._pool = _new_pool()
            raise BacktestInterrupted from error
        finally:
            self._free += 1
        if isinstance(outcome, _Refusal):
            raise from_parts(outcome.code, outcome.reason, outcome.message, outcome.metadata)
        return outcome

    async def close(self) -> None:
        """Ends the child after what it is at; what waits is dropped."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)


@asynccontextmanager
async def open_worker() -> AsyncIterator[Worker]:
    """Yields a worker; its process ends on exit."""
    worker = Worker()
    try:
        yield worker
    finally:
        await worker.close()


def _new_pool() -> ProcessPoolExecutor:
    # gRPC's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_become_child)


def _become_child() -> None:
    # Ctrl-C reaches the whole group; the parent decides what becomes of the work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(plan: Plan, columns: Mapping[str, Column]) -> Report | _Refusal:
    try:
        candles = checked(columns)
        result = run(plan, candles)
    except ServiceError as error:
        return _Refusal(error.code, error.reason, error.message, error.metadata)
    trades = [trade_fields(trade, candles) for trade in result.trades]
    return Report(result.statistics, trades, list(result.warnings))
