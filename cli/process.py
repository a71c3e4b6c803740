"""How a child process is started: in its own session, dying with its parent, its secrets through pipes."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

_PR_SET_PDEATHSIG = 1
# What any pipe holds without a reader.
PIPE_HOLDS_BYTES = 4_096

# Loaded here and not in the child: between fork and exec only the call itself may happen.
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """Makes a `preexec_fn` that has the kernel send `death_signal` when the parent ends, however it ends.

    Start children from the main thread only: the kernel watches the thread that forked.
    """
    parent = os.getpid()

    def prepare() -> None:
        if sys.platform == "linux":
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        # The parent may have ended between fork and prctl; then no signal will ever come.
        if os.getppid() != parent:
            os._exit(1)

    return prepare


@contextmanager
def secret_pipes(secrets: Mapping[str, str]) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """Yields the settings `NAME_FILE=/dev/fd/N` and the descriptors N that a child has to inherit.

    Each pipe holds one value and is closed for writing, so that the child reads the value and then the end.
    A pipe can be read once: make new ones for every start.

    Args:
        secrets: Setting name to value, each value at most `PIPE_HOLDS_BYTES` long.
    """
    readers: dict[str, int] = {}
    try:
        for name, value in secrets.items():
            reader, writer = os.pipe()
            readers[name] = reader
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(value.encode())
        yield (
            {f"{name}_FILE": f"/dev/fd/{reader}" for name, reader in readers.items()},
            tuple(readers.values()),
        )
    finally:
        for reader in readers.values():
            os.close(reader)


def move_out_of_environment(names: Iterable[str]) -> None:
    """Starts this program again with the values of `names` in pipes, unless none of them is set.

    Whoever may read `/proc/PID/environ` sees what a program was started with, whatever it removes later.
    """
    given = {name: value for name in names if (value := os.environ.get(name))}
    movable = {name: value for name, value in given.items() if len(value.encode()) <= PIPE_HOLDS_BYTES}
    if not movable:
        return
    with secret_pipes(movable) as (files, descriptors):
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        rest = {name: value for name, value in os.environ.items() if name not in movable}
        os.execve(sys.executable, sys.orig_argv, rest | files)  # noqa: S606  # this very program
