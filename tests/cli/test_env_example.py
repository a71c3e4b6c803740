"""`.env.example` names every setting, and copying it as it stands makes nobody's key well known."""

import re
from pathlib import Path

import pytest

from cli import settings
from cli.settings import read_settings
from tradekit.service.config import ConfigurationError
from tradekit.service.migrations import SERVICES

EXAMPLE = (Path(__file__).parents[2] / ".env.example").read_text()
EXAMPLES = dict(re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))


def test_every_setting_stands_there_once() -> None:
    known = {
        *settings._SECRETS,
        *(f"{name.upper()}_ADDRESS" for name in settings._ADDRESSES),
        *(f"{name.upper()}_ADMIN_ADDRESS" for name in settings._ADMIN_ADDRESSES),
        *(name for names in settings._PASSED_ON.values() for name in names),
        *(f"{service.upper()}_DATABASE_PASSWORD" for service in SERVICES),
        *("DATABASE_URL", "DEBUG", "LOG_LEVEL", "PUBLIC_URL", "PAPER_BASE_URL"),
    }
    assert known == set(EXAMPLES)


def test_nothing_is_set_by_copying_it() -> None:
    assert [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")] == []


@pytest.mark.parametrize("name", ["ENCRYPTION_KEY", "SECRET_KEY", "NEXTAUTH_SECRET", "WEBHOOK_SECRET"])
def test_T20_its_words_are_refused_as_secrets(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is a well-known example value"):
        read_settings({name: EXAMPLES[name]}, web=True)
