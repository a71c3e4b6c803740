"""What a caller of this service must decide on.

StrategyNotFound, BacktestNotFound          NOT_FOUND
StrategyNotAvailable                        FAILED_PRECONDITION
ParameterUnknown, ParameterInvalid,
CandlesInvalid, PineVersionUnsupported,
SymbolInvalid, TimeframeInvalid             INVALID_ARGUMENT
BacktestsBusy                               RESOURCE_EXHAUSTED
"""

from collections.abc import Sequence

from tradekit.service.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)


class StrategyNotFound(NotFound):
    """There is no strategy of this name."""

    def __init__(self, key: str, known: Sequence[str]) -> None:
        message = f"There is no strategy {key[:60]!r}; there are {', '.join(known)}."
        super().__init__("STRATEGY_NOT_FOUND", message, {"strategy": key[:60]})


class StrategyNotAvailable(FailedPrecondition):
    """The strategy is announced, but has no rules yet."""

    def __init__(self, key: str) -> None:
        message = f"{key} is not available in this version: it has no backtest and no Pine Script yet."
        super().__init__("STRATEGY_NOT_AVAILABLE", message, {"strategy": key})


class ParameterUnknown(InvalidArgument):
    """The strategy has no such parameter."""

    def __init__(self, strategy: str, name: str, known: Sequence[str]) -> None:
        message = f"{strategy} has no parameter {name[:60]!r}; it has {', '.join(known)}."
        super().__init__("PARAMETER_UNKNOWN", message, {"strategy": strategy, "parameter": name[:60]})


class ParameterInvalid(InvalidArgument):
    """A value is no number, out of range, or does not go with another one."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__("PARAMETER_INVALID", f"{name} {problem}.", {"parameter": name, "problem": problem})


class CandlesInvalid(InvalidArgument):
    """The candles cannot be used.

    Args:
        problem: A sentence without its full stop.
        row: Which candle, counted from 1; None for the file as a whole.
    """

    def __init__(self, problem: str, row: int | None = None) -> None:
        where = {} if row is None else {"row": str(row)}
        message = problem if row is None else f"Row {row}: {problem}"
        super().__init__("CANDLES_INVALID", f"{message}.", {"problem": problem, **where})


class PineVersionUnsupported(InvalidArgument):
    """We write other versions of Pine Script than this one."""

    def __init__(self, version: int, supported: Sequence[int]) -> None:
        versions = " and ".join(map(str, supported))
        message = f"Pine Script version {version} is not supported; {versions} are."
        super().__init__("PINE_VERSION_UNSUPPORTED", message, {"version": str(version)})


class SymbolInvalid(InvalidArgument):
    """The text names no market."""

    def __init__(self, problem: str) -> None:
        super().__init__("SYMBOL_MALFORMED", f"{problem}.", {"problem": problem})


class TimeframeInvalid(InvalidArgument):
    """The text is no bar length."""

    def __init__(self, problem: str) -> None:
        super().__init__("TIMEFRAME_MALFORMED", f"{problem}.", {"problem": problem})


class BacktestNotFound(NotFound):
    """This user has no such backtest."""

    def __init__(self) -> None:
        super().__init__("BACKTEST_NOT_FOUND", "There is no such backtest.")


class BacktestsBusy(ResourceExhausted):
    """As many backtests are running as this process takes at once."""

    def __init__(self) -> None:
        message = "Too many backtests are running; try again in a few seconds."
        super().__init__("BACKTESTS_BUSY", message, {"retry_after": "5"})


class BacktestInterrupted(Unavailable):
    """The process that ran the backtest died; nothing was recorded."""

    def __init__(self) -> None:
        super().__init__("BACKTEST_INTERRUPTED", "The backtest was interrupted; start it again.")
