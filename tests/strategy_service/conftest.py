"""Candles for tests: written out by hand, seeded at random, and real ones where they are there."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from strategy_service.candles import Candles, Column, checked, load

START_MS = 1_700_000_100_000  # 2023-11-14 22:15 UTC, on the quarter of an hour
STEP_MS = 15 * 60 * 1_000
REAL_CANDLES = Path(__file__).parents[3] / "shared" / "data" / "ETHUSDT-15m.csv"

Bar = tuple[float, float, float, float]
MakeCandles = Callable[[Sequence[Bar]], Candles]


def columns_of(bars: Sequence[Bar], *, start_ms: int = START_MS, step_ms: int = STEP_MS) -> dict[str, Column]:
    """Columns of bars given as (open, high, low, close), 15 minutes each."""
    prices = np.array(bars, dtype=np.float64).reshape(-1, 4)
    columns: dict[str, Column] = {"time": start_ms + np.arange(len(prices), dtype=np.int64) * step_ms}
    for index, name in enumerate(("open", "high", "low", "close")):
        columns[name] = prices[:, index].copy()
    columns["volume"] = np.ones(len(prices))
    return columns


def random_columns(count: int, seed: int, *, gap: float = 0.3) -> dict[str, Column]:
    """A random walk around 100 on a tick of 0.01, with gaps between the bars."""
    generator = np.random.default_rng(seed)
    bars: list[Bar] = []
    price = 100.0
    for _ in range(count):
        path = np.abs(price + generator.normal(0, gap) + np.cumsum(generator.normal(0, 0.3, 8))) + 0.01
        path = np.round(path, 2)
        bars.append((float(path[0]), float(path.max()), float(path.min()), float(path[-1])))
        price = bars[-1][3]
    return columns_of(bars)


@pytest.fixture
def make_candles() -> MakeCandles:
    """Makes candles of bars given as (open, high, low, close)."""
    return lambda bars: checked(columns_of(bars))


@pytest.fixture
def make_columns() -> Callable[[Sequence[Bar]], dict[str, Column]]:
    """Makes unchecked columns of bars given as (open, high, low, close)."""
    return columns_of


@pytest.fixture
def seeded_columns() -> Callable[[int, int], dict[str, Column]]:
    """Makes (count, seed) columns at random."""
    return random_columns


@pytest.fixture
def seeded_candles() -> Callable[[int, int], Candles]:
    """Makes (count, seed) candles at random."""
    return lambda count, seed: checked(random_columns(count, seed))


@pytest.fixture(scope="session")
def real_candles() -> Candles:
    """26,000 real candles of ETHUSDT, 15 minutes."""
    if not REAL_CANDLES.exists():
        pytest.skip(f"the real candles are not there: {REAL_CANDLES}")
    return load(REAL_CANDLES)


@pytest.fixture
def candle_file(tmp_path: Path) -> Callable[[dict[str, Column]], Path]:
    """Writes columns as a CSV file of the contract."""

    def write(columns: dict[str, Column]) -> Path:
        path = tmp_path / "BTCUSDT-15m.csv"
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        lines = ["time,open,high,low,close,volume", *(",".join(map(str, row)) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
        return path

    return write
