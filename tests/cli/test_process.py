"""Secrets go to children through pipes, and out of the own environment."""

import json
import os
import subprocess
import sys

from cli.process import PIPE_HOLDS_BYTES, secret_pipes

CANARY = "canary-5fJq0w"


def _run(program: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return done.stdout


def test_child_reads_each_value_and_its_end_from_the_pipe() -> None:
    program = (
        "import os, json, pathlib; print(json.dumps([pathlib.Path(os.environ[n]).read_text() for n in 'AB']))"
    )
    values = {"A": CANARY, "B": "x" * PIPE_HOLDS_BYTES}
    with secret_pipes(values) as (files, descriptors):
        variables = {name.removesuffix("_FILE"): path for name, path in files.items()}
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=variables,
            pass_fds=descriptors,
            capture_output=True,
            check=True,
        )
    assert json.loads(done.stdout) == list(values.values())
    assert CANARY not in str(variables)


def test_pipes_are_closed_afterwards() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with secret_pipes({"A": CANARY}):
        pass
    assert set(os.listdir("/proc/self/fd")) == before


def test_T10_program_starts_again_without_secrets_in_its_environment() -> None:
    program = """
import os, sys
from pathlib import Path
from cli.process import move_out_of_environment
from tradekit.service.config import Environment

move_out_of_environment(["SECRET_KEY", "ENCRYPTION_KEY"])
visible = Path("/proc/self/environ").read_text()
secret = Environment().secret("SECRET_KEY")
print(secret.reveal(), "SECRET_KEY_FILE=/dev/fd/" in visible, visible.count("canary"))
"""
    assert _run(program, SECRET_KEY=CANARY).split() == [CANARY, "True", "0"]
