"""What a subscription is, and OKX's market channels: pushed when what they show has changed."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from paper_exchange.events import Event
from paper_exchange.exchange import Exchange
from paper_exchange.okx_candles import candle_row, candles_of, interval_of
from paper_exchange.okx_contracts import Contract, Json, Listing, instrument_json
from paper_exchange.okx_errors import OkxError
from paper_exchange.okx_market_wire import MarketWire

Push = dict[str, Any]
Arg = dict[str, str]

_PRICES_EVERY_MS = 10_000
_FUNDING_EVERY_MS = 60_000
_MOST_TRADES = 5
_BOOKS = {"books": 400, "books-l2-tbt": 400, "books50-l2-tbt": 50}
_SNAPSHOT_BOOKS = {"books5": 5, "bbo-tbt": 1}
_CANDLES = ("candle", "mark-price-candle", "index-candle")


class Channel(Protocol):
    """One subscription: what it pushes on subscribing, when something happens, and as time passes."""

    def opened(self, now_ms: int) -> list[Push]: ...

    def happened(self, batch: Sequence[Event], now_ms: int) -> list[Push]: ...

    def tick(self, now_ms: int) -> list[Push]: ...


class MarketChannel:
    """Pushes rows when they differ in more than their time, and after `every_ms` in any case."""

    def __init__(self, arg: Arg, rows: Callable[[int], list[Any]], *, every_ms: int | None = None) -> None:
        self._arg = arg
        self._rows = rows
        self._every_ms = every_ms
        self._shown: list[Any] = []
        self._pushed_ms = 0

    def opened(self, now_ms: int) -> list[Push]:
        return self._push(self._rows(now_ms), now_ms)

    def happened(self, batch: Sequence[Event], now_ms: int) -> list[Push]:
        return []

    def tick(self, now_ms: int) -> list[Push]:
        rows = self._rows(now_ms)
        is_due = self._every_ms is not None and now_ms - self._pushed_ms >= self._every_ms
        if not is_due and _timeless(rows) == _timeless(self._shown):
            return []
        return self._push(rows, now_ms)

    def _push(self, rows: list[Any], now_ms: int) -> list[Push]:
        self._shown, self._pushed_ms = rows, now_ms
        return [{"arg": self._arg, "data": rows}]


class TradesChannel(MarketChannel):
    """Pushes the trade of each second once."""

    def __init__(self, arg: Arg, contract: Contract, wire: MarketWire) -> None:
        super().__init__(arg, lambda now_ms: [wire.trade(contract, now_ms // 1000)])
        self._contract = contract
        self._wire = wire
        self._second = 0

    def opened(self, now_ms: int) -> list[Push]:
        self._second = now_ms // 1000
        return super().opened(now_ms)

    def tick(self, now_ms: int) -> list[Push]:
        second = now_ms // 1000
        first = max(self._second + 1, second - _MOST_TRADES + 1)
        self._second = second
        return [
            {"arg": self._arg, "data": [self._wire.trade(self._contract, number)]}
            for number in range(first, second + 1)
        ]


class CandleChannel:
    """Pushes the running candle when it changes, and each candle once more when it is finished."""

    def __init__(self, arg: Arg, exchange: Exchange, contract: Contract, bar: str, *, priced: bool) -> None:
        interval_of(bar)
        self._arg = arg
        self._exchange = exchange
        self._contract = contract
        self._bar = bar
        self._priced = priced
        self._shown: list[str] = []

    def opened(self, now_ms: int) -> list[Push]:
        return self.tick(now_ms)

    def happened(self, batch: Sequence[Event], now_ms: int) -> list[Push]:
        return []

    def tick(self, now_ms: int) -> list[Push]:
        rows = self._latest(now_ms)
        if rows[-1] == self._shown:
            return []
        rolled_over = bool(self._shown) and rows[-1][0] != self._shown[0]
        self._shown = rows[-1]
        return [{"arg": self._arg, "data": [row]} for row in (rows if rolled_over else rows[-1:])]

    def _latest(self, now_ms: int) -> list[list[str]]:
        """The candle before and the running one."""
        candles = candles_of(
            self._exchange, self._contract, self._bar, now_ms=now_ms, after_ms=None, end_ms=now_ms, limit=2
        )
        rows = [candle_row(candle, self._contract, now_ms) for candle in candles]
        return [[*row[:5], row[8]] for row in rows] if self._priced else rows


class BookChannel:
    """A snapshot, then what changed: rows with their new size, 0 for those that are gone."""

    def __init__(self, arg: Arg, contract: Contract, wire: MarketWire, depth: int) -> None:
        self._arg = arg
        self._contract = contract
        self._wire = wire
        self._depth = depth
        self._shown: Json = {}
        self._sequence = 0

    def opened(self, now_ms: int) -> list[Push]:
        self._shown = self._wire.book(self._contract, now_ms, self._depth)
        return [self._push("snapshot", self._shown, now_ms, previous=-1)]

    def happened(self, batch: Sequence[Event], now_ms: int) -> list[Push]:
        return []

    def tick(self, now_ms: int) -> list[Push]:
        book = self._wire.book(self._contract, now_ms, self._depth)
        changes: Json = {side: _changes(self._shown[side], book[side]) for side in ("asks", "bids")}
        if not any(changes.values()):
            return []
        self._shown = book
        return [self._push("update", changes, now_ms, previous=self._sequence)]

    def _push(self, action: str, book: Json, now_ms: int, *, previous: int) -> Push:
        self._sequence += 1
        row = {
            "asks": book["asks"],
            "bids": book["bids"],
            "ts": str(now_ms),
            "checksum": 0,
            "seqId": self._sequence,
            "prevSeqId": previous,
        }
        return {"arg": self._arg, "action": action, "data": [row]}


class MarketChannels:
    """Makes the channels that need no login."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing
        self._wire = MarketWire(exchange)

    def make_public(self, arg: Arg) -> Channel | None:
        """The channel of the public socket that an argument names; None for a name it does not have."""
        name, wire = arg["channel"], self._wire
        match name:
            case "tickers":
                return self._of_contract(arg, wire.ticker)
            case "mark-price":
                return self._of_contract(arg, wire.mark_price, every_ms=_PRICES_EVERY_MS)
            case "price-limit":
                return self._of_contract(arg, wire.price_limit)
            case "funding-rate":
                return self._of_contract(arg, wire.funding_rate, every_ms=_FUNDING_EVERY_MS)
            case "index-tickers":
                contract = self._listing.get(f"{arg.get('instId', '')}-SWAP")
                return MarketChannel(arg, lambda now_ms: [wire.index_ticker(contract, now_ms)])
            case "instruments":
                return MarketChannel(arg, lambda now_ms: self._instruments(arg))
            case "trades":
                return TradesChannel(arg, self._contract(arg), wire)
            case "books5" | "bbo-tbt":
                contract, depth = self._contract(arg), _SNAPSHOT_BOOKS[name]
                return MarketChannel(arg, lambda now_ms: [_identified(wire, contract, now_ms, depth)])
            case "books" | "books-l2-tbt" | "books50-l2-tbt":
                return BookChannel(arg, self._contract(arg), wire, _BOOKS[name])
            case _:
                return None

    def make_business(self, arg: Arg) -> Channel | None:
        """The channel of the business socket that an argument names: candles, all trades."""
        name = arg["channel"]
        if name == "trades-all":
            return TradesChannel(arg, self._contract(arg), self._wire)
        kind = next((kind for kind in reversed(_CANDLES) if name.startswith(kind)), None)
        if kind is None:
            return None
        suffix = "-SWAP" if kind == "index-candle" else ""
        contract = self._listing.get(f"{arg.get('instId', '')}{suffix}")
        return CandleChannel(arg, self._exchange, contract, name.removeprefix(kind), priced=kind != "candle")

    def _of_contract(
        self, arg: Arg, row: Callable[[Contract, int], Json], *, every_ms: int | None = None
    ) -> MarketChannel:
        contract = self._contract(arg)
        return MarketChannel(arg, lambda now_ms: [row(contract, now_ms)], every_ms=every_ms)

    def _contract(self, arg: Arg) -> Contract:
        return self._listing.get(arg.get("instId", ""))

    def _instruments(self, arg: Arg) -> list[Json]:
        if arg.get("instType") != "SWAP":
            raise OkxError(51015)
        anchor_ms = self._exchange.market.anchor_ms
        return [instrument_json(contract, anchor_ms=anchor_ms) for contract in self._listing.all()]


def _timeless(rows: list[Any]) -> list[Any]:
    """The rows without the time of their push."""
    return [{name: value for name, value in row.items() if name not in ("ts", "seqId")} for row in rows]


def _identified(wire: MarketWire, contract: Contract, now_ms: int, depth: int) -> Json:
    return {**wire.book(contract, now_ms, depth), "instId": contract.inst_id}


def _changes(before: Any, after: Any) -> list[list[str]]:
    """Rows that are new or have another size, and with size 0 those that are gone."""
    known = {row[0]: row for row in before}
    left = {row[0] for row in after}
    gone = [[price, "0", "0", "0"] for price in known if price not in left]
    return [row for row in after if known.get(row[0]) != row] + gone
