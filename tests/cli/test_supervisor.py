"""The supervisor, with small real children."""

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from cli.supervisor import Child, ChildFailed, Probe, Supervisor
from cli.terminal import Terminal
from tradekit.service.secret import Secret

pytestmark = pytest.mark.anyio

# Says that it is there, and notes when it ends.
WELL = """
import os, pathlib, signal, sys, threading
folder = pathlib.Path(sys.argv[1])
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
(folder / f"{sys.argv[2]}.ready").write_text(str(os.getpid()))
ended.wait()
with open(folder / "ended", "a") as note: note.write(sys.argv[2] + " ")
"""
STUBBORN = WELL.replace("ended.set()", "None")


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
async def supervisor(tmp_path: Path, screen: io.StringIO) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(logs=tmp_path, terminal=Terminal(screen))
    yield supervisor
    supervisor.hurry()
    await supervisor.stop()


def _child(
    folder: Path, name: str, program: str = WELL, *, probe: Probe | None = None, **more: object
) -> Child:
    argv = (sys.executable, "-c", textwrap.dedent(program), str(folder), name)
    return Child(name=name, argv=argv, variables={}, probe=probe or _exists(folder / f"{name}.ready"), **more)  # type: ignore[arg-type]  # as Child takes them


def _exists(path: Path) -> Probe:
    async def probe() -> str | None:
        return None if _content(path) else f"no {path.name}"

    return probe


def _content(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # other processes set no event of ours
            await asyncio.sleep(0.01)


def _is_alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_start_returns_when_the_child_is_ready(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(_child(tmp_path, "vault"))
    assert (tmp_path / "vault.ready").read_text() == str(supervisor.process_id("vault"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_child_that_dies_is_started_again(
    supervisor: Supervisor, tmp_path: Path, screen: io.StringIO, number: signal.Signals
) -> None:
    await supervisor.start(_child(tmp_path, "vault"))
    first = supervisor.process_id("vault")
    assert first is not None
    os.kill(first, number)
    await _until(lambda: supervisor.process_id("vault") not in (first, None))
    await _until(lambda: (tmp_path / "vault.ready").read_text() not in (str(first), ""))
    assert "vault ended" in screen.getvalue()


async def test_pause_between_restarts_doubles(
    supervisor: Supervisor, tmp_path: Path, screen: io.StringIO
) -> None:
    program = "import pathlib, sys; pathlib.Path(sys.argv[1], sys.argv[2] + '.ready').write_text('x')"
    await supervisor.start(_child(tmp_path, "vault", program))
    await _until(lambda: "0.8 s" in screen.getvalue())
    pauses = [line.rpartition("in ")[2] for line in screen.getvalue().splitlines()]
    assert pauses[:3] == ["0.2 s", "0.4 s", "0.8 s"]


async def test_stop_goes_in_reverse_order(supervisor: Supervisor, tmp_path: Path) -> None:
    names = ["postgres", "vault", "execution", "gateway"]
    for name in names:
        await supervisor.start(_child(tmp_path, name))
    await supervisor.stop()
    assert (tmp_path / "ended").read_text().split() == names[::-1]


async def test_child_that_does_not_end_is_killed_after_its_grace(
    supervisor: Supervisor, tmp_path: Path, screen: io.StringIO
) -> None:
    await supervisor.start(_child(tmp_path, "vault", STUBBORN, grace_s=0.1))
    process_id = supervisor.process_id("vault")
    await supervisor.stop()
    assert process_id is not None
    assert not _is_alive(process_id)
    assert "vault has not ended in time" in screen.getvalue()


async def test_second_request_to_stop_does_not_wait(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(_child(tmp_path, "vault", STUBBORN, grace_s=3_600))
    stopping = asyncio.create_task(supervisor.stop())
    supervisor.hurry()
    async with asyncio.timeout(10):
        await stopping


async def test_child_is_not_started_again_after_stop(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(_child(tmp_path, "vault"))
    await supervisor.stop()
    assert supervisor.process_id("vault") is None


async def test_stop_during_the_pause_between_two_starts(supervisor: Supervisor, tmp_path: Path) -> None:
    starting = asyncio.create_task(supervisor.start(_child(tmp_path, "vault", "raise SystemExit(1)")))
    await _until(lambda: (tmp_path / "vault.log").exists())
    await supervisor.stop()
    starting.cancel()
    with suppress(asyncio.CancelledError, ChildFailed):
        await starting
    assert supervisor.process_id("vault") is None


async def test_wrong_settings_end_the_start_at_once_with_the_reason(
    supervisor: Supervisor, tmp_path: Path, screen: io.StringIO
) -> None:
    """F14: no loop of starts that cannot succeed."""
    program = "import sys; sys.exit(print('stored accounts need key 12ab', file=sys.stderr) or 2)"
    with pytest.raises(ChildFailed, match="stored accounts need key 12ab"):
        await supervisor.start(_child(tmp_path, "vault", program))
    assert "starts again" not in screen.getvalue()


async def test_child_that_never_becomes_ready_ends_the_start(supervisor: Supervisor, tmp_path: Path) -> None:
    program = "print('no luck'); raise SystemExit(3)"
    with pytest.raises(ChildFailed, match=r"\(exit status 3\):\nno luck$"):
        await supervisor.start(_child(tmp_path, "vault", program))


async def test_program_that_is_not_there_ends_the_start(supervisor: Supervisor, tmp_path: Path) -> None:
    child = replace(_child(tmp_path, "vault"), argv=(str(tmp_path / "nothing"),))
    with pytest.raises(ChildFailed, match=r"cannot be started: .*No such file"):
        await supervisor.start(child)


async def test_T10_secrets_come_by_pipe_at_every_start(supervisor: Supervisor, tmp_path: Path) -> None:
    program = """
    import os, pathlib, signal, sys
    folder = pathlib.Path(sys.argv[1])
    value = pathlib.Path(os.environ["ENCRYPTION_KEY_FILE"]).read_text()
    seen = pathlib.Path("/proc/self/environ").read_text() + pathlib.Path("/proc/self/cmdline").read_text()
    with open(folder / "seen", "a") as note: note.write(f"{value} {value in seen}\\n")
    (folder / "vault.ready").write_text("x")
    signal.pause()
    """
    await supervisor.start(_child(tmp_path, "vault", program, secrets={"ENCRYPTION_KEY": Secret("canary-1")}))
    first = supervisor.process_id("vault")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await _until(lambda: (tmp_path / "seen").read_text().count("\n") == 2)
    assert (tmp_path / "seen").read_text() == "canary-1 False\n" * 2


async def test_descriptors_are_inherited_at_every_start_and_no_others(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    program = """
    import os, pathlib, signal, sys
    folder, descriptors = pathlib.Path(sys.argv[1]), pathlib.Path("/proc/self/fd")
    held = [os.readlink(path) for path in descriptors.iterdir() if path.is_symlink()]
    with open(folder / "seen", "a") as note: note.write(f"{' '.join(held)}\\n")
    (folder / "gateway.ready").write_text("x")
    signal.pause()
    """
    with socket.create_server(("127.0.0.1", 0)) as shared, socket.create_server(("127.0.0.1", 0)) as other:
        await supervisor.start(_child(tmp_path, "gateway", program, descriptors=(shared.fileno(),)))
        first = supervisor.process_id("gateway")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await _until(lambda: (tmp_path / "seen").read_text().count("\n") == 2)
        names = [os.readlink(f"/proc/self/fd/{server.fileno()}") for server in (shared, other)]
        for line in (tmp_path / "seen").read_text().splitlines():
            assert names[0] in line.split()
            assert names[1] not in line.split()


async def test_nothing_of_the_environment_is_inherited(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    program = (
        "import os, pathlib, sys; pathlib.Path(sys.argv[1], 'vault.ready').write_text(str(dict(os.environ)))"
    )
    await supervisor.start(_child(tmp_path, "vault", program))
    assert "canary" not in (tmp_path / "vault.ready").read_text()


async def test_output_of_both_streams_is_logged_until_the_end(
    supervisor: Supervisor, tmp_path: Path, screen: io.StringIO
) -> None:
    program = WELL + "print('last words'); print('{\"level\": \"info\"}', file=sys.stderr)"
    await supervisor.start(_child(tmp_path, "vault", program))
    await supervisor.stop()
    assert sorted((tmp_path / "vault.log").read_text().splitlines()) == ["last words", '{"level": "info"}']
    assert screen.getvalue() == "vault: last words\n"


LEAVES_A_CHILD = """
import os, pathlib, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
grandchild = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
(folder / "grandchildren").open("a").write(f"{grandchild.pid} ")
(folder / "vault.ready").write_text("x")
sys.stdin.read()
os._exit(1)
"""


async def test_what_a_dead_child_left_behind_is_ended(supervisor: Supervisor, tmp_path: Path) -> None:
    """It would hold the port that the next one needs."""
    await supervisor.start(_child(tmp_path, "vault", LEAVES_A_CHILD))
    await _until(lambda: len((tmp_path / "grandchildren").read_text().split()) > 1)
    first = int((tmp_path / "grandchildren").read_text().split()[0])
    await _until(lambda: not _is_alive(first))


SUPERVISED = """
import asyncio, os, sys
from pathlib import Path
from cli.supervisor import Supervisor
from cli.terminal import Terminal
sys.path.insert(0, {tests!r})
from test_supervisor import STUBBORN, WELL, _child

async def main():
    folder = Path(sys.argv[1])
    supervisor = Supervisor(logs=folder, terminal=Terminal(sys.stdout))
    for name, program in (("one", WELL), ("two", STUBBORN)):
        await supervisor.start(_child(folder, name, program))
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


async def test_F15_kill_9_of_the_supervisor_leaves_no_child(tmp_path: Path) -> None:
    program = SUPERVISED.format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", program, str(tmp_path)]
    killed = await asyncio.to_thread(subprocess.run, command, timeout=30, check=False)
    assert killed.returncode == -signal.SIGKILL
    children = [int((tmp_path / f"{name}.ready").read_text()) for name in ("one", "two")]
    await _until(lambda: not any(_is_alive(child) for child in children))


async def test_waiting_is_reported(
    supervisor: Supervisor, tmp_path: Path, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.supervisor.REPORT_EVERY_S", 0.0)
    answers: Callable[[], Awaitable[str | None]] = _answers(
        "audit cannot be written", "audit cannot be written", None
    )
    await supervisor.start(_child(tmp_path, "vault", probe=answers))
    assert "still waiting for vault: audit cannot be written" in screen.getvalue()


def _answers(*answers: str | None) -> Probe:
    rest = iter(answers)

    async def probe() -> str | None:
        return next(rest)

    return probe
