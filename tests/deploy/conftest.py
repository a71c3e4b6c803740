"""Secrets as deploy/make-secrets.sh makes them."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.deploy.compose_file import ROOT


def make_secrets(folder: Path, *, path: str | None = None) -> str:
    """Runs the script, with the programs in `path`; returns what it printed."""
    environment = {"PATH": path or os.environ["PATH"], "SECRETS_DIR": str(folder)}
    done = subprocess.run(
        ["bash", ROOT / "deploy/make-secrets.sh", "bot.example.com"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def made_secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all secrets."""
    folder = tmp_path_factory.mktemp("deploy") / "secrets"
    make_secrets(folder)
    return folder
