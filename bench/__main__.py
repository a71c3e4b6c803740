"""`python -m bench [NAME ...]`: runs benchmarks one after the other, prints tables, writes results/NAME.json.

A benchmark is a module of this folder with `async def measure() -> Sequence[Row]`; its docstring says what it
claims. Adding one is adding its file.
"""

import argparse
import asyncio
import importlib
import pkgutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import bench
from bench.harness import Row, document, machine, table

RESULTS = Path(__file__).parent / "results"
NOT_BENCHMARKS = {"__main__", "harness"}

Measure = Callable[[], Awaitable[Sequence[Row]]]


def names() -> list[str]:
    """All benchmarks."""
    modules = pkgutil.iter_modules(bench.__path__)
    return sorted(module.name for module in modules if not module.ispkg and module.name not in NOT_BENCHMARKS)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the named benchmarks, all when none is named; 1 when a goal is missed, 2 for an unknown name."""
    known = names()
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures what this project claims.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where NAME.json goes")
    arguments = parser.parse_args(argv)
    if unknown := sorted(set(arguments.names) - set(known)):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(known)}")
    met = [run(name, arguments.results) for name in arguments.names or known]
    return 0 if all(met) else 1


def run(name: str, results: Path) -> bool:
    """Runs one benchmark; whether it met every goal."""
    module = importlib.import_module(f"bench.{name}")
    print(f"\n{name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
    before = machine()
    rows = asyncio.run(_measure(cast(Measure, module.measure)))
    results.mkdir(parents=True, exist_ok=True)
    text = document(name, rows, machine=before, now=datetime.now(UTC))
    (results / f"{name}.json").write_text(text, encoding="utf-8")
    print(table(rows), flush=True)
    return all(row.goal is None or row.goal.is_met_by(row.value) for row in rows)


async def _measure(measure: Measure) -> Sequence[Row]:
    return await measure()


if __name__ == "__main__":
    sys.exit(main())
