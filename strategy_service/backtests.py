"""The backtests of users: run, kept, read back. All SQL of this service."""

import uuid
from collections.abc import Mapping

from sqlalchemy import select

from strategy_service.backtest import Plan
from strategy_service.candles import Column
from strategy_service.errors import BacktestNotFound
from strategy_service.models import StoredBacktest
from strategy_service.parameters import plain
from strategy_service.worker import Worker
from tradekit.service.clock import Clock, new_id
from tradekit.service.database import Database


class Backtests:
    """Backtests of all users; each sees its own only."""

    def __init__(self, database: Database, worker: Worker, clock: Clock) -> None:
        self._database = database
        self._worker = worker
        self._clock = clock

    async def run(self, user_id: uuid.UUID, plan: Plan, columns: Mapping[str, Column]) -> StoredBacktest:
        """Runs a backtest and keeps its result.

        Raises:
            CandlesInvalid, BacktestsBusy, BacktestInterrupted
        """
        report = await self._worker.run(plan, columns)
        backtest = StoredBacktest(
            id=new_id(self._clock),
            user_id=user_id,
            created_at=self._clock.now(),
            strategy=plan.strategy.key,
            symbol=plan.symbol,
            bar_count=len(columns["time"]),
            parameters={name: plain(value) for name, value in plan.values.items()},
            statistics=report.statistics,
            trades=report.trades,
            warnings=report.warnings,
        )
        async with self._database.begin() as session:
            session.add(backtest)
        return backtest

    async def get(self, user_id: uuid.UUID, backtest_id: uuid.UUID) -> StoredBacktest:
        """A backtest of this user.

        Raises:
            BacktestNotFound: There is none, or it is somebody else's.
        """
        wanted = select(StoredBacktest).where(
            StoredBacktest.id == backtest_id, StoredBacktest.user_id == user_id
        )
        async with self._database.begin() as session:
            backtest = await session.scalar(wanted)
        if backtest is None:
            raise BacktestNotFound
        return backtest
