"""OKX's public endpoints: time, contracts, prices, funding, tiers, tickers, book, trades."""

from decimal import Decimal

from paper_exchange.exchange import Exchange
from paper_exchange.market import FUNDING_INTERVAL_MS
from paper_exchange.okx_contracts import INST_TYPE, Contract, Json, Listing, instrument_json, number
from paper_exchange.okx_errors import OkxError, wrong
from paper_exchange.okx_market_wire import MarketWire
from paper_exchange.okx_request import OkxRequest, Routes, public
from paper_exchange.orders import ZERO

_INST_TYPES = ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION", "EVENTS")
_MAX_BOOK = 400


class OkxPublic:
    """Answers what everybody may ask."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._market = exchange.market
        self._listing = listing
        self._wire = MarketWire(exchange)

    def routes(self) -> Routes:
        general, market = "/api/v5/public", "/api/v5/market"
        return {
            **public(f"{general}/time", self._time, 10),
            **public(f"{general}/instruments", self._instruments, 20),
            **public(f"{general}/mark-price", self._mark_price, 10),
            **public(f"{general}/funding-rate", self._funding_rate, 20),
            **public(f"{general}/funding-rate-history", self._funding_history, 10),
            **public(f"{general}/position-tiers", self.position_tiers, 10),
            **public(f"{general}/price-limit", self._price_limit, 20),
            **public(f"{general}/open-interest", self._open_interest, 20),
            **public(f"{general}/underlying", self._underlyings, 20),
            **public(f"{general}/convert-contract-coin", self._convert, 10),
            **public("/api/v5/system/status", lambda request: [], 1),
            **public(f"{market}/ticker", self._ticker, 20),
            **public(f"{market}/tickers", self._tickers, 20),
            **public(f"{market}/index-tickers", self._index_tickers, 20),
            **public(f"{market}/books", self._book, 40),
            **public(f"{market}/books-full", self._book, 10),
            **public(f"{market}/trades", self._trades, 100),
            **public(f"{market}/history-trades", self._trades, 20),
        }

    def _time(self, request: OkxRequest) -> list[Json]:
        return [{"ts": str(request.shown_ms)}]

    def _instruments(self, request: OkxRequest) -> list[Json]:
        return instruments(self._exchange, self._listing, request)

    def _mark_price(self, request: OkxRequest) -> list[Json]:
        """Documented with `instType`; ccxt's `fetch_mark_price` names the instrument alone."""
        if request.fields.optional("instId") is None:
            _inst_type(request)
        return [self._wire.mark_price(contract, request.now_ms) for contract in self._chosen(request)]

    def _funding_rate(self, request: OkxRequest) -> list[Json]:
        inst_id = request.fields.text("instId")
        chosen = self._listing.all() if inst_id == "ANY" else [self._listing.get(inst_id)]
        return [self._wire.funding_rate(contract, request.now_ms) for contract in chosen]

    def _funding_history(self, request: OkxRequest) -> list[Json]:
        """The newest first; `before`: later than, `after`: earlier than this time."""
        contract = self._contract(request)
        after, before = request.fields.integer("after"), request.fields.integer("before")
        latest = request.now_ms // FUNDING_INTERVAL_MS * FUNDING_INTERVAL_MS
        if after is not None:
            latest = min(latest, (after - 1) // FUNDING_INTERVAL_MS * FUNDING_INTERVAL_MS)
        earliest = max(self._market.history_begins_ms(contract.market.symbol), (before or 0) + 1)
        moments = range(latest, earliest - 1, -FUNDING_INTERVAL_MS)
        limit = request.fields.limit(maximum=400)
        return [self._wire.settled_funding(contract, moment) for moment in moments[:limit]]

    def position_tiers(self, request: OkxRequest) -> list[Json]:
        """The brackets of a family, their bounds in contracts at today's mark price."""
        if _inst_type(request) != INST_TYPE:
            return []
        if request.fields.choice("tdMode", ("cross", "isolated")) is None:
            raise wrong("tdMode")
        families = request.fields.names("instFamily") or request.fields.names("uly") or []
        if not families:
            raise OkxError(50015, param="uly or instFamily")
        return [row for name in families for row in self._tiers(name, request.now_ms)]

    def _tiers(self, family: str, now_ms: int) -> list[Json]:
        contract = self._listing.get(f"{family}-{INST_TYPE}")
        mark = self._market.quote(contract.market.symbol, now_ms).mark
        return [
            {
                "baseMaxLoan": "",
                "imr": number(1 / Decimal(bracket.max_leverage), 8),
                "instFamily": family,
                "instId": "",
                "maxLever": str(bracket.max_leverage),
                "maxSz": number(contract.contracts(bracket.cap / mark), 0),
                "minSz": number(contract.contracts(bracket.floor / mark), 0),
                "mmr": number(bracket.maintenance_ratio),
                "optMgnFactor": "0",
                "quoteMaxLoan": "",
                "tier": str(bracket.number),
                "uly": family,
            }
            for bracket in contract.market.brackets
        ]

    def _price_limit(self, request: OkxRequest) -> list[Json]:
        return [self._wire.price_limit(self._contract(request), request.now_ms)]

    def _open_interest(self, request: OkxRequest) -> list[Json]:
        """What all accounts of this exchange hold long."""
        return [self._interest(contract, request) for contract in self._chosen(request)]

    def _interest(self, contract: Contract, request: OkxRequest) -> Json:
        held = self._exchange.books.held(contract.market.symbol)
        long = sum((max(position.quantity, ZERO) for position in held), ZERO)
        mark = self._market.quote(contract.market.symbol, request.now_ms).mark
        return {
            "instType": INST_TYPE,
            "instId": contract.inst_id,
            "oi": number(contract.contracts(long)),
            "oiCcy": number(long),
            "oiUsd": number(long * mark, 2),
            "ts": str(request.now_ms),
        }

    def _underlyings(self, request: OkxRequest) -> list[list[str]]:
        listed = [contract.family for contract in self._listing.all()]
        return [listed if _inst_type(request) == INST_TYPE else []]

    def _convert(self, request: OkxRequest) -> list[Json]:
        """`type` 1 (default): coins into contracts, 2: contracts into coins."""
        contract, size = self._contract(request), request.fields.positive("sz")
        if size is None:
            raise wrong("sz")
        kind = request.fields.choice("type", ("1", "2")) or "1"
        converted = contract.contracts(size) if kind == "1" else contract.coins(size)
        return [
            {
                "instId": contract.inst_id,
                "px": request.fields.optional("px") or "",
                "sz": number(converted),
                "type": kind,
                "unit": request.fields.optional("unit") or "coin",
            }
        ]

    def _ticker(self, request: OkxRequest) -> list[Json]:
        return [self._wire.ticker(self._contract(request), request.now_ms)]

    def _tickers(self, request: OkxRequest) -> list[Json]:
        _inst_type(request)
        return [self._wire.ticker(contract, request.now_ms) for contract in self._chosen(request)]

    def _index_tickers(self, request: OkxRequest) -> list[Json]:
        name, quote = request.fields.optional("instId"), request.fields.optional("quoteCcy")
        if name is None and quote is None:
            raise OkxError(50015, param="instId or quoteCcy")
        return [
            self._wire.index_ticker(contract, request.now_ms)
            for contract in self._listing.all()
            if name in (None, contract.family) and quote in (None, contract.market.quote)
        ]

    def _book(self, request: OkxRequest) -> list[Json]:
        depth = request.fields.integer("sz") or 1
        return [self._wire.book(self._contract(request), request.now_ms, min(depth, _MAX_BOOK))]

    def _trades(self, request: OkxRequest) -> list[Json]:
        """The newest first."""
        contract, limit = self._contract(request), request.fields.limit(maximum=500)
        second = request.now_ms // 1000
        after = request.fields.integer("after")
        if after is not None:
            second = min(second, after - 1)
        return [self._wire.trade(contract, number) for number in range(second, second - limit, -1)]

    def _contract(self, request: OkxRequest) -> Contract:
        return self._listing.get(request.fields.text("instId"))

    def _chosen(self, request: OkxRequest) -> list[Contract]:
        return chosen(self._listing, request)


def chosen(listing: Listing, request: OkxRequest) -> list[Contract]:
    """The contracts that instType, instFamily, uly and instId leave."""
    if request.fields.optional("instType") not in (None, INST_TYPE):
        return []
    inst_id = request.fields.optional("instId")
    if inst_id is not None:
        return [listing.get(inst_id)]
    family = request.fields.optional("instFamily") or request.fields.optional("uly")
    return [contract for contract in listing.all() if family in (None, contract.family)]


def instruments(exchange: Exchange, listing: Listing, request: OkxRequest) -> list[Json]:
    """The rows of `/public/instruments` and `/account/instruments`; only swaps are listed."""
    _inst_type(request)
    anchor_ms = exchange.market.anchor_ms
    return [instrument_json(contract, anchor_ms=anchor_ms) for contract in chosen(listing, request)]


def _inst_type(request: OkxRequest) -> str:
    kind = request.fields.text("instType")
    if kind not in _INST_TYPES:
        raise wrong("instType")
    return kind
