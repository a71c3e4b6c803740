"""Backup and restore, with PostgreSQL's own programs on a real database of all services."""

import gzip
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import asyncpg
import pytest

from cli.postgres import MAJOR_VERSION, _binary
from tests.conftest import TestDatabase
from tests.deploy.compose_file import ROOT
from tradekit.service.migrations import SERVICES, upgrade
from tradekit.service.secret import Secret

pytestmark = pytest.mark.anyio


def run(script: str, argument: Path, database: TestDatabase) -> subprocess.CompletedProcess[str]:
    """Runs a script of deploy/ against `database` with the programs of the embedded server."""
    return subprocess.run(
        ["bash", ROOT / "deploy" / script, argument],
        env=_client_environment(database.admin),
        capture_output=True,
        text=True,
    )


def _client_environment(url: Secret) -> Mapping[str, str]:
    parts = urlsplit(url.reveal())
    return {
        "PATH": f"{_binary('pg_dump').parent}:{os.environ['PATH']}",
        "POSTGRES_TOOLS": "",
        "PGHOST": str(parts.hostname),
        "PGPORT": str(parts.port),
        "PGUSER": str(parts.username),
        "PGPASSWORD": str(parts.password),
        "PGDATABASE": parts.path.strip("/"),
    }


async def fetch(url: Secret, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url.reveal())
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


async def shape(url: Secret) -> list[tuple[object, ...]]:
    """Every table with its rights, every trigger, every applied migration."""
    tables = await fetch(
        url,
        "SELECT n.nspname, c.relname, c.relkind::text, (SELECT string_agg(a::text, ',' ORDER BY a::text)"
        " FROM unnest(c.relacl) a) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY (ARRAY['gateway', 'vault', 'execution', 'strategy']) ORDER BY 1, 2",
    )
    triggers = await fetch(
        url, "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2"
    )
    versions = [await fetch(url, f"SELECT * FROM {name}.alembic_version") for name in SERVICES]  # noqa: S608  # our names
    return [tuple(row) for rows in (tables, triggers, *versions) for row in rows]


@pytest.fixture
async def filled(database: TestDatabase) -> TestDatabase:
    """A database with a row that is missed when it is not there."""
    await fetch(
        database.roles["gateway"],
        "INSERT INTO gateway.users (id, email, name, password, created_at)"
        " VALUES (gen_random_uuid(), 'a@example.com', 'A', 'hash', now())",
    )
    return database


async def users(database: TestDatabase) -> list[str]:
    """As the gateway reads them."""
    return [row["email"] for row in await fetch(database.roles["gateway"], "SELECT email FROM gateway.users")]


async def test_a_restored_database_is_the_one_that_was_backed_up(
    filled: TestDatabase, tmp_path: Path
) -> None:
    before = await shape(filled.admin)
    done = run("backup.sh", tmp_path, filled)
    assert done.returncode == 0, done.stderr
    await fetch(filled.admin, "DELETE FROM gateway.users")
    await fetch(filled.admin, "DROP SCHEMA vault CASCADE")
    await fetch(filled.admin, "CREATE TABLE strategy.of_a_later_release (id int)")

    restored = run("restore.sh", Path(done.stdout.strip()), filled)

    assert restored.returncode == 0, restored.stderr
    assert await shape(filled.admin) == before
    assert await users(filled) == ["a@example.com"]
    await upgrade(filled.admin)


async def test_T08_the_audit_is_as_closed_as_before(filled: TestDatabase, tmp_path: Path) -> None:
    run("restore.sh", Path(run("backup.sh", tmp_path, filled).stdout.strip()), filled)

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(filled.roles["vault"], "DELETE FROM vault.audit_entries")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(filled.roles["gateway"], "SELECT * FROM vault.audit_entries")


def test_a_backup_is_for_its_owner_only_and_has_no_remains(database: TestDatabase, tmp_path: Path) -> None:
    file = Path(run("backup.sh", tmp_path / "backups", database).stdout.strip())

    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_backup_that_fails_leaves_no_file(database: TestDatabase, tmp_path: Path) -> None:
    gone = TestDatabase(admin=Secret(database.admin.reveal() + "_which_is_not_there"), roles={})

    done = run("backup.sh", tmp_path, gone)

    assert done.returncode != 0
    assert "does not exist" in done.stderr
    assert list(tmp_path.iterdir()) == []


def cut_off(content: bytes) -> bytes:
    return content[:-1]


def cut_in_the_middle(content: bytes) -> bytes:
    return content[: len(content) // 2]


def one_bit_flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def with_an_error_at_its_end(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content) + b"SELECT 1 / 0;\n")


@pytest.mark.parametrize("damage", [cut_off, cut_in_the_middle, one_bit_flipped, with_an_error_at_its_end])
async def test_a_damaged_backup_changes_nothing(
    filled: TestDatabase, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    file = anyio.Path(run("backup.sh", tmp_path, filled).stdout.strip())
    await file.write_bytes(damage(await file.read_bytes()))
    await fetch(filled.admin, "UPDATE gateway.users SET email = 'of.now@example.com'")
    before = await shape(filled.admin)

    done = run("restore.sh", Path(file), filled)

    assert done.returncode != 0
    assert "restored" not in done.stdout
    assert await shape(filled.admin) == before
    assert await users(filled) == ["of.now@example.com"]


async def test_nothing_is_restored_under_running_services(filled: TestDatabase, tmp_path: Path) -> None:
    file = Path(run("backup.sh", tmp_path, filled).stdout.strip())
    service = await asyncpg.connect(filled.roles["execution"].reveal())
    try:
        done = run("restore.sh", file, filled)
    finally:
        await service.close()

    assert done.returncode == 1
    assert "stop them first" in done.stderr


def test_the_programs_are_those_of_the_server() -> None:
    done = subprocess.run([_binary("pg_dump"), "--version"], capture_output=True, text=True, check=True)

    assert f" {MAJOR_VERSION}." in done.stdout
