"""Choosing benchmarks by name, and what is written."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import start
from bench.__main__ import main, names
from bench.harness import Goal, Row


def test_every_module_of_the_folder_is_a_benchmark() -> None:
    assert names() == ["start", "vault_sign", "webhook_to_order"]


def test_unknown_name_is_a_wrong_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["start", "nothing", "--results", str(tmp_path)])
    assert ended.value.code == 2
    assert "no such benchmark: nothing" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seconds", "code", "met"), [(4.0, 0, True), (6.0, 1, False)])
def test_result_is_printed_and_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    code: int,
    met: bool,
) -> None:
    async def measure() -> Sequence[Row]:
        return [Row("start.second_s", seconds, "s", Goal("at most", 5))]

    monkeypatch.setattr(start, "measure", measure)

    assert main(["start", "--results", str(tmp_path / "results")]) == code

    written = json.loads((tmp_path / "results" / "start.json").read_text())
    assert [(row["name"], row["met"]) for row in written["rows"]] == [("start.second_s", met)]
    assert "start.second_s" in capsys.readouterr().out
