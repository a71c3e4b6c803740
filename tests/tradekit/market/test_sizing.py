"""Sizes, stops and targets: numbers worked out by hand, and what must hold for all numbers."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.tradekit.market.instruments import BTC, PEPE
from tradekit.market.instrument import Instrument
from tradekit.market.sizing import (
    AboveMaxSize,
    BelowMinSize,
    Level,
    LevelKind,
    Side,
    Size,
    SizeType,
    StopOnWrongSide,
    Target,
    entry_quantity,
    smallest_quantity,
    split_targets,
    stop_price,
    target_price,
)

PRICE = Decimal(60_000)
ATR = Decimal(400)


def quantity_of(
    kind: SizeType,
    value: str,
    *,
    balance: str = "10000",
    price: Decimal = PRICE,
    stop_distance: str = "600",
    instrument: Instrument = BTC,
) -> Decimal:
    return entry_quantity(
        Size(kind, Decimal(value)),
        available_balance=Decimal(balance),
        price=price,
        stop_distance=Decimal(stop_distance),
        instrument=instrument,
    )


@pytest.mark.parametrize(
    ("kind", "value", "quantity"),
    [
        # 10 % of 10,000 is 1,000; at 60,000 that is 0.01666…
        (SizeType.PERCENT_BALANCE, "10", "0.016"),
        (SizeType.PERCENT_BALANCE, "100", "0.166"),
        # 1,250 / 60,000 = 0.020833…
        (SizeType.QUOTE, "1250", "0.020"),
        (SizeType.BASE, "0.0159", "0.015"),
        # 1 % of 10,000 is 100; a loss of 600 a unit makes 0.1666…
        (SizeType.RISK_PERCENT, "1", "0.166"),
    ],
)
def test_each_unit_of_a_size(kind: SizeType, value: str, quantity: str) -> None:
    assert quantity_of(kind, value) == Decimal(quantity)


def test_the_price_does_not_count_for_a_size_by_risk() -> None:
    assert quantity_of(SizeType.RISK_PERCENT, "1", price=Decimal(30_000)) == Decimal("0.166")


def test_the_stop_counts_only_for_a_size_by_risk() -> None:
    assert quantity_of(SizeType.QUOTE, "1250", stop_distance="1") == Decimal("0.020")


def test_B17_below_the_smallest_notional_says_the_minimum() -> None:
    # 100 / 60,000 = 0.001666…, on the lot 0.002.
    with pytest.raises(
        BelowMinSize, match=r"of 0\.0015 BTCUSDT .* minimum of 0\.002 \(minimum notional 100\)"
    ):
        quantity_of(SizeType.QUOTE, "90")


def test_F38_rounding_down_below_the_minimum_is_refused() -> None:
    with pytest.raises(BelowMinSize, match=r"minimum of 0\.002 "):
        quantity_of(SizeType.BASE, "0.0019")
    assert quantity_of(SizeType.BASE, "0.002") == Decimal("0.002")


def test_no_balance_is_below_the_minimum() -> None:
    with pytest.raises(BelowMinSize):
        quantity_of(SizeType.PERCENT_BALANCE, "10", balance="0")


def test_a_quantity_in_a_message_has_no_endless_digits() -> None:
    with pytest.raises(BelowMinSize, match=r"of 0\.000166666666666 BTCUSDT"):
        quantity_of(SizeType.PERCENT_BALANCE, "0.1")


def test_F38_above_the_maximum_says_the_maximum() -> None:
    with pytest.raises(AboveMaxSize, match="of 121 BTCUSDT is above the exchange's maximum of 120"):
        quantity_of(SizeType.BASE, "121")


def test_the_smallest_quantity_is_on_the_lot() -> None:
    assert smallest_quantity(BTC, PRICE) == Decimal("0.002")
    assert smallest_quantity(BTC, Decimal(200_000)) == Decimal("0.001")
    # 5 / 0.007 = 714.28…
    assert smallest_quantity(PEPE, Decimal("0.007")) == 715


prices = st.decimals(min_value="0.0001", max_value=1_000_000, places=7)
quantities = st.decimals(min_value=0, max_value=1_000_000, places=8)
lots = st.sampled_from([Decimal(text) for text in ("0.001", "0.1", "1", "10", "0.00000001")])


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    """Any rules that an exchange could have."""
    lot = draw(lots)
    return Instrument(
        symbol="XUSDT",
        tick_size=draw(st.sampled_from([Decimal(text) for text in ("0.1", "0.01", "0.0000001", "5")])),
        lot_size=lot,
        min_quantity=lot * draw(st.integers(1, 20)),
        max_quantity=lot * draw(st.integers(20, 10**9)),
        min_notional=draw(st.sampled_from([Decimal(0), Decimal(5), Decimal(100)])),
        trading=True,
    )


@given(
    kind=st.sampled_from(SizeType),
    value=st.decimals(min_value="0.01", max_value=100, places=18),
    balance=st.decimals(min_value=0, max_value=10**9, places=8),
    price=prices,
    distance=st.decimals(min_value="0.0001", max_value=100_000, places=7),
    instrument=instruments(),
)
def test_never_more_than_was_asked_for(
    kind: SizeType,
    value: Decimal,
    balance: Decimal,
    price: Decimal,
    distance: Decimal,
    instrument: Instrument,
) -> None:
    try:
        quantity = entry_quantity(
            Size(kind, value),
            available_balance=balance,
            price=price,
            stop_distance=distance,
            instrument=instrument,
        )
    except (BelowMinSize, AboveMaxSize):
        return
    exact, share = Fraction(quantity), Fraction(value) * Fraction(balance) / 100
    asked = {
        SizeType.PERCENT_BALANCE: share / Fraction(price),
        SizeType.QUOTE: Fraction(value) / Fraction(price),
        SizeType.BASE: Fraction(value),
        SizeType.RISK_PERCENT: share / Fraction(distance),
    }[kind]
    assert 0 <= asked - exact < Fraction(instrument.lot_size)
    assert instrument.min_quantity <= quantity <= instrument.max_quantity
    assert exact * Fraction(price) >= Fraction(instrument.min_notional)
    assert (exact / Fraction(instrument.lot_size)).denominator == 1


@given(instruments(), prices)
def test_the_smallest_quantity_is_enough_and_one_lot_less_is_not(
    instrument: Instrument, price: Decimal
) -> None:
    smallest = Fraction(smallest_quantity(instrument, price))

    def enough(quantity: Fraction) -> bool:
        notional = quantity * Fraction(price) >= Fraction(instrument.min_notional)
        return quantity >= Fraction(instrument.min_quantity) and notional

    assert enough(smallest)
    assert not enough(smallest - Fraction(instrument.lot_size))


@pytest.mark.parametrize(
    ("level", "side", "stop", "target"),
    [
        # 2 % of 60,000 is 1,200; 1.5 ATR of 400 is 600.
        (Level(LevelKind.PERCENT, Decimal(2)), Side.LONG, "58800", "61200"),
        (Level(LevelKind.PERCENT, Decimal(2)), Side.SHORT, "61200", "58800"),
        (Level(LevelKind.ATR, Decimal("1.5")), Side.LONG, "59400", "60600"),
        (Level(LevelKind.ATR, Decimal("1.5")), Side.SHORT, "60600", "59400"),
        # 0.00007 % is 0.042: half a tick, rounded away from the entry.
        (Level(LevelKind.PERCENT, Decimal("0.00007")), Side.LONG, "59999.9", "60000.1"),
        (Level(LevelKind.PERCENT, Decimal("0.00007")), Side.SHORT, "60000.1", "59999.9"),
    ],
)
def test_distances_from_the_entry(level: Level, side: Side, stop: str, target: str) -> None:
    where = {"side": side, "entry_price": PRICE, "atr": ATR, "instrument": BTC}
    assert stop_price(level, **where) == Decimal(stop)  # type: ignore[arg-type]  # one dict for both
    assert target_price(level, **where) == Decimal(target)  # type: ignore[arg-type]


def price_level(price: str) -> Level:
    return Level(LevelKind.PRICE, Decimal(price))


def test_a_price_is_rounded_away_from_the_entry() -> None:
    stop = stop_price(price_level("59000.07"), side=Side.LONG, entry_price=PRICE, atr=None, instrument=BTC)
    target = target_price(
        price_level("61000.03"), side=Side.LONG, entry_price=PRICE, atr=None, instrument=BTC
    )
    assert (stop, target) == (Decimal("59000.0"), Decimal("61000.1"))


@pytest.mark.parametrize(
    ("side", "price"), [(Side.LONG, "60000.1"), (Side.SHORT, "59999.9"), (Side.LONG, "60000")]
)
def test_B19_a_stop_on_the_wrong_side_is_refused(side: Side, price: str) -> None:
    with pytest.raises(StopOnWrongSide, match="the price 60000"):
        stop_price(price_level(price), side=side, entry_price=PRICE, atr=None, instrument=BTC)


def test_B19_a_target_on_the_wrong_side_is_refused() -> None:
    with pytest.raises(StopOnWrongSide):
        target_price(price_level("59000"), side=Side.LONG, entry_price=PRICE, atr=None, instrument=BTC)


def test_a_distance_that_leaves_no_price_is_refused() -> None:
    level = Level(LevelKind.ATR, Decimal(100))
    with pytest.raises(StopOnWrongSide):
        stop_price(level, side=Side.LONG, entry_price=Decimal(30_000), atr=ATR, instrument=BTC)


def test_an_atr_level_needs_an_atr() -> None:
    with pytest.raises(ValueError, match="without an ATR"):
        Level(LevelKind.ATR, Decimal(1)).distance(PRICE, None)


levels = st.builds(
    Level, st.sampled_from(LevelKind), st.decimals(min_value="0.0001", max_value=99, places=18)
) | st.builds(Level, st.just(LevelKind.PRICE), prices)


@given(
    levels, st.sampled_from(Side), prices, st.decimals(min_value=0, max_value=1_000, places=9), instruments()
)
def test_stop_and_target_are_always_on_their_side_and_on_the_tick(
    level: Level, side: Side, entry: Decimal, atr: Decimal, instrument: Instrument
) -> None:
    """They also never come closer to the entry than was asked for."""
    for place, direction in ((stop_price, -side.sign), (target_price, side.sign)):
        try:
            price = place(level, side=side, entry_price=entry, atr=atr, instrument=instrument)
        except StopOnWrongSide:
            continue
        assert price > 0
        away = (price - entry) * direction
        assert away > 0
        assert away >= level.distance(entry, atr) - Decimal("1e-15")
        assert (Fraction(price) / Fraction(instrument.tick_size)).denominator == 1


def targets_of(*shares: str) -> list[Target]:
    return [Target(Level(LevelKind.PERCENT, Decimal(1)), Decimal(share)) for share in shares]


def split(quantity: str, *shares: str, minimum: str = "0.001") -> list[Decimal]:
    instrument = Instrument(
        "XUSDT", Decimal("0.1"), Decimal("0.001"), Decimal(minimum), Decimal(100), Decimal(0), True
    )
    return split_targets(Decimal(quantity), targets_of(*shares), instrument)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (split("0.100", "1"), ["0.100"]),
        (split("0.100", "0.5", "0.5"), ["0.050", "0.050"]),
        # The last takes what rounding left over.
        (split("0.100", "0.333", "0.333", "0.334"), ["0.033", "0.033", "0.034"]),
        (split("0.101", "0.5", "0.5"), ["0.050", "0.051"]),
        # Shares that leave something open leave it open.
        (split("0.100", "0.25", "0.25"), ["0.025", "0.025"]),
        (split("0.100", "0.255"), ["0.025"]),
        # A part that is too small joins the next one, the last ones the one before.
        (split("0.010", "0.3", "0.7", minimum="0.005"), ["0", "0.010"]),
        (split("0.010", "0.7", "0.3", minimum="0.005"), ["0.010", "0"]),
        (split("0.019", "0.5264", "0.2632", "0.2104", minimum="0.010"), ["0.019", "0", "0"]),
        (split("0.018", "0.334", "0.333", "0.333", minimum="0.010"), ["0", "0.018", "0"]),
        # Nothing is large enough.
        (split("0.010", "0.2", "0.2", minimum="0.005"), ["0", "0.004"]),
        (split("0.002", "1", minimum="0.005"), ["0.002"]),
        (split("0.100"), []),
    ],
)
def test_split_worked_by_hand(parts: list[Decimal], expected: list[str]) -> None:
    assert parts == [Decimal(text) for text in expected]


@given(st.data(), instruments(), st.lists(st.integers(1, 100), min_size=1, max_size=10))
def test_targets_never_close_more_than_the_position(
    data: st.DataObject, instrument: Instrument, weights: list[int]
) -> None:
    whole = data.draw(st.integers(sum(weights), 1_000), label="sum of all weights")
    quantity = instrument.lot_size * data.draw(st.integers(1, 10**6), label="lots")
    shares = [(Decimal(weight) / whole).quantize(Decimal("1e-18"), "ROUND_DOWN") for weight in weights]
    parts = split_targets(quantity, targets_of(*map(str, shares)), instrument)

    assert len(parts) == len(weights)
    assert sum(parts) <= quantity
    if sum(shares) == 1:
        assert sum(parts) == quantity
    assert all((Fraction(part) / Fraction(instrument.lot_size)).denominator == 1 for part in parts)
    large_enough = [part for part in parts if part >= instrument.min_quantity]
    assert large_enough == [part for part in parts if part] or sum(parts) < instrument.min_quantity


@given(instruments(), st.integers(1, 10**6), st.integers(1, 10))
def test_equal_shares_close_the_whole_position(instrument: Instrument, lots: int, count: int) -> None:
    quantity = instrument.lot_size * lots
    assume(quantity >= instrument.min_quantity)
    equal = (Decimal(1) / count).quantize(Decimal("1e-18"), "ROUND_DOWN")
    shares = [equal] * (count - 1) + [1 - equal * (count - 1)]
    parts = split_targets(quantity, targets_of(*map(str, shares)), instrument)
    assert sum(parts) == quantity
    assert all(part == 0 or part >= instrument.min_quantity for part in parts)
