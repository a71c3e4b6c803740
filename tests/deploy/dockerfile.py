"""Reads deploy/Dockerfile, and builds an image's file tree from this checkout and the installed packages."""

import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.compose_file import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
LOCKS = ROOT / "deploy" / "locks"


@dataclass(frozen=True)
class Stage:
    """One FROM and what follows it.

    Attributes:
        instructions: (word, rest of the line), continued lines joined.
    """

    name: str
    base: str
    instructions: tuple[tuple[str, str], ...]

    def each(self, word: str) -> list[str]:
        """What follows each instruction `word`."""
        return [rest for name, rest in self.instructions if name == word]

    def copies(self) -> dict[str, str]:
        """Destination -> source, of what is copied from the checkout."""
        found = {}
        for rest in self.each("COPY"):
            if "--from=" not in rest:
                source, destination = rest.split()
                found[destination] = source
        return found


class Image:
    """The image of one target.

    Args:
        name: The target.
    """

    def __init__(self, name: str, stages: dict[str, Stage]) -> None:
        self.name = name
        self.stage = stages[name]
        self.runtime = stages[self.stage.base]
        self.build = stages[f"{name}-build"]

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets, also in the stage that it stands on."""
        lines = [*self.runtime.each("ENV"), *self.stage.each("ENV")]
        return dict(word.split("=", 1) for line in lines for word in shlex.split(line))

    @property
    def command(self) -> list[str]:
        """What runs in it."""
        entry = self.stage.each("ENTRYPOINT")
        return [word for rest in (*entry, *self.stage.each("CMD")) for word in json.loads(rest)]

    @property
    def healthcheck(self) -> list[str]:
        """The command that asks whether it is healthy; empty when there is none."""
        lines = self.stage.each("HEALTHCHECK")
        return list(json.loads(lines[0].partition("CMD")[2])) if lines else []

    @property
    def ports(self) -> set[int]:
        """The ports that it says it listens on."""
        return {int(port) for line in self.stage.each("EXPOSE") for port in line.split()}

    @property
    def user(self) -> str:
        """As whom it runs."""
        return [*self.runtime.each("USER"), *self.stage.each("USER")][-1]

    @property
    def packages(self) -> dict[str, str]:
        """Package in /app -> its folder in the checkout."""
        prefix = "/app/"
        return {
            destination.removeprefix(prefix): source
            for destination, source in self.build.copies().items()
            if destination.startswith(prefix)
        }

    def lock(self) -> "Lock":
        """What its build stage installs."""
        (run,) = (rest for rest in self.build.each("RUN") if rest.startswith("./install.sh"))
        name = run.split()[1]
        assert self.build.copies()["./"] == f"deploy/locks/{name}"
        return Lock(LOCKS / name)


class Lock:
    """A lock file of deploy/locks."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text(encoding="utf-8")
        lines = re.findall(r"^([\w.-]+==.*?)\s*\\$((?:\n    --hash=.*)*)", self.text, re.MULTILINE)
        # A distribution may stand there twice, for different Pythons.
        self.requirements = [Requirement(line) for line, _ in lines]
        # "name==version" -> hashes of its files.
        self.hashes = {
            f"{canonicalize_name(requirement.name)}{requirement.specifier}": set(
                re.findall(r"--hash=sha256:[0-9a-f]{64}", hashes)
            )
            for requirement, (_, hashes) in zip(self.requirements, lines, strict=True)
        }

    @property
    def names(self) -> set[str]:
        """The distributions that it names."""
        return {canonicalize_name(requirement.name) for requirement in self.requirements}


def read_dockerfile() -> dict[str, Stage]:
    """Stage name -> stage."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = re.sub(r"\s*\\\n\s*", " ", text)
    stages: dict[str, Stage] = {}
    for part in re.split(r"^(?=FROM )", text, flags=re.MULTILINE)[1:]:
        first, *lines = [line for line in part.splitlines() if line.strip()]
        _, base, _, name = first.split()
        pairs = (line.split(" ", 1) for line in lines)
        stages[name] = Stage(name, base, tuple((word, rest) for word, rest in pairs))
    return stages


def images() -> dict[str, Image]:
    """Target -> image."""
    stages = read_dockerfile()
    return {name: Image(name, stages) for name in stages if f"{name}-build" in stages}


def extra_requirements(extra: str | None) -> set[str]:
    """The distributions that pyproject.toml names for every process and for `extra`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(project["optional-dependencies"][extra] if extra else ())]
    return {canonicalize_name(Requirement(line).name) for line in lines}


class Tree:
    """An image's /app and /opt/tradingbot, linked into a folder: what is locked and copied, nothing else."""

    def __init__(self, image: Image, folder: Path) -> None:
        self.image = image
        self.app = folder / "app"
        self._python = folder / "venv" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        (site_packages,) = (folder / "venv" / "lib").glob("*/site-packages")
        for requirement in image.lock().requirements:
            if requirement.marker is None or requirement.marker.evaluate():
                _link_distribution(requirement, site_packages)
        self.app.mkdir()
        for package, source in image.packages.items():
            (self.app / package).symlink_to(ROOT / source)

    def argv(self, *arguments: str) -> list[str]:
        """`python` with these arguments, as in the image."""
        return [str(self._python), *arguments]

    def environment(self, **variables: str) -> dict[str, str]:
        """The image's environment, and these variables."""
        return {
            **self.image.environment,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.app),
            **variables,
        }

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs `python` in it to its end."""
        return subprocess.run(
            self.argv(*arguments),
            env=self.environment(**variables),
            cwd=self.app,
            capture_output=True,
            text=True,
            timeout=100,
        )


def _link_distribution(requirement: Requirement, site_packages: Path) -> None:
    distribution = importlib.metadata.distribution(requirement.name)
    assert requirement.specifier.contains(distribution.version), f"{requirement} is not what is installed"
    for file in distribution.files or ():
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        # A package is linked whole; a folder without __init__.py may be shared by several distributions.
        top = site_packages / file.parts[0]
        whole = (
            len(file.parts) > 1
            and (Path(str(distribution.locate_file(file.parts[0]))) / "__init__.py").exists()
        )
        link = top if whole else site_packages / file
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(str(distribution.locate_file(link.relative_to(site_packages))))
