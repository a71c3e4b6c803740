"""Reads docker-compose.yml as `docker compose` does: merged keys, interpolated variables."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
SECRETS_FOLDER = "/run/secrets/"
PUBLIC_URL = "https://bot.example.com"

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


class VariableMissing(Exception):
    """A variable that the operator must set is not set."""


class Service:
    """One service of the file."""

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        self.name = name
        self.fields = fields

    @property
    def environment(self) -> dict[str, str | None]:
        """Name -> value; None: the operator's value, when there is one."""
        return dict(self.fields.get("environment") or {})

    @property
    def networks(self) -> frozenset[str]:
        return frozenset(self.fields.get("networks") or ())

    @property
    def profiles(self) -> frozenset[str]:
        return frozenset(self.fields.get("profiles") or ())

    @property
    def target(self) -> str | None:
        """The target of the Dockerfile; None for an image of somebody else."""
        build = self.fields.get("build")
        return build["target"] if build else None

    @property
    def secrets(self) -> dict[str, str]:
        """Path inside the container -> name of the secret."""
        granted = self.fields.get("secrets") or ()
        pairs = (
            (entry, entry) if isinstance(entry, str) else (entry["source"], entry["target"])
            for entry in granted
        )
        return {f"{SECRETS_FOLDER}{target}": source for source, target in pairs}

    @property
    def volumes(self) -> dict[str, str]:
        """Path inside the container -> volume or folder of the host."""
        mounts = (entry.rsplit(":", 2) for entry in self.fields.get("volumes") or ())
        return {
            mount[1] if len(mount) == 3 or mount[1].startswith("/") else mount[2]: mount[0]
            for mount in mounts
        }


class ComposeFile:
    """The whole file.

    Args:
        variables: The operator's environment.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = {"PUBLIC_URL": PUBLIC_URL} if variables is None else variables
        text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
        self.fields = self._interpolated(YAML(typ="safe", pure=True).load(text))
        self.services = {name: Service(name, fields) for name, fields in self.fields["services"].items()}

    def strings(self) -> Iterator[str]:
        """Every string of the file."""
        yield from _strings(self.fields)

    def peers(self, name: str, *, with_profiles: bool = False) -> frozenset[str]:
        """Who shares a network with the service `name`."""
        own = self.services[name].networks
        return frozenset(
            other.name
            for other in self.services.values()
            if other.name != name and own & other.networks and (with_profiles or not other.profiles)
        )

    def has_way_out(self, name: str) -> bool:
        """Whether the service `name` is in a network from which the internet can be reached."""
        return any(
            not (self.fields["networks"][network] or {}).get("internal")
            for network in self.services[name].networks
        )

    def _interpolated(self, value: Any) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(self._value, value)
        if isinstance(value, list):
            return [self._interpolated(item) for item in value]
        if isinstance(value, dict):
            return {name: self._interpolated(item) for name, item in value.items()}
        return value

    def _value(self, match: re.Match[str]) -> str:
        given = self._variables.get(match["name"])
        if given:
            return given
        if match["kind"] != "-":
            raise VariableMissing(match["name"])
        return match["rest"]


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _strings(item)
        case dict():
            for item in value.values():
                yield from _strings(item)
