"""Binance's public endpoints: time, contracts, prices, candles, synthetic book and trades.

There is no order book: depth is made up around the last price, one tick away on each side, and a trade of
made-up size is told for every second. Both are pure functions of market and time.
"""

from decimal import Decimal
from hashlib import blake2b
from typing import Any

from paper_exchange.binance_contracts import contract_json
from paper_exchange.binance_errors import BinanceError, mandatory
from paper_exchange.binance_limits import RequestLimits
from paper_exchange.binance_parameters import Parameters
from paper_exchange.binance_request import BinanceRequest, Endpoint, Routes, Security, by_symbol
from paper_exchange.binance_wire import Json, plain
from paper_exchange.candles import INTERVALS_MS, MONTH, Candle
from paper_exchange.exchange import Exchange
from paper_exchange.instruments import Instrument
from paper_exchange.market import FUNDING_INTERVAL_MS
from paper_exchange.orders import ZERO

_DAY_MS = 86_400_000
_DEPTH_LIMITS = (5, 10, 20, 50, 100, 500, 1000)
_EIGHT = 8


class BinanceMarketData:
    """Answers from the market; needs no account."""

    def __init__(self, exchange: Exchange, limits: RequestLimits) -> None:
        self._exchange = exchange
        self._market = exchange.market
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
            ("GET", "/fapi/v1/premiumIndex"): public(self._premium_index, by_symbol(1, 10)),
            ("GET", "/fapi/v1/fundingRate"): public(self._funding_rates, 1),
            ("GET", "/fapi/v1/fundingInfo"): public(self._funding_info, 1),
            ("GET", "/fapi/v1/ticker/price"): public(self._ticker_price, by_symbol(1, 2)),
            ("GET", "/fapi/v2/ticker/price"): public(self._ticker_price, by_symbol(1, 2)),
            ("GET", "/fapi/v1/ticker/bookTicker"): public(self._book_ticker, by_symbol(2, 5)),
            ("GET", "/fapi/v1/ticker/24hr"): public(self._ticker_24h, by_symbol(1, 40)),
            ("GET", "/fapi/v1/openInterest"): public(self._open_interest),
            ("GET", "/fapi/v1/depth"): public(self._depth, _depth_weight),
            ("GET", "/fapi/v1/trades"): public(self._trades, 5),
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
        bids, asks = self._book(instrument, now_ms, levels=1)
        return {
            "symbol": instrument.symbol,
            "bidPrice": bids[0][0],
            "bidQty": bids[0][1],
            "askPrice": asks[0][0],
            "askQty": asks[0][1],
            "time": now_ms,
            "lastUpdateId": now_ms,
        }

    def _ticker_24h(self, request: BinanceRequest) -> Any:
        return self._one_or_all(request, self._day_statistics)

    def _day_statistics(self, instrument: Instrument, now_ms: int) -> Json:
        """Over the last 24 whole hours and the running one's part."""
        hours = self._market.candles(
            instrument.symbol, "1h", now_ms=now_ms, start_ms=None, end_ms=None, limit=25
        )
        last = self._market.last(instrument.symbol, now_ms)
        opening = hours[0].open
        volume = sum((candle.volume for candle in hours), ZERO)
        quote_volume = sum((candle.quote_volume for candle in hours), ZERO)
        precision = instrument.price_precision
        return {
            "symbol": instrument.symbol,
            "priceChange": plain(last - opening, precision),
            "priceChangePercent": plain((last / opening - 1) * 100, 3),
            "weightedAvgPrice": plain(quote_volume / volume if volume else last, precision),
            "lastPrice": plain(last, precision),
            "lastQty": self._trade(instrument, now_ms // 1000)["qty"],
            "openPrice": plain(opening, precision),
            "highPrice": plain(max(candle.high for candle in hours), precision),
            "lowPrice": plain(min(candle.low for candle in hours), precision),
            "volume": plain(volume, instrument.quantity_precision),
            "quoteVolume": plain(quote_volume, 2),
            "openTime": now_ms - _DAY_MS,
            "closeTime": now_ms,
            "firstId": (now_ms - _DAY_MS) // 1000,
            "lastId": now_ms // 1000,
            "count": _DAY_MS // 1000,
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

    def _depth(self, request: BinanceRequest) -> Json:
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
        """Bids and asks, best first: one level per tick, the sizes drawn by symbol and second."""
        last = self._market.last(instrument.symbol, now_ms)
        sides = []
        for sign in (-1, 1):
            prices = [last + sign * level * instrument.tick for level in range(1, levels + 1)]
            sides.append(
                [
                    [
                        plain(price, instrument.price_precision),
                        self._size(instrument, now_ms // 1000, sign * level),
                    ]
                    for level, price in enumerate(prices, start=1)
                    if price > 0
                ]
            )
        return sides[0], sides[1]

    def _size(self, instrument: Instrument, second: int, level: int) -> str:
        draw = blake2b(
            f"{instrument.symbol}:{second}:{level}".encode(), digest_size=4, person=b"size"
        ).digest()
        share = Decimal(int.from_bytes(draw, "big") % 1000 + 1) / 1000
        coins = Decimal(instrument.hourly_volume) / 3600 * share
        return plain(
            max(coins // instrument.step * instrument.step, instrument.step), instrument.quantity_precision
        )

    def _trades(self, request: BinanceRequest) -> list[Json]:
        instrument = self._symbol(request)
        limit = request.parameters.limit(default=500, maximum=1000)
        second = request.now_ms // 1000
        return [self._trade(instrument, number) for number in range(second - limit + 1, second + 1)]

    def _trade(self, instrument: Instrument, second: int) -> Json:
        price = self._market.last(instrument.symbol, second * 1000)
        size = self._size(instrument, second, 0)
        return {
            "id": second,
            "price": plain(price, instrument.price_precision),
            "qty": size,
            "quoteQty": plain(price * Decimal(size), 2),
            "time": second * 1000,
            "isBuyerMaker": second % 2 == 0,
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
