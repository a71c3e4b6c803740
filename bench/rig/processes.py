"""Processes: starting those of the rig, and what any of them has used."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from cli.process import die_with_parent, secret_pipes
from tradekit.service.secret import Secret

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0


@asynccontextmanager
async def running(
    module: str, *arguments: str, secrets: Mapping[str, Secret] | None = None
) -> AsyncIterator[tuple[int, int]]:
    """Runs `python -m module`, which prints the port that it listens on as its first line.

    Yields:
        Its process id and its port.
    """
    values = {name: secret.reveal() for name, secret in (secrets or {}).items()}
    with secret_pipes(values) as (files, descriptors):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": os.getcwd(), **files},
            stdout=asyncio.subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_TIMEOUT_S)
        if not line:
            raise RuntimeError(f"{module} did not start")
        yield process.pid, int(line)
    finally:
        await stopped(process, signal.SIGTERM, within_s=STOP_TIMEOUT_S)


async def stopped(process: asyncio.subprocess.Process, number: signal.Signals, *, within_s: float) -> None:
    """Ends a process of ours: by `number`, or by force when it takes longer than `within_s`."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.send_signal(number)
    try:
        await asyncio.wait_for(process.wait(), within_s)
    except TimeoutError:
        process.kill()
        await process.wait()


def family(root: int) -> dict[int, str]:
    """Process id -> command line of `root` and everything that descends from it."""
    pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    parents = {pid: int(fields[1]) for pid in pids if (fields := _stat(pid))}
    members = {root}
    while more := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= more
    return {pid: _command_line(pid) for pid in members}


def cpu_seconds(pids: Iterable[int]) -> float:
    """The processor time that these processes and their ended children have used, user and kernel."""
    ticks = (sum(map(int, fields[11:15])) for pid in pids if (fields := _stat(pid)))
    return sum(ticks) / _TICKS_PER_S


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third one on: state, parent, …; empty when it has ended."""
    with suppress(OSError):
        # The second field is the command's name, which may hold anything.
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()
    return []


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ")
    return ""
