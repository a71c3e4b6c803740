"""The registry of strategies."""

from strategy_service.errors import StrategyNotAvailable, StrategyNotFound
from strategy_service.language import Outline, Strategy
from strategy_service.strategies.announced import (
    BOLLINGER_RSI,
    ICHIMOKU,
    MACD_STOCHASTIC,
    RSI_EMA,
    SUPERTREND,
)
from strategy_service.strategies.ema_crossover import EMA_CROSSOVER

# In the order in which they are shown.
OUTLINES: tuple[Outline, ...] = (
    SUPERTREND,
    RSI_EMA,
    MACD_STOCHASTIC,
    ICHIMOKU,
    BOLLINGER_RSI,
    EMA_CROSSOVER,
)
KEYS = tuple(outline.key for outline in OUTLINES)


def find(key: str) -> Strategy:
    """The strategy with this key.

    Raises:
        StrategyNotFound: There is none.
        StrategyNotAvailable: It is announced, but has no rules yet.
    """
    for outline in OUTLINES:
        if outline.key == key:
            if isinstance(outline, Strategy):
                return outline
            raise StrategyNotAvailable(key)
    raise StrategyNotFound(key, KEYS)
