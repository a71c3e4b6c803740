"""OKX counts in contracts; everybody else here counts in the base currency. The two meet in this file only.

Base currency = contracts x ctVal x ctMult (OKX API guide, "Get instruments"). The arithmetic is exact: a
quantity that is no whole number of lots is refused, never rounded.
"""

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from execution_service.exchanges.errors import RulesChanged
from execution_service.exchanges.reading import decimal, positive
from tradekit.market.instrument import Instrument
from tradekit.market.symbol import SymbolMalformed, SymbolUnknown, parse_market

SWAP = "SWAP"
# Digits for whatever the wire carries.
_EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Contract:
    """What one contract of a linear swap is.

    Attributes:
        inst_id: OKX's name, for example "BTC-USDT-SWAP".
        value: Base currency of one contract, > 0.
        lot: Step of sizes, in contracts.
        max_leverage: The highest multiplier.
    """

    inst_id: str
    value: Decimal
    lot: Decimal
    max_leverage: int

    @property
    def family(self) -> str:
        """For example "BTC-USDT"."""
        return self.inst_id.removesuffix(f"-{SWAP}")

    def quantity(self, contracts: Decimal) -> Decimal:
        """Contracts as base currency."""
        return _EXACT.multiply(contracts, self.value)

    def contracts(self, quantity: Decimal) -> Decimal:
        """Base currency as contracts.

        Raises:
            RulesChanged: It is no whole number of lots: what it was rounded by is not in force any more.
        """
        lot = self.quantity(self.lot)
        lots = _EXACT.divide(quantity, lot).to_integral_value()
        if _EXACT.multiply(lots, lot) != quantity:
            raise RulesChanged("The order does not fit the market's rules: it is no whole number of lots.")
        return _EXACT.multiply(lots, self.lot)


def inst_id_of(symbol: str) -> str:
    """OKX's name of a market: "BTCUSDT" -> "BTC-USDT-SWAP".

    Raises:
        SymbolMalformed, SymbolUnknown: It is no symbol of ours.
    """
    market = parse_market(symbol)
    return f"{market.base}-{market.quote}-{SWAP}"


def symbol_of(inst_id: str) -> str | None:
    """Our name of a swap: "BTC-USDT-SWAP" -> "BTCUSDT"; None for one that we do not trade."""
    try:
        return parse_market(inst_id).symbol if inst_id.endswith(f"-{SWAP}") else None
    except (SymbolMalformed, SymbolUnknown):
        return None


def contract(row: dict[str, Any]) -> Contract:
    """What a contract is, from a row of `GET /api/v5/public/instruments`."""
    value = _EXACT.multiply(decimal(row["ctVal"]), positive(row.get("ctMult")) or Decimal(1))
    lot = decimal(row["lotSz"])
    if value <= 0 or lot <= 0:
        raise ValueError("a contract of nothing")
    return Contract(row["instId"], value, lot, int(decimal(row["lever"])))


def instrument(row: dict[str, Any], contract: Contract) -> Instrument:
    """The market's rules in the base currency. OKX has no smallest value of an order."""
    symbol = symbol_of(contract.inst_id)
    if symbol is None:
        raise ValueError("a swap that we do not trade")
    return Instrument(
        symbol=symbol,
        tick_size=decimal(row["tickSz"]),
        lot_size=contract.quantity(contract.lot),
        min_quantity=contract.quantity(decimal(row["minSz"])),
        max_quantity=contract.quantity(min(decimal(row["maxMktSz"]), decimal(row["maxLmtSz"]))),
        min_notional=Decimal(0),
        trading=row["state"] == "live",
    )
