"""The two parameters that every strategy has: how far its stop loss and its take profit are."""

from strategy_service.language import decimal
from tradekit.market.sizing import DEFAULT_STOP_ATR, DEFAULT_TARGET_ATR

STOP_ATR = decimal(
    "stop_atr",
    "Distance of the stop loss, multiples of the average true range",
    default=str(DEFAULT_STOP_ATR),
    minimum="0.1",
    maximum="20",
)
TARGET_ATR = decimal(
    "target_atr",
    "Distance of the take profit, multiples of the average true range",
    default=str(DEFAULT_TARGET_ATR),
    minimum="0.1",
    maximum="50",
)
