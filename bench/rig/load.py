"""Alerts for one target: one at a time, or many connections at once; and what came of them."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.harness import median_of
from bench.rig.http import Connection, HttpAnswer, connect, request_bytes

ACTIONS = ("long", "close_all")
# Behind the last answer.
LATE_ORDERS_S = 20.0
POLL_S = 0.02
# TradingView re-sends at most three times, each after 5 s; a shorter pause keeps the load up.
MOST_RESENDS = 3
RESEND_PAUSE_S = 1.0


class LoadFailed(RuntimeError):
    """A target refused an alert, or sent another number of orders than alerts: its speed means nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that takes alerts.

    Attributes:
        senders: One per account: the alert of an action. An account gets `long` and `close_all` in turn, so
            that each entry is on a flat account.
        cpu_s: Processor seconds used so far, by part.
    """

    name: str
    port: int
    path: str
    senders: Sequence[Callable[[str], dict[str, str]]]
    cpu_s: Callable[[], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Latencies:
    """One at a time; milliseconds.

    Attributes:
        order_p50_ms: From the alert's first byte sent to its entry's last byte at the exchange.
        answer_p50_ms: From the alert's first byte sent to its answer.
    """

    order_p50_ms: float
    answer_p50_ms: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """All connections busy.

    Attributes:
        orders_per_s: From the first alert sent to the last order at the exchange.
        cpu_ms_per_order: By part.
        requests_per_order: Requests to the exchange.
        resent: Alerts that were answered 503 and sent again.
    """

    orders_per_s: float
    cpu_ms_per_order: dict[str, float]
    requests_per_order: float
    resent: int


class Exchange:
    """The instant exchange's notes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def told(self) -> tuple[list[int], int]:
        """When each order came since the last question (ns), and the count of all requests."""
        answer = await self._connection.send(request_bytes("GET", "/bench/orders"))
        notes = json.loads(answer.body)
        if notes["unknown"]:
            raise LoadFailed(f"the instant exchange does not know {', '.join(notes['unknown'])}")
        return [arrived for arrived, _ in notes["orders"]], sum(notes["requests"].values())

    async def orders(self, count: int, *, of: str) -> tuple[list[int], int]:
        """As `told`, when `count` orders have come: an alert may be answered 202 before its order is sent.

        Raises:
            LoadFailed: They have not come in time, or more have come.
        """
        arrived, requests = await self.told()
        deadline = time.monotonic() + LATE_ORDERS_S
        while len(arrived) < count and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
            more, asked = await self.told()
            arrived, requests = arrived + more, requests + asked
        if len(arrived) != count:
            raise LoadFailed(f"{of}: {len(arrived)} orders for {count} alerts")
        return arrived, requests


def alerts(target: Target) -> Iterator[bytes]:
    """Requests without end: every account long, then every account flat, and so on."""
    numbers = itertools.count(time.time_ns())
    while True:
        for action in ACTIONS:
            for sender in target.senders:
                alert = sender(action) | {"alert_id": str(next(numbers))}
                yield request_bytes("POST", target.path, json.dumps(alert).encode())


async def one_at_a_time(target: Target, exchange: Exchange) -> Latencies:
    """Sends every account one entry and one close, each after the answer to the one before."""
    connection = await connect(target.port)
    orders, answers = [], []
    try:
        stream = alerts(target)
        for action in ACTIONS:
            for _ in target.senders:
                request = next(stream)
                await exchange.told()
                started = time.monotonic_ns()
                answer, _ = await _accepted(connection, request)
                answered = time.monotonic_ns()
                arrived, _ = await exchange.orders(1, of=f"{target.name}, {action} answered {_shown(answer)}")
                if action == "long":
                    orders.append(arrived[0] - started)
                    answers.append(answered - started)
    finally:
        connection.close()
    return Latencies(median_of(orders) / 1e6, median_of(answers) / 1e6)


async def saturated(target: Target, exchange: Exchange, *, connections: int, turns: int) -> Throughput:
    """Sends `turns` times an entry and a close to every account, over so many connections.

    Every connection has accounts of its own, so that no alert waits for an earlier one of its account.
    """
    opened = [await connect(target.port) for _ in range(connections)]
    shares = [target.senders[number::connections] for number in range(connections)]
    await exchange.told()
    used, started = target.cpu_s(), time.monotonic_ns()
    try:
        resends = await asyncio.gather(
            *(
                _send_all(connection, _share(target, share), len(share) * len(ACTIONS) * turns)
                for connection, share in zip(opened, shares, strict=True)
            )
        )
    finally:
        for connection in opened:
            connection.close()
    sent = len(target.senders) * len(ACTIONS) * turns
    arrived, requests = await exchange.orders(sent, of=target.name)
    used_after = target.cpu_s()
    return Throughput(
        orders_per_s=sent * 1e9 / (max(arrived) - started),
        cpu_ms_per_order={part: (used_after[part] - used[part]) * 1e3 / sent for part in used},
        requests_per_order=requests / sent,
        resent=sum(resends),
    )


def _share(target: Target, senders: Sequence[Callable[[str], dict[str, str]]]) -> Iterator[bytes]:
    return alerts(Target(target.name, target.port, target.path, senders, target.cpu_s))


async def _send_all(connection: Connection, stream: Iterator[bytes], count: int) -> int:
    return sum([(await _accepted(connection, request))[1] for request in itertools.islice(stream, count)])


async def _accepted(connection: Connection, request: bytes) -> tuple[HttpAnswer, int]:
    """Sends an alert as TradingView does: the same one again after a 503.

    Returns:
        The answer, and how often the alert was sent again.
    """
    for resent in range(MOST_RESENDS + 1):
        answer = await connection.send(request)
        if answer.status in (200, 202):
            return answer, resent
        if answer.status != 503:
            break
        await asyncio.sleep(RESEND_PAUSE_S)
    raise LoadFailed(f"an alert was answered {_shown(answer)}")


def _shown(answer: HttpAnswer) -> str:
    return f"{answer.status}: {answer.body.decode(errors='replace')[:300]}"
