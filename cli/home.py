"""The state folder: one place for everything that must survive a restart, readable by its owner only."""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import overload

from cli.errors import CommandFailed
from tradekit.service.secret import Secret

PRIVATE_FOLDER = 0o700


class HomeUnusable(CommandFailed):
    """The state folder cannot be used; the message says why and what to do."""


class HomeInUse(HomeUnusable):
    """A running system holds the state folder."""


class Home:
    """A state folder that exists with mode 0700. Get one with `open_home`.

    home/
    ├── lock              held by the running `tradingbot up`
    ├── secrets/NAME      one generated secret each
    ├── tls/              the internal authority and its certificates
    ├── postgres/         the embedded server's data
    ├── paper-exchange/   the paper exchange's state
    ├── logs/NAME.log     what each process wrote
    └── demo.json         the demo account
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def folder(self, name: str) -> Path:
        """A folder inside, mode 0700; made when it is missing."""
        path = self.root / name
        path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        return path

    @overload
    def secret(self, name: str, make: Callable[[], str]) -> Secret: ...

    @overload
    def secret(self, name: str, make: Callable[[], str] | None) -> Secret | None: ...

    def secret(self, name: str, make: Callable[[], str] | None) -> Secret | None:
        """The stored secret `name`, or a new one that `make` makes and that is stored from now on.

        Raises:
            HomeUnusable: The file is there but empty: a key that was lost must not be replaced in silence.
        """
        path = self.folder("secrets") / name
        if not path.exists():
            if make is None:
                return None
            write_private(path, make() + "\n")
        value = path.read_text(encoding="utf-8").strip()
        if not value:
            raise HomeUnusable(
                f"{path} is empty: restore it from a backup, or remove it to have a new one made"
            )
        return Secret(value)


@contextmanager
def open_home(root: Path) -> Iterator[Home]:
    """Yields the state folder, locked: one running system a folder.

    Raises:
        HomeUnusable: Another process holds it, it belongs to somebody else, or it cannot be made.
    """
    # Everything that this process and its children make is theirs alone.
    os.umask(0o077)
    root = root.absolute()
    try:
        root.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        if root.stat().st_uid != os.geteuid():
            raise HomeUnusable(f"{root} belongs to another user")
        root.chmod(PRIVATE_FOLDER)
        descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise HomeUnusable(f"{root} cannot be used as the state folder: {error.strerror}") from error
    with os.fdopen(descriptor, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = lock.read().strip() or "unknown"
            raise HomeInUse(
                f"{root} is in use by a running `tradingbot up` (process {holder}): "
                "stop that one or choose another --home"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield Home(root)


def write_private(path: Path, text: str) -> None:
    """Writes `path` with mode 0600, whole or not at all, also across a power cut."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
