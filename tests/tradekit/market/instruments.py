"""Markets with the rules of real ones."""

from decimal import Decimal

from tradekit.market.instrument import Instrument

BTC = Instrument(
    symbol="BTCUSDT",
    tick_size=Decimal("0.10"),
    lot_size=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(120),
    min_notional=Decimal(100),
    trading=True,
)
PEPE = Instrument(
    symbol="1000PEPEUSDT",
    tick_size=Decimal("0.0000001"),
    lot_size=Decimal(1),
    min_quantity=Decimal(1),
    max_quantity=Decimal(100_000_000),
    min_notional=Decimal(5),
    trading=True,
)
