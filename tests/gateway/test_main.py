"""The gateway as a process: what it needs, how it ends, what its surroundings show."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway.config import Settings
from tests.gateway.process import environment, gateway_process

pytestmark = pytest.mark.anyio


def test_missing_settings_are_all_named() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "gateway"], env=environment({}), capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 2
    for name in ("DATABASE_URL", "SECRET_KEY", "TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE"):
        assert name in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_F52_ends_in_order_on_sigterm(settings: Settings, tmp_path: Path) -> None:
    async with gateway_process(settings, tmp_path) as gateway:
        async with httpx.AsyncClient(base_url=f"http://{gateway.address}") as http:
            assert (await http.get("/health")).status_code == 200
        gateway.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(gateway.process.wait(), 15) == 0
        assert "canary" not in gateway.log.read_text()
