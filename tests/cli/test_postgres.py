"""The embedded server: it starts, comes back, survives a kill, asks for the password, runs as root."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from cli import postgres
from cli.postgres import EmbeddedPostgres, PostgresUnusable
from tradekit.service.secret import Secret

pytestmark = pytest.mark.anyio
PASSWORD = Secret("pä ss/w@rd:1")


def _server(folder: Path, password: Secret = PASSWORD) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder / "postgres", password=password)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = _server(tmp_path)
    await server.start()
    yield server
    await server.stop()


async def _fetch(server: EmbeddedPostgres, query: str) -> object:
    connection = await asyncpg.connect(server.url().reveal())
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_data_and_port_stay_over_a_restart(server: EmbeddedPostgres) -> None:
    url = server.url()
    await _fetch(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    await server.stop()
    await server.start()
    assert server.url() == url
    assert await _fetch(server, "SELECT answer FROM kept") == 42


async def test_taken_port_is_replaced(server: EmbeddedPostgres) -> None:
    port = await _fetch(server, "SELECT current_setting('port')::int")
    await server.stop()
    with socket.create_server(("127.0.0.1", int(str(port)))):
        await server.start()
        assert await _fetch(server, "SELECT current_setting('port')::int") != port


async def test_every_committed_row_survives_kill_9(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.url().reveal())
    await connection.execute("CREATE TABLE ledger (n int)")
    for number in range(100):
        await connection.execute("INSERT INTO ledger VALUES ($1)", number)
    assert server.process_id is not None
    os.kill(server.process_id, signal.SIGKILL)
    await server.stop()  # it is gone: this reaps it
    connection.terminate()
    await server.start()
    assert await _fetch(server, "SELECT count(*) FROM ledger") == 100


@pytest.mark.parametrize("password", ["wrong", ""])
async def test_password_is_asked_for(server: EmbeddedPostgres, password: str) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url(password=Secret(password)).reveal())


async def test_nobody_is_trusted(server: EmbeddedPostgres) -> None:
    rules = await asyncpg.connect(server.url().reveal())
    methods = await rules.fetch("SELECT DISTINCT auth_method FROM pg_hba_file_rules")
    stored = await rules.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = 'tradingbot'")
    await rules.close()
    assert [row["auth_method"] for row in methods] == ["scram-sha-256"]
    assert stored.startswith("SCRAM-SHA-256$")


async def test_listens_on_loopback_only(server: EmbeddedPostgres) -> None:
    names = ("listen_addresses", "unix_socket_directories")
    values = [await _fetch(server, f"SELECT current_setting('{name}')") for name in names]
    assert values == ["127.0.0.1", ""]


async def test_commits_are_durable_by_default(server: EmbeddedPostgres) -> None:
    names = ("fsync", "synchronous_commit", "full_page_writes", "data_checksums")
    assert [await _fetch(server, f"SELECT current_setting('{name}')") for name in names] == ["on"] * 4


async def test_other_password_than_the_data_has_is_a_clear_error(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    other = _server(tmp_path, Secret("another"))
    other.attach()
    with pytest.raises(PostgresUnusable, match="another password"):
        await other.why_not_ready()


async def test_first_start_that_was_cut_off_is_repeated(tmp_path: Path) -> None:
    _write_version(tmp_path / "postgres.partial", "18")
    server = _server(tmp_path)
    await server.start()
    await server.stop()
    assert _names(tmp_path) == ["postgres"]


async def test_data_of_another_version_is_a_clear_error(tmp_path: Path) -> None:
    _write_version(tmp_path / "postgres", "16")
    with pytest.raises(PostgresUnusable, match="PostgreSQL 16"):
        await _server(tmp_path).prepare()


async def test_server_of_a_killed_parent_ends_and_the_next_one_takes_over(tmp_path: Path) -> None:
    """F15: the parent dies by SIGKILL, the next start needs no help."""
    program = """
import asyncio, os, signal, sys
from pathlib import Path
from cli.postgres import EmbeddedPostgres
from tradekit.service.secret import Secret

server = EmbeddedPostgres(Path(sys.argv[1]), password=Secret(sys.argv[2]))
asyncio.run(server.start())
print(server.process_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "postgres"), PASSWORD.reveal()]
    killed = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL
    server = _server(tmp_path)
    await server.start()
    assert server.process_id != int(killed.stdout)
    await server.stop()


async def test_nothing_around_the_data_is_opened_to_others(tmp_path: Path) -> None:
    """As root too: no account is made, no folder above gets other rights."""
    _close(tmp_path)
    before = _accounts()
    server = _server(tmp_path)
    await server.start()
    await server.stop()
    assert (_mode(tmp_path), _mode(tmp_path / "postgres")) == (0o700, 0o700)
    assert _accounts() == before


def _write_version(folder: Path, version: str) -> None:
    folder.mkdir()
    (folder / "PG_VERSION").write_text(f"{version}\n")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _close(folder: Path) -> None:
    folder.chmod(0o700)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _accounts() -> bytes:
    return Path("/etc/passwd").read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")
@pytest.mark.parametrize("order", [("unshare", "setpriv"), ("setpriv", "unshare")])
async def test_root_can_change_between_namespace_and_setpriv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[str, str]
) -> None:
    _close(tmp_path)
    for tool in order:
        monkeypatch.setattr(postgres, "_works", lambda wrapper, tool=tool: wrapper[0] == tool)
        server = _server(tmp_path)
        await server.start()
        assert server.argv()[0] == tool
        assert await _fetch(server, "SELECT 1") == 1
        await server.stop()
