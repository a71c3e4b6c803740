"""Backtests in a child process: the result, refusals, and a child that dies."""

import asyncio
import os
import signal

import pytest

from strategy_service import worker as worker_module
from strategy_service.backtest import plan
from strategy_service.errors import BacktestInterrupted, BacktestsBusy
from strategy_service.worker import MAX_BACKTESTS, open_worker
from tests.strategy_service.conftest import random_columns
from tradekit.service.errors import InvalidArgument

pytestmark = pytest.mark.anyio

PLAN = plan("ema_crossover", {"fast": "3", "slow": "8"}, "ETHUSDT")


async def test_a_report_comes_back_while_the_loop_goes_on() -> None:
    ticks = 0
    async with open_worker() as worker:
        task = asyncio.create_task(worker.run(PLAN, random_columns(3_000, 1)))
        while not task.done():
            ticks += 1
            await asyncio.sleep(0.001)  # lets the loop turn; the condition is the task
        report = await task
    assert report.statistics["trades_count"] == len(report.trades) > 100
    assert ticks > 10


async def test_a_refusal_crosses_the_processes_as_it_is() -> None:
    columns = random_columns(100, 1)
    columns["high"][6] = 0.001
    async with open_worker() as worker:
        with pytest.raises(InvalidArgument) as refusal:
            await worker.run(PLAN, columns)
    assert refusal.value.reason == "CANDLES_INVALID"
    assert refusal.value.message == "Row 7: high is below low."
    assert refusal.value.metadata == {"row": "7", "problem": "high is below low"}


async def test_after_the_child_died_the_next_backtest_runs() -> None:
    async with open_worker() as worker:
        await worker.run(PLAN, random_columns(100, 1))
        for process in worker._pool._processes.values():  # no public way to a child of the pool
            os.kill(process.pid or 0, signal.SIGKILL)
        with pytest.raises(BacktestInterrupted):
            await worker.run(PLAN, random_columns(100, 1))
        report = await worker.run(PLAN, random_columns(400, 1))
    assert report.trades


async def test_more_than_the_process_takes_are_refused_and_the_rest_run() -> None:
    async with open_worker() as worker:
        runs = [worker.run(PLAN, random_columns(300, seed)) for seed in range(MAX_BACKTESTS + 2)]
        outcomes = await asyncio.gather(*runs, return_exceptions=True)
        assert sum(isinstance(outcome, BacktestsBusy) for outcome in outcomes) == 2
        assert sum(isinstance(outcome, worker_module.Report) for outcome in outcomes) == MAX_BACKTESTS
        await worker.run(PLAN, random_columns(300, 1))
