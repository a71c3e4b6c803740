"""A trade as others read it: instants for bars, text for decimals."""

from strategy_service.broker import Trade
from strategy_service.candles import Candles
from strategy_service.models import TradeFields
from tradekit.service.wire import decimal_text


def trade_fields(trade: Trade, candles: Candles) -> TradeFields:
    """The fields of the contract's `Trade`: times are the open times of the bars, ISO 8601 UTC."""
    return {
        "side": str(trade.side),
        "entry_time": candles.open_time(trade.entry_bar).isoformat(),
        "exit_time": candles.open_time(trade.exit_bar).isoformat(),
        "entry_price": decimal_text(trade.entry_price),
        "exit_price": decimal_text(trade.exit_price),
        "quantity": decimal_text(trade.quantity),
        "profit": decimal_text(trade.profit),
        "fees": decimal_text(trade.fees),
        "exit_reason": str(trade.exit_reason),
    }
