"""Where candles come from: the history that Binance and OKX show everybody, page by page.

Sources: Binance USD-M `GET /fapi/v1/klines` (weight 5 for 1,000 rows, 2,400 a minute and address) and
`GET /fapi/v1/time`; OKX v5 `GET /api/v5/market/history-candles` (100 rows, newest first, 20 requests in 2 s),
`GET /api/v5/public/instruments` and `/public/time`. On OKX, bars of 6 hours and more open by Hong Kong time
unless `utc` is added.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from strategy_service.fetch_errors import FetchFailed, FetchRefused
from strategy_service.polite_http import Answer, PoliteClient, Wait
from tradekit.market.symbol import Market
from tradekit.market.timeframe import Timeframe

# Open time in Unix milliseconds; open, high, low, close in the quote coin, volume in the base coin, as text.
Row = tuple[int, str, str, str, str, str]

_MINUTE_MS = 60_000
BAR_MS: Mapping[str, int] = {
    name: minutes * _MINUTE_MS
    for name, minutes in (
        ("1m", 1), ("3m", 3), ("5m", 5), ("15m", 15), ("30m", 30), ("1h", 60), ("2h", 120), ("4h", 240),
        ("6h", 360), ("8h", 480), ("12h", 720), ("1d", 1_440), ("1w", 10_080),
    )
}  # fmt: skip
# 1970-01-01 was a Thursday; weeks open on Monday.
_MONDAY_MS = 4 * 24 * 60 * _MINUTE_MS
_OKX_BARS = {
    **{name: name for name in ("1m", "3m", "5m", "15m", "30m")},
    **{name: name.upper() for name in ("1h", "2h", "4h")},
    **{name: f"{name.upper()}utc" for name in ("6h", "12h", "1d", "1w")},
}
# Half of what an address may use in a minute: a bot that trades from the same address keeps the other half.
BINANCE_WEIGHT = 1_200
OKX_GAP_S = 0.2
_OKX_BUSY = {"50001", "50004", "50011", "50013", "50026", "50061"}


class History(Protocol):
    """One market's candles of one bar length on one exchange."""

    exchange: str
    symbol: str
    base_url: str
    page_bars: int

    def now_ms(self) -> int:
        """The exchange's clock."""
        ...

    def first_ms(self) -> int:
        """Nothing opened before this."""
        ...

    def page(self, start_ms: int, end_ms: int) -> Sequence[Row]:
        """The candles that opened in [start_ms, end_ms), at most `page_bars` bars, oldest first."""
        ...


class BinanceHistory:
    """Perpetuals of Binance USD-M futures."""

    exchange = "binance"
    page_bars = 1_000

    def __init__(self, client: PoliteClient, market: Market, timeframe: Timeframe) -> None:
        self._client = client
        self.base_url = client.base_url
        self.symbol = market.symbol
        self._interval = str(timeframe)

    def now_ms(self) -> int:
        """Binance's clock."""
        return _milliseconds(_field(self._get("/fapi/v1/time", {}), "serverTime"))

    def first_ms(self) -> int:
        """When the first candle that Binance has opened."""
        rows = self._klines(startTime=0, limit=1)
        if not rows:
            raise FetchRefused(f"binance has no {self._interval} candles of {self.symbol}")
        return rows[0][0]

    def page(self, start_ms: int, end_ms: int) -> Sequence[Row]:
        """One answer of klines."""
        return self._klines(startTime=start_ms, endTime=end_ms - 1, limit=self.page_bars)

    def _klines(self, **parameters: int) -> list[Row]:
        named: dict[str, str | int] = {"symbol": self.symbol, "interval": self._interval, **parameters}
        return [_row(row, volume=5) for row in _list(self._get("/fapi/v1/klines", named))]

    def _get(self, path: str, parameters: Mapping[str, str | int]) -> Any:
        answer = self._client.get(path, parameters)
        self._spare(answer)
        if answer.status == 200:
            return answer.body
        code = answer.body.get("code") if isinstance(answer.body, dict) else None
        if code == -1121:
            raise FetchRefused(f"binance has no perpetual {self.symbol}")
        raise FetchFailed(f"binance refuses ({answer.status}, code {code})")

    def _spare(self, answer: Answer) -> None:
        """Waits for the next minute when this one's share of the address's weight is used up."""
        used = answer.headers.get("x-mbx-used-weight-1m", "")
        if used.isdecimal() and int(used) >= BINANCE_WEIGHT:
            self._client.wait(60.0 - answer.date.second if answer.date else 10.0)


class OkxHistory:
    """Perpetual swaps of OKX."""

    exchange = "okx"
    page_bars = 100

    def __init__(self, client: PoliteClient, market: Market, timeframe: Timeframe) -> None:
        self._client = client
        self.base_url = client.base_url
        self.symbol = market.symbol
        self._instrument = f"{market.base}-{market.quote}-SWAP"
        self._bar = _OKX_BARS[str(timeframe)]

    def now_ms(self) -> int:
        """OKX's clock."""
        return _milliseconds(_field(self._first(self._get("/api/v5/public/time", {})), "ts"))

    def first_ms(self) -> int:
        """When the swap was listed."""
        parameters = {"instType": "SWAP", "instId": self._instrument}
        return _milliseconds(
            _field(self._first(self._get("/api/v5/public/instruments", parameters)), "listTime")
        )

    def page(self, start_ms: int, end_ms: int) -> Sequence[Row]:
        """One answer of history-candles, turned round; `after` and `before` name neighbours outside of it."""
        parameters: dict[str, str | int] = {
            "instId": self._instrument,
            "bar": self._bar,
            "after": end_ms,
            "before": start_ms - 1,
            "limit": self.page_bars,
        }
        rows = self._get("/api/v5/market/history-candles", parameters)
        # The last field says whether the candle is finished; the seventh is the volume in coins.
        return [_row(row, volume=6) for row in reversed(rows) if _list(row)[-1] == "1"]

    def _get(self, path: str, parameters: Mapping[str, str | int]) -> list[Any]:
        answer = self._client.get(path, parameters)
        code = answer.body.get("code") if isinstance(answer.body, dict) else None
        if code == "0":
            return _list(answer.body.get("data"))
        if code == "51001":
            raise FetchRefused(f"okx has no swap {self._instrument}")
        raise FetchFailed(f"okx refuses ({answer.status}, code {code})")

    def _first(self, rows: list[Any]) -> Any:
        if not rows:
            raise FetchRefused(f"okx has no swap {self._instrument}")
        return rows[0]


_Open = Callable[[PoliteClient, Market, Timeframe], History]
# What speaks to an exchange, how long it rests between questions, and the bars that there are.
_HISTORIES: Mapping[str, tuple[_Open, float, Iterable[str]]] = {
    "binance": (BinanceHistory, 0.0, BAR_MS),
    "okx": (OkxHistory, OKX_GAP_S, _OKX_BARS),
}
EXCHANGES = tuple(_HISTORIES)


@contextmanager
def open_history(
    exchange: str, base_url: str, market: Market, timeframe: Timeframe, *, wait: Wait
) -> Iterator[History]:
    """Yields the history of one market; closes its connection on exit.

    Args:
        wait: Sleeps for so many seconds.

    Raises:
        FetchRefused: The exchange has no such bars, or `base_url` is none.
    """
    make, gap_s, offered = _HISTORIES[exchange]
    if str(timeframe) not in offered:
        raise FetchRefused(f"{exchange} candles come in {', '.join(offered)}, not in {timeframe}")
    client = PoliteClient(base_url, gap_s=gap_s, is_busy=_okx_is_busy, wait=wait)
    try:
        yield make(client, market, timeframe)
    finally:
        client.close()


def opening(timeframe: Timeframe, at_ms: int) -> int:
    """The first opening of a bar that is not before `at_ms`."""
    bar_ms = BAR_MS[str(timeframe)]
    offset = _MONDAY_MS if timeframe.unit == "w" else 0
    return -((offset - at_ms) // bar_ms) * bar_ms + offset


# Binance's codes are numbers below zero.
def _okx_is_busy(answer: Answer) -> bool:
    return isinstance(answer.body, dict) and answer.body.get("code") in _OKX_BUSY


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FetchFailed("the exchange's answer cannot be read: a list was expected")
    return value


def _field(row: Any, name: str) -> Any:
    if not isinstance(row, dict) or name not in row:
        raise FetchFailed(f"the exchange's answer cannot be read: {name} is missing")
    return row[name]


def _row(row: Any, *, volume: int) -> Row:
    cells = _list(row)
    if len(cells) <= volume:
        raise FetchFailed("the exchange's answer cannot be read: a candle is too short")
    opened, high, low, close = (_number(cell) for cell in cells[1:5])
    return _milliseconds(cells[0]), opened, high, low, close, _number(cells[volume])


def _milliseconds(value: Any) -> int:
    if not re.fullmatch(r"[0-9]{12,14}", str(value), re.ASCII):
        raise FetchFailed(f"the exchange's answer cannot be read: {str(value)[:40]!r} is no time")
    return int(value)


def _number(value: Any) -> str:
    if not re.fullmatch(r"[0-9]{1,20}(?:\.[0-9]{1,20})?", str(value), re.ASCII):
        raise FetchFailed(f"the exchange's answer cannot be read: {str(value)[:40]!r} is no number")
    return str(value)
