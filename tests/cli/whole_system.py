"""A running `tradingbot up`, as tests see it: its processes, its output, its end."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

COMMAND = Path(sys.executable).with_name("tradingbot")
FREE_PORTS = {
    f"{name}_ADDRESS": "127.0.0.1:0"
    for name in (
        *("GATEWAY", "VAULT", "EXECUTION", "STRATEGY", "PAPER"),
        *("GATEWAY_ADMIN", "VAULT_ADMIN", "EXECUTION_ADMIN", "STRATEGY_ADMIN"),
    )
}
PROCESSES = (
    "postgres",
    "paper_exchange",
    "vault_service",
    "execution_service",
    "strategy_service",
    "gateway",
)


class System:
    """A running `tradingbot up`."""

    def __init__(self, home: Path, *arguments: str, **variables: str) -> None:
        self.home = home
        self._output = home.with_suffix(".out")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [COMMAND, "up", "--home", home, "--no-web", *arguments],
                env={"PATH": os.environ["PATH"], **FREE_PORTS, **variables},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_ready(self) -> None:
        until(
            lambda: "Ctrl-C stops everything" in self.output or self.process.poll() is not None,
            lambda: self.output,
        )
        assert self.process.poll() is None, self.output

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=90)

    @property
    def url(self) -> str:
        """Where the gateway answers."""
        found = re.search(r"^ready  (\S+)", self.output, re.MULTILINE)
        assert found is not None, self.output
        return found[1]

    def curl(self) -> list[str]:
        return shlex.split(next(line for line in self.output.splitlines() if line.startswith("curl ")))

    def children(self) -> dict[str, int]:
        """Name -> process id of each child; of several workers, one."""
        return {name: process_id for process_id, name in self.processes().items()}

    def processes(self) -> dict[int, str]:
        """Process id -> name of each child."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_text().replace("\0", " ")
                name = next((name for name in PROCESSES if re.search(rf"(-m |/bin/){name} ", command)), None)
                if parent == self.process.pid and name is not None:
                    found[int(folder.name)] = name
        return found


def until(condition: Callable[[], object], explain: Callable[[], object] = str) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.02)


def is_alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
