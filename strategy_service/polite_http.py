"""Questions to an exchange's public REST interface, one at a time: waits when told to, then asks again.

Only the standard library: the strategy service's image holds no HTTP client.
"""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from strategy_service.fetch_errors import FetchFailed, FetchRefused

TIMEOUT_S = 15.0
# Between one try and the next, when the exchange does not say how long.
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
# A longer wait is the person's to decide; what came so far is kept.
LONGEST_WAIT_S = 300.0
MAX_BODY_BYTES = 16 * 1024 * 1024

Wait = Callable[[float], None]


@dataclass(frozen=True)
class Answer:
    """What came back: HTTP status, the parsed JSON (None where it is none), headers in lower case."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def date(self) -> datetime | None:
        """When the exchange answered, by its own clock."""
        try:
            return parsedate_to_datetime(self.headers.get("date", ""))
        except ValueError:
            return None


class PoliteClient:
    """One connection to one exchange.

    Args:
        base_url: http or https, without a path.
        gap_s: At least this long from one question to the next.
        is_busy: Whether an answer means "not now"; 429, 418 and 5xx do anyway.
        wait: Sleeps.
    """

    def __init__(
        self,
        base_url: str,
        *,
        gap_s: float,
        is_busy: Callable[[Answer], bool],
        wait: Wait,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._prefix, self._connection = _connection(self.base_url)
        self._gap_s = gap_s
        self._is_busy = is_busy
        self.wait = wait
        self._asked_at = float("-inf")

    def get(self, path: str, parameters: Mapping[str, str | int]) -> Answer:
        """Asks until there is an answer that is one.

        Raises:
            FetchFailed: There was none after several tries, or the wait would be too long.
        """
        query = f"?{urlencode(parameters)}" if parameters else ""
        problem = ""
        for pause_s in (*PAUSES_S, None):
            try:
                answer = self._ask(self._prefix + path + query)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                problem, told_s = f"cannot be reached ({_reason(error)})", None
            else:
                if not self._is_not_now(answer):
                    return answer
                problem, told_s = f"answers {answer.status}", _retry_after_s(answer)
            if pause_s is not None:
                self._wait_for(told_s if told_s is not None else pause_s)
        raise FetchFailed(f"{self.base_url} {problem}, also after {len(PAUSES_S) + 1} tries")

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _ask(self, target: str) -> Answer:
        rest_s = self._asked_at + self._gap_s - time.monotonic()
        if rest_s > 0:
            self.wait(rest_s)
        self._asked_at = time.monotonic()
        headers = {"Accept": "application/json", "User-Agent": "tradingbot"}
        self._connection.request("GET", target, headers=headers)
        response = self._connection.getresponse()
        body = response.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise http.client.HTTPException("the answer is too large")
        return Answer(response.status, _parsed(body), {k.lower(): v for k, v in response.getheaders()})

    def _is_not_now(self, answer: Answer) -> bool:
        # What is no JSON comes from something in between, and is as good as no answer.
        return (
            answer.status in (418, 429)
            or answer.status >= 500
            or answer.body is None
            or self._is_busy(answer)
        )

    def _wait_for(self, seconds: float) -> None:
        if seconds > LONGEST_WAIT_S:
            raise FetchFailed(f"{self.base_url} asks to wait for {seconds:.0f} s")
        self.wait(seconds)


def _connection(base_url: str) -> tuple[str, http.client.HTTPConnection]:
    """The path before every path, and a connection that opens with the first question."""
    with suppress(ValueError):  # of a port that is none
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
        if host and parts.scheme == "https":
            return parts.path, http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S)
        if host and parts.scheme == "http":
            return parts.path, http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    raise FetchRefused(f"{base_url!r} is not a base URL such as https://fapi.binance.com")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, parse_float=str)
    except (ValueError, RecursionError):
        return None


def _retry_after_s(answer: Answer) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)[:200]
