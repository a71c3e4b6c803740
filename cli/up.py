"""`tradingbot up`: the whole system on one machine, in the foreground."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp

from cli import postgres
from cli.certificates import CertificateAuthority
from cli.demo import Demo, DemoFailed, ensure_demo
from cli.home import Home, open_home
from cli.migrate import migrate
from cli.ports import reserve
from cli.postgres import EmbeddedPostgres
from cli.process import move_out_of_environment
from cli.readiness import why_not_ok
from cli.settings import (
    PAPER,
    SECRET_NAMES,
    ProcessSettings,
    SystemSettings,
    all_secrets,
    new_token,
    read_settings,
    role_url,
    service_settings,
)
from cli.supervisor import Child, Probe, Supervisor
from cli.terminal import Terminal
from cli.workers import Worker, gateway_workers
from tradekit.service.admin import host_and_port
from tradekit.service.clock import UtcClock
from tradekit.service.config import ConfigurationError
from tradekit.service.migrations import SERVICES as SCHEMAS
from tradekit.service.migrations import role_of
from tradekit.service.secret import Secret
from vault_service.hardening import hide_memory

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A server that was killed a moment ago may still hold its port.
PORT_WAIT_S = 2.0
POSTGRES_GRACE_S = 60.0
# The gateway answers to its public name and to this one, whatever address it listens on.
AS_LOCAL_HOST = {"Host": "localhost"}


def up(root: Path, *, web: bool, workers: int = 1) -> None:
    """Runs everything until Ctrl-C or SIGTERM.

    Args:
        root: The state folder.
        web: Whether the web app is wanted.
        workers: How many gateway processes share the gateway's port.

    Raises:
        ConfigurationError: Names everything that is wrong with the settings; nothing was started.
        CommandFailed: The state folder cannot be used, or something does not start; all has been stopped.
    """
    hide_memory()
    move_out_of_environment(SECRET_NAMES)
    settings = read_settings(os.environ, web=web)
    with open_home(root) as home:
        secrets = all_secrets(settings, home)
        with (
            _reserved_ports(settings) as keepers,
            gateway_workers(
                workers, keeper=keepers["GATEWAY_ADDRESS"], admin_address=settings.admin_addresses["gateway"]
            ) as gateways,
        ):
            asyncio.run(_run(home, settings, secrets, gateways, Terminal(sys.stdout)))


@contextmanager
def _reserved_ports(settings: SystemSettings) -> Iterator[Mapping[str, socket.socket]]:
    """Keeps all ports for our servers, also while one of them restarts; yields their sockets by setting."""
    wanted = {f"{name.upper()}_ADDRESS": address for name, address in settings.addresses.items()}
    wanted |= {f"{name.upper()}_ADMIN_ADDRESS": address for name, address in settings.admin_addresses.items()}
    if not settings.runs_paper:
        del wanted[f"{PAPER.upper()}_ADDRESS"]
    keepers: dict[str, socket.socket] = {}
    with ExitStack() as kept:
        deadline = time.monotonic() + PORT_WAIT_S
        while taken := _reserve(wanted, keepers, kept):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    [
                        f"{address} is in use: stop what uses it, or set {name}"
                        for name, address in taken.items()
                    ]
                )
            wanted = taken
            time.sleep(0.05)
        yield keepers


def _reserve(wanted: Mapping[str, str], keepers: dict[str, socket.socket], kept: ExitStack) -> dict[str, str]:
    """Adds what keeps each wanted port to `keepers`; returns those that somebody else has."""
    taken = {}
    for name, address in wanted.items():
        keeper = reserve(*host_and_port(address))
        if keeper is None:
            taken[name] = address
        else:
            keepers[name] = kept.enter_context(keeper)
    return taken


async def _run(
    home: Home,
    settings: SystemSettings,
    secrets: Mapping[str, Secret],
    gateways: Sequence[Worker],
    terminal: Terminal,
) -> None:
    supervisor = Supervisor(logs=home.folder("logs"), terminal=terminal)
    stop_asked = _on_stop_signals(supervisor)
    async with aiohttp.ClientSession(headers=AS_LOCAL_HOST) as session:
        system = _System(home, settings, secrets, gateways, supervisor, terminal, session)
        starting = asyncio.create_task(system.start())
        waiting = asyncio.create_task(stop_asked.wait())
        try:
            await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            await waiting
        finally:
            waiting.cancel()
            starting.cancel()
            terminal.line("stopping")
            await asyncio.gather(starting, return_exceptions=True)
            await supervisor.stop()
            system.release()
            terminal.line("stopped")


def _on_stop_signals(supervisor: Supervisor) -> asyncio.Event:
    """An event for the first stop signal; the second one ends the patience with those that do not end."""
    asked = asyncio.Event()

    def handle() -> None:
        if asked.is_set():
            supervisor.hurry()
        asked.set()

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, handle)
    return asked


class _System:
    """Everything that runs, in the order in which it starts."""

    def __init__(
        self,
        home: Home,
        settings: SystemSettings,
        secrets: Mapping[str, Secret],
        gateways: Sequence[Worker],
        supervisor: Supervisor,
        terminal: Terminal,
        session: aiohttp.ClientSession,
    ) -> None:
        self._home = home
        self._settings = settings
        self._secrets = secrets
        self._gateways = gateways
        self._supervisor = supervisor
        self._terminal = terminal
        self._session = session
        self._authority = CertificateAuthority(home.folder("tls"), UtcClock())
        self._server: EmbeddedPostgres | None = None

    async def start(self) -> None:
        """Starts everything and says `ready`."""
        admin_url = self._settings.database_url or await self._embedded_database()
        passwords = {
            name: self._home.secret(f"{name.upper()}_DATABASE_PASSWORD", new_token) for name in SCHEMAS
        }
        await asyncio.gather(self._paper(), self._migrate(admin_url, passwords))
        urls = {
            name: role_url(admin_url, role=role_of(name), password=password)
            for name, password in passwords.items()
        }
        # All at once, since most of a start is their imports; whoever calls another dials until it is there.
        # They stop in the reverse order: first who takes alerts, last who signs.
        await asyncio.gather(
            *(self._service(name, urls[name]) for name in ("vault", "strategy", "execution")),
            *(self._gateway(worker, urls["gateway"]) for worker in self._gateways),
        )
        self._say_ready(await self._demo())

    def release(self) -> None:
        """Gives back what was kept for the processes, after they have ended."""
        if self._server is not None:
            self._server.release()

    async def _embedded_database(self) -> Secret:
        self._terminal.line("starting PostgreSQL")
        password = self._home.secret("POSTGRES_PASSWORD", new_token)
        server = self._server = EmbeddedPostgres(self._home.root / "postgres", password=password)
        await server.prepare()
        await self._supervisor.start(
            Child(
                name="postgres",
                argv=server.argv(),
                variables=server.environment(),
                probe=server.why_not_ready,
                stop_signal=signal.SIGINT,
                death_signal=signal.SIGINT,
                grace_s=POSTGRES_GRACE_S,
                attention=postgres.attention,
            )
        )
        await server.create_database()
        return server.url()

    async def _migrate(self, admin_url: Secret, passwords: Mapping[str, Secret]) -> None:
        self._terminal.line("migrating the database")
        await migrate(admin_url, passwords)

    async def _paper(self) -> None:
        if not self._settings.runs_paper:
            return
        self._terminal.line("starting the paper exchange")
        host, _, port = self._settings.addresses[PAPER].rpartition(":")
        state = self._home.folder("paper-exchange")
        argv = _python("paper_exchange", "--host", host.strip("[]"), "--port", port, "--state", str(state))
        await self._supervisor.start(
            Child(
                name="paper-exchange",
                argv=argv,
                variables=self._settings.machine,
                probe=self._answers(f"{self._settings.paper_url}/fapi/v1/ping"),
            )
        )

    async def _service(self, name: str, database_url: Secret) -> None:
        self._terminal.line(f"starting {name}")
        own = self._settings_of(name, database_url)
        await self._supervisor.start(
            Child(
                name=name,
                argv=_python(f"{name}_service"),
                variables=own.variables,
                secrets=own.secrets,
                probe=self._answers(f"http://{self._settings.admin_addresses[name]}/healthz"),
            )
        )

    async def _gateway(self, worker: Worker, database_url: Secret) -> None:
        self._terminal.line(f"starting {worker.name}")
        own = self._settings_of("gateway", database_url)
        # Behind a shared port anyone answers; each one's own port tells how it is itself.
        shared = len(self._gateways) > 1
        url = (
            f"{worker.admin_address}/healthz"
            if shared
            else f"{self._settings.local_address('gateway')}/ready"
        )
        await self._supervisor.start(
            Child(
                name=worker.name,
                argv=_python("gateway"),
                variables={**own.variables, **worker.variables},
                secrets=own.secrets,
                descriptors=worker.descriptors,
                probe=self._answers(f"http://{url}"),
            )
        )

    def _settings_of(self, name: str, database_url: Secret) -> ProcessSettings:
        return service_settings(
            name,
            self._settings,
            database_url=database_url,
            tls=self._authority.files(name),
            secrets=self._secrets,
        )

    def _answers(self, url: str) -> Probe:
        return lambda: why_not_ok(self._session, url)

    async def _demo(self) -> Demo | None:
        if not self._settings.is_local or not self._settings.runs_paper:
            return None
        from gateway.users import DEMO_EMAIL

        api = f"http://{self._settings.local_address('gateway')}/api/v1"
        try:
            return await ensure_demo(self._session, api, email=DEMO_EMAIL, home=self._home)
        except DemoFailed as error:
            self._terminal.line(f"the demo user could not be made: {error}")
            return None

    def _say_ready(self, demo: Demo | None) -> None:
        lines = [
            "",
            f"ready  {self._settings.public_url}  (API documentation: {self._settings.public_url}/docs)",
            f"       paper exchange {self._settings.paper_url}",
            f"       state folder {self._home.root}",
        ]
        if len(self._gateways) > 1:
            admins = ", ".join(worker.admin_address for worker in self._gateways)
            lines.append(f"       {len(self._gateways)} gateway workers, /healthz and /metrics at {admins}")
        if demo is not None:
            lines += [
                f"       demo login {demo.email}  password {demo.password.reveal()}",
                "",
                "A TradingView alert for the demo account:",
                "",
                demo.curl(self._settings.public_url),
            ]
        self._terminal.line("\n".join([*lines, "", "Ctrl-C stops everything."]))


def _python(package: str, *arguments: str) -> tuple[str, ...]:
    # -P: a folder of the same name in the working directory is not what is meant.
    return (sys.executable, "-P", "-m", package, *arguments)
