"""OKX's candle endpoints, and how it writes a candle: nine strings, the newest first.

Bars of six hours and more open at UTC+8 unless their name ends in `utc`. `after` asks for older ones,
`before` for newer ones, both exclusive. Mark and index price candles are those of the last price, without
volumes.
"""

from paper_exchange.candles import INTERVALS_MS, Candle
from paper_exchange.exchange import Exchange
from paper_exchange.okx_contracts import Contract, Listing, number
from paper_exchange.okx_errors import OkxError, wrong
from paper_exchange.okx_request import OkxRequest, Routes, public

_BARS = {
    "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1H": "1h", "2H": "2h", "4H": "4h",
    "6Hutc": "6h", "12Hutc": "12h", "1Dutc": "1d", "3Dutc": "3d", "1Wutc": "1w", "1Mutc": "1M",
}  # fmt: skip
_EIGHT_HOURS_MS = 28_800_000
_IN_CHINA = {"6H": "6h", "12H": "12h", "1D": "1d", "2D": "2d", "3D": "3d", "1W": "1w", "1M": "1M"}
_LATEST_ROWS = 1440


class OkxCandles:
    """Candles of last, mark and index price."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing

    def routes(self) -> Routes:
        market = "/api/v5/market"
        return {
            **public(f"{market}/candles", self._latest, 40),
            **public(f"{market}/history-candles", self._history, 20),
            **public(f"{market}/mark-price-candles", self._mark, 20),
            **public(f"{market}/history-mark-price-candles", self._mark, 10),
            **public(f"{market}/index-candles", self._index, 20),
            **public(f"{market}/history-index-candles", self._index, 10),
        }

    def _latest(self, request: OkxRequest) -> list[list[str]]:
        return self._rows(request, self._contract(request), maximum=300)

    def _history(self, request: OkxRequest) -> list[list[str]]:
        return self._rows(request, self._contract(request), maximum=300)

    def _mark(self, request: OkxRequest) -> list[list[str]]:
        return [_priced(row) for row in self._rows(request, self._contract(request), maximum=100)]

    def _index(self, request: OkxRequest) -> list[list[str]]:
        """The instrument is an index: BTC-USDT."""
        contract = self._listing.find(f"{request.fields.text('instId')}-SWAP")
        if contract is None:
            raise OkxError(51014, "Index doesn't exist.")
        return [_priced(row) for row in self._rows(request, contract, maximum=100)]

    def _contract(self, request: OkxRequest) -> Contract:
        return self._listing.get(request.fields.text("instId"))

    def _rows(self, request: OkxRequest, contract: Contract, *, maximum: int) -> list[list[str]]:
        bar = request.fields.optional("bar") or "1m"
        limit = request.fields.limit(maximum=maximum)
        after, before = request.fields.integer("after"), request.fields.integer("before")
        end_ms = request.now_ms if after is None else min(after - 1, request.now_ms)
        candles = self._candles(contract, bar, request.now_ms, before, end_ms, limit)
        return [candle_row(candle, contract, request.now_ms) for candle in reversed(candles)]

    def _candles(
        self, contract: Contract, bar: str, now_ms: int, before: int | None, end_ms: int, limit: int
    ) -> list[Candle]:
        """The newest candles up to `end_ms` that open after `before`."""
        return candles_of(
            self._exchange, contract, bar, now_ms=now_ms, after_ms=before, end_ms=end_ms, limit=limit
        )


def candles_of(
    exchange: Exchange,
    contract: Contract,
    bar: str,
    *,
    now_ms: int,
    after_ms: int | None,
    end_ms: int,
    limit: int,
) -> list[Candle]:
    """The newest `limit` candles that open in (`after_ms`, `end_ms`], in order of time.

    Raises:
        OkxError: 51000 for a bar that does not exist.
    """
    interval, shift_ms = interval_of(bar)
    candles = exchange.market.candles(
        contract.market.symbol,
        interval,
        now_ms=now_ms,
        start_ms=None,
        end_ms=end_ms,
        limit=limit,
        shift_ms=shift_ms,
    )
    return [candle for candle in candles if after_ms is None or candle.open_ms > after_ms]


def interval_of(bar: str) -> tuple[str, int]:
    """The market's interval of a bar, and how much earlier than UTC its candles open (ms)."""
    if bar in _BARS:
        return _BARS[bar], 0
    interval = _IN_CHINA.get(bar, "")
    if interval not in INTERVALS_MS and interval != "1M":
        raise wrong("bar")
    return interval, _EIGHT_HOURS_MS


def candle_row(candle: Candle, contract: Contract, now_ms: int) -> list[str]:
    """ts, o, h, l, c, volume in contracts, in coins, in the quote coin, and whether it is finished."""
    return [
        str(candle.open_ms),
        *(number(price) for price in (candle.open, candle.high, candle.low, candle.close)),
        number(contract.contracts(candle.volume)),
        number(candle.volume),
        number(candle.quote_volume),
        "1" if candle.close_ms < now_ms else "0",
    ]


def _priced(row: list[str]) -> list[str]:
    return [*row[:5], row[8]]
