"""Our own system as users run it: `tradingbot up` in a state folder, on free ports."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.rig.http import Connection, connect, request_bytes
from bench.rig.processes import cpu_seconds, family, stopped
from cli.certificates import CertificateAuthority
from cli.ports import port_of, reserve
from cli.postgres import EmbeddedPostgres
from cli.process import die_with_parent
from tradekit.service.channel import TlsFiles
from tradekit.service.clock import UtcClock
from tradekit.service.secret import Secret

HOST = "127.0.0.1"
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 60.0
SERVERS = ("GATEWAY", "VAULT", "EXECUTION", "STRATEGY", "PAPER")
READY = b"Ctrl-C stops everything"
_PARTS = {
    "gateway": r"-m gateway ",
    "vault": r"-m vault_service ",
    "execution": r"-m execution_service ",
    "postgres": r"(/bin/postgres |^postgres: )",
}
OTHERS = "supervisor and others"


class SystemFailed(RuntimeError):
    """The system did not start, or refused what the benchmark asked; the message holds its words."""


@dataclass(frozen=True, slots=True)
class Account:
    """A registered exchange account and what opens its webhook."""

    user_id: str
    account_id: str
    secret: Secret


class RunningSystem:
    """A system that is ready.

    Attributes:
        start_s: From the command to its word `ready`.
    """

    def __init__(self, home: Path, process_id: int, ports: Mapping[str, int], start_s: float) -> None:
        self._home = home
        self._process_id = process_id
        self._ports = ports
        self.start_s = start_s
        self._family = family(process_id)

    @property
    def gateway_port(self) -> int:
        """Where webhooks go."""
        return self._ports["GATEWAY"]

    @property
    def vault_address(self) -> str:
        """Where the vault signs."""
        return f"{HOST}:{self._ports['VAULT']}"

    def tls(self, service: str) -> TlsFiles:
        """The certificate of one of its services."""
        return CertificateAuthority(self._home / "tls", UtcClock()).files(service)

    def database(self) -> EmbeddedPostgres:
        """Its database server."""
        password = Secret((self._home / "secrets" / "POSTGRES_PASSWORD").read_text(encoding="utf-8").strip())
        server = EmbeddedPostgres(self._home / "postgres", password=password)
        server.attach()
        return server

    def cpu_by_part(self) -> dict[str, float]:
        """Processor seconds used so far, by service; PostgreSQL with all its backends."""
        members = self._family = family(self._process_id)
        used = dict.fromkeys([*_PARTS, OTHERS], 0.0)
        for pid, command in members.items():
            part = next((name for name, pattern in _PARTS.items() if re.search(pattern, command)), OTHERS)
            used[part] += cpu_seconds([pid])
        return used

    async def register(self, count: int) -> list[Account]:
        """A new user's accounts on the exchange that PAPER_BASE_URL names, with made-up keys."""
        connection = await connect(self.gateway_port)
        try:
            email = f"bench-{time.time_ns()}@example.com"
            person = {"email": email, "password": f"bench-{os.urandom(12).hex()}"}
            signed_up = await _call(connection, "/api/v1/auth/signup", person)
            token, user_id = signed_up["access_token"], signed_up["user"]["id"]
            return [await self._register_one(connection, token, user_id) for _ in range(count)]
        finally:
            connection.close()

    async def _register_one(self, connection: Connection, token: str, user_id: str) -> Account:
        keys = {"api_key": os.urandom(32).hex(), "api_secret": os.urandom(32).hex()}
        body = {"exchange": "binance", "environment": "paper", **keys}
        answer = await _call(connection, "/api/v1/accounts-secure/register", body, token=token)
        return Account(user_id, answer["id"], Secret(answer["webhook"]["secret"]))


async def _call(connection: Connection, path: str, body: object, *, token: str = "") -> Any:
    answer = await connection.send(request_bytes("POST", path, json.dumps(body).encode(), token=token))
    if answer.status not in (200, 201):
        raise SystemFailed(f"{path} answered {answer.status}: {answer.body.decode(errors='replace')[:300]}")
    return json.loads(answer.body)


@asynccontextmanager
async def running_system(home: Path, *, exchange: str | None = None) -> AsyncIterator[RunningSystem]:
    """Starts the whole system in `home` and stops it in order on exit.

    Args:
        home: State folder; made by the first start.
        exchange: URL that takes the paper exchange's place; None: the paper exchange runs too.

    Raises:
        SystemFailed: It did not become ready.
    """
    ports = _free_ports([*SERVERS, *(f"{name}_ADMIN" for name in SERVERS if name != "PAPER")])
    variables = {f"{name}_ADDRESS": f"{HOST}:{port}" for name, port in ports.items()}
    if exchange is not None:
        variables["PAPER_BASE_URL"] = exchange
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "up", "--home", str(home), "--no-web"),
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": os.getcwd(), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    reading: asyncio.Task[bytes] | None = None
    try:
        await _until_ready(process)
        start_s = time.monotonic() - started
        assert process.stdout is not None
        # Read on, so that it never waits for us to take its words.
        reading = asyncio.create_task(process.stdout.read())
        yield RunningSystem(home, process.pid, ports, start_s)
    finally:
        await stopped(process, signal.SIGINT, within_s=STOP_TIMEOUT_S)
        if reading is not None:
            await reading


def _free_ports(names: Sequence[str]) -> dict[str, int]:
    """A port for each name; kept until all are chosen, so that no two are the same."""
    with ExitStack() as kept:
        ports = {}
        for name in names:
            keeper = reserve(HOST, 0)
            if keeper is None:
                raise SystemFailed(f"there is no free port on {HOST}")
            ports[name] = port_of(kept.enter_context(keeper))
        return ports


async def _until_ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    words: list[bytes] = []
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            async for line in process.stdout:
                words.append(line)
                if READY in line:
                    return
    except TimeoutError:
        pass
    raise SystemFailed(b"".join(words[-20:]).decode(errors="replace"))
