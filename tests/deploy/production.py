"""The system of docker-compose.yml without containers.

Every process runs from its image's file tree, with its image's command and with the settings and secrets that
image and docker-compose.yml give it; only host names and fixed ports become free ports of this machine.
"""

import asyncio
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cli.certificates import CertificateAuthority
from cli.ports import free_port
from cli.postgres import EmbeddedPostgres
from tests.deploy.compose_file import ROOT, SECRETS_FOLDER, ComposeFile
from tests.deploy.conftest import make_secrets
from tests.deploy.dockerfile import Tree, images
from tradekit.service.channel import TlsFiles
from tradekit.service.clock import UtcClock
from tradekit.service.secret import Secret

START_S = 60.0
STOP_S = 20.0
# As docker-compose.yml orders them.
PROCESSES = ("paper-exchange", "vault", "strategy", "execution", "gateway")
HEALTHCHECK = ROOT / "deploy" / "healthcheck.py"


@dataclass
class Production:
    """A running system.

    Attributes:
        secrets: The folder of deploy/make-secrets.sh.
        ports: "vault:50051" and the like -> port of this machine.
        processes: Service name -> process.
    """

    folder: Path
    secrets: Path
    ports: Mapping[str, int]
    trees: Mapping[str, Tree]
    certificates: Callable[[str], TlsFiles]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def address(self, name: str) -> str:
        """Where "gateway:8001" and the like is on this machine."""
        return f"127.0.0.1:{self.ports[name]}"

    def output(self, name: str) -> str:
        """What a process wrote."""
        return (self.folder / f"{name}.output").read_text()

    def task(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a one-shot service to its end, as `docker compose run --rm NAME …`."""
        service = ComposeFile().services[name]
        tree = self.trees[str(service.target)]
        command = service.fields.get("entrypoint") or tree.image.command
        return tree.run(*command[1:], *arguments, **self._variables(name))

    def start(self, name: str) -> None:
        """Starts a service and waits until its health check says that it can do its work."""
        tree = self.trees[self._target(name)]
        with (self.folder / f"{name}.output").open("wb") as output:
            self.processes[name] = subprocess.Popen(
                tree.argv(*self._command(name)[1:]),
                env=tree.environment(**self._variables(name)),
                cwd=tree.app,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_S
        while (health := self.health(name)).returncode != 0:
            assert self.processes[name].poll() is None, self.output(name)
            assert time.monotonic() < deadline, (health.stdout, self.output(name))

    def health(self, name: str) -> subprocess.CompletedProcess[str]:
        """Runs the health check of the image."""
        _, _, port, *path = self.trees[self._target(name)].image.healthcheck
        return self.trees[self._target(name)].run(
            str(HEALTHCHECK), str(self.ports[f"{self._host(name)}:{port}"]), *path
        )

    def stop(self, name: str) -> int:
        """As `docker compose stop`; the exit code."""
        process = self.processes.pop(name)
        process.terminate()
        return process.wait(timeout=STOP_S)

    def recreate(self, name: str) -> None:
        """As `docker compose up --force-recreate NAME`."""
        assert self.stop(name) == 0, self.output(name)
        self.start(name)

    def _command(self, name: str) -> list[str]:
        command = self.trees[self._target(name)].image.command
        found = {"9001": str(self.ports["gateway:9001"]), "/state": str(self.folder / "state")}
        return [found.get(word, "127.0.0.1" if word == "0.0.0.0" else word) for word in command]  # noqa: S104  # compared with

    def _variables(self, name: str) -> dict[str, str]:
        """What docker-compose.yml and the image set, on this machine."""
        service = ComposeFile().services[name]
        image = self.trees[self._target(name)].image.environment
        own = {key: value for key, value in image.items() if key.endswith("_ADDRESS")}
        given = {key: value for key, value in service.environment.items() if value is not None}
        return {
            key: self._here(name, value, service.secrets) for key, value in {**own, **given}.items() if value
        }

    def _here(self, name: str, value: str, secrets: Mapping[str, str]) -> str:
        if value.startswith(SECRETS_FOLDER):
            return str(self.secrets / secrets[value])
        if value.startswith("/tls/"):
            files = self.certificates(name)
            own = {"ca.crt": files.authority, "service.crt": files.certificate, "service.key": files.key}
            return str(own[value.removeprefix("/tls/")])
        if value == "172.30.86.10":  # the proxy
            return "127.0.0.1"
        # A process listens on its own host's port.
        value = re.sub(r"\b(0\.0\.0\.0|127\.0\.0\.1)(?=:)", self._host(name), value)
        return re.sub(r"[\w-]+:\d+$", lambda match: self.address(match[0]), value)

    def _target(self, name: str) -> str:
        return str(ComposeFile().services[name].target)

    def _host(self, name: str) -> str:
        network = str(ComposeFile().services[name].fields.get("network_mode", ""))
        return network.removeprefix("service:") or name


@contextmanager
def production(folder: Path) -> Iterator[Production]:
    """Yields the running system; ends what still runs at the end."""
    secrets = folder / "secrets"
    make_secrets(secrets)
    ports = {
        f"{host}:{port}": free_port("127.0.0.1") for host, numbers in _listeners().items() for port in numbers
    }
    authority = folder / "authority"
    authority.mkdir(mode=0o700)
    with ExitStack() as stack:
        server = EmbeddedPostgres(
            folder / "postgres",
            password=Secret((secrets / "postgres_password").read_text().strip()),
            fsync=False,
        )
        asyncio.run(server.start())
        stack.callback(lambda: asyncio.run(server.stop()))
        _point_to(secrets, server)
        (folder / "trees").mkdir()
        trees = {}
        for name, image in images().items():
            (folder / "trees" / name).mkdir()
            trees[name] = Tree(image, folder / "trees" / name)
        system = Production(folder, secrets, ports, trees, CertificateAuthority(authority, UtcClock()).files)
        stack.callback(_end, system)
        migrated = system.task("migrate")
        assert migrated.returncode == 0, migrated.stderr
        for name in PROCESSES:
            system.start(name)
        yield system


def _listeners() -> dict[str, set[int]]:
    """Host -> ports of what runs there."""
    found = {name: image.ports for name, image in images().items() if name != "paper"}
    return {**found, "gateway": found["gateway"] | images()["paper"].ports}


def _point_to(secrets: Path, server: EmbeddedPostgres) -> None:
    here = server.url().reveal().rpartition("@")[2].partition("/")[0]
    for path in secrets.glob("*_database_url"):
        path.chmod(0o600)
        path.write_text(path.read_text().replace("postgres:5432", here))


def _end(system: Production) -> None:
    for process in system.processes.values():
        process.kill()
        process.wait()
