"""What was seen, as a table: clients by operations, with a note where a cell is not plainly working."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WORKS = "works"


@dataclass(frozen=True)
class Seen:
    """What came of one operation: "works", "not offered" or "fails", and why."""

    outcome: str
    note: str


Report = Mapping[str, Seen]


def read_report(lines: str) -> Report:
    """A driver's output: operation -> what came of it, in the driver's order."""
    rows = [json.loads(line) for line in lines.splitlines()]
    report = {row["operation"]: Seen(row["outcome"], row["note"]) for row in rows}
    assert len(report) == len(rows), "an operation was tried twice"
    return report


def table_of(reports: Mapping[str, Report]) -> str:
    """Markdown: one row an operation, one column a client; notes below."""
    notes: list[str] = []
    operations = dict.fromkeys(name for report in reports.values() for name in report)
    lines = [_row("", list(reports)), _row("---", ["---"] * len(reports))]
    for operation in operations:
        cells = [_cell(report.get(operation), notes) for report in reports.values()]
        lines.append(_row(operation, cells))
    return "\n".join([*lines, *(f"\n{number}. {note}." for number, note in enumerate(notes, 1))]) + "\n"


def _cell(seen: Seen | None, notes: list[str]) -> str:
    if seen is None:
        return "not tried"
    if seen.outcome == WORKS:
        return "yes"
    if seen.outcome != "not offered":
        return "**no**"
    if seen.note not in notes:
        notes.append(seen.note)
    return f"see {notes.index(seen.note) + 1}"


def _row(first: str, cells: Sequence[str]) -> str:
    return f"| {' | '.join((first, *cells))} |"
