"""Calls of StrategyService as the gateway makes them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TypeAlias

from strategy_service.candles import COLUMNS, Column
from tradekit.service.channel import call
from tradingbot.strategy.v1 import strategy_pb2, strategy_pb2_grpc

# As text: the class stands in the stub file only.
Stub: TypeAlias = "strategy_pb2_grpc.StrategyServiceAsyncStub"
PIECE = 5_000
USER = str(uuid.uuid4())


def requests_of(
    columns: dict[str, Column],
    *,
    strategy: str = "ema_crossover",
    user_id: str = USER,
    symbol: str = "ETHUSDT",
    initial_capital: str | None = None,
    **parameters: str,
) -> Iterator[strategy_pb2.RunBacktestRequest]:
    yield strategy_pb2.RunBacktestRequest(
        settings=strategy_pb2.BacktestSettings(
            user_id=user_id,
            strategy=strategy,
            parameters=parameters,
            symbol=symbol,
            initial_capital=initial_capital,
        )
    )
    for start in range(0, len(columns["time"]), PIECE):
        piece = {name: columns[name][start : start + PIECE] for name in COLUMNS[1:]}
        times = columns["time"][start : start + PIECE]
        yield strategy_pb2.RunBacktestRequest(candles=strategy_pb2.Candles(open_time_ms=times, **piece))


async def run_backtest(
    gateway: Stub, requests: Iterator[strategy_pb2.RunBacktestRequest]
) -> strategy_pb2.Backtest:
    return (await call(gateway.RunBacktest(requests, timeout=60))).backtest
