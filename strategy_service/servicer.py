"""Proto <-> domain, one short method per RPC. No decisions."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import grpc
import numpy as np

from strategy_service.backtest import Plan, plan
from strategy_service.backtests import Backtests
from strategy_service.broker import BrokerSettings
from strategy_service.candles import COLUMNS, MAX_BARS, Column
from strategy_service.compile_pine import PineScriptExporter
from strategy_service.errors import CandlesInvalid, SymbolInvalid, TimeframeInvalid
from strategy_service.language import Outline, Parameter, Strategy
from strategy_service.models import StoredBacktest, TradeFields
from strategy_service.parameters import plain, resolve
from strategy_service.pine_alert import AlertTarget, checked_account_id, example_message
from strategy_service.setup_guide import Language
from strategy_service.strategies import OUTLINES, find
from tradekit.market.symbol import Market, SymbolMalformed, SymbolUnknown, parse_market
from tradekit.market.timeframe import TimeframeMalformed, parse_timeframe
from tradekit.service.wire import decimal_from, field_invalid, timestamp_from, uuid_from
from tradingbot.strategy.v1 import strategy_pb2, strategy_pb2_grpc

EXCHANGES = ("binance", "okx")

Context = grpc.aio.ServicerContext[Any, Any]


class StrategyServicer(strategy_pb2_grpc.StrategyServiceServicer):
    """StrategyService, for the gateway."""

    def __init__(self, backtests: Backtests) -> None:
        self._backtests = backtests

    async def ListStrategies(
        self, request: strategy_pb2.ListStrategiesRequest, context: Context
    ) -> strategy_pb2.ListStrategiesResponse:
        """Lists the strategies with their parameters."""
        return strategy_pb2.ListStrategiesResponse(strategies=map(_strategy_to_proto, OUTLINES))

    async def ExportPine(
        self, request: strategy_pb2.ExportPineRequest, context: Context
    ) -> strategy_pb2.ExportPineResponse:
        """Writes a strategy as Pine Script."""
        exporter = PineScriptExporter(request.pine_version)
        strategy = find(request.strategy)
        values = resolve(strategy, request.parameters)
        target = _alert_target_from(request)
        script = exporter.export_strategy(strategy, values)
        return strategy_pb2.ExportPineResponse(
            strategy=strategy.key,
            pine_version=request.pine_version,
            script=str(exporter.add_webhook_alerts(script, strategy, target)),
            alert_message=example_message(strategy, values, target),
            setup_guide=exporter.generate_webhook_setup_guide(strategy, target, Language.ENGLISH),
            setup_guide_ko=exporter.generate_webhook_setup_guide(strategy, target, Language.KOREAN),
        )

    async def RunBacktest(
        self, request_iterator: AsyncIterator[strategy_pb2.RunBacktestRequest], context: Context
    ) -> strategy_pb2.RunBacktestResponse:
        """Runs a backtest over the candles that follow its settings."""
        settings = await _settings_from(request_iterator)
        user_id = uuid_from(settings.user_id, field="user_id")
        wanted = _plan_from(settings)
        columns = await _columns_from(request_iterator)
        backtest = await self._backtests.run(user_id, wanted, columns)
        return strategy_pb2.RunBacktestResponse(backtest=_backtest_to_proto(backtest))

    async def GetBacktest(
        self, request: strategy_pb2.GetBacktestRequest, context: Context
    ) -> strategy_pb2.GetBacktestResponse:
        """Reads the result of a backtest."""
        backtest = await self._backtests.get(
            uuid_from(request.user_id, field="user_id"), uuid_from(request.backtest_id, field="backtest_id")
        )
        return strategy_pb2.GetBacktestResponse(backtest=_backtest_to_proto(backtest))


def _alert_target_from(request: strategy_pb2.ExportPineRequest) -> AlertTarget:
    exchange = request.exchange if request.HasField("exchange") else None
    if exchange is not None and exchange not in EXCHANGES:
        raise field_invalid("exchange", f"must be one of {', '.join(EXCHANGES)}")
    try:
        interval = parse_timeframe(request.timeframe).tradingview
    except TimeframeMalformed as error:
        raise TimeframeInvalid(str(error)) from error
    return AlertTarget(
        account_id=checked_account_id(request.account_id),
        exchange=exchange,
        # TradingView's name of a perpetual future.
        symbol=f"{_market_from(request.symbol).symbol}.P",
        interval=interval,
    )


def _market_from(symbol: str) -> Market:
    try:
        return parse_market(symbol)
    except (SymbolMalformed, SymbolUnknown) as error:
        raise SymbolInvalid(str(error)) from error


async def _settings_from(
    requests: AsyncIterator[strategy_pb2.RunBacktestRequest],
) -> strategy_pb2.BacktestSettings:
    async for request in requests:
        if request.HasField("settings"):
            return request.settings
        break
    raise field_invalid("settings", "must be the first message")


def _plan_from(settings: strategy_pb2.BacktestSettings) -> Plan:
    broker = BrokerSettings()
    if settings.HasField("initial_capital"):
        capital = decimal_from(settings.initial_capital, field="initial_capital")
        broker = BrokerSettings(initial_capital=capital)
    symbol = _market_from(settings.symbol).symbol
    return plan(settings.strategy, settings.parameters, symbol, broker)


async def _columns_from(requests: AsyncIterator[strategy_pb2.RunBacktestRequest]) -> dict[str, Column]:
    pieces: list[dict[str, Column]] = []
    count = 0
    async for request in requests:
        if not request.HasField("candles"):
            raise field_invalid("candles", "must follow the settings, and nothing else")
        pieces.append(_piece_from(request.candles))
        count += len(pieces[-1]["time"])
        if count > MAX_BARS:
            raise CandlesInvalid(f"there are more than {MAX_BARS} candles")
    if not pieces:
        raise CandlesInvalid("there are no candles")
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in COLUMNS}


def _piece_from(candles: strategy_pb2.Candles) -> dict[str, Column]:
    piece: dict[str, Column] = {"time": np.array(candles.open_time_ms, dtype=np.int64)}
    for name in COLUMNS[1:]:
        piece[name] = np.array(getattr(candles, name), dtype=np.float64)
        if len(piece[name]) != len(piece["time"]):
            raise CandlesInvalid("the columns are not of one length")
    return piece


def _strategy_to_proto(outline: Outline) -> strategy_pb2.Strategy:
    return strategy_pb2.Strategy(
        key=outline.key,
        name=outline.name,
        description=outline.description,
        parameters=map(_parameter_to_proto, outline.parameters),
        available=isinstance(outline, Strategy),
    )


def _parameter_to_proto(parameter: Parameter) -> strategy_pb2.ParameterSpec:
    kind = strategy_pb2.PARAMETER_TYPE_INTEGER if parameter.integer else strategy_pb2.PARAMETER_TYPE_DECIMAL
    return strategy_pb2.ParameterSpec(
        name=parameter.name,
        description=f"{parameter.description}.",
        type=kind,
        default_value=plain(parameter.default),
        minimum=plain(parameter.minimum),
        maximum=plain(parameter.maximum),
    )


def _backtest_to_proto(backtest: StoredBacktest) -> strategy_pb2.Backtest:
    return strategy_pb2.Backtest(
        backtest_id=str(backtest.id),
        strategy=backtest.strategy,
        parameters=backtest.parameters,
        symbol=backtest.symbol,
        create_time=timestamp_from(backtest.created_at),
        bar_count=backtest.bar_count,
        statistics={name: value for name, value in backtest.statistics.items() if value is not None},
        trades=map(_trade_to_proto, backtest.trades),
        warnings=backtest.warnings,
    )


def _trade_to_proto(trade: TradeFields) -> strategy_pb2.Trade:
    return strategy_pb2.Trade(
        side=trade["side"],
        entry_time=timestamp_from(datetime.fromisoformat(trade["entry_time"])),
        exit_time=timestamp_from(datetime.fromisoformat(trade["exit_time"])),
        entry_price=trade["entry_price"],
        exit_price=trade["exit_price"],
        quantity=trade["quantity"],
        profit=trade["profit"],
        fees=trade["fees"],
        exit_reason=trade["exit_reason"],
    )
