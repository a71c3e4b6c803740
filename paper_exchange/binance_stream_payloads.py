"""What Binance's market streams say: the payloads, field by field.

Fields after the models of Binance's own SDK (websocket_streams of the USD-M futures package, 18.0.1), with
`st` (1: USD-M) as since the merger with COIN-M.
"""

from collections.abc import Sequence
from decimal import Decimal

from paper_exchange.binance_wire import Json, level_json, plain, trimmed
from paper_exchange.candles import Candle
from paper_exchange.depth import DayStatistics, Depth, Level, PublicTrade
from paper_exchange.instruments import Instrument
from paper_exchange.market import Market
from paper_exchange.orders import Fill, Order, Side

_USDM = 1
_EIGHT = 8
_PERPETUAL_DELIVERY_MS = 4_133_404_800_000


def trade_payload(kind: str, trade: PublicTrade, instrument: Instrument, now_ms: int) -> Json:
    """`aggTrade`, or `trade`."""
    price, size = plain(trade.price, instrument.price_precision), _size(trade.size, instrument)
    head = {"e": kind, "E": now_ms, "s": instrument.symbol, "p": price, "q": size, "T": trade.time_ms}
    if kind == "trade":
        return head | {"t": trade.number, "X": "MARKET", "m": trade.buyer_is_maker, "st": _USDM}
    return head | {
        "a": trade.number,
        "nq": size,
        "f": trade.number,
        "l": trade.number,
        "m": trade.buyer_is_maker,
        "st": _USDM,
    }


def kline(kind: str, candle: Candle, interval: str, instrument: Instrument, now_ms: int) -> Json:
    """`kline`, or `continuous_kline` of the perpetual contract."""
    price = instrument.price_precision
    half = candle.volume / 2 // instrument.step * instrument.step
    body = {
        "t": candle.open_ms,
        "T": candle.close_ms,
        "i": interval,
        "f": candle.open_ms // 1000,
        "L": min(candle.close_ms, now_ms) // 1000,
        "o": plain(candle.open, price),
        "c": plain(candle.close, price),
        "h": plain(candle.high, price),
        "l": plain(candle.low, price),
        "v": _size(candle.volume, instrument),
        "n": candle.trades,
        "x": candle.close_ms < now_ms,
        "q": plain(candle.quote_volume, 5),
        "V": _size(half, instrument),
        "Q": plain(candle.quote_volume / 2, 5),
        "B": "0",
    }
    if kind == "kline":
        return {"e": "kline", "E": now_ms, "s": instrument.symbol, "k": {"s": instrument.symbol} | body}
    return {"e": "continuous_kline", "E": now_ms, "ps": instrument.symbol, "ct": "PERPETUAL", "k": body}


def mark_price(instrument: Instrument, market: Market, now_ms: int) -> Json:
    quote = market.quote(instrument.symbol, now_ms)
    return {
        "e": "markPriceUpdate",
        "E": now_ms,
        "s": instrument.symbol,
        "p": plain(quote.mark, _EIGHT),
        "ap": plain(quote.mark, _EIGHT),
        "P": plain(quote.index, _EIGHT),
        "i": plain(quote.index, _EIGHT),
        "r": plain(market.funding_rate(instrument.symbol, now_ms), _EIGHT),
        "T": market.next_funding_ms(now_ms),
        "st": _USDM,
    }


def mini_ticker(instrument: Instrument, depth: Depth, now_ms: int) -> Json:
    return _mini_ticker(instrument, depth.day(instrument, now_ms), now_ms)


def _mini_ticker(instrument: Instrument, day: DayStatistics, now_ms: int) -> Json:
    price = instrument.price_precision
    return {
        "e": "24hrMiniTicker",
        "E": now_ms,
        "s": instrument.symbol,
        "c": plain(day.last, price),
        "o": plain(day.open, price),
        "h": plain(day.high, price),
        "l": plain(day.low, price),
        "v": _size(day.volume, instrument),
        "q": plain(day.quote_volume, 2),
        "ps": instrument.symbol,
        "st": _USDM,
    }


def ticker(instrument: Instrument, depth: Depth, now_ms: int) -> Json:
    day, price = depth.day(instrument, now_ms), instrument.price_precision
    return _mini_ticker(instrument, day, now_ms) | {
        "e": "24hrTicker",
        "p": plain(day.last - day.open, price),
        "P": plain((day.last / day.open - 1) * 100, 3),
        "w": plain(day.weighted_price, price),
        "Q": _size(depth.trade(instrument, now_ms // 1000).size, instrument),
        "O": day.open_ms,
        "C": day.close_ms,
        "F": day.open_ms // 1000,
        "L": day.close_ms // 1000,
        "n": (day.close_ms - day.open_ms) // 1000,
    }


def best_prices(instrument: Instrument, depth: Depth, now_ms: int) -> Json:
    """`bookTicker`."""
    bid, ask = (level_json(depth.best(instrument, side, now_ms), instrument) for side in Side)
    return {
        "e": "bookTicker",
        "u": now_ms,
        "s": instrument.symbol,
        "ps": instrument.symbol,
        "b": bid[0],
        "B": bid[1],
        "a": ask[0],
        "A": ask[1],
        "T": now_ms,
        "E": now_ms,
        "st": _USDM,
    }


def partial_depth(instrument: Instrument, depth: Depth, count: int, now_ms: int) -> Json:
    """`depthUpdate` with the best levels as they are."""
    bids, asks = (list(depth.levels(instrument, side, now_ms, count)) for side in Side)
    return depth_update(instrument, bids, asks, previous_id=now_ms - 1, last_id=now_ms, now_ms=now_ms)


def depth_update(
    instrument: Instrument,
    bids: Sequence[Level],
    asks: Sequence[Level],
    *,
    previous_id: int,
    last_id: int,
    now_ms: int,
) -> Json:
    """`depthUpdate`; a level of size zero is gone. Update ids are those of GET /fapi/v1/depth."""
    return {
        "e": "depthUpdate",
        "E": now_ms,
        "T": now_ms,
        "s": instrument.symbol,
        "ps": instrument.symbol,
        "U": previous_id + 1,
        "u": last_id,
        "pu": previous_id,
        "b": [level_json(level, instrument) for level in bids],
        "a": [level_json(level, instrument) for level in asks],
        "st": _USDM,
    }


def force_order(order: Order, fill: Fill, now_ms: int) -> Json:
    """A liquidation order that has been executed."""
    return {
        "e": "forceOrder",
        "E": now_ms,
        "o": {
            "s": order.symbol,
            "S": order.side,
            "o": "LIMIT",
            "f": order.time_in_force,
            "q": trimmed(order.quantity),
            "p": trimmed(order.price),
            "ap": trimmed(fill.price),
            "X": order.status,
            "l": trimmed(fill.quantity),
            "z": trimmed(order.executed),
            "T": fill.time_ms,
        },
        "ps": order.symbol,
        "st": _USDM,
    }


def contract_info(instrument: Instrument, onboard_ms: int, now_ms: int) -> Json:
    """A contract that has changed; the protocol has JSON numbers in its brackets."""
    return {
        "e": "contractInfo",
        "E": now_ms,
        "s": instrument.symbol,
        "ps": instrument.symbol,
        "ct": "PERPETUAL",
        "dt": _PERPETUAL_DELIVERY_MS,
        "ot": onboard_ms,
        "cs": instrument.status,
        "bks": [
            {
                "bs": bracket.number,
                "bnf": int(bracket.floor),
                "bnc": int(bracket.cap),
                "mmr": float(bracket.maintenance_ratio),
                "cf": int(bracket.cum),
                "mi": 1,
                "ma": bracket.max_leverage,
            }
            for bracket in instrument.brackets
        ],
        "st": _USDM,
    }


def _size(quantity: Decimal, instrument: Instrument) -> str:
    return plain(quantity, instrument.quantity_precision)
