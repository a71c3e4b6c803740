"""Binance's public endpoints: time, contracts, prices, candles, synthetic book and trades.

There is no order book: depth and trades are made up (see `depth.py`).
"""

from typing import Any

from paper_exchange.binance_contracts import contract_json
from paper_exchange.binance_errors import BinanceError, mandatory
from paper_exchange.binance_limits import RequestLimits
from paper_exchange.binance_parameters import Parameters
from paper_exchange.binance_request import BinanceRequest, Endpoint, Routes, Security, by_symbol
from paper_exchange.binance_wire import Json, level_json, plain
from paper_exchange.candles import INTERVALS_MS, MONTH, Candle
from paper_exchange.depth import Depth
from paper_exchange.exchange import Exchange
from paper_exchange.instruments import Instrument
from paper_exchange.market import FUNDING_INTERVAL_MS
from paper_exchange.orders import ZERO, Side

_DEPTH_LIMITS = (5, 10, 20, 50, 100, 500, 1000)
_EIGHT = 8


class BinanceMarketData:
    """Answers from the market; needs no account."""

    def __init__(self, exchange: Exchange, limits: RequestLimits) -> None:
        self._exchange = exchange
        self._market = exchange.market
        self._depth = Depth(exchange.market)
        self._limits = limits

    def routes(self) -> Routes:
        def public(answer: Any, weight: Any = 1) -> Endpoint:
            return Endpoint(answer, weight=weight, security=Security.NONE)

        return {
            ("GET", "/fapi/v1/ping"): public(lambda request: {}),
            ("GET", "/fapi/v1/time"): public(lambda request: {"serverTime": request.shown_ms}),
            ("GET", "/fapi/v1/exchangeInfo"): public(self._exchange_info),
            ("GET", "/fapi/v1/klines"): public(self._klines, _kline_weight),
            ("GET", "/fapi/v1/continuousKlines"): public(self._continuous_klines, _kline_weight),
            ("GET", "/fapi/v1/markPriceKlines"): public(self._price_klines, _kline_weight),
            ("GET", "/fapi/v1/indexPriceKlines"): public(self._index_klines, _kline_weight),
            ("GET", "/fapi/v1/premiumIndexKlines"): public(self._premium_klines, _kline_weight),
            ("GET", "/fapi/v1/premiumIndex"): public(self._premium_index, by_symbol(1, 10)),
            ("GET", "/fapi/v1/fundingRate"): public(self._funding_rates, 0),
            ("GET", "/fapi/v1/fundingInfo"): public(self._funding_info, 0),
            ("GET", "/fapi/v1/ticker/price"): public(self._ticker_price, by_symbol(1, 2)),
            ("GET", "/fapi/v2/ticker/price"): public(self._ticker_price, by_symbol(1, 2)),
            ("GET", "/fapi/v1/ticker/bookTicker"): public(self._book_ticker, by_symbol(2, 5)),
            ("GET", "/fapi/v1/ticker/24hr"): public(self._ticker_24h, by_symbol(1, 40)),
            ("GET", "/fapi/v1/openInterest"): public(self._open_interest),
            ("GET", "/fapi/v1/depth"): public(self._order_book, _depth_weight),
            ("GET", "/fapi/v1/rpiDepth"): public(self._order_book, 20),
            ("GET", "/fapi/v1/trades"): public(self._trades, 5),
            ("GET", "/fapi/v1/historicalTrades"): Endpoint(
                self._older_trades, weight=20, security=Security.KEY
            ),
            ("GET", "/fapi/v1/aggTrades"): public(self._aggregate_trades, 20),
        }

    # Contracts

    def _exchange_info(self, request: BinanceRequest) -> Json:
        onboard_ms = self._market.history_begins_ms(next(iter(self._market.instruments)))
        return {
            "timezone": "UTC",
            "serverTime": request.shown_ms,
            "futuresType": "U_MARGINED",
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": self._limits.limits.weight_per_minute,
                },
                {
                    "rateLimitType": "ORDERS",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": self._limits.limits.orders_per_minute,
                },
                {
                    "rateLimitType": "ORDERS",
                    "interval": "SECOND",
                    "intervalNum": 10,
                    "limit": self._limits.limits.orders_per_10s,
                },
            ],
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": [
                contract_json(instrument, onboard_ms) for instrument in self._market.instruments.values()
            ],
        }

    # Candles

    def _klines(self, request: BinanceRequest) -> list[list[Any]]:
        symbol = self._symbol(request)
        return [_kline(candle, symbol) for candle in self._candles(request, symbol)]

    def _continuous_klines(self, request: BinanceRequest) -> list[list[Any]]:
        symbol = self._pair(request)
        if request.parameters.text("contractType") != "PERPETUAL":
            raise BinanceError(-4104, "Invalid contract type")
        return [_kline(candle, symbol) for candle in self._candles(request, symbol)]

    def _price_klines(self, request: BinanceRequest) -> list[list[Any]]:
        """Mark price candles, without volumes; the mark price is followed by the last price's candles."""
        symbol = self._symbol(request)
        return [_priced_kline(candle, symbol) for candle in self._candles(request, symbol)]

    def _index_klines(self, request: BinanceRequest) -> list[list[Any]]:
        symbol = self._pair(request)
        return [_priced_kline(candle, symbol) for candle in self._candles(request, symbol)]

    def _premium_klines(self, request: BinanceRequest) -> list[list[Any]]:
        """Mark and index candles are those of the last price, so the premium between them is zero."""
        symbol = self._symbol(request)
        zero = plain(ZERO, _EIGHT)
        return [
            [candle.open_ms, *[zero] * 4, "0", candle.close_ms, "0", candle.trades, "0", "0", "0"]
            for candle in self._candles(request, symbol)
        ]

    def _candles(self, request: BinanceRequest, symbol: Instrument) -> list[Candle]:
        interval = request.parameters.text("interval")
        if interval not in INTERVALS_MS and interval != MONTH:
            raise BinanceError(-1120, "Invalid interval.")
        start_ms, end_ms = request.parameters.window()
        limit = request.parameters.limit(default=500, maximum=1500)
        return self._market.candles(
            symbol.symbol, interval, now_ms=request.now_ms, start_ms=start_ms, end_ms=end_ms, limit=limit
        )

    # Prices

    def _premium_index(self, request: BinanceRequest) -> Any:
        return self._one_or_all(request, self._premium)

    def _premium(self, instrument: Instrument, now_ms: int) -> Json:
        quote = self._market.quote(instrument.symbol, now_ms)
        return {
            "symbol": instrument.symbol,
            "markPrice": plain(quote.mark, _EIGHT),
            "indexPrice": plain(quote.index, _EIGHT),
            "estimatedSettlePrice": plain(quote.index, _EIGHT),
            "lastFundingRate": plain(self._market.funding_rate(instrument.symbol, now_ms), _EIGHT),
            "interestRate": "0.00010000",
            "nextFundingTime": self._market.next_funding_ms(now_ms),
            "time": now_ms,
        }

    def _funding_rates(self, request: BinanceRequest) -> list[Json]:
        given = request.parameters.optional_symbol()
        symbols = [self._exchange.instrument(given).symbol] if given else list(self._market.instruments)
        start_ms, end_ms = request.parameters.window()
        limit = request.parameters.limit(default=100, maximum=1000)
        end_ms = min(request.now_ms, request.now_ms if end_ms is None else end_ms)
        earliest = self._market.history_begins_ms(symbols[0])
        first = max(earliest, end_ms - limit * FUNDING_INTERVAL_MS if start_ms is None else start_ms)
        times = range(-(-first // FUNDING_INTERVAL_MS) * FUNDING_INTERVAL_MS, end_ms + 1, FUNDING_INTERVAL_MS)
        rows = [
            self._funding_row(symbol, time_ms)
            for time_ms in times[: limit // len(symbols) + 1]
            for symbol in symbols
        ]
        return rows[:limit] if start_ms is not None else rows[-limit:]

    def _funding_row(self, symbol: str, time_ms: int) -> Json:
        return {
            "symbol": symbol,
            "fundingTime": time_ms,
            "fundingRate": plain(self._market.funding_rate(symbol, time_ms - 1), _EIGHT),
            "markPrice": plain(self._market.quote(symbol, time_ms).mark, _EIGHT),
        }

    def _funding_info(self, request: BinanceRequest) -> list[Json]:
        return [
            {
                "symbol": symbol,
                "adjustedFundingRateCap": "0.00300000",
                "adjustedFundingRateFloor": "-0.00300000",
                "fundingIntervalHours": FUNDING_INTERVAL_MS // 3_600_000,
                "disclaimer": False,
            }
            for symbol in self._market.instruments
        ]

    def _ticker_price(self, request: BinanceRequest) -> Any:
        return self._one_or_all(
            request,
            lambda instrument, now_ms: {
                "symbol": instrument.symbol,
                "price": plain(self._market.last(instrument.symbol, now_ms), instrument.price_precision),
                "time": now_ms,
            },
        )

    def _book_ticker(self, request: BinanceRequest) -> Any:
        return self._one_or_all(request, self._best_prices)

    def _best_prices(self, instrument: Instrument, now_ms: int) -> Json:
        bid, ask = (level_json(self._depth.best(instrument, side, now_ms), instrument) for side in Side)
        return {
            "symbol": instrument.symbol,
            "bidPrice": bid[0],
            "bidQty": bid[1],
            "askPrice": ask[0],
            "askQty": ask[1],
            "time": now_ms,
            "lastUpdateId": now_ms,
        }

    def _ticker_24h(self, request: BinanceRequest) -> Any:
        return self._one_or_all(request, self._day_statistics)

    def _day_statistics(self, instrument: Instrument, now_ms: int) -> Json:
        day, precision = self._depth.day(instrument, now_ms), instrument.price_precision
        return {
            "symbol": instrument.symbol,
            "priceChange": plain(day.last - day.open, precision),
            "priceChangePercent": plain((day.last / day.open - 1) * 100, 3),
            "weightedAvgPrice": plain(day.weighted_price, precision),
            "lastPrice": plain(day.last, precision),
            "lastQty": self._trade(instrument, now_ms // 1000)["qty"],
            "openPrice": plain(day.open, precision),
            "highPrice": plain(day.high, precision),
            "lowPrice": plain(day.low, precision),
            "volume": plain(day.volume, instrument.quantity_precision),
            "quoteVolume": plain(day.quote_volume, 2),
            "openTime": day.open_ms,
            "closeTime": day.close_ms,
            "firstId": day.open_ms // 1000,
            "lastId": day.close_ms // 1000,
            "count": (day.close_ms - day.open_ms) // 1000,
        }

    def _open_interest(self, request: BinanceRequest) -> Json:
        """What all accounts of this exchange hold long."""
        instrument = self._symbol(request)
        long = sum((max(p.quantity, ZERO) for p in self._exchange.books.held(instrument.symbol)), ZERO)
        return {
            "symbol": instrument.symbol,
            "openInterest": plain(long, instrument.quantity_precision),
            "time": request.now_ms,
        }

    # Synthetic book and trades

    def _order_book(self, request: BinanceRequest) -> Json:
        instrument = self._symbol(request)
        limit = request.parameters.integer("limit") or 500
        if limit not in _DEPTH_LIMITS:
            raise BinanceError(-4021, f"'{limit}' is not valid depth limit.")
        bids, asks = self._book(instrument, request.now_ms, levels=limit)
        return {
            "lastUpdateId": request.now_ms,
            "E": request.now_ms,
            "T": request.now_ms,
            "bids": bids,
            "asks": asks,
        }

    def _book(
        self, instrument: Instrument, now_ms: int, *, levels: int
    ) -> tuple[list[list[str]], list[list[str]]]:
        bids, asks = (
            [level_json(level, instrument) for level in self._depth.levels(instrument, side, now_ms, levels)]
            for side in Side
        )
        return bids, asks

    def _trades(self, request: BinanceRequest) -> list[Json]:
        instrument = self._symbol(request)
        limit = request.parameters.limit(default=500, maximum=1000)
        second = request.now_ms // 1000
        return [self._trade(instrument, number) for number in range(second - limit + 1, second + 1)]

    def _older_trades(self, request: BinanceRequest) -> list[Json]:
        """From `fromId` on, else the latest."""
        instrument = self._symbol(request)
        limit = request.parameters.limit(default=500, maximum=500)
        last = request.now_ms // 1000
        first = request.parameters.integer("fromId")
        first = last - limit + 1 if first is None else max(first, 0)
        return [self._trade(instrument, number) for number in range(first, min(last, first + limit - 1) + 1)]

    def _trade(self, instrument: Instrument, second: int) -> Json:
        trade = self._depth.trade(instrument, second)
        return {
            "id": trade.number,
            "price": plain(trade.price, instrument.price_precision),
            "qty": plain(trade.size, instrument.quantity_precision),
            "quoteQty": plain(trade.price * trade.size, 2),
            "time": trade.time_ms,
            "isBuyerMaker": trade.buyer_is_maker,
            "isRPITrade": False,
        }

    def _aggregate_trades(self, request: BinanceRequest) -> list[Json]:
        instrument = self._symbol(request)
        limit = request.parameters.limit(default=500, maximum=1000)
        start_ms, end_ms = request.parameters.window()
        from_id = request.parameters.integer("fromId")
        last = min(request.now_ms, request.now_ms if end_ms is None else end_ms) // 1000
        first = last - limit + 1
        if from_id is not None or start_ms is not None:
            first = from_id if from_id is not None else -(-(start_ms or 0) // 1000)
        trades = [
            self._trade(instrument, second) for second in range(first, min(last, first + limit - 1) + 1)
        ]
        return [
            {
                "a": trade["id"],
                "p": trade["price"],
                "q": trade["qty"],
                "f": trade["id"],
                "l": trade["id"],
                "T": trade["time"],
                "m": trade["isBuyerMaker"],
            }
            for trade in trades
        ]

    # Parameters

    def _symbol(self, request: BinanceRequest) -> Instrument:
        return self._exchange.instrument(request.parameters.symbol())

    def _pair(self, request: BinanceRequest) -> Instrument:
        pair = request.parameters.optional("pair")
        if pair is None:
            raise mandatory("pair")
        return self._exchange.instrument(pair)

    def _one_or_all(self, request: BinanceRequest, row: Any) -> Any:
        symbol = request.parameters.optional_symbol()
        if symbol is not None:
            return row(self._exchange.instrument(symbol), request.now_ms)
        return [row(instrument, request.now_ms) for instrument in self._market.instruments.values()]


def _kline(candle: Candle, instrument: Instrument) -> list[Any]:
    price, quantity = instrument.price_precision, instrument.quantity_precision
    half = candle.volume / 2 // instrument.step * instrument.step
    return [
        candle.open_ms,
        plain(candle.open, price),
        plain(candle.high, price),
        plain(candle.low, price),
        plain(candle.close, price),
        plain(candle.volume, quantity),
        candle.close_ms,
        plain(candle.quote_volume, 5),
        candle.trades,
        plain(half, quantity),
        plain(candle.quote_volume / 2, 5),
        "0",
    ]


def _priced_kline(candle: Candle, instrument: Instrument) -> list[Any]:
    row = _kline(candle, instrument)
    return [*row[:5], "0", row[6], "0", candle.trades, "0", "0", "0"]


def _kline_weight(parameters: Parameters) -> int:
    limit = parameters.integer("limit") or 500
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def _depth_weight(parameters: Parameters) -> int:
    limit = parameters.integer("limit") or 500
    return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20
