"""Runs deploy/proxy.conf in a real nginx on loopback."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from cli.ports import free_port
from tests.deploy.compose_file import ROOT

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
needs_nginx = pytest.mark.skipif(
    NGINX is None or shutil.which("openssl") is None,
    reason="nginx, or openssl for its certificate, is not installed",
)
HOST = "bot.example.com"
START_S = 10.0


@dataclass(frozen=True)
class Proxy:
    """A running proxy.

    Attributes:
        port: Where it speaks TLS.
        plain_port: Where it redirects.
        certificate: The only one that `request` trusts.
    """

    port: int
    plain_port: int
    certificate: Path
    access_log: Path
    error_log: Path

    def request(
        self, session: aiohttp.ClientSession, method: str, path: str, **arguments: object
    ) -> "aiohttp.client._RequestContextManager":
        """A request to https://bot.example.com, as the outside makes it."""
        headers = {"Host": HOST, **dict(arguments.pop("headers", {}))}  # type: ignore[call-overload]  # a mapping
        return session.request(
            method,
            f"https://127.0.0.1:{self.port}{path}",
            ssl=ssl.create_default_context(cafile=str(self.certificate)),
            server_hostname=HOST,
            headers=headers,
            **arguments,  # type: ignore[arg-type]  # what aiohttp takes
        )


@contextmanager
def running_proxy(folder: Path, *, gateway: str, public_tls: Path) -> Iterator[Proxy]:
    """Yields the proxy; what it writes goes into `folder`.

    Args:
        gateway: "host:port" of what stands behind it.
        public_tls: Folder of its certificate and key.
    """
    assert NGINX is not None
    proxy = Proxy(
        port=free_port("127.0.0.1"),
        plain_port=free_port("127.0.0.1"),
        certificate=public_tls / "tls.crt",
        access_log=folder / "access.log",
        error_log=folder / "error.log",
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(_on_this_machine(proxy, folder, gateway=gateway, public_tls=public_tls))
    # The workers of a root's nginx become somebody who cannot write here.
    main = "daemon off; user root;" if os.geteuid() == 0 else "daemon off;"
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [NGINX, "-c", configuration, "-g", main], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _await_port(process, proxy.port, folder / "output")
            yield proxy
        finally:
            process.terminate()
            process.wait(timeout=START_S)


def _on_this_machine(proxy: Proxy, folder: Path, *, gateway: str, public_tls: Path) -> str:
    text = (ROOT / "deploy/proxy.conf").read_text()
    for pattern, value in (
        (r"(?<= )/tmp/", f"{folder}/"),  # first: what is put in below may lie there
        (r"listen 8080 ", f"listen 127.0.0.1:{proxy.plain_port} "),
        (r"listen 8443 ", f"listen 127.0.0.1:{proxy.port} "),
        (r"http://gateway:8001", f"http://{gateway}"),
        (r"/etc/nginx/tls", str(public_tls)),
        (r"/dev/stdout", str(proxy.access_log)),
        (r"/dev/stderr", str(proxy.error_log)),
    ):
        text, count = re.subn(pattern, value, text)
        assert count, pattern
    return text


def _await_port(process: "subprocess.Popen[bytes]", port: int, output: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        assert process.poll() is None, output.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.02)
        else:
            return
