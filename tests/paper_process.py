"""A paper exchange of its own process, whose market stands still, and its control."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class PaperProcess:
    """Where it is."""

    url: str

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A control request; the answer's JSON."""
        headers = {"X-Paper-Control": "1", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return self._answer(method, path, data, headers)

    def get(self, target: str) -> Any:
        """A public question."""
        return self._answer("GET", target, None, {})

    def _answer(self, method: str, target: str, data: bytes | None, headers: dict[str, str]) -> Any:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        with closing(connection):
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            answer = json.load(response)
            assert response.status == 200, answer
            return answer

    def fault(self, kind: str, **rule: Any) -> None:
        """Makes the next matching requests suffer."""
        self.control("POST", "/paper/faults", {"kind": kind, **rule})

    def asked(self, path: str) -> int:
        """How often a path was asked for since the start."""
        requests = self.control("GET", "/paper/requests")["requests"]
        return sum(request["path"] == path for request in requests)


@contextmanager
def running_paper() -> Iterator[PaperProcess]:
    """Runs it on a free port; ends it on exit."""
    command = [sys.executable, "-m", "paper_exchange", "--host", LOOPBACK, "--port", "0", "--speed", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield PaperProcess(json.loads(process.stderr.readline())["url"])
        finally:
            process.kill()
