"""How OKX lists the simulated markets: swaps counted in contracts.

Coins = sz x ctVal x ctMult. A market's lot is its step times `lot_steps`: a changed step shows here too.
Contract values are OKX's own (`GET /api/v5/public/instruments`); there is no minimum notional value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from paper_exchange.instruments import Instrument
from paper_exchange.market import HISTORY_MS
from paper_exchange.okx_errors import OkxError

INST_TYPE = "SWAP"
Json = dict[str, object]

# market: (contract value in coins, lot in steps of the market)
_CONTRACTS: dict[str, tuple[Decimal, Decimal]] = {
    "BTCUSDT": (Decimal("0.01"), Decimal("0.1")),
    "ETHUSDT": (Decimal("0.1"), Decimal(1)),
    "BNBUSDT": (Decimal("0.01"), Decimal(1)),
    "SOLUSDT": (Decimal(1), Decimal(1)),
    "XRPUSDT": (Decimal(100), Decimal(10)),
    "ADAUSDT": (Decimal(100), Decimal(10)),
    "DOGEUSDT": (Decimal(1000), Decimal(10)),
    "LINKUSDT": (Decimal(1), Decimal(10)),
    "AVAXUSDT": (Decimal(1), Decimal(1)),
    "LTCUSDT": (Decimal(1), Decimal(100)),
    "SUIUSDT": (Decimal(1), Decimal(10)),
}
_STATES = {"TRADING": "live", "SETTLING": "suspend", "CLOSE": "suspend"}
_MAX_USD = "20000000"
_FINE = 16  # OKX knows lots and ticks only, no precision besides


@dataclass(frozen=True, slots=True)
class Contract:
    """One swap: its market under OKX's terms, and the coins of one contract."""

    market: Instrument
    value: Decimal

    @property
    def inst_id(self) -> str:
        return f"{self.family}-{INST_TYPE}"

    @property
    def family(self) -> str:
        return f"{self.market.base}-{self.market.quote}"

    @property
    def lot(self) -> Decimal:
        """The smallest step of a size, in contracts."""
        return self.market.step / self.value

    def contracts(self, coins: Decimal) -> Decimal:
        return coins / self.value

    def coins(self, contracts: Decimal) -> Decimal:
        return contracts * self.value


# What was made of which market last, since every order and every row asks for it.
_MADE: dict[str, tuple[Instrument, Contract]] = {}


def terms(instrument: Instrument) -> Instrument:
    """A market as OKX trades it."""
    return contract_of(instrument).market if instrument.symbol in _CONTRACTS else instrument


def contract_of(instrument: Instrument) -> Contract:
    """The swap on this market, which must be one that OKX lists."""
    source, made = _MADE.get(instrument.symbol, (None, None))
    if made is None or source is not instrument:
        made = _made(instrument)
        _MADE[instrument.symbol] = (instrument, made)
    return made


def _made(instrument: Instrument) -> Contract:
    value, lot_steps = _CONTRACTS[instrument.symbol]
    lot = instrument.step * lot_steps
    market = replace(
        instrument,
        step=lot,
        min_quantity=lot,
        min_notional=Decimal(0),
        quantity_precision=_FINE,
        price_precision=_FINE,
    )
    return Contract(market, value)


class Listing:
    """The swaps that are listed, by their names."""

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._instruments = instruments

    def all(self) -> list[Contract]:
        return [
            contract_of(self._instruments[symbol]) for symbol in self._instruments if symbol in _CONTRACTS
        ]

    def find(self, inst_id: str) -> Contract | None:
        symbol = symbol_of(inst_id)
        return contract_of(self._instruments[symbol]) if symbol in _CONTRACTS else None

    def get(self, inst_id: str) -> Contract:
        """Raises `OkxError` 51001 for a name that is not listed."""
        contract = self.find(inst_id)
        if contract is None:
            raise OkxError(51001)
        return contract

    def of_symbol(self, symbol: str) -> Contract:
        """The swap on a market on which an OKX account has traded."""
        return contract_of(self._instruments[symbol])


def symbol_of(inst_id: str) -> str:
    """The market of a swap: BTC-USDT-SWAP -> BTCUSDT; empty for a name of another shape."""
    parts = inst_id.split("-")
    return parts[0] + parts[1] if len(parts) == 3 and parts[2] == INST_TYPE else ""


def inst_id_code(contract: Contract) -> int:
    """The number that stands for the name in WebSocket orders."""
    return 10_000 + list(_CONTRACTS).index(contract.market.symbol)


def instrument_json(contract: Contract, *, anchor_ms: int) -> Json:
    """A row of `GET /api/v5/public/instruments`."""
    market = contract.market
    largest = number(contract.contracts(market.max_quantity))
    largest_market = number(contract.contracts(market.max_market_quantity))
    return {
        "alias": "",
        "auctionEndTime": "",
        "baseCcy": "",
        "category": "1",
        "contTdSwTime": str(anchor_ms - HISTORY_MS),
        "ctMult": "1",
        "ctType": "linear",
        "ctVal": number(contract.value),
        "ctValCcy": market.base,
        "expTime": "",
        "futureSettlement": False,
        "groupId": "2",
        "instFamily": contract.family,
        "instId": contract.inst_id,
        "instIdCode": inst_id_code(contract),
        "instType": INST_TYPE,
        "lever": str(market.max_leverage),
        "listTime": str(anchor_ms - HISTORY_MS),
        "lotSz": number(contract.lot),
        "maxIcebergSz": largest,
        "maxLmtAmt": _MAX_USD,
        "maxLmtSz": largest,
        "maxMktAmt": "",
        "maxMktSz": largest_market,
        "maxStopSz": largest_market,
        "maxTriggerSz": largest,
        "maxTwapSz": largest,
        "minSz": number(contract.contracts(market.min_quantity)),
        "openType": "",
        "optType": "",
        "posLmtAmt": "",
        "posLmtPct": "",
        "preMktSwTime": "",
        "quoteCcy": "",
        "ruleType": "normal",
        "settleCcy": market.quote,
        "state": _STATES[market.status],
        "stk": "",
        "tickSz": number(market.tick),
        "tradeQuoteCcyList": [],
        "uly": contract.family,
    }


def number(value: Decimal, places: int = 16) -> str:
    """Plain notation, no trailing zeros: how OKX writes every number."""
    text = f"{round(value, places):f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text
