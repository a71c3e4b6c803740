"""deploy/healthcheck.py against a real admin port."""

import subprocess
import sys
from collections.abc import Awaitable, Callable

import anyio
import pytest

from cli.ports import free_port
from tests.deploy.compose_file import ROOT
from tradekit.service.admin import admin_server

pytestmark = pytest.mark.anyio


async def check(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    script = ROOT / "deploy" / "healthcheck.py"
    return await anyio.run_process([sys.executable, script, *arguments], check=False, env=environment)


def saying(problem: str | None) -> Callable[[], Awaitable[str | None]]:
    async def probe() -> str | None:
        return problem

    return probe


async def test_a_process_that_can_work_is_healthy() -> None:
    async with admin_server("127.0.0.1:0", saying(None)) as address:
        done = await check(address.rpartition(":")[2])

    assert (done.returncode, done.stdout) == (0, b"ok\n")


async def test_a_process_that_cannot_work_says_why() -> None:
    async with admin_server("127.0.0.1:0", saying("key 1a2b is needed")) as address:
        done = await check(address.rpartition(":")[2])

    assert (done.returncode, done.stdout) == (1, b"503: key 1a2b is needed\n")


async def test_the_path_can_be_another() -> None:
    async with admin_server("127.0.0.1:0", saying(None)) as address:
        done = await check(address.rpartition(":")[2], "/nowhere")

    assert (done.returncode, done.stdout) == (1, b"404: not found\n")


async def test_nobody_who_listens_is_unhealthy() -> None:
    done = await check(str(free_port("127.0.0.1")))

    assert done.returncode == 1
    assert done.stdout.startswith(b"no answer: ")


async def test_a_proxy_of_the_environment_is_not_asked() -> None:
    async with admin_server("127.0.0.1:0", saying(None)) as address:
        done = await check(address.rpartition(":")[2], http_proxy="http://127.0.0.1:9")

    assert done.returncode == 0
