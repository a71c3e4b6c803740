"""One backtest from texts and candles to its result; the same for the command line and the service."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from strategy_service.broker import BrokerSettings, Simulation, Trade, instrument_of, simulate
from strategy_service.candles import Candles
from strategy_service.compile_kernel import decide, warm_up_bars
from strategy_service.errors import CandlesInvalid, ParameterInvalid
from strategy_service.language import Strategy
from strategy_service.parameters import Values, resolve
from strategy_service.statistics import Statistics, summarize
from strategy_service.strategies import find
from tradekit.market.sizing import Level, LevelKind

MAX_CAPITAL = Decimal(10) ** 12


@dataclass(frozen=True)
class Plan:
    """What is to be tested: a strategy, a value for each of its parameters, a market, an account.

    Attributes:
        strategy: The definition.
        values: Of every parameter, by name.
        symbol: Exchange-neutral, for the reader.
        settings: Capital, size, fees and slippage.
    """

    strategy: Strategy
    values: Values
    symbol: str
    settings: BrokerSettings


@dataclass(frozen=True)
class Result:
    """What a backtest found.

    Attributes:
        statistics: By name, see `statistics.py`.
        trades: By exit.
        warnings: What a reader should know, for example gaps in the candles.
    """

    statistics: Statistics
    trades: tuple[Trade, ...]
    warnings: tuple[str, ...]


def plan(key: str, texts: Mapping[str, str], symbol: str, settings: BrokerSettings | None = None) -> Plan:
    """Checks what a user asked for.

    Raises:
        StrategyNotFound, StrategyNotAvailable, ParameterUnknown, ParameterInvalid
    """
    strategy = find(key)
    settings = settings or BrokerSettings()
    if not 0 < settings.initial_capital <= MAX_CAPITAL:
        raise ParameterInvalid("initial_capital", f"must be above 0 and at most {MAX_CAPITAL}")
    return Plan(strategy, resolve(strategy, texts), symbol, settings)


def run(wanted: Plan, candles: Candles) -> Result:
    """Runs a backtest.

    Raises:
        CandlesInvalid: Too few candles for the strategy to decide even once.
    """
    needed = warm_up_bars(wanted.strategy, wanted.values) + 1
    if len(candles) < needed:
        problem = f"there are {len(candles)} candles, and {wanted.strategy.name} with these values decides"
        raise CandlesInvalid(f"{problem} on candle {needed} at the earliest")
    simulation = _simulate(wanted, candles)
    statistics = summarize(candles, simulation, wanted.settings.initial_capital)
    return Result(statistics, simulation.trades, candles.warnings)


def _simulate(wanted: Plan, candles: Candles) -> Simulation:
    strategy, values = wanted.strategy, wanted.values
    return simulate(
        candles,
        decide(strategy, values, candles),
        stop=Level(LevelKind.ATR, values[strategy.stop_atr.name]),
        target=Level(LevelKind.ATR, values[strategy.target_atr.name]),
        settings=wanted.settings,
        instrument=instrument_of(candles, wanted.symbol),
    )
