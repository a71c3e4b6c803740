"""T23: whatever a user writes becomes neither an address that the gateway calls nor a file that it opens."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

import paper_exchange.server
from gateway.config import Settings
from tests.gateway.conftest import API, PASSWORD
from tests.gateway.process import GatewayProcess, gateway_process
from tradekit.market.alert import ALERT_FIELDS

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

MARK = "canary7f3"
# The kernel's word for a socket that listens.
LISTENS = "0A"
# Notes where the process connects to, what it resolves, opens and starts. On asyncio's own loop, since uvloop
# connects without telling Python; gRPC does, too: its connections are read from the kernel's table.
PROGRAM = """
import asyncio, sys
notes = open(sys.argv.pop(1), "a", buffering=1)
watched = ("socket.connect", "socket.getaddrinfo", "socket.gethostby", "open", "os.", "subprocess")
def note(event, arguments):
    if event.startswith(watched):
        notes.write(f"{event} {arguments[1:] if event == 'socket.connect' else arguments!r}\\n")
sys.addaudithook(note)
import uvloop
uvloop.run = asyncio.run
from gateway.__main__ import main
sys.exit(main())
"""
GOOD: dict[str, Any] = {
    "exchange": "binance",
    "environment": "paper",
    "action": "long",
    "symbol": "BTCUSDT",
    "strategy": "ema_crossover",
    "timeframe": "15m",
    "password": PASSWORD,
    "email": "somebody@example.com",
}


@asynccontextmanager
async def _trap() -> AsyncIterator[tuple[int, list[object]]]:
    """A port that nobody has a reason to connect to, and who did all the same."""
    caught: list[object] = []

    def catch(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caught.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(catch, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], caught


@asynccontextmanager
async def _paper() -> AsyncIterator[str]:
    server = await paper_exchange.server.start(speed=0)
    try:
        yield server.url
    finally:
        await server.close()


def _hostile(trap: int) -> list[str]:
    return [
        f"http://127.0.0.1:{trap}/{MARK}",
        f"https://{MARK}.example/",
        f"//127.0.0.1:{trap}/{MARK}",
        f"127.0.0.1:{trap}",
        f"{MARK}@127.0.0.1:{trap}",
        f"dns:///127.0.0.1:{trap}",
        f"unix:/{MARK}",
        f"file:///{MARK}",
        f"../../../../{MARK}",
        f"/{MARK}",
    ]


async def test_T23_nothing_that_a_user_writes_is_called_or_opened(
    settings: Settings, strategy_address: str, tmp_path: Path
) -> None:
    async with _trap() as (trap, caught), _paper() as paper_url:
        settings = replace(settings, strategy_address=strategy_address, paper_base_url=paper_url)
        command = ("-c", PROGRAM, str(tmp_path / "notes"))
        process = gateway_process(settings, tmp_path, command=command, TRUSTED_PROXIES="127.0.0.1")
        async with process as gateway:
            statuses = await _attack(gateway, trap)
            peers = _peers(gateway)
        notes = (tmp_path / "notes").read_text()

    known = _known_ports(settings)
    connected = re.findall(r"^socket\.connect \((.+),\)$", notes, re.M)
    assert caught == []
    assert MARK not in notes
    # Not fewer either: else nothing would have been noted.
    assert set(connected) == {f"('127.0.0.1', {known[name]})" for name in ("database", "paper")}
    assert {known["vault"], known["execution"], known["strategy"]} <= peers <= set(known.values())
    assert not re.search(r"^(os\.(exec|system|posix_spawn|fork)|subprocess)", notes, re.M)
    assert max(statuses) < 500
    # Most are refused; some are good values of free text, such as an account's label.
    assert statuses[200] > 20


def _known_ports(settings: Settings) -> dict[str, int]:
    addresses = {
        "database": urlsplit(settings.database_url.reveal()).netloc,
        "paper": urlsplit(settings.paper_base_url).netloc,
        "vault": settings.vault_address,
        "execution": settings.execution_address,
        "strategy": settings.strategy_address,
    }
    return {name: int(address.rpartition(":")[2]) for name, address in addresses.items()}


def _peers(gateway: GatewayProcess) -> set[int]:
    """The ports that the process is connected to, as the kernel sees it; not those that connected to it."""
    folder = Path(f"/proc/{gateway.process.pid}")
    own = {path.readlink().name for path in (folder / "fd").iterdir() if path.is_symlink()}
    rows = [row.split() for name in ("tcp", "tcp6") for row in _table(folder, name)]
    mine = [row for row in rows if f"socket:[{row[9]}]" in own]
    served = {row[1].rpartition(":")[2] for row in mine if row[3] == LISTENS}
    return {
        int(row[2].rpartition(":")[2], 16)
        for row in mine
        if row[3] != LISTENS and row[1].rpartition(":")[2] not in served
    }


def _table(folder: Path, name: str) -> list[str]:
    return (folder / "net" / name).read_text().splitlines()[1:]


async def _attack(gateway: GatewayProcess, trap: int) -> Counter[int]:
    """Sends each hostile value in each place of each route; how often which status was answered."""
    async with httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=20.0) as http:
        login = {"email": "owner@example.com", "password": PASSWORD}
        token = (await http.post(f"{API}/auth/signup", json=login)).json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        wanted = {"exchange": "binance", "environment": "paper"}
        account = (await http.post(f"{API}/accounts-secure/register", json=wanted)).json()
        document = (await http.get("/openapi.json")).json()
        good = GOOD | {"account_id": account["id"], "secret": account["webhook"]["secret"]}
        requests = [
            request
            for value in _hostile(trap)
            for request in (*_in_every_place(document, good, value), *_in_headers(value))
        ]
        return Counter([(await http.request(**request)).status_code for request in requests])


def _in_every_place(document: dict[str, Any], good: dict[str, Any], value: str) -> Iterator[dict[str, Any]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _in_operation(path, method, operation, document, good, value)


def _in_operation(
    path: str,
    method: str,
    operation: dict[str, Any],
    document: dict[str, Any],
    good: dict[str, Any],
    value: str,
) -> Iterator[dict[str, Any]]:
    own_id = path.replace("{account_id}", good["account_id"]).replace("{signal_id}", good["account_id"])
    queries = [part["name"] for part in operation.get("parameters", []) if part["in"] == "query"]
    fields = _fields(operation, document)
    if "{" in path:
        yield {"method": method, "url": re.sub(r"\{\w+\}", quote(value, safe=""), path)}
        yield {"method": method, "url": re.sub(r"\{\w+\}", value.replace("#", ""), path)}
    # The account must live on for the other requests.
    if method == "delete":
        return
    for name in queries:
        query = {other: good[other] for other in queries if other in good}
        yield {"method": method, "url": own_id, "params": query | {name: value}}
    for name in fields:
        body = {other: good[other] for other in fields if other in good}
        yield {"method": method, "url": own_id, "json": body | {name: value}}
        yield {"method": method, "url": own_id, "json": body | {name: [{"url": value}]}}


def _fields(operation: dict[str, Any], document: dict[str, Any]) -> set[str]:
    text = json.dumps(operation.get("requestBody", {}))
    schemas = [document["components"]["schemas"][name] for name in re.findall(r"schemas/(\w+)", text)]
    inline = operation.get("requestBody", {}).get("content", {}).values()
    names = {name for schema in schemas for name in schema.get("properties", {})}
    names |= {name for media in inline for name in media["schema"].get("properties", {})}
    # What is in no document may be tried, too.
    extra = ALERT_FIELDS if "secret" in names and "action" in names else {"url", "callback_url", "path"}
    return names | extra if names else set()


def _in_headers(value: str) -> Iterator[dict[str, Any]]:
    for name in (
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "Forwarded",
        "Referer",
        "X-Original-URL",
        "X-Request-ID",
    ):
        for url in (f"{API}/auth/me", "/docs", "/ready"):
            yield {"method": "GET", "url": url, "headers": {name: value}}
