"""Settings: from variables or files, every problem named at once, no value of a secret in a problem."""

from pathlib import Path

import pytest

from tradekit.service.config import ConfigurationError, Environment
from tradekit.service.secret import Secret


def problems_of(env: Environment) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        env.check()
    assert str(raised.value) == "\n".join(raised.value.problems)
    return raised.value.problems


def test_values_are_read_by_kind() -> None:
    env = Environment({"ADDRESS": "127.0.0.1:1", "KEY": "k", "DEBUG": "Yes", "COUNT": "7", "EMPTY": ""})
    assert env.text("ADDRESS") == "127.0.0.1:1"
    assert env.text("EMPTY", "default") == "default"
    assert env.text("MISSING", "") == ""
    assert env.optional_text("EMPTY") is None
    assert env.secret("KEY") == Secret("k")
    assert env.optional_secret("MISSING") is None
    assert env.flag("DEBUG", False)
    assert env.flag("MISSING", True)
    assert env.integer("COUNT", 1, minimum=0, maximum=7) == 7
    env.check()


def test_all_problems_are_told_at_once() -> None:
    env = Environment({"DEBUG": "maybe", "COUNT": "8", "RATIO": "x", "KEY_FILE": "/nowhere/key"})
    env.text("ADDRESS")
    env.flag("DEBUG", False)
    env.integer("COUNT", 1, minimum=0, maximum=7)
    env.parsed("RATIO", float, 1.0, "a number")
    env.secret("KEY")
    assert problems_of(env) == [
        "ADDRESS (or ADDRESS_FILE) is not set",
        "DEBUG must be true or false",
        "COUNT must be a whole number from 0 to 7",
        "RATIO must be a number",
        "KEY_FILE: /nowhere/key cannot be read (No such file or directory)",
    ]


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("  secret-비밀\n", encoding="utf-8")
    env = Environment({"KEY_FILE": str(path)})
    assert env.secret("KEY").reveal() == "secret-비밀"
    env.check()


def test_the_variable_itself_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("of the file")
    assert Environment({"KEY": "of the variable", "KEY_FILE": str(path)}).text("KEY") == "of the variable"


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("\n")
    env = Environment({"KEY_FILE": str(path)})
    env.secret("KEY")
    assert problems_of(env) == ["KEY (or KEY_FILE) is not set"]


def test_a_file_that_is_no_text_is_named_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"canary\xff\xfe")
    env = Environment({"KEY_FILE": str(path)})
    env.secret("KEY")
    assert problems_of(env) == [f"KEY_FILE: {path} is not UTF-8 text"]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    env = Environment({"KEY_FILE": str(tmp_path)})
    assert env.optional_text("KEY") is None
    assert problems_of(env) == [f"KEY_FILE: {tmp_path} cannot be read (Is a directory)"]


@pytest.mark.parametrize("value", ["canary", "canary-1", "9" * 30])
def test_R5_no_problem_repeats_a_value(value: str) -> None:
    env = Environment({"KEY": value})
    env.integer("KEY", 1, minimum=0, maximum=7)
    env.flag("KEY", False)
    assert value not in "".join(problems_of(env))


def test_the_machines_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SETTING", "here")
    assert Environment().text("SOME_SETTING") == "here"
