"""Fills, worked out by hand: next open, gaps, the path inside a bar, reversal, sizes, fees."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategy_service.broker import BrokerSettings, ExitReason, Simulation, Trade, instrument_of, simulate
from strategy_service.candles import Candles, checked
from strategy_service.compile_kernel import Decisions, decide
from strategy_service.parameters import resolve
from strategy_service.strategies.ema_crossover import EMA_CROSSOVER
from tests.strategy_service.conftest import Bar, columns_of, random_columns
from tradekit.market.sizing import Level, LevelKind, Side

FLAT: Bar = (100, 101, 99, 100)
# An average true range of 2 at every bar: a stop at 1 x is 2 away, a target at 2 x is 4 away.
ATR = 2.0
FREE = BrokerSettings(fee_rate=Decimal(0), slippage_ticks=0)


def run(
    bars: list[Bar],
    decisions: Mapping[str, int | list[int]],
    broker: BrokerSettings = FREE,
    *,
    tick: str = "0.01",
    atr: float = ATR,
) -> Simulation:
    """Simulates bars with decisions at the closes of the bars named; stop 1 ATR, target 2 ATR."""
    candles = checked(columns_of(bars))
    flags = {
        name: np.zeros(len(bars), dtype=bool)
        for name in ("enter_long", "enter_short", "exit_long", "exit_short")
    }
    for name, at in decisions.items():
        flags[name][at] = True
    return simulate(
        candles,
        Decisions(**flags, atr=np.full(len(bars), atr)),
        stop=Level(LevelKind.ATR, Decimal(1)),
        target=Level(LevelKind.ATR, Decimal(2)),
        settings=broker,
        instrument=replace(instrument_of(candles, "TEST"), tick_size=Decimal(tick)),
    )


def only_trade(simulation: Simulation) -> Trade:
    (trade,) = simulation.trades
    return trade


def test_an_entry_fills_at_the_next_open_with_the_size_of_its_close() -> None:
    # 10 % of 10,000 over the close of 100 is 10; the fill at 102 does not change that.
    trade = only_trade(run([FLAT, (102, 103, 101, 102), (102, 107, 102, 106)], {"enter_long": 0}))
    assert (trade.entry_bar, trade.entry_price, trade.quantity) == (1, Decimal(102), Decimal(10))
    assert (trade.exit_bar, trade.exit_price, trade.exit_reason) == (2, Decimal(106), ExitReason.TAKE_PROFIT)
    assert trade.profit == 40


def test_a_short_is_the_mirror_image() -> None:
    trade = only_trade(run([FLAT, (98, 99, 97, 98), (98, 98, 93, 94)], {"enter_short": 0}))
    assert (trade.side, trade.entry_price, trade.exit_price) == (Side.SHORT, Decimal(98), Decimal(94))
    assert trade.profit == 40


def test_the_stop_is_watched_from_the_entry_bar_on() -> None:
    trade = only_trade(run([FLAT, (100, 100.5, 97, 99), FLAT], {"enter_long": 0}))
    assert (trade.entry_bar, trade.exit_bar) == (1, 1)
    assert (trade.exit_price, trade.exit_reason) == (Decimal(98), ExitReason.STOP_LOSS)


def test_a_level_fills_on_touch() -> None:
    assert (
        only_trade(run([FLAT, (100, 101, 98, 100), FLAT], {"enter_long": 0})).exit_reason
        is ExitReason.STOP_LOSS
    )
    assert (
        only_trade(run([FLAT, (100, 104, 99, 100), FLAT], {"enter_long": 0})).exit_reason
        is ExitReason.TAKE_PROFIT
    )


def test_a_level_not_touched_does_not_fill() -> None:
    trade = only_trade(run([FLAT, (100, 103.99, 98.01, 100), FLAT], {"enter_long": 0}))
    assert trade.exit_reason is ExitReason.END


@pytest.mark.parametrize(
    ("bar", "reason"),
    [
        ((100, 104, 94, 99), ExitReason.TAKE_PROFIT),  # open nearer to the high: high first
        ((100, 106, 98, 99), ExitReason.STOP_LOSS),  # open nearer to the low: low first
        ((100, 104, 96, 99), ExitReason.STOP_LOSS),  # equally near: low first
    ],
)
def test_both_levels_in_one_bar_fill_in_the_order_of_the_path(bar: Bar, reason: ExitReason) -> None:
    assert only_trade(run([FLAT, bar, FLAT], {"enter_long": 0})).exit_reason is reason


@pytest.mark.parametrize(
    ("bar", "reason"),
    [
        ((100, 102, 94, 99), ExitReason.STOP_LOSS),
        ((100, 106, 96, 99), ExitReason.TAKE_PROFIT),
        ((100, 104, 96, 99), ExitReason.TAKE_PROFIT),
    ],
)
def test_a_short_meets_the_same_path(bar: Bar, reason: ExitReason) -> None:
    assert only_trade(run([FLAT, bar, FLAT], {"enter_short": 0})).exit_reason is reason


def test_a_gap_through_the_stop_fills_at_the_open() -> None:
    trade = only_trade(run([FLAT, FLAT, (95, 105, 94, 104), FLAT], {"enter_long": 0}))
    assert (trade.exit_price, trade.exit_reason) == (Decimal(95), ExitReason.STOP_LOSS)


def test_a_gap_through_the_target_fills_at_the_open() -> None:
    trade = only_trade(run([FLAT, FLAT, (107, 108, 90, 91), FLAT], {"enter_long": 0}))
    assert (trade.exit_price, trade.exit_reason) == (Decimal(107), ExitReason.TAKE_PROFIT)


def test_a_reversal_closes_and_opens_at_one_open() -> None:
    bars: list[Bar] = [FLAT, FLAT, (101, 101.5, 99.5, 100), (100, 100.5, 99.5, 100)]
    first, second = run(bars, {"enter_long": 0, "enter_short": 1}).trades
    assert (first.exit_bar, first.exit_price, first.exit_reason) == (2, Decimal(101), ExitReason.SIGNAL)
    assert (second.side, second.entry_bar, second.entry_price) == (Side.SHORT, 2, Decimal(101))


def test_a_stop_and_a_reversal_on_one_bar_both_happen() -> None:
    # Decided at bar 1, filled at the open of bar 2; the new short is stopped inside bar 2.
    bars: list[Bar] = [FLAT, FLAT, (100, 103, 99.5, 100), FLAT]
    first, second = run(bars, {"enter_long": 0, "enter_short": 1}).trades
    assert (first.exit_bar, first.exit_reason) == (2, ExitReason.SIGNAL)
    assert (second.entry_bar, second.exit_bar, second.exit_price) == (2, 2, Decimal(102))
    assert second.exit_reason is ExitReason.STOP_LOSS


def test_a_stop_before_a_reversal_leaves_the_entry_standing() -> None:
    # The long is stopped inside bar 1, whose close decides on a short: it opens all the same.
    first, second = run([FLAT, (100, 100.5, 97, 99), FLAT, FLAT], {"enter_long": 0, "enter_short": 1}).trades
    assert (first.exit_bar, first.exit_reason) == (1, ExitReason.STOP_LOSS)
    assert (second.side, second.entry_bar, second.entry_price) == (Side.SHORT, 2, Decimal(100))


def test_a_gap_beyond_the_stop_with_a_reversal_due_fills_both_at_the_open() -> None:
    first, second = run([FLAT, FLAT, (95, 96, 94, 95), FLAT], {"enter_long": 0, "enter_short": 1}).trades
    assert (first.exit_price, second.entry_price) == (Decimal(95), Decimal(95))
    assert first.quantity == second.quantity == 10


def test_an_entry_in_the_same_direction_is_ignored() -> None:
    assert len(run([FLAT] * 5, {"enter_long": [0, 1, 2]}).trades) == 1


def test_an_exit_decision_closes_at_the_next_open_only_its_own_side() -> None:
    simulation = run([FLAT] * 6, {"enter_long": 0, "exit_short": 1, "exit_long": 3})
    trade = only_trade(simulation)
    assert (trade.exit_bar, trade.exit_reason) == (4, ExitReason.SIGNAL)
    assert simulation.exposed.tolist() == [False, True, True, True, True, False]


def test_a_decision_at_the_last_close_is_not_filled() -> None:
    assert run([FLAT, FLAT], {"enter_long": 1}).trades == ()


def test_what_is_open_at_the_end_is_closed_at_the_last_close() -> None:
    simulation = run([FLAT, FLAT, (100, 102, 99, 101.5)], {"enter_long": 0}, replace(FREE, slippage_ticks=2))
    trade = only_trade(simulation)
    assert (trade.entry_price, trade.exit_price) == (Decimal("100.02"), Decimal("101.48"))
    assert trade.exit_reason is ExitReason.END
    assert simulation.equity[-1] == pytest.approx(10_000 + float(trade.profit))


def test_fees_are_paid_on_the_notional_of_both_legs() -> None:
    broker = BrokerSettings(fee_rate=Decimal("0.001"), slippage_ticks=0)
    trade = only_trade(run([FLAT, FLAT, (100, 105, 100, 104)], {"enter_long": 0}, broker))
    # 10 x 100 x 0.001 and 10 x 104 x 0.001.
    assert trade.fees == Decimal("2.04")
    assert trade.profit == Decimal("37.96")


def test_slippage_is_against_market_and_stop_fills_and_spares_targets() -> None:
    broker = replace(FREE, slippage_ticks=3)
    stopped = only_trade(run([FLAT, FLAT, (100, 100.5, 95, 96), FLAT], {"enter_long": 0}, broker))
    # Entry 100.03, stop 2 below it, filled 0.03 under.
    assert (stopped.entry_price, stopped.exit_price) == (Decimal("100.03"), Decimal("98.00"))
    short = only_trade(run([FLAT, FLAT, (100, 100.5, 95, 96), FLAT], {"enter_short": 0}, broker))
    assert (short.entry_price, short.exit_price) == (Decimal("99.97"), Decimal("95.97"))


def test_equity_marks_the_open_profit_and_has_paid_the_entry_fee() -> None:
    broker = BrokerSettings(fee_rate=Decimal("0.001"), slippage_ticks=0)
    simulation = run([FLAT, (100, 102, 99, 101), FLAT, FLAT], {"enter_long": 0}, broker)
    # Fee 1 from the entry on; 10 x 1 open profit at the close of bar 1; fee 1 for the end.
    assert simulation.equity.tolist() == [10_000, 10_009, 9_999, 9_998]


def test_the_size_of_a_reversal_counts_the_open_profit() -> None:
    bars: list[Bar] = [FLAT, (100, 103, 99.5, 102), (102, 102, 101, 102), FLAT]
    _, second = run(bars, {"enter_long": 0, "enter_short": 1}).trades
    # 10 % of (10,000 + 10 x 2) over 102, cut to the lot.
    assert second.quantity == Decimal("9.823529")


def test_levels_are_on_the_tick_away_from_the_entry() -> None:
    # 1.3 away on ticks of 0.5: 98.7 becomes 98.5, and 102.6 becomes 103.
    bars: list[Bar] = [FLAT, (100, 102.5, 99, 100), (100, 100, 98.5, 99), FLAT]
    stopped = only_trade(run(bars, {"enter_long": 0}, tick="0.5", atr=1.3))
    assert stopped.exit_price == Decimal("98.5")
    bars[2] = (100, 103, 99, 100)
    assert only_trade(run(bars, {"enter_long": 0}, tick="0.5", atr=1.3)).exit_price == 103


def test_an_entry_dearer_than_the_equity_is_refused_and_the_old_side_closes_all_the_same() -> None:
    broker = replace(FREE, size_percent=Decimal(100))
    simulation = run([FLAT, FLAT, (101, 101, 100.5, 101), FLAT], {"enter_short": 0, "enter_long": 1}, broker)
    # A short of 100 at 100 lost 100 at the open of 101; a long of 100 would cost 10,100 of 9,900.
    trade = only_trade(simulation)
    assert (trade.side, trade.exit_reason, trade.profit) == (Side.SHORT, ExitReason.SIGNAL, Decimal(-100))
    assert simulation.refused_entries == 1


def test_a_stop_without_room_above_zero_refuses_the_entry() -> None:
    simulation = run([FLAT, FLAT, FLAT], {"enter_long": 0}, atr=150.0)
    assert simulation.trades == ()
    assert simulation.refused_entries == 1


def test_a_size_below_the_lot_refuses_the_entry() -> None:
    simulation = run([FLAT, FLAT, FLAT], {"enter_long": 0}, replace(FREE, initial_capital=Decimal("0.0001")))
    assert simulation.trades == ()
    assert simulation.refused_entries == 1


def simulate_strategy(candles: Candles, broker: BrokerSettings) -> Simulation:
    values = resolve(EMA_CROSSOVER, {"fast": "2", "slow": "5", "stop_atr": "0.7", "target_atr": "1.1"})
    return simulate(
        candles,
        decide(EMA_CROSSOVER, values, candles),
        stop=Level(LevelKind.ATR, values["stop_atr"]),
        target=Level(LevelKind.ATR, values["target_atr"]),
        settings=broker,
        instrument=instrument_of(candles, "TEST"),
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), ticks=st.integers(0, 5), fee=st.sampled_from(["0", "0.0005"]))
def test_every_trade_is_possible_and_the_money_adds_up(seed: int, ticks: int, fee: str) -> None:
    candles = checked(random_columns(300, seed))
    broker = BrokerSettings(fee_rate=Decimal(fee), slippage_ticks=ticks)
    simulation = simulate_strategy(candles, broker)
    slippage = ticks * 0.01 + 1e-9
    assert len(simulation.trades) > 5
    for trade in simulation.trades:
        for bar, price in ((trade.entry_bar, trade.entry_price), (trade.exit_bar, trade.exit_price)):
            assert candles.low[bar] - slippage <= float(price) <= candles.high[bar] + slippage
    for before, after in pairwise(simulation.trades):
        assert before.exit_bar <= after.entry_bar
    profit = sum((trade.profit for trade in simulation.trades), Decimal(0))
    assert simulation.equity[-1] == pytest.approx(float(broker.initial_capital + profit), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(50, 299))
def test_cutting_the_candles_changes_no_trade_before(seed: int, cut: int) -> None:
    columns = random_columns(300, seed)
    whole = simulate_strategy(checked(columns), FREE)
    part = simulate_strategy(checked({name: column[:cut] for name, column in columns.items()}), FREE)
    closed = [trade for trade in part.trades if trade.exit_reason is not ExitReason.END]
    assert closed == list(whole.trades[: len(closed)])
    np.testing.assert_array_equal(part.equity[:-1], whole.equity[: cut - 1])
