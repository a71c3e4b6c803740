"""EMA Crossover: follows the side on which a fast average of the close is of a slow one."""

from strategy_service.language import Strategy, close, crossover, crossunder, ema, integer
from strategy_service.strategies.protection import STOP_ATR, TARGET_ATR

fast = integer("fast", "Length of the fast average, bars", default=12, minimum=1, maximum=400)
slow = integer("slow", "Length of the slow average, bars", default=26, minimum=2, maximum=500)

EMA_CROSSOVER = Strategy(
    key="ema_crossover",
    name="EMA Crossover",
    description="Long when the fast exponential average crosses above the slow one, short when below.",
    parameters=(fast, slow, STOP_ATR, TARGET_ATR),
    ascending=((fast, slow),),
    enter_long=crossover(ema(close, fast), ema(close, slow)),
    enter_short=crossunder(ema(close, fast), ema(close, slow)),
    stop_atr=STOP_ATR,
    target_atr=TARGET_ATR,
)
