"""`tradingbot vault …` on a real database with the vault's real tables."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from cli.settings import new_encryption_key
from tests.conftest import TestDatabase
from tradekit.service.clock import UtcClock
from tradekit.service.secret import Secret
from vault_service import audit
from vault_service.audit import AuditEvent

COMMAND = Path(sys.executable).with_name("tradingbot")


def _vault(action: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "vault", action, *arguments],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def _append(url: Secret, count: int) -> None:
    connection = await asyncpg.connect(url.reveal())
    async with connection.transaction():
        await connection.execute(audit.LOCK)
        events = [AuditEvent("execution", "sign", f"row {number}") for number in range(count)]
        await audit.append(connection, events, head=await audit.read_head(connection), now=UtcClock().now())
    await connection.close()


def test_T08_good_chain_is_0_and_prints_its_head(database: TestDatabase) -> None:
    url = database.roles["vault"].reveal()
    asyncio.run(_append(database.roles["vault"], 3))
    done = _vault("audit-verify", DATABASE_URL=url)
    assert (done.returncode, done.stderr) == (0, "")
    rows, head = done.stdout.splitlines()
    assert rows == "3 rows, all good"
    again = _vault("audit-verify", "--head", head.removeprefix("head "), DATABASE_URL=url)
    assert again.returncode == 0


def test_T08_tail_that_was_cut_off_is_1(database: TestDatabase) -> None:
    done = _vault("audit-verify", "--head", f"7:{'ab' * 32}", DATABASE_URL=database.admin.reveal())
    assert (done.returncode, done.stdout) == (1, "")
    assert "is bad" in done.stderr


@pytest.mark.parametrize("head", ["", "7", "x:ab", "7:zz"])
def test_head_that_is_none_is_2(head: str) -> None:
    done = _vault("audit-verify", "--head", head or ":", DATABASE_URL="postgresql://a:b@127.0.0.1:1/x")
    assert done.returncode == 2
    assert "--head must be number:hash" in done.stderr


def test_rotation_tells_what_it_did(database: TestDatabase) -> None:
    done = _vault("rotate-keys", DATABASE_URL=database.admin.reveal(), ENCRYPTION_KEY=new_encryption_key())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("0 records re-wrapped\n0 records need key ")


def test_rotation_needs_a_usable_key(tmp_path: Path) -> None:
    url = "postgresql://a:b@127.0.0.1:1/x"
    missing = _vault("rotate-keys", "--home", str(tmp_path), DATABASE_URL=url)
    short = _vault("rotate-keys", "--home", str(tmp_path), DATABASE_URL=url, ENCRYPTION_KEY="c2hvcnQ=")
    assert (missing.returncode, short.returncode) == (2, 2)
    assert "ENCRYPTION_KEY" in missing.stderr
    assert "c2hvcnQ=" not in short.stderr


def test_database_that_does_not_answer_is_1() -> None:
    done = _vault("audit-verify", DATABASE_URL="postgresql://a:canary@127.0.0.1:1/x")
    assert done.returncode == 1
    assert "canary" not in done.stderr
