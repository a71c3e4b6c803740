"""Keeps child processes running: started in order, restarted when they die, stopped in reverse order."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cli.child_log import ChildLog, needs_attention
from cli.errors import CommandFailed
from cli.process import die_with_parent, secret_pipes
from cli.terminal import Terminal
from tradekit.service.secret import Secret

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
# A child that lived this long was well: its next pause is the first one again.
STEADY_S = 30.0
# A child that dies so often before it was ready once will not become ready.
START_ATTEMPTS = 5
# What our services end with when their settings are wrong: starting again cannot mend that.
WRONG_SETTINGS = 2
# What a shell answers for a program that it cannot run.
CANNOT_START = 126
POLL_S = 0.02
REPORT_EVERY_S = 10.0
LAST_WORDS_S = 1.0

# Says what is missing, or None when the child does its work.
Probe = Callable[[], Awaitable[str | None]]


class ChildFailed(CommandFailed):
    """A child does not start; the message holds the end of its output."""

    def __init__(self, name: str, status: int, last_lines: list[str]) -> None:
        super().__init__("\n".join([f"{name} does not start (exit status {status}):", *last_lines]))
        self.name = name
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process to keep running."""

    name: str
    argv: tuple[str, ...]
    # The whole environment, nothing is inherited; no secret stands in it.
    variables: Mapping[str, str]
    # Handed over as NAME_FILE through a new pipe at each start.
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    # What it inherits at each start, under the same numbers.
    descriptors: tuple[int, ...] = ()
    probe: Probe
    stop_signal: signal.Signals = signal.SIGTERM
    # Sent by the kernel when the supervisor itself is killed.
    death_signal: signal.Signals = signal.SIGKILL
    # How long it may take to end by itself.
    grace_s: float = 10.0
    attention: Callable[[str], bool] = needs_attention


class Supervisor:
    """Runs children in the order in which `start` was called."""

    def __init__(self, *, logs: Path, terminal: Terminal) -> None:
        self._logs = logs
        self._terminal = terminal
        self._runs: list[_Run] = []
        self._hurry = asyncio.Event()

    async def start(self, child: Child) -> None:
        """Starts `child` and returns when its probe finds nothing missing.

        Raises:
            ChildFailed: It ended with wrong settings, or ended several times before it was ready.
        """
        log = ChildLog(
            self._logs / f"{child.name}.log",
            name=child.name,
            terminal=self._terminal,
            attention=child.attention,
        )
        run = _Run(child, log, self._terminal)
        self._runs.append(run)
        await run.until_ready()

    async def stop(self) -> None:
        """Stops all children, the last one started first, and returns when all have ended."""
        while self._runs:
            await self._runs[-1].stop(self._hurry)
            self._runs.pop()

    def hurry(self) -> None:
        """Whoever has not ended yet is killed instead of waited for."""
        self._hurry.set()

    def process_id(self, name: str) -> int | None:
        """The process id of a running child."""
        return next((run.process.pid for run in self._runs if run.child.name == name and run.process), None)


class _Run:
    """One child, through all its restarts."""

    def __init__(self, child: Child, log: ChildLog, terminal: Terminal) -> None:
        self.child = child
        self.process: asyncio.subprocess.Process | None = None
        self._log = log
        self._terminal = terminal
        self._was_ready = False
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._keep_running(), name=f"keep running: {child.name}")

    async def until_ready(self) -> None:
        reported = time.monotonic()
        while (missing := await self.child.probe()) is not None:
            if self._task.done():
                await self._task
                return  # it was stopped while it started
            if time.monotonic() - reported > REPORT_EVERY_S:
                self._terminal.line(f"still waiting for {self.child.name}: {missing}")
                reported = time.monotonic()
            await asyncio.sleep(POLL_S)
        self._was_ready = True

    async def stop(self, hurry: asyncio.Event) -> None:
        self._stopping.set()
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(self.child.stop_signal)
        urged = asyncio.create_task(hurry.wait())
        await asyncio.wait(
            {self._task, urged}, timeout=self.child.grace_s, return_when=asyncio.FIRST_COMPLETED
        )
        urged.cancel()
        if not self._task.done() and self.process is not None:
            self._terminal.line(f"{self.child.name} has not ended in time: killed")
            _kill_group(self.process.pid)
        with suppress(ChildFailed):  # until_ready has told it
            await self._task

    async def _keep_running(self) -> None:
        pause, deaths = FIRST_PAUSE_S, 0
        try:
            while not self._stopping.is_set():
                started = time.monotonic()
                status = await self._run_once()
                if self._stopping.is_set():
                    return
                deaths += 1
                if not self._was_ready and (status == WRONG_SETTINGS or deaths == START_ATTEMPTS):
                    raise ChildFailed(self.child.name, status, self._log.last_lines)
                if time.monotonic() - started > STEADY_S:
                    pause = FIRST_PAUSE_S
                self._terminal.line(
                    f"{self.child.name} ended (exit status {status}), starts again in {pause:g} s"
                )
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), timeout=pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
        finally:
            self._log.close()

    async def _run_once(self) -> int:
        """Runs the child to its end; returns its exit status, negative for a signal."""
        self._log.last_lines.clear()  # of the run before
        async with _logged(self._log) as output:
            return await self._run_writing_to(output)

    async def _run_writing_to(self, output: int) -> int:
        try:
            self.process = process = await self._spawn(output)
        except OSError as error:  # no such program, or the machine has no memory or processes left
            self._log.feed(f"cannot be started: {error}\n".encode())
            return CANNOT_START
        if self._stopping.is_set():  # asked to stop between the decision to start and the start
            process.send_signal(self.child.stop_signal)
        status = await process.wait()
        # What it left behind would hold its port.
        _kill_group(process.pid)
        self.process = None
        return status

    async def _spawn(self, output: int) -> asyncio.subprocess.Process:
        secrets = {name: secret.reveal() for name, secret in self.child.secrets.items()}
        with secret_pipes(secrets) as (files, descriptors):
            return await asyncio.create_subprocess_exec(
                *self.child.argv,
                env={**self.child.variables, **files},
                pass_fds=(*self.child.descriptors, *descriptors),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(self.child.death_signal),
            )


@asynccontextmanager
async def _logged(log: ChildLog) -> AsyncIterator[int]:
    """Yields a descriptor; what is written to it goes to `log`.

    Not asyncio's own PIPE: with that, some versions of Python take a child for alive as long as anybody has
    its pipe.
    """
    reader, writer = os.pipe()
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reader, "rb")
    )
    pump = asyncio.create_task(_pump(stream, log))
    try:
        yield writer
    finally:
        os.close(writer)
        # Whoever escaped from the child's session may keep the pipe open; his words are not waited for.
        await asyncio.wait({pump}, timeout=LAST_WORDS_S)
        transport.close()
        await pump


async def _pump(stream: asyncio.StreamReader, log: ChildLog) -> None:
    while chunk := await stream.read(64 * 1024):
        log.feed(chunk)
    log.end_line()


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
