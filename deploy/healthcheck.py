"""Asks a process in the same container whether it can do its work: `healthcheck.py PORT [PATH]`.

Exit code 0 for an answer 200, 1 for any other and for none. What is wrong is printed, for `docker inspect`.
"""

import http.client
import sys

TIMEOUT_S = 4.0


def problem(port: int, path: str) -> str | None:
    """What is wrong with 127.0.0.1:`port`; None when `path` is answered with 200."""
    # Not urllib: it would ask a proxy that the environment names.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(1_000).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    finally:
        connection.close()
    return None if answer.status == http.client.OK else f"{answer.status}: {text}"


def main(arguments: list[str]) -> int:
    """Asks once; the exit code."""
    found = problem(int(arguments[0]), arguments[1] if len(arguments) > 1 else "/healthz")
    sys.stdout.write(f"{found or 'ok'}\n")
    return 0 if found is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
