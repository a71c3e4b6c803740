"""The contracts that are listed: filters, margin brackets, and how each market usually behaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Bracket:
    """Margin terms of a range of notional value.

    maintenance margin = notional x `maintenance_ratio` - `cum`, for `floor` < notional <= `cap` (quote coin).
    """

    number: int
    max_leverage: int
    cap: Decimal
    floor: Decimal
    maintenance_ratio: Decimal
    cum: Decimal


@dataclass(frozen=True, slots=True)
class Instrument:
    """A linear perpetual contract.

    `tick`, `step`: grids of price and quantity. `price_cap`/`price_floor`: a limit price may be at most /
    at least mark price times this. `trigger_protect`: largest gap of mark and last price at which a
    protected conditional order triggers. `typical_price`, `annual_volatility` and `hourly_volume` (base
    coin) shape the simulated market.
    """

    symbol: str
    base: str
    quote: str
    tick: Decimal
    step: Decimal
    max_price: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    max_market_quantity: Decimal
    min_notional: Decimal
    price_precision: int
    quantity_precision: int
    price_cap: Decimal
    price_floor: Decimal
    trigger_protect: Decimal
    liquidation_fee: Decimal
    brackets: tuple[Bracket, ...]
    typical_price: float
    annual_volatility: float
    hourly_volume: float
    status: str = "TRADING"

    def bracket(self, notional: Decimal) -> Bracket:
        """The bracket of a position of this notional value; the last one above all caps."""
        for bracket in self.brackets:
            if notional <= bracket.cap:
                return bracket
        return self.brackets[-1]

    def max_notional(self, leverage: int) -> Decimal:
        """The largest position at this leverage; zero when the leverage is not offered."""
        caps = [bracket.cap for bracket in self.brackets if bracket.max_leverage >= leverage]
        return max(caps, default=Decimal(0))

    @property
    def max_leverage(self) -> int:
        return self.brackets[0].max_leverage


def market_symbol(name: str) -> str:
    """The market that a name of either protocol means: BTCUSDT, or BTC-USDT-SWAP for the same."""
    return name.removesuffix("-SWAP").replace("-", "")


def brackets_of(table: Sequence[tuple[int, int, str]]) -> tuple[Bracket, ...]:
    """Builds brackets from (max leverage, cap, maintenance ratio) rows, smallest cap first.

    `cum` makes the maintenance margin continuous: cum_n = cum_(n-1) + cap_(n-1) x (ratio_n - ratio_(n-1)).
    """
    leverage, cap, ratio = table[0]
    built = [Bracket(1, leverage, Decimal(cap), Decimal(0), Decimal(ratio), Decimal(0))]
    for (_, floor, previous_ratio), (leverage, cap, ratio) in pairwise(table):
        cum = built[-1].cum + floor * (Decimal(ratio) - Decimal(previous_ratio))
        built.append(
            Bracket(len(built) + 1, leverage, Decimal(cap), Decimal(floor), Decimal(ratio), cum.normalize())
        )
    return tuple(built)


_LARGE = brackets_of(
    [
        (125, 300_000, "0.004"),
        (100, 800_000, "0.005"),
        (75, 3_000_000, "0.0065"),
        (50, 12_000_000, "0.01"),
        (25, 70_000_000, "0.02"),
        (20, 100_000_000, "0.025"),
        (10, 230_000_000, "0.05"),
        (5, 480_000_000, "0.1"),
        (4, 600_000_000, "0.125"),
        (3, 800_000_000, "0.15"),
        (2, 1_200_000_000, "0.25"),
        (1, 1_800_000_000, "0.5"),
    ]
)
_MEDIUM = brackets_of(
    [
        (100, 50_000, "0.005"),
        (75, 150_000, "0.0065"),
        (50, 750_000, "0.01"),
        (25, 5_000_000, "0.02"),
        (20, 10_000_000, "0.025"),
        (10, 40_000_000, "0.05"),
        (5, 100_000_000, "0.1"),
        (4, 130_000_000, "0.125"),
        (2, 200_000_000, "0.25"),
        (1, 300_000_000, "0.5"),
    ]
)
_SMALL = brackets_of(
    [
        (75, 10_000, "0.01"),
        (50, 100_000, "0.015"),
        (25, 750_000, "0.02"),
        (20, 1_500_000, "0.025"),
        (10, 6_000_000, "0.05"),
        (5, 15_000_000, "0.1"),
        (2, 25_000_000, "0.25"),
        (1, 40_000_000, "0.5"),
    ]
)

# (symbol, tick, step, min notional, max quantity, max market quantity, price precision, quantity precision,
#  brackets, typical price, annual volatility, base coins traded per hour)
_TABLE: list[
    tuple[str, str, str, str, str, str, int, int, tuple[Bracket, ...], float, float, float]
] = [
    ("BTCUSDT", "0.10", "0.001", "100", "1000", "120", 2, 3, _LARGE, 96_000, 0.50, 9_000),
    ("ETHUSDT", "0.01", "0.001", "20", "10000", "2000", 2, 3, _LARGE, 3_400, 0.65, 180_000),
    ("BNBUSDT", "0.010", "0.01", "5", "100000", "2000", 3, 2, _MEDIUM, 880, 0.60, 22_000),
    ("SOLUSDT", "0.0100", "0.01", "5", "1000000", "5000", 4, 2, _MEDIUM, 190, 0.85, 650_000),
    ("XRPUSDT", "0.0001", "0.1", "5", "10000000", "2000000", 4, 1, _MEDIUM, 2.40, 0.85, 28_000_000),
    ("ADAUSDT", "0.00010", "1", "5", "10000000", "1000000", 5, 0, _MEDIUM, 0.72, 0.90, 14_000_000),
    ("DOGEUSDT", "0.000010", "1", "5", "50000000", "30000000", 6, 0, _MEDIUM, 0.195, 0.95, 160_000_000),
    ("LINKUSDT", "0.001", "0.01", "20", "200000", "100000", 3, 2, _MEDIUM, 17.5, 0.90, 450_000),
    ("AVAXUSDT", "0.0010", "1", "5", "300000", "100000", 4, 0, _MEDIUM, 24.0, 0.95, 320_000),
    ("LTCUSDT", "0.01", "0.001", "20", "10000", "3000", 2, 3, _MEDIUM, 92.0, 0.80, 60_000),
    ("SUIUSDT", "0.000100", "0.1", "5", "3000000", "500000", 6, 1, _SMALL, 2.60, 1.05, 9_000_000),
    ("1000PEPEUSDT", "0.0000001", "1", "5", "500000000", "100000000", 7, 0, _SMALL, 0.0072, 1.2, 900_000_000),
]  # fmt: skip

LISTED: dict[str, Instrument] = {
    symbol: Instrument(
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        quote="USDT",
        tick=Decimal(tick),
        step=Decimal(step),
        max_price=(Decimal(tick) * Decimal(10) ** 7).quantize(Decimal(tick)),
        min_quantity=Decimal(step),
        max_quantity=Decimal(max_quantity),
        max_market_quantity=Decimal(max_market),
        min_notional=Decimal(notional),
        price_precision=price_precision,
        quantity_precision=quantity_precision,
        price_cap=Decimal("1.05"),
        price_floor=Decimal("0.95"),
        trigger_protect=Decimal("0.05"),
        liquidation_fee=Decimal("0.0125"),
        brackets=brackets,
        typical_price=price,
        annual_volatility=volatility,
        hourly_volume=volume,
    )
    for (
        symbol, tick, step, notional, max_quantity, max_market, price_precision, quantity_precision,
        brackets, price, volatility, volume,
    ) in _TABLE
}  # fmt: skip
