"""What OKX tells everybody about its linear swaps, and how every request to OKX is worded."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from execution_service.exchanges import errors
from execution_service.exchanges import okx_answers as answers
from execution_service.exchanges.http import Answer, Host
from execution_service.exchanges.okx_contracts import (
    SWAP,
    Contract,
    contract,
    inst_id_of,
    instrument,
    symbol_of,
)
from execution_service.exchanges.reading import decimal, instant, milliseconds, printable, read
from execution_service.exchanges.requests import Parameters, ask_public
from execution_service.exchanges.types import FundingRate, LeverageBracket, MarginMode
from tradekit.market.instrument import Instrument
from tradekit.market.timeframe import Timeframe
from tradekit.market.volatility import Candle

log = logging.getLogger(__name__)

T = TypeVar("T")

LATEST_CANDLES_PER_PAGE, CANDLES_PER_PAGE = 300, 100

# Bars that OKX offers, longest first; those of six hours and more open at midnight UTC by their names only.
_BARS = tuple(
    (name, timedelta(minutes=minutes))
    for name, minutes in (
        ("1Wutc", 10_080), ("3Dutc", 4_320), ("1Dutc", 1_440), ("12Hutc", 720), ("6Hutc", 360), ("4H", 240),
        ("2H", 120), ("1H", 60), ("30m", 30), ("15m", 15), ("5m", 5), ("3m", 3), ("1m", 1),
    )
)  # fmt: skip


class OKXWords:
    """What every request to OKX has."""

    def checked(self, answer: Answer, host: Host) -> answers.Rows:
        """The rows of a good answer."""
        return answers.checked(answer, host)

    def stamp(self, host: Host) -> Parameters:
        """When it is asked."""
        return {"timestamp": str(milliseconds(host.exchange_time()))}

    async def refresh_clock(self, host: Host) -> None:
        """Asks for the server's time; the answer is taken to be half a round trip old."""
        before = host.now()
        served = await ask_public(self, host, "/api/v5/public/time", {}, lambda rows: instant(rows[0]["ts"]))
        after = host.now()
        host.clock_offset = served - (before + (after - before) / 2)


class OKXMarket:
    """What OKX tells everybody about its linear swaps."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._words = OKXWords()
        self._contracts: Mapping[str, Contract] = {}

    def exchange_time(self) -> datetime:
        """OKX's clock as well as we know it."""
        return self._host.exchange_time()

    async def refresh_clock(self) -> None:
        """Asks for the server's time."""
        await self._words.refresh_clock(self._host)

    async def instruments(self) -> dict[str, Instrument]:
        """The trading rules of all linear swaps; what contracts are worth is remembered with them."""
        rows = await self._get("/api/v5/public/instruments", {"instType": SWAP}, list)
        known = dict(filter(None, map(_listed, rows)))
        self._contracts = {symbol: contract for symbol, (contract, _) in known.items()}
        return {symbol: rules for symbol, (_, rules) in known.items()}

    async def contract(self, symbol: str) -> Contract:
        """What a contract of this market is.

        Raises:
            Refused: OKX has no such market.
        """
        if symbol not in self._contracts:
            await self.instruments()
        if symbol not in self._contracts:
            raise errors.Refused(f"OKX has no market {symbol}.", reason="UNKNOWN_SYMBOL")
        return self._contracts[symbol]

    async def contracts(self, inst_ids: set[str]) -> Mapping[str, Contract]:
        """By OKX's names; what we do not trade is left out."""
        symbols = {inst_id: symbol_of(inst_id) for inst_id in inst_ids}
        if any(symbol not in self._contracts for symbol in symbols.values() if symbol):
            await self.instruments()
        return {
            inst_id: self._contracts[symbol]
            for inst_id, symbol in symbols.items()
            if symbol in self._contracts and symbol is not None
        }

    async def last_prices(self) -> dict[str, Decimal]:
        """The price of the last trade of every swap."""
        rows = await self._get(
            "/api/v5/market/tickers",
            {"instType": SWAP},
            lambda rows: [(symbol_of(row["instId"]), row["last"]) for row in rows],
        )
        return {symbol: decimal(last) for symbol, last in rows if symbol is not None and last}

    async def candles(self, symbol: str, timeframe: Timeframe, count: int) -> Sequence[Candle]:
        """Closed candles, oldest first; OKX tells the newest first, and which one is unfinished."""
        rows: list[Any] = []
        page = rows
        while len(rows) <= count:
            limit = min(count + 1 - len(rows), LATEST_CANDLES_PER_PAGE)
            page = await self._candle_rows("candles", symbol, timeframe, limit, _older_than(rows))
            rows += page
            if len(page) < limit:
                break
        return _closed(rows)[-count:]

    async def candles_between(
        self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime
    ) -> Sequence[Candle]:
        """Closed candles of a span, page by page from its end."""
        rows: list[Any] = []
        after = {"after": str(milliseconds(end))}
        while True:
            page = await self._candle_rows("history-candles", symbol, timeframe, CANDLES_PER_PAGE, after)
            rows += page
            if not page or instant(page[-1][0]) <= start:
                return [candle for candle in _closed(rows) if candle.open_time >= start]
            after = _older_than(rows)

    async def mark_price(self, symbol: str) -> Decimal:
        """The mark price."""
        return await self._get(
            "/api/v5/public/mark-price",
            {"instType": SWAP, "instId": inst_id_of(symbol)},
            lambda rows: decimal(rows[0]["markPx"]),
        )

    async def funding_rate(self, symbol: str) -> FundingRate:
        """The next payment."""
        return await self._get(
            "/api/v5/public/funding-rate", {"instId": inst_id_of(symbol)}, answers.funding_rate
        )

    async def position_tiers(self, contract: Contract, mode: MarginMode) -> Sequence[LeverageBracket]:
        """What positions of each size are allowed."""
        mark_price = await self.mark_price(_symbol(contract))
        parameters = {"instType": SWAP, "tdMode": mode.value, "instFamily": contract.family}
        return await self._get(
            "/api/v5/public/position-tiers", parameters, answers.brackets(contract, mark_price)
        )

    async def _candle_rows(
        self, kind: str, symbol: str, timeframe: Timeframe, limit: int, older: Parameters
    ) -> list[Any]:
        bar = next((name for name, span in _BARS if span <= timeframe.duration), _BARS[-1][0])
        parameters = {"instId": inst_id_of(symbol), "bar": bar, "limit": str(limit)}
        return await self._get(f"/api/v5/market/{kind}", parameters | older, list)

    async def _get(self, path: str, parameters: Parameters, read: Callable[[Any], T]) -> T:
        return await ask_public(self._words, self._host, path, parameters, read)


def _older_than(rows: Sequence[Any]) -> Parameters:
    """Asks for candles before the oldest of these."""
    return {"after": str(rows[-1][0])} if rows else {}


def _closed(rows: Sequence[Any]) -> list[Candle]:
    """The final ones of rows that are newest first."""
    try:
        return read(
            lambda rows: [answers.candle(row) for row in reversed(rows) if answers.is_closed(row)], rows
        )
    except errors.OutcomeUnknown as error:
        raise errors.Unreachable(error.message) from error


def _listed(row: Any) -> tuple[str, tuple[Contract, Instrument]] | None:
    """A linear swap's symbol, contract and rules; None for others, and for what cannot be read."""
    if not isinstance(row, dict) or row.get("ctType") != "linear" or not symbol_of(str(row.get("instId"))):
        return None
    try:
        listed = read(contract, row)
        rules = read(lambda row: instrument(row, listed), row)
    except errors.OutcomeUnknown:
        # It is not traded: nobody knows by which rules.
        log.warning("instrument.unreadable", extra={"symbol": printable(row.get("instId"))})
        return None
    return rules.symbol, (listed, rules)


def _symbol(contract: Contract) -> str:
    symbol = symbol_of(contract.inst_id)
    assert symbol is not None  # only such contracts are remembered
    return symbol
