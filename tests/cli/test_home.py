"""The state folder: private, atomic, one running system."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cli.home import Home, HomeInUse, HomeUnusable, open_home, write_private


@pytest.fixture
def home(tmp_path: Path) -> Home:
    root = tmp_path / "state"
    root.mkdir()
    return Home(root)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    root = tmp_path / "state"
    root.mkdir(mode=0o755)
    with open_home(root) as home:
        assert _mode(root) == 0o700
        assert _mode(home.folder("logs")) == 0o700


def test_missing_parents_are_made(tmp_path: Path) -> None:
    with open_home(tmp_path / "a" / "b") as home:
        assert home.root.is_dir()


def test_secret_is_made_once_and_kept(home: Home) -> None:
    first = home.secret("KEY", lambda: "one")
    again = home.secret("KEY", lambda: "two")
    assert (first.reveal(), again.reveal()) == ("one", "one")
    assert _mode(home.root / "secrets" / "KEY") == 0o600
    assert _mode(home.root / "secrets") == 0o700


def test_secret_that_nobody_makes_is_none(home: Home) -> None:
    assert home.secret("KEY", None) is None
    assert not (home.root / "secrets" / "KEY").exists()


def test_emptied_secret_is_not_replaced(home: Home) -> None:
    home.secret("KEY", lambda: "one")
    (home.root / "secrets" / "KEY").write_text("\n")
    with pytest.raises(HomeUnusable, match="restore it"):
        home.secret("KEY", lambda: "two")


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "note"
    write_private(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(target, "new \ud800")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_written_file_replaces_looser_rights(tmp_path: Path) -> None:
    target = tmp_path / "note"
    target.write_text("old")
    target.chmod(0o644)
    write_private(target, "new")
    assert _mode(target) == 0o600


def test_second_system_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    with open_home(tmp_path), pytest.raises(HomeInUse, match=f"process {os.getpid()}"), open_home(tmp_path):
        pytest.fail("two systems on one state folder")


def test_lock_ends_with_its_process_however_it_ends(tmp_path: Path) -> None:
    program = "import os, sys; from pathlib import Path; from cli.home import open_home\n"
    program += "with open_home(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert killed.returncode == -9
    with open_home(tmp_path) as home:
        assert home.root == tmp_path


def test_file_in_place_of_the_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(HomeUnusable, match="cannot be used"), open_home(tmp_path / "state"):
        pytest.fail("a file was taken for a folder")
