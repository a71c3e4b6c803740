"""Binance's market streams: which there are, and when each one speaks.

A stream is asked about four times a second, and after every commit that may concern it; it answers with the
payloads that have become due. Cadences are Binance's (1 s and 3 s for mark prices, 2 s for tickers); what the
real exchange pushes in real time is pushed when it has changed.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from paper_exchange.binance_stream_payloads import (
    best_prices,
    contract_info,
    depth_update,
    force_order,
    kline,
    mark_price,
    mini_ticker,
    partial_depth,
    ticker,
    trade_payload,
)
from paper_exchange.binance_wire import Json
from paper_exchange.candles import INTERVALS_MS, MONTH, interval_opening
from paper_exchange.depth import Depth, Level
from paper_exchange.events import Event, Execution, InstrumentChanged, OrderChanged
from paper_exchange.instruments import Instrument
from paper_exchange.market import Market
from paper_exchange.orders import ZERO, OrderType, Side

_BOOK_LEVELS = 1000  # as deep as GET /fapi/v1/depth goes, so that snapshot and differences agree
_LATEST_TRADES = 10
_PUBLIC = frozenset({"depth", "rpiDepth", "bookTicker", "trade"})
_NAME = re.compile(
    r"(?:(?P<symbol>[a-z0-9_]+)|!(?P<all>[a-zA-Z]+))"
    r"(?:@(?P<kind>[a-zA-Z]+)(?P<detail>\w*))?(?:@(?P<speed>\w+))?"
)
_TICKERS = {"ticker": ticker, "miniTicker": mini_ticker}
_TIMES = frozenset({"E", "T", "u", "U", "pu"})


class MarketStream(Protocol):
    """One subscribed stream."""

    def due(self, now_ms: int, events: Sequence[Event] = ()) -> list[Any]:
        """The payloads that have become due, oldest first; `events` have just happened."""
        ...


class MarketStreams:
    """Opens streams by their names."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._depth = Depth(market)

    def open(self, name: str, category: str, now_ms: int) -> MarketStream | None:
        """The stream of this name; None where there is none, which the exchange does not complain about.

        Args:
            category: "public" or "market": which half of the streams the connection serves.
        """
        parts = _NAME.fullmatch(name)
        if parts is None:
            return None
        kind = parts["all"] or parts["kind"]
        if (kind in _PUBLIC) != (category == "public"):
            return None
        if parts["all"] is not None:
            return self._of_all(kind, parts["speed"])
        symbol, _, contract_type = parts["symbol"].partition("_")
        instrument = self._market.instruments.get(symbol.upper())
        if instrument is None or contract_type not in ("", "perpetual"):
            return None
        return self._of_one(instrument, kind, parts["detail"], parts["speed"], now_ms)

    def _of_one(
        self, instrument: Instrument, kind: str, detail: str, speed: str | None, now_ms: int
    ) -> MarketStream | None:
        market, depth = self._market, self._depth
        match kind:
            case "aggTrade" | "trade":
                return _Trades(instrument, depth, kind, now_ms)
            case "kline" | "continuousKline":
                interval = detail.removeprefix("_")
                known = interval in INTERVALS_MS or interval == MONTH
                return _Klines(instrument, market, interval, kind) if known else None
            case "markPrice":
                return _Periodic(lambda now: mark_price(instrument, market, now), _mark_period(speed))
            case "ticker" | "miniTicker":
                return _Periodic(lambda now: _TICKERS[kind](instrument, depth, now), 2000)
            case "bookTicker":
                return _best_prices(instrument, depth)
            case "depth" if detail in ("5", "10", "20"):
                return _OnChange(lambda now: partial_depth(instrument, depth, int(detail), now))
            case "depth" | "rpiDepth" if not detail:
                return _DepthChanges(instrument, market, depth, now_ms)
            case "forceOrder":
                return _Liquidations(market, instrument.symbol)
            case _:
                return None

    def _of_all(self, kind: str, speed: str | None) -> MarketStream | None:
        market, depth = self._market, self._depth
        match kind:
            case "markPrice":
                rows = self._every(lambda one, now: mark_price(one, market, now))
                return _Periodic(rows, _mark_period(speed))
            case "ticker" | "miniTicker":
                rows = self._every(lambda one, now: _TICKERS[kind](one, depth, now))
                return _Periodic(rows, 1000)
            case "bookTicker":
                return _Several([_best_prices(one, depth) for one in market.instruments.values()])
            case "forceOrder":
                return _Liquidations(market, None)
            case "contractInfo":
                return _Contracts(market)
            case _:
                return None

    def _every(self, row: Callable[[Instrument, int], Json]) -> Callable[[int], list[Json]]:
        instruments = self._market.instruments
        return lambda now_ms: [row(instrument, now_ms) for instrument in instruments.values()]


def _mark_period(speed: str | None) -> int:
    return 1000 if speed == "1s" else 3000


class _Periodic:
    """Speaks once in every period, at once to begin with."""

    def __init__(self, payload: Callable[[int], Any], period_ms: int) -> None:
        self._payload = payload
        self._period_ms = period_ms
        self._told_period: int | None = None

    def due(self, now_ms: int, events: Sequence[Event] = ()) -> list[Any]:
        period = now_ms // self._period_ms
        if period == self._told_period:
            return []
        self._told_period = period
        return [self._payload(now_ms)]


class _OnChange:
    """Speaks when what it says, but for its times, has changed."""

    def __init__(self, payload: Callable[[int], Json]) -> None:
        self._payload = payload
        self._told: Json | None = None

    def due(self, now_ms: int, events: Sequence[Event] = ()) -> list[Any]:
        payload = self._payload(now_ms)
        content = {name: value for name, value in payload.items() if name not in _TIMES}
        if content == self._told:
            return []
        self._told = content
        return [payload]


def _best_prices(instrument: Instrument, depth: Depth) -> _OnChange:
    return _OnChange(lambda now_ms: best_prices(instrument, depth, now_ms))


class _Several:
    """Streams of several contracts in one."""

    def __init__(self, streams: Sequence[MarketStream]) -> None:
        self._streams = streams

    def due(self, now_ms: int, events: Sequence[Event] = ()) -> list[Any]:
        return [payload for stream in self._streams for payload in stream.due(now_ms, events)]


class _Trades:
    """One trade a second, as the REST endpoints tell them."""

    def __init__(self, instrument: Instrument, depth: Depth, kind: str, now_ms: int) -> None:
        self._instrument = instrument
        self._depth = depth
        self._kind = kind
        self._told_second = now_ms // 1000 - 1

    def due(self, now_ms: int, events: Sequence[Event] = ()) -> list[Any]:
        second = now_ms // 1000
        first = max(self._told_second + 1, second - _LATEST_TRADES + 1)
        self._told_second = second
        return [
            trade_payload(self._kind, self._depth.trade(self._instrument, number), self._instrument, now_ms)
            for number in range(first, second + 1)
        ]


class _Klines:
    """The running candle when it has changed, and each candle once more when it is closed."""

    def __init__(self, instrument: Instrument, market: Market, interval: str, kind: str) -> None:
        self._instrument = instrument
        self._market = market
        self._interval = interval
        self._kind = kind
        self._open_ms: int | None = None
        self._told: Json | None = None

    def due(self, now_ms: int, events: Sequence[Event] = ()) -> list[Any]:
        opening, before = self._opening(now_ms), self._open_ms
        self._open_ms = opening
        closed = self._payloads(now_ms, before) if before is not None and before != opening else []
        running = self._payloads(now_ms, opening)
        if running and running[0]["k"] == self._told:
            return closed
        self._told = running[0]["k"] if running else None
        return closed + running

    def _opening(self, now_ms: int) -> int:
        return interval_opening(self._interval, now_ms)

    def _payloads(self, now_ms: int, open_ms: int) -> list[Json]:
        """The candle that opens then; none where the market's history begins later."""
        candles = self._market.candles(
            self._instrument.symbol,
            self._interval,
            now_ms=now_ms,
            start_ms=open_ms,
            end_ms=open_ms,
            limit=1,
        )
        return [kline(self._kind, candle, self._interval, self._instrument, now_ms) for candle in candles]


class _DepthChanges:
    """Differences of the book; every second at least its best levels again."""

    def __init__(self, instrument: Instrument, market: Market, depth: Depth, now_ms: int) -> None:
        self._instrument = instrument
        self._market = market
        self._depth = depth
        self._told_last = market.last(instrument.symbol, now_ms)
        self._told_id = now_ms - 1
        self._told_second = -1

    def due(self, now_ms: int, events: Sequence[Event] = ()) -> list[Any]:
        last, second = self._market.last(self._instrument.symbol, now_ms), now_ms // 1000
        if last == self._told_last and second == self._told_second:
            return []
        before, self._told_last, self._told_second = self._told_last, last, second
        previous_id, self._told_id = self._told_id, max(now_ms, self._told_id + 1)
        bids, asks = (self._changes(side, int(before / self._instrument.tick), now_ms) for side in Side)
        return [
            depth_update(
                self._instrument, bids, asks, previous_id=previous_id, last_id=self._told_id, now_ms=now_ms
            )
        ]

    def _changes(self, side: Side, before: int, now_ms: int) -> list[Level]:
        """What a side has lost (size zero) and gained since its last price was `before` ticks."""
        tick = self._instrument.tick
        after = int(self._told_last / tick)
        old, new = _ticks(side, before), _ticks(side, after)
        gone = [Level(number * tick, ZERO) for number in old if number not in new]
        come = [number for number in new if number not in old] or [new[0]]
        return gone + [
            Level(number * tick, self._depth.size_at(self._instrument, number * tick)) for number in come
        ]


def _ticks(side: Side, last: int) -> range:
    """The levels of a side, in ticks, best first."""
    if side is Side.BUY:
        return range(last - 1, max(last - 1 - _BOOK_LEVELS, 0), -1)
    return range(last + 1, last + 1 + _BOOK_LEVELS)


class _Liquidations:
    """Liquidation orders of any account, of one contract or of all."""

    def __init__(self, market: Market, symbol: str | None) -> None:
        self._market = market
        self._symbol = symbol

    def due(self, now_ms: int, events: Sequence[Event] = ()) -> list[Any]:
        return [
            force_order(event.order, event.fill, now_ms)
            for event in events
            if isinstance(event, OrderChanged)
            and event.order.type is OrderType.LIQUIDATION
            and event.execution is Execution.TRADE
            and event.fill is not None
            and self._symbol in (None, event.order.symbol)
        ]


class _Contracts:
    """Contracts whose filters or status have changed."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def due(self, now_ms: int, events: Sequence[Event] = ()) -> list[Any]:
        return [
            contract_info(event.instrument, self._market.history_begins_ms(event.instrument.symbol), now_ms)
            for event in events
            if isinstance(event, InstrumentChanged)
        ]
