"""StrategyService over real gRPC with mTLS and a real PostgreSQL."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from strategy_service.__main__ import Addresses, serve
from strategy_service.candles import COLUMNS, Candles
from strategy_service.config import Settings
from strategy_service.strategies import KEYS
from tests.conftest import TestDatabase
from tests.strategy_service.calls import USER, Stub, requests_of, run_backtest
from tests.strategy_service.conftest import random_columns
from tradekit.market.alert import Action, parse_alert
from tradekit.service.channel import TlsFiles, call, dial
from tradekit.service.database import open_database
from tradekit.service.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ServiceError,
)
from tradingbot.strategy.v1 import strategy_pb2, strategy_pb2_grpc

pytestmark = pytest.mark.anyio

STRANGER = str(uuid.uuid4())
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

Tls = Callable[[str], TlsFiles]


class FixedClock:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
async def running(database: TestDatabase, tls: Tls) -> AsyncIterator[Addresses]:
    """The service on free ports."""
    settings = Settings(
        database_url=database.roles["strategy"],
        listen_address="localhost:0",
        admin_address="127.0.0.1:0",
        tls=tls("strategy"),
    )
    async with serve(settings, FixedClock()) as addresses:
        yield addresses


@pytest.fixture
async def gateway(running: Addresses, tls: Tls) -> AsyncIterator[Stub]:
    """What the gateway calls the service with."""
    async with dial(running.grpc, service="strategy", tls=tls("gateway")) as channel:
        yield strategy_pb2_grpc.StrategyServiceStub(channel)


def export_request(**changes: object) -> strategy_pb2.ExportPineRequest:
    fields: dict[str, object] = {
        "strategy": "ema_crossover",
        "symbol": "ETHUSDT",
        "timeframe": "1h",
        "pine_version": 6,
        "account_id": "0192-ab",
    }
    return strategy_pb2.ExportPineRequest(**(fields | changes))  # type: ignore[arg-type]  # fields by name


async def refusal_of(rpc: object) -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        await call(rpc)  # type: ignore[arg-type]  # any RPC
    return refusal.value


async def test_strategies_are_listed_with_their_parameters(gateway: Stub) -> None:
    listed = (await gateway.ListStrategies(strategy_pb2.ListStrategiesRequest(), timeout=5)).strategies
    assert [strategy.key for strategy in listed] == list(KEYS)
    assert [strategy.key for strategy in listed if strategy.available] == ["ema_crossover"]
    (stop,) = [spec for spec in listed[-1].parameters if spec.name == "stop_atr"]
    assert stop.type == strategy_pb2.PARAMETER_TYPE_DECIMAL
    assert (stop.default_value, stop.minimum, stop.maximum) == ("1.5", "0.1", "20")
    assert stop.description.endswith(".")


async def test_an_export_has_a_script_an_example_and_two_guides(gateway: Stub) -> None:
    answer = await gateway.ExportPine(export_request(parameters={"fast": "9"}, exchange="binance"), timeout=5)
    assert answer.script.startswith("//@version=6\n")
    assert "fast = input.int(9," in answer.script
    assert 'account_id = input.string("0192-ab", ' in answer.script
    assert ',"exchange":' in answer.script
    assert (answer.strategy, answer.pine_version) == ("ema_crossover", 6)
    message = parse_alert(answer.alert_message.encode())
    assert (message.account_id, message.alert.action) == ("0192-ab", Action.LONG)
    assert (message.alert.symbol, message.alert.exchange) == ("ETHUSDT.P", "binance")
    assert json.loads(answer.alert_message)["interval"] == "60"
    assert "**ETHUSDT.P**" in answer.setup_guide
    assert "TradingView에서" in answer.setup_guide_ko


async def test_without_an_account_the_script_leaves_it_to_the_user(gateway: Stub) -> None:
    request = export_request()
    request.ClearField("account_id")
    answer = await gateway.ExportPine(request, timeout=5)
    assert 'account_id = input.string("", ' in answer.script


WRONG_EXPORTS: list[tuple[dict[str, object], type[ServiceError], str]] = [
    ({"strategy": "none"}, NotFound, "STRATEGY_NOT_FOUND"),
    ({"strategy": "ichimoku"}, FailedPrecondition, "STRATEGY_NOT_AVAILABLE"),
    ({"pine_version": 7}, InvalidArgument, "PINE_VERSION_UNSUPPORTED"),
    ({"parameters": {"fast": "0"}}, InvalidArgument, "PARAMETER_INVALID"),
    ({"parameters": {"speed": "1"}}, InvalidArgument, "PARAMETER_UNKNOWN"),
    ({"symbol": "http://example.com"}, InvalidArgument, "SYMBOL_MALFORMED"),
    ({"symbol": "../etc/passwd"}, InvalidArgument, "SYMBOL_MALFORMED"),
    ({"symbol": "ETHBTC"}, InvalidArgument, "SYMBOL_MALFORMED"),
    ({"timeframe": "15x"}, InvalidArgument, "TIMEFRAME_MALFORMED"),
    ({"timeframe": ""}, InvalidArgument, "TIMEFRAME_MALFORMED"),
    ({"exchange": "kraken"}, InvalidArgument, "FIELD_INVALID"),
    ({"account_id": '"\n//'}, InvalidArgument, "FIELD_INVALID"),
]


async def test_B50_a_wrong_export_is_refused(gateway: Stub) -> None:
    for changes, kind, reason in WRONG_EXPORTS:
        refusal = await refusal_of(gateway.ExportPine(export_request(**changes), timeout=5))
        assert isinstance(refusal, kind), changes
        assert refusal.reason == reason, changes


async def test_a_backtest_runs_and_is_kept(gateway: Stub) -> None:
    columns = random_columns(12_000, 3)  # in three pieces
    made = await run_backtest(gateway, requests_of(columns, fast="5", initial_capital="2500"))
    assert (made.strategy, made.symbol, made.bar_count) == ("ema_crossover", "ETHUSDT", 12_000)
    assert dict(made.parameters) == {"fast": "5", "slow": "26", "stop_atr": "1.5", "target_atr": "3"}
    assert made.create_time.ToDatetime(tzinfo=UTC) == NOW
    assert made.statistics["trades_count"] == len(made.trades) > 100
    profit = sum(Decimal(trade.profit) for trade in made.trades)
    assert made.statistics["net_profit"] == pytest.approx(float(profit))
    # 10 % of the capital for the first trade.
    first = made.trades[0]
    assert Decimal(first.quantity) * Decimal(first.entry_price) == pytest.approx(
        Decimal(250), rel=Decimal("0.05")
    )
    read = await gateway.GetBacktest(
        strategy_pb2.GetBacktestRequest(user_id=USER, backtest_id=made.backtest_id), timeout=5
    )
    assert read.backtest == made


async def test_real_candles_through_the_service(gateway: Stub, real_candles: Candles) -> None:
    columns = {name: getattr(real_candles, name) for name in COLUMNS}
    made = await run_backtest(gateway, requests_of(columns))
    assert made.bar_count == 26_000
    assert len(made.trades) == 850


async def test_T21_another_users_backtest_is_not_there(gateway: Stub) -> None:
    made = await run_backtest(gateway, requests_of(random_columns(200, 1)))
    others = strategy_pb2.GetBacktestRequest(user_id=STRANGER, backtest_id=made.backtest_id)
    nobodys = strategy_pb2.GetBacktestRequest(user_id=STRANGER, backtest_id=str(uuid.uuid4()))
    refusals = [await refusal_of(gateway.GetBacktest(request, timeout=5)) for request in (others, nobodys)]
    assert [refusal.reason for refusal in refusals] == ["BACKTEST_NOT_FOUND"] * 2
    assert refusals[0].message == refusals[1].message


WRONG_BACKTESTS: list[tuple[dict[str, str], str]] = [
    ({"strategy": "none"}, "STRATEGY_NOT_FOUND"),
    ({"strategy": "rsi_ema"}, "STRATEGY_NOT_AVAILABLE"),
    ({"fast": "x"}, "PARAMETER_INVALID"),
    ({"symbol": "?"}, "SYMBOL_MALFORMED"),
    ({"user_id": "me"}, "FIELD_INVALID"),
    ({"initial_capital": "0"}, "PARAMETER_INVALID"),
    ({"initial_capital": "1e400"}, "FIELD_INVALID"),
    ({"slow": "300"}, "CANDLES_INVALID"),
]


async def test_B51_a_wrong_backtest_is_refused(gateway: Stub) -> None:
    for changes, reason in WRONG_BACKTESTS:
        requests = requests_of(random_columns(200, 1), **changes)
        refusal = await refusal_of(gateway.RunBacktest(requests, timeout=60))
        assert refusal.reason == reason, changes


async def test_a_wrong_candle_is_named_by_its_row_over_all_pieces(gateway: Stub) -> None:
    columns = random_columns(6_000, 1)
    columns["low"][5_500] = float("nan")
    refusal = await refusal_of(gateway.RunBacktest(requests_of(columns), timeout=60))
    assert refusal.message == "Row 5501: low is not a finite number."
    assert refusal.metadata["row"] == "5501"


MALFORMED_STREAMS: list[tuple[list[strategy_pb2.RunBacktestRequest], str]] = [
    ([], "FIELD_INVALID"),
    ([strategy_pb2.RunBacktestRequest(candles=strategy_pb2.Candles())], "FIELD_INVALID"),
    (list(requests_of(random_columns(2, 1)))[:1], "CANDLES_INVALID"),
    (list(requests_of(random_columns(2, 1)))[:1] * 2, "FIELD_INVALID"),
    (
        [
            *list(requests_of(random_columns(2, 1)))[:1],
            strategy_pb2.RunBacktestRequest(candles=strategy_pb2.Candles(open_time_ms=[1, 2], open=[1])),
        ],
        "CANDLES_INVALID",
    ),
]


async def test_a_malformed_stream_is_refused(gateway: Stub) -> None:
    for messages, reason in MALFORMED_STREAMS:
        refusal = await refusal_of(gateway.RunBacktest(iter(messages), timeout=60))
        assert isinstance(refusal, InvalidArgument)
        assert refusal.reason == reason, messages


async def test_T07_only_the_gateway_may_call(running: Addresses, tls: Tls) -> None:
    for caller in ("vault", "execution", "strategy"):
        async with dial(running.grpc, service="strategy", tls=tls(caller)) as channel:
            stub = strategy_pb2_grpc.StrategyServiceStub(channel)
            refusal = await refusal_of(stub.ListStrategies(strategy_pb2.ListStrategiesRequest(), timeout=5))
        assert isinstance(refusal, PermissionDenied)
        assert refusal.reason == "CALLER_NOT_ALLOWED"


async def test_a_kept_backtest_cannot_be_changed(gateway: Stub, database: TestDatabase) -> None:
    await run_backtest(gateway, requests_of(random_columns(200, 1)))
    async with open_database(database.roles["strategy"]) as connections:
        for statement in ("UPDATE strategy.backtests SET symbol = 'X'", "DELETE FROM strategy.backtests"):
            with pytest.raises(ProgrammingError, match="permission denied"):
                async with connections.begin() as session:
                    await session.execute(text(statement))


async def test_the_role_sees_no_other_schema(database: TestDatabase) -> None:
    async with open_database(database.roles["strategy"]) as connections:
        for table in ("gateway.users", "vault.api_keys"):
            with pytest.raises(ProgrammingError, match="permission denied"):
                async with connections.begin() as session:
                    await session.execute(text(f"SELECT 1 FROM {table}"))  # noqa: S608  constants above


async def test_backtests_of_one_moment_get_different_ids(gateway: Stub) -> None:
    made = [await run_backtest(gateway, requests_of(random_columns(200, seed))) for seed in range(3)]
    assert len({backtest.backtest_id for backtest in made}) == 3
