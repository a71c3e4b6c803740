"""What every driver stands on: the list of operations, the paper exchange's control, the report.

A driver runs with the client's own interpreter, not with ours: only the standard library here. It reads
`{"url", "keys", "tls_websocket_url", "authority"}` from standard input, tries each operation in order and
writes one JSON line for each: `{"operation", "outcome": "works" | "not offered" | "fails", "note"}`.
"""

import json
import sys
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SYMBOL = "BTCUSDT"
PRICE = "60000"

Act = Callable[[], None]


class NotOffered(Exception):
    """The client has no such thing; the message says what a person does instead."""


@dataclass(frozen=True)
class Paper:
    """The control of the exchange that the client trades on."""

    url: str

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A control request; the answer's JSON."""
        headers = {"X-Paper-Control": "1", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - loopback, by the test
            return json.load(response)

    def price(self, price: str, symbol: str = SYMBOL) -> None:
        """Moves the market."""
        self.control("POST", "/paper/price", {"symbol": symbol, "price": price})

    def fault(self, kind: str, **rule: Any) -> None:
        """Makes the next matching requests suffer."""
        self.control("POST", "/paper/faults", {"kind": kind, **rule})

    def account(self, exchange: str, **terms: Any) -> dict[str, str]:
        """Opens an account; its keys."""
        keys: dict[str, str] = self.control("POST", "/paper/accounts", {"exchange": exchange, **terms})
        return keys

    def order(self, client_order_id: str) -> dict[str, Any]:
        """What the referee knows of an order."""
        found = [
            o
            for o in self.control("GET", "/paper/state")["orders"]
            if o["client_order_id"] == client_order_id
        ]
        assert len(found) == 1, found
        order: dict[str, Any] = found[0]
        return order

    def positions(self) -> dict[str, str]:
        """Side of the position -> signed quantity, as the referee knows them."""
        held = self.control("GET", "/paper/state")["positions"]
        return {position["position_side"]: position["quantity"] for position in held}


class Desk:
    """The operations of one client, in the order in which they are tried."""

    def __init__(self) -> None:
        given = json.load(sys.stdin)
        self.paper = Paper(given["url"])
        self.keys: dict[str, str] = given["keys"]
        # For clients that speak TLS only: the same exchange behind a certificate of this authority.
        self.tls_websocket_url: str = given["tls_websocket_url"]
        self.authority: str = given["authority"]
        self._acts: list[tuple[str, Act]] = []

    @property
    def websocket_url(self) -> str:
        """Where the streams are."""
        return self.paper.url.replace("http", "ws", 1)

    def works(self, operation: str) -> Callable[[Act], Act]:
        """An operation that must succeed."""

        def note(act: Act) -> Act:
            self._acts.append((operation, act))
            return act

        return note

    def refuses(
        self, operation: str, code: int, code_of: Callable[[Exception], object]
    ) -> Callable[[Act], Act]:
        """An operation that the exchange must refuse with `code`, told by the client's own exception."""

        def note(act: Act) -> Act:
            def refused() -> None:
                try:
                    act()
                except (NotOffered, AssertionError):
                    raise
                except Exception as error:  # of whatever class this client has
                    found = code_of(error)
                    if str(found) != str(code):
                        raise AssertionError(f"code {found}, not {code}: {error!r}") from error
                    return
                raise AssertionError(f"was not refused; {code} was expected")

            self._acts.append((operation, refused))
            return act

        return note

    def run(self) -> None:
        """Tries them all."""
        for operation, act in self._acts:
            started = time.monotonic()
            outcome, note = "works", ""
            try:
                act()
            except NotOffered as missing:
                outcome, note = "not offered", str(missing)
            except Exception:
                outcome, note = "fails", traceback.format_exc(limit=-4)
            line = {
                "operation": operation,
                "outcome": outcome,
                "note": note,
                "seconds": round(time.monotonic() - started, 2),
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


def until(look: Callable[[], Any], seconds: float = 10) -> Any:
    """What `look` sees as soon as it is true."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return seen
