"""The gateway as a process of its own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.config import Settings

ROOT = Path(__file__).parents[2]
MODULE = ("-m", "gateway")


@dataclass(frozen=True)
class GatewayProcess:
    """A gateway that answers.

    Attributes:
        address: "host:port".
        admin_address: The same of its admin port.
        log: The file that holds what it says.
    """

    process: asyncio.subprocess.Process
    address: str
    admin_address: str
    log: Path


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """What a Python process needs to find our packages, and `variables`."""
    path = f"{ROOT}{os.pathsep}{ROOT / 'protos' / 'gen'}"
    return {"PATH": os.environ["PATH"], "PYTHONPATH": path, **variables}


@asynccontextmanager
async def gateway_process(
    settings: Settings, folder: Path, *, command: Sequence[str] = MODULE, **variables: str
) -> AsyncIterator[GatewayProcess]:
    """Runs a gateway while the block runs, and kills it if it has not ended by then.

    Args:
        settings: Which services and database it uses.
        folder: Where its secrets and its log are put.
        command: What Python runs.
        variables: More settings.
    """
    log = folder / "gateway.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            env=environment({**_variables(settings, folder), **variables}),
            stderr=output,
        )
    try:
        record = await _ready(process, log)
        yield GatewayProcess(process, record["address"], record["admin"], log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _variables(settings: Settings, folder: Path) -> dict[str, str]:
    (folder / "database").write_text(settings.database_url.reveal())
    (folder / "key").write_text(settings.secret_key.reveal())
    return {
        "DATABASE_URL_FILE": str(folder / "database"),
        "SECRET_KEY_FILE": str(folder / "key"),
        "TLS_CA_FILE": str(settings.tls.authority),
        "TLS_CERT_FILE": str(settings.tls.certificate),
        "TLS_KEY_FILE": str(settings.tls.key),
        "VAULT_ADDRESS": settings.vault_address,
        "EXECUTION_ADDRESS": settings.execution_address,
        "STRATEGY_ADDRESS": settings.strategy_address,
        "PAPER_BASE_URL": settings.paper_base_url,
        "LISTEN_ADDRESS": "127.0.0.1:0",
        "ADMIN_ADDRESS": "127.0.0.1:0",
        "DEPLOYMENT": "local",
    }


async def _ready(process: asyncio.subprocess.Process, log: Path) -> dict[str, str]:
    async with asyncio.timeout(60):
        while (record := _ready_record(log)) is None:
            assert process.returncode is None, _content(log)
            await asyncio.sleep(0.02)
    return record


def _ready_record(log: Path) -> dict[str, str] | None:
    lines = (line for line in _content(log).splitlines() if '"gateway.ready"' in line)
    return next(map(json.loads, lines), None)


def _content(log: Path) -> str:
    return log.read_text()
