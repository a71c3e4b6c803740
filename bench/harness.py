"""What every benchmark shares: interleaved rounds, medians, the machine, the result file, the table.

A claim about speed is a ratio against a peer or a floor that ran in the same run, round by round beside it:
whatever else the machine does then slows both.
"""

import json
import os
import platform
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

T = TypeVar("T")

# Fewer rounds say nothing: one disturbed round moves their median.
LEAST_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Goal:
    """What a value must reach."""

    side: Literal["at most", "at least"]
    number: float

    def is_met_by(self, value: float) -> bool:
        """Whether `value` is good enough."""
        return value <= self.number if self.side == "at most" else value >= self.number


@dataclass(frozen=True, slots=True)
class Row:
    """One measured value.

    Attributes:
        name: As the issues name it, for example "webhook.order_p50_ratio_to_floor".
        unit: "ratio", "ms", "s", "1/s"; what a ratio is of stands in docs/benchmarks.md.
        goal: None where nobody has set one.
    """

    name: str
    value: float
    unit: str
    goal: Goal | None = None


def median_of(values: Sequence[float]) -> float:
    """The median.

    Raises:
        ValueError: There is no value.
    """
    if not values:
        raise ValueError("there is nothing to take the median of")
    return float(statistics.median(values))


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of values that belong together (the same round).

    Raises:
        ValueError: They are not as many, or none.
    """
    return median_of([our / their for our, their in zip(ours, theirs, strict=True)])


async def interleave(targets: Mapping[str, Callable[[], Awaitable[T]]], *, rounds: int) -> dict[str, list[T]]:
    """Runs every target once a round; each round begins with another one.

    Returns:
        Target -> its results, in the order of the rounds.
    """
    results: dict[str, list[T]] = {name: [] for name in targets}
    names = list(targets)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            results[name].append(await targets[name]())
    return results


def machine() -> dict[str, object]:
    """What the numbers were measured on: nothing that names the machine or its user."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def command_of(benchmark: str) -> str:
    """What measures a benchmark's rows again."""
    return f"python -m bench {benchmark}"


def document(benchmark: str, rows: Sequence[Row], *, machine: Mapping[str, object], now: datetime) -> str:
    """The result file's text: the contract's `{measured_at, machine, rows: […]}`.

    Args:
        machine: As it was before the run.
        now: Aware.
    """
    content = {
        "measured_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "machine": dict(machine),
        "rows": [_row_json(row, command_of(benchmark)) for row in rows],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _row_json(row: Row, command: str) -> dict[str, object]:
    fields = asdict(row)
    fields["value"] = float(f"{row.value:.4g}")
    fields["goal"] = row.goal.number if row.goal else None
    fields["met"] = row.goal.is_met_by(row.value) if row.goal else None
    return fields | {"command": command}


def table(rows: Sequence[Row]) -> str:
    """The rows for a person."""
    cells = [("name", "value", "unit", "goal", "met"), *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    goal = f"{row.goal.side} {row.goal.number:g}" if row.goal else "-"
    met = "-" if row.goal is None else "yes" if row.goal.is_met_by(row.value) else "NO"
    return row.name, f"{row.value:.4g}", row.unit, goal, met
