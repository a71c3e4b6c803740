"""Settings: read once from the environment or from files, all errors at once."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from tradekit.service.secret import Secret

T = TypeVar("T")

_FLAGS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)


class ConfigurationError(Exception):
    """The settings are not usable; the message names every problem, and no value of a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Environment:
    """Reads settings by name; a setting NAME may stand in the file that NAME_FILE names instead.

    Each reader notes its problem and goes on, so that `check()` can name all of them together.

        env = Environment()
        settings = Settings(address=env.text("LISTEN_ADDRESS", "127.0.0.1:50051"), key=env.secret("KEY"))
        env.check()
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self.problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """The value of `name`; without a default it must be set."""
        known = len(self.problems)
        value = self._read(name)
        if value or default is not None:
            return value or default or ""
        if len(self.problems) == known:
            self.problems.append(f"{name} (or {name}_FILE) is not set")
        return ""

    def optional_text(self, name: str) -> str | None:
        """The value of `name`, or None when it is unset or empty."""
        return self._read(name) or None

    def secret(self, name: str) -> Secret:
        """A secret that must be set."""
        return Secret(self.text(name))

    def optional_secret(self, name: str) -> Secret | None:
        """A secret that may be unset."""
        value = self._read(name)
        return Secret(value) if value else None

    def flag(self, name: str, default: bool) -> bool:
        """A yes or no: 1/0, true/false, yes/no, on/off."""
        return self.parsed(name, lambda value: _FLAGS[value.lower()], default, "true or false")

    def integer(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        """A whole number in a range."""

        def parse(value: str) -> int:
            number = int(value)
            if not minimum <= number <= maximum:
                raise ValueError
            return number

        return self.parsed(name, parse, default, f"a whole number from {minimum} to {maximum}")

    def parsed(self, name: str, parse: Callable[[str], T], default: T, wanted: str) -> T:
        """A value that `parse` reads; it raises ValueError or KeyError for one that is not `wanted`."""
        value = self._read(name)
        if not value:
            return default
        try:
            return parse(value)
        except (ValueError, KeyError):
            self.problems.append(f"{name} must be {wanted}")
            return default

    def check(self) -> None:
        """Raises ConfigurationError if any reader met a problem."""
        if self.problems:
            raise ConfigurationError(self.problems)

    def _read(self, name: str) -> str:
        if self._variables.get(name):
            return self._variables[name]
        path = self._variables.get(f"{name}_FILE")
        if not path:
            return ""
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            self.problems.append(f"{name}_FILE: {path} cannot be read ({error.strerror})")
        except UnicodeDecodeError:
            self.problems.append(f"{name}_FILE: {path} is not UTF-8 text")
        return ""
