"""What a child writes: all to its file, what needs a person to the terminal."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import postgres
from cli.child_log import LINE_LIMIT_BYTES, ChildLog, needs_attention
from cli.terminal import Terminal, printable


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vault.log"


@pytest.fixture
def log(path: Path, screen: io.StringIO) -> Iterator[ChildLog]:
    log = ChildLog(path, name="vault", terminal=Terminal(screen), file_limit_bytes=1_000)
    yield log
    log.close()


def _record(level: str, event: str = "x") -> bytes:
    return json.dumps({"level": level, "event": event}).encode() + b"\n"


def test_file_gets_everything_and_the_terminal_what_matters(
    log: ChildLog, path: Path, screen: io.StringIO
) -> None:
    lines = [
        _record("info"),
        _record("debug"),
        _record("warning"),
        _record("critical"),
        b"Traceback\n",
        b"\n",
    ]
    log.feed(b"".join(lines))
    assert path.read_bytes() == b"".join(lines)
    shown = [line.removeprefix("vault: ") for line in screen.getvalue().splitlines()]
    assert shown == [line.decode().strip() for line in lines[2:5]]


@pytest.mark.parametrize("line", ['["info"]', '"info"', "3", "{}", '{"level": 20}', "Killed"])
def test_what_is_no_record_needs_attention(line: str) -> None:
    assert needs_attention(line)


def test_lines_come_together_from_pieces(log: ChildLog, path: Path, screen: io.StringIO) -> None:
    for byte in _record("info") + b"boom":
        log.feed(bytes([byte]))
    assert screen.getvalue() == ""
    log.end_line()
    assert screen.getvalue() == "vault: boom\n"
    assert path.read_bytes() == _record("info") + b"boom\n"


def test_line_without_end_is_cut(log: ChildLog, screen: io.StringIO) -> None:
    log.feed(b"x" * LINE_LIMIT_BYTES)
    assert len(screen.getvalue()) == LINE_LIMIT_BYTES + len("vault: \n")


def test_files_are_bounded(log: ChildLog, path: Path) -> None:
    for number in range(500):
        log.feed(_record("info", str(number)))
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["vault.log", "vault.log.1", "vault.log.2", "vault.log.3"]
    assert all(file.stat().st_size <= 1_000 for file in files)
    assert json.loads(path.read_text().splitlines()[-1])["event"] == "499"


def test_T26_control_characters_do_not_reach_the_terminal(log: ChildLog, screen: io.StringIO) -> None:
    log.feed(b"\x1b[2J\x1b]0;owned\x07\r\n")
    assert screen.getvalue() == "vault: \\x1b[2J\\x1b]0;owned\\x07\n"


@given(st.text())
def test_printable_text_has_one_line_and_no_escape(text: str) -> None:
    assert printable(text).isprintable()


def test_lost_terminal_does_not_stop_the_log(path: Path) -> None:
    closed = io.StringIO()
    closed.close()
    log = ChildLog(path, name="vault", terminal=Terminal(closed))
    log.feed(b"boom\n")
    log.close()
    assert path.read_bytes() == b"boom\n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("2026-11-24 20:00:00.000 UTC [7] LOG:  starting PostgreSQL 18.4", False),
        ("2026-11-24 20:00:00.000 UTC [7] ERROR:  duplicate key value violates unique constraint", False),
        (
            "2026-11-24 20:00:00.000 UTC [7] FATAL:  terminating connection due to administrator command",
            False,
        ),
        ("2026-11-24 20:00:00.000 UTC [7] FATAL:  the database system is starting up", False),
        ('2026-11-24 20:00:00.000 UTC [7] FATAL:  lock file "postmaster.pid" already exists', True),
        ("2026-11-24 20:00:00.000 UTC [7] PANIC:  could not write to file: No space left on device", True),
        ("postgres: could not find the database system", True),
    ],
)
def test_database_lines_that_need_a_person(line: str, shown: bool) -> None:
    assert postgres.attention(line) == shown
