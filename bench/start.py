"""A second start of the whole system: from `tradingbot up` to `ready`.

The first start makes the database, the secrets and the demo account, and is not counted. Everything runs that
runs for a user, the paper exchange too.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.harness import LEAST_ROUNDS, Goal, Row, median_of
from bench.rig.system import running_system


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    starts: int = LEAST_ROUNDS


async def measure(size: Size = Size()) -> Sequence[Row]:
    """The median and the slowest; about a minute."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        home = Path(folder) / "state"
        await _start(home)
        starts = [await _start(home) for _ in range(size.starts)]
    taken = [wall_s for wall_s, _ in starts]
    return [
        Row("start.second_s", median_of(taken), "s", Goal("at most", 5)),
        Row("start.second_slowest_s", max(taken), "s"),
        Row("start.second_cpu_s", median_of([cpu_s for _, cpu_s in starts]), "s"),
    ]


async def _start(home: Path) -> tuple[float, float]:
    """Wall time until `ready`, and the processor time of all processes, which a busy machine changes less."""
    async with running_system(home) as system:
        return system.start_s, sum(system.cpu_by_part().values())
