"""Strategies whose parameters are settled and whose rules are not written yet."""

from strategy_service.language import Outline, decimal, integer
from strategy_service.strategies.protection import STOP_ATR, TARGET_ATR

_tenkan = integer("tenkan", "Length of the conversion line, bars", default=9, minimum=1, maximum=200)
_kijun = integer("kijun", "Length of the base line, bars", default=26, minimum=2, maximum=400)
_senkou = integer("senkou", "Length of leading span B, bars", default=52, minimum=3, maximum=500)
_macd_fast = integer("fast", "Length of the fast average, bars", default=12, minimum=1, maximum=200)
_macd_slow = integer("slow", "Length of the slow average, bars", default=26, minimum=2, maximum=400)
_oversold = decimal(
    "oversold", "RSI under which a market is oversold", default="30", minimum="1", maximum="99"
)
_overbought = decimal(
    "overbought", "RSI over which a market is overbought", default="70", minimum="1", maximum="99"
)
_rsi_length = integer("rsi_length", "Length of the RSI, bars", default=14, minimum=2, maximum=200)

SUPERTREND = Outline(
    key="supertrend",
    name="SuperTrend",
    description="Follows the direction of the SuperTrend line, and reverses when it flips.",
    parameters=(
        integer("atr_length", "Length of the average true range, bars", default=10, minimum=1, maximum=200),
        decimal(
            "factor", "Distance of the line, average true ranges", default="3", minimum="0.1", maximum="20"
        ),
        STOP_ATR,
        TARGET_ATR,
    ),
)

RSI_EMA = Outline(
    key="rsi_ema",
    name="RSI + EMA",
    description="Buys an oversold RSI above a long average, sells an overbought one below it.",
    parameters=(
        _rsi_length,
        _oversold,
        _overbought,
        integer("ema_length", "Length of the trend's average, bars", default=200, minimum=2, maximum=500),
        STOP_ATR,
        TARGET_ATR,
    ),
    ascending=((_oversold, _overbought),),
)

MACD_STOCHASTIC = Outline(
    key="macd_stochastic",
    name="MACD + Stochastic",
    description="Takes a MACD crossing that the stochastic oscillator confirms.",
    parameters=(
        _macd_fast,
        _macd_slow,
        integer("signal", "Length of the signal line, bars", default=9, minimum=1, maximum=200),
        integer("stoch_length", "Length of the stochastic, bars", default=14, minimum=1, maximum=200),
        integer("stoch_smooth", "Smoothing of %K, bars", default=3, minimum=1, maximum=50),
        STOP_ATR,
        TARGET_ATR,
    ),
    ascending=((_macd_fast, _macd_slow),),
)

ICHIMOKU = Outline(
    key="ichimoku",
    name="Ichimoku Cloud",
    description="Takes a crossing of conversion and base line on the matching side of the cloud.",
    parameters=(
        _tenkan,
        _kijun,
        _senkou,
        integer("displacement", "How far the cloud is shifted, bars", default=26, minimum=1, maximum=200),
        STOP_ATR,
        TARGET_ATR,
    ),
    ascending=((_tenkan, _kijun, _senkou),),
)

BOLLINGER_RSI = Outline(
    key="bollinger_rsi",
    name="Bollinger Bands + RSI",
    description="Buys a close back inside the lower band with an oversold RSI, sells the mirror image.",
    parameters=(
        integer("bb_length", "Length of the bands, bars", default=20, minimum=2, maximum=500),
        decimal("bb_width", "Width of the bands, deviations", default="2", minimum="0.1", maximum="10"),
        _rsi_length,
        _oversold,
        _overbought,
        STOP_ATR,
        TARGET_ATR,
    ),
    ascending=((_oversold, _overbought),),
)
