"""The gateway as a process: what it needs, how it ends, what its surroundings show."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from gateway.config import Settings

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    path = f"{ROOT}{os.pathsep}{ROOT / 'protos' / 'gen'}"
    return {"PATH": os.environ["PATH"], "PYTHONPATH": path, **variables}


def test_missing_settings_are_all_named() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "gateway"], env=_environment({}), capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 2
    for name in ("DATABASE_URL", "SECRET_KEY", "TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE"):
        assert name in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_F52_ends_in_order_on_sigterm(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "database").write_text(settings.database_url.reveal())
    (tmp_path / "key").write_text(settings.secret_key.reveal())
    variables = {
        "DATABASE_URL_FILE": str(tmp_path / "database"),
        "SECRET_KEY_FILE": str(tmp_path / "key"),
        "TLS_CA_FILE": str(settings.tls.authority),
        "TLS_CERT_FILE": str(settings.tls.certificate),
        "TLS_KEY_FILE": str(settings.tls.key),
        "VAULT_ADDRESS": settings.vault_address,
        "EXECUTION_ADDRESS": settings.execution_address,
        "LISTEN_ADDRESS": "127.0.0.1:0",
        "ADMIN_ADDRESS": "127.0.0.1:0",
        "DEPLOYMENT": "local",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=_environment(variables), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            record = {"event": ""}
            while record["event"] != "gateway.ready":
                record = json.loads(await process.stderr.readline())
        async with httpx.AsyncClient(base_url=f"http://{record['address']}") as http:
            assert (await http.get("/health")).status_code == 200
        process.send_signal(signal.SIGTERM)
        _, rest = await asyncio.wait_for(process.communicate(), 15)
        assert process.returncode == 0, rest
        assert b"canary" not in rest
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
