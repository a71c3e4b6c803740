"""How OKX writes what everybody may see: tickers, prices, funding, book and trades; for REST and streams."""

from decimal import Decimal

from paper_exchange.depth import Depth, Level
from paper_exchange.exchange import Exchange
from paper_exchange.market import FUNDING_INTERVAL_MS
from paper_exchange.okx_contracts import INST_TYPE, Contract, Json, number
from paper_exchange.orders import Side

_FUNDING_CAP = "0.00375"


class MarketWire:
    """Writes rows about one contract."""

    def __init__(self, exchange: Exchange) -> None:
        self._market = exchange.market
        self._depth = Depth(exchange.market)

    def ticker(self, contract: Contract, now_ms: int) -> Json:
        """A row of `GET /api/v5/market/ticker`; volumes in contracts and in coins."""
        day = self._depth.day(contract.market, now_ms)
        trade = self._depth.trade(contract.market, now_ms // 1000)
        bid, ask = (next(iter(self.levels(contract, side, now_ms, 1))) for side in (Side.BUY, Side.SELL))
        return {
            "instType": INST_TYPE,
            "instId": contract.inst_id,
            "last": number(day.last),
            "lastSz": self._size(contract, trade.size),
            "askPx": number(ask.price),
            "askSz": self._size(contract, ask.size),
            "bidPx": number(bid.price),
            "bidSz": self._size(contract, bid.size),
            "open24h": number(day.open),
            "high24h": number(day.high),
            "low24h": number(day.low),
            "vol24h": self._size(contract, day.volume),
            "volCcy24h": number(day.volume),
            "sodUtc0": number(day.open),
            "sodUtc8": number(day.open),
            "ts": str(now_ms),
        }

    def mark_price(self, contract: Contract, now_ms: int) -> Json:
        mark = self._market.quote(contract.market.symbol, now_ms).mark
        return {
            "instType": INST_TYPE,
            "instId": contract.inst_id,
            "markPx": number(mark),
            "ts": str(now_ms),
        }

    def index_ticker(self, contract: Contract, now_ms: int) -> Json:
        index = self._market.quote(contract.market.symbol, now_ms).index
        day = self._depth.day(contract.market, now_ms)
        return {
            "instId": contract.family,
            "idxPx": number(index),
            "high24h": number(day.high),
            "low24h": number(day.low),
            "open24h": number(day.open),
            "sodUtc0": number(day.open),
            "sodUtc8": number(day.open),
            "ts": str(now_ms),
        }

    def price_limit(self, contract: Contract, now_ms: int) -> Json:
        """The highest price to buy at and the lowest to sell at."""
        market = contract.market
        mark = self._market.quote(market.symbol, now_ms).mark
        return {
            "instType": INST_TYPE,
            "instId": contract.inst_id,
            "buyLmt": number(mark * market.price_cap // market.tick * market.tick),
            "sellLmt": number(-(-mark * market.price_floor // market.tick) * market.tick),
            "enabled": True,
            "ts": str(now_ms),
        }

    def funding_rate(self, contract: Contract, now_ms: int) -> Json:
        """The rate that will be paid at `fundingTime`, the next settlement."""
        symbol = contract.market.symbol
        next_ms = self._market.next_funding_ms(now_ms)
        settled_ms = next_ms - FUNDING_INTERVAL_MS
        return {
            "instType": INST_TYPE,
            "instId": contract.inst_id,
            "method": "current_period",
            "formulaType": "withRate",
            "fundingRate": number(self._market.funding_rate(symbol, now_ms)),
            "fundingTime": str(next_ms),
            "nextFundingRate": "",
            "nextFundingTime": str(next_ms + FUNDING_INTERVAL_MS),
            "minFundingRate": f"-{_FUNDING_CAP}",
            "maxFundingRate": _FUNDING_CAP,
            "interestRate": "0.0001",
            "impactValue": "20000",
            "premium": "0",
            "prevFundingTime": str(settled_ms),
            "settFundingRate": number(self._market.funding_rate(symbol, settled_ms - 1)),
            "settState": "settled",
            "ts": str(now_ms),
        }

    def settled_funding(self, contract: Contract, settled_ms: int) -> Json:
        """A row of the funding history: what was paid at this time."""
        rate = number(self._market.funding_rate(contract.market.symbol, settled_ms - 1))
        return {
            "instType": INST_TYPE,
            "instId": contract.inst_id,
            "method": "current_period",
            "formulaType": "withRate",
            "fundingRate": rate,
            "realizedRate": rate,
            "fundingTime": str(settled_ms),
        }

    def levels(self, contract: Contract, side: Side, now_ms: int, count: int) -> list[Level]:
        return list(self._depth.levels(contract.market, side, now_ms, count))

    def book(self, contract: Contract, now_ms: int, count: int) -> Json:
        """Rows of price, size in contracts, "0", number of orders; best first."""
        asks, bids = (
            [self._level(contract, level) for level in self.levels(contract, side, now_ms, count)]
            for side in (Side.SELL, Side.BUY)
        )
        return {"asks": asks, "bids": bids, "ts": str(now_ms), "seqId": now_ms}

    def _level(self, contract: Contract, level: Level) -> list[str]:
        return [number(level.price), self._size(contract, level.size), "0", "1"]

    def trade(self, contract: Contract, second: int) -> Json:
        trade = self._depth.trade(contract.market, second)
        return {
            "instId": contract.inst_id,
            "tradeId": str(trade.number),
            "px": number(trade.price),
            "sz": self._size(contract, trade.size),
            "side": "sell" if trade.buyer_is_maker else "buy",
            "source": "0",
            "ts": str(trade.time_ms),
        }

    def _size(self, contract: Contract, coins: Decimal) -> str:
        """Contracts on the lot, at least one lot."""
        lot = contract.market.step
        return number(contract.contracts(max(coins // lot * lot, lot)))
