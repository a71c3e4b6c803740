"""Several gateway workers on one port: nobody is turned away while one of them is dead."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import httpx
import pytest

from cli.ports import reserve
from cli.workers import gateway_workers
from tests.cli.whole_system import System, until

WORKERS = 3
CLIENTS = 20
PAUSE_S = 0.1
RESTART_GOAL_S = 2.0
# A restart is loading and not much more.
LOADING_SHARE = 2.5
ANSWER_LIMIT_S = 10.0


@pytest.fixture
def keeper() -> Iterator[socket.socket]:
    kept = reserve("127.0.0.1", 0)
    assert kept is not None
    with kept:
        yield kept


def _listens(kept: socket.socket) -> bool:
    return bool(kept.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def test_a_single_worker_listens_by_itself(keeper: socket.socket) -> None:
    with gateway_workers(1, keeper=keeper, admin_address="127.0.0.1:50060") as (worker,):
        assert (worker.name, worker.admin_address) == ("gateway", "127.0.0.1:50060")
        assert (worker.variables, worker.descriptors) == ({}, ())
        assert not _listens(keeper)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_several_workers_share_a_socket_and_have_admin_ports_of_their_own(
    keeper: socket.socket, host: str
) -> None:
    with gateway_workers(3, keeper=keeper, admin_address=f"{host}:50060") as workers:
        assert _listens(keeper)
        assert [worker.name for worker in workers] == ["gateway", "gateway-2", "gateway-3"]
        assert workers[0].admin_address == f"{host}:50060"
        assert len({worker.admin_address for worker in workers}) == 3
        for worker in workers:
            assert worker.descriptors == (keeper.fileno(),)
            assert worker.variables == {
                "LISTEN_FD": str(keeper.fileno()),
                "ADMIN_ADDRESS": worker.admin_address,
            }


@dataclass
class Load:
    """What became of requests, each over a connection of its own.

    Attributes:
        answered: Status -> count.
        refused: Connections that were not taken.
        broken: When those began that ended without an answer, by the monotonic clock.
        lost_alerts: The bodies of the alerts among them.
    """

    url: str
    alert: dict[str, str]
    answered: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    broken: list[float] = field(default_factory=list)
    lost_alerts: list[dict[str, str]] = field(default_factory=list)

    async def send(self, body: dict[str, str] | None) -> int | None:
        """One request: an alert, or a look at /health; its status."""
        began = time.monotonic()
        try:
            status = await self._request(body)
        except ConnectionRefusedError:
            self.refused += 1
            return None
        except (OSError, asyncio.IncompleteReadError):
            self.broken.append(began)
            if body is not None:
                self.lost_alerts.append(body)
            return None
        self.answered[status] += 1
        return status

    async def _request(self, body: dict[str, str] | None) -> int:
        address = urlsplit(self.url)
        method, path = ("GET", "/health") if body is None else ("POST", "/api/v1/webhook/tradingview")
        content = b"" if body is None else json.dumps(body).encode()
        async with asyncio.timeout(ANSWER_LIMIT_S):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                writer.write(
                    f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode()
                    + content
                )
                head = await reader.readuntil(b"\r\n\r\n")
                return int(head.split(b" ", 2)[1])
            finally:
                writer.close()

    async def repeat(self, number: int, ended: asyncio.Event) -> None:
        """Sends one after the other; each fourth client sends alerts."""
        count = 0
        while not ended.is_set():
            count += 1
            alert = self.alert | {"alert_id": f"load-{number}-{count}"} if number % 4 == 0 else None
            await self.send(alert)
            await asyncio.sleep(PAUSE_S)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Clients that send while the block runs."""
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(self.repeat(number, ended))
            try:
                yield
            finally:
                ended.set()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    running = System(tmp_path_factory.mktemp("workers") / "state", "--workers", str(WORKERS))
    try:
        running.wait_ready()
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def _gateways(system: System) -> set[int]:
    return {process_id for process_id, name in system.processes().items() if name == "gateway"}


def _ready_records(system: System) -> list[dict[str, str]]:
    lines = [
        line for path in (system.home / "logs").glob("gateway*.log") for line in path.read_text().splitlines()
    ]
    records = [json.loads(line[line.index("{") :]) for line in lines if "gateway.ready" in line]
    return [record for record in records if record["event"] == "gateway.ready"]


def _has_more_records(system: System, count: int) -> bool:
    return len(_ready_records(system)) > count


whole_system = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("up"),
    pytest.mark.anyio,
]


def of_the_whole_system(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Marks a test that needs all real processes."""
    for mark in whole_system:
        test = mark(test)
    return test


@of_the_whole_system
async def test_every_worker_has_an_admin_port_beside_the_common_one(system: System) -> None:
    printed = re.search(r"gateway workers, /healthz and /metrics at (.+)", system.output)
    assert printed is not None
    admins = printed[1].split(", ")
    records = _ready_records(system)

    assert len(_gateways(system)) == len(set(admins)) == WORKERS
    assert {record["admin"] for record in records} == set(admins)
    assert {record["address"] for record in records} == {urlsplit(system.url).netloc}
    async with httpx.AsyncClient() as http:
        for admin in admins:
            assert (await http.get(f"http://{admin}/healthz")).text == "ok\n"


async def _restart_goal_s() -> float:
    """The goal, or what this machine can do while others use it: it has to load the program first."""
    began = time.monotonic()
    loading = await asyncio.create_subprocess_exec(sys.executable, "-c", "import gateway.__main__")
    assert await loading.wait() == 0
    return max(RESTART_GOAL_S, LOADING_SHARE * (time.monotonic() - began))


@of_the_whole_system
async def test_F04_killed_worker_under_load(system: System) -> None:
    alert = json.loads(system.curl()[-1]) | {"action": "close_all"}
    load = Load(system.url, alert)
    before, started = _gateways(system), len(_ready_records(system))
    async with load.running():
        await asyncio.to_thread(until, lambda: sum(load.answered.values()) > 200)
        victim, goal_s = min(before), await _restart_goal_s()
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        await asyncio.to_thread(until, partial(_has_more_records, system, started))
        back = time.monotonic()
        answered = sum(load.answered.values())
        await asyncio.to_thread(until, lambda: sum(load.answered.values()) > answered + 200)

    assert load.refused == 0
    # What the dead worker had taken is lost: nothing that came later, and not all of what was under way.
    assert len(load.broken) < CLIENTS
    assert [began - killed for began in load.broken if began > killed + 0.1] == []
    assert back - killed <= goal_s
    assert len(_gateways(system) - before) == 1
    assert before - {victim} < _gateways(system)
    # The sender's repeat is the same alert: nobody has to know whether it was recorded.
    repeated = [await load.send(body) for body in load.lost_alerts]
    assert {*repeated, *load.answered} <= {200, 202, 422}


@of_the_whole_system
async def test_each_fill_is_counted_once_whichever_worker_counts(system: System) -> None:
    async with httpx.AsyncClient(base_url=f"{system.url}/api/v1", timeout=10.0) as http:
        await _log_in_as_demo(http, system)
        before = await _trades(http)
        signals = []
        for victim in sorted(_gateways(system)):
            # An id of its own: a worker killed just after its answer could not say that it was delivered.
            alert = json.loads(system.curl()[-1]) | {"alert_id": f"fill-{victim}"}
            answer = await http.post("/webhook/tradingview", json=alert)
            assert answer.status_code in (200, 202), answer.text
            signals.append(answer.json()["signal_id"])
            started = len(_ready_records(system))
            os.kill(victim, signal.SIGKILL)
            await asyncio.to_thread(until, partial(_has_more_records, system, started))
        async with asyncio.timeout(90):
            fills = sum([await _fills(http, signal_id) for signal_id in signals])
            while await _trades(http) < before + fills:  # noqa: ASYNC110 - counted in other processes
                await asyncio.sleep(0.05)
        assert fills > 0
        assert await _trades(http) == before + fills


async def _log_in_as_demo(http: httpx.AsyncClient, system: System) -> None:
    printed = re.search(r"demo login (\S+)  password (\S+)", system.output)
    assert printed is not None
    login = await http.post("/auth/login", json={"email": printed[1], "password": printed[2]})
    http.headers["Authorization"] = f"Bearer {login.json()['access_token']}"


async def _trades(http: httpx.AsyncClient) -> int:
    return int((await http.get("/auth/me")).json()["total_trades"])


async def _fills(http: httpx.AsyncClient, signal_id: str) -> int:
    """1 if the signal's entry has filled, 0 if it ended without: after a flood an entry may grow too old."""
    while True:
        found = (await http.get(f"/signals/{signal_id}")).json()
        if found["finish_time"] is not None:
            return sum(leg["kind"] == "entry" and leg["status"] == "filled" for leg in found["legs"])
        await asyncio.sleep(0.1)
