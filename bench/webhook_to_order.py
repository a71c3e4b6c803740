"""From a webhook to its order at the exchange, against the least that any bot must do.

Ours is the whole system (`tradingbot up`): gateway, vault and execution as processes, mTLS between them,
PostgreSQL with fsync, each position protected by a stop and a target. The floors (bench/rig/floor.py) are one
aiohttp process that parses, signs and posts one order, without (i) and with (ii) a commit per alert. All of
them trade on bench/rig/instant_exchange.py, and get the same alerts from the same client, in turns.
"""

import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.harness import LEAST_ROUNDS, Row, interleave, median_of, median_ratio
from bench.rig.floor import SECRET
from bench.rig.http import connect
from bench.rig.load import Exchange, Latencies, Target, Throughput, one_at_a_time, saturated
from bench.rig.processes import cpu_seconds, running
from bench.rig.system import Account, RunningSystem, running_system
from tradekit.service.secret import Secret

OURS, FLOOR, FLOOR_WITH_COMMIT = "ours", "floor i", "floor ii"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Attributes:
        sequential_accounts: Accounts that get one alert at a time; so many latencies a round.
        accounts: Accounts under load; a multiple of `connections`.
        our_turns, floor_turns: Entries per account and round under load.
    """

    rounds: int = LEAST_ROUNDS
    sequential_accounts: int = 24
    accounts: int = 128
    connections: int = 64
    our_turns: int = 1
    floor_turns: int = 20


async def measure(size: Size = Size()) -> Sequence[Row]:
    """All rows; about two minutes."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with _targets(Path(folder), size) as (exchange, sequential, loaded):
            for target in sequential.values():
                await one_at_a_time(target, exchange)  # caches, connections, prepared statements
            latencies = await interleave(
                {name: partial(one_at_a_time, target, exchange) for name, target in sequential.items()},
                rounds=size.rounds,
            )
            runs = {name: _saturated(target, exchange, size) for name, target in loaded.items()}
            for run in runs.values():
                await run()
            throughputs = await interleave(runs, rounds=size.rounds)
    return rows(latencies, throughputs)


def _saturated(target: Target, exchange: Exchange, size: Size) -> partial[Coroutine[None, None, Throughput]]:
    turns = size.our_turns if target.name == OURS else size.floor_turns
    return partial(saturated, target, exchange, connections=size.connections, turns=turns)


@asynccontextmanager
async def _targets(
    folder: Path, size: Size
) -> AsyncIterator[tuple[Exchange, dict[str, Target], dict[str, Target]]]:
    """The exchange's notes, and the targets with few and with many accounts."""
    async with AsyncExitStack() as stack:
        _, exchange_port = await stack.enter_async_context(running("bench.rig.instant_exchange"))
        url = f"http://127.0.0.1:{exchange_port}"
        system = await stack.enter_async_context(running_system(folder / "state", exchange=url))
        server = system.database()
        await server.create_database("bench")
        database = {"DATABASE_URL": server.url(database="bench")}
        floor = await stack.enter_async_context(running("bench.rig.floor", "--exchange", url))
        committing = await stack.enter_async_context(
            running("bench.rig.floor", "--exchange", url, "--commit", secrets=database)
        )
        notes = await connect(exchange_port)
        stack.callback(notes.close)

        def with_accounts(accounts: list[Account]) -> dict[str, Target]:
            targets = (
                _our_target(system, accounts),
                _floor_target(FLOOR, *floor, partial(_cpu_of, floor[0]), len(accounts)),
                _floor_target(
                    FLOOR_WITH_COMMIT, *committing, partial(_cpu_of, committing[0], system), len(accounts)
                ),
            )
            return {target.name: target for target in targets}

        sequential = with_accounts(await system.register(size.sequential_accounts))
        loaded = with_accounts(await system.register(size.accounts))
        yield Exchange(notes), sequential, loaded


def _our_target(system: RunningSystem, accounts: list[Account]) -> Target:
    senders = [partial(_alert, account.account_id, account.secret) for account in accounts]
    return Target(OURS, system.gateway_port, "/api/v1/webhook/tradingview", senders, system.cpu_by_part)


def _floor_target(
    name: str, process_id: int, port: int, cpu_s: Callable[[], dict[str, float]], accounts: int
) -> Target:
    senders = [partial(_alert, f"account-{number}", Secret(SECRET)) for number in range(accounts)]
    return Target(name, port, "/", senders, cpu_s)


def _alert(account_id: str, secret: Secret, action: str) -> dict[str, str]:
    return {"account_id": account_id, "secret": secret.reveal(), "action": action, "symbol": "BTCUSDT"}


def _cpu_of(process_id: int, system: RunningSystem | None = None) -> dict[str, float]:
    """A floor's processor time; with the database that it shares with our system, which is idle meanwhile."""
    database = {"postgres": system.cpu_by_part()["postgres"]} if system is not None else {}
    return {"bot": cpu_seconds([process_id])} | database


def rows(latencies: dict[str, list[Latencies]], throughputs: dict[str, list[Throughput]]) -> list[Row]:
    """The table: ratios first, then what they are made of."""
    orders = {name: [one.order_p50_ms for one in found] for name, found in latencies.items()}
    rates = {name: [one.orders_per_s for one in found] for name, found in throughputs.items()}
    cpu = {name: [sum(one.cpu_ms_per_order.values()) for one in found] for name, found in throughputs.items()}
    measures = (("order_p50", orders, "ms"), ("orders_per_s", rates, "1/s"), ("cpu_ms_per_order", cpu, "ms"))
    found = []
    for floor, suffix in ((FLOOR, ""), (FLOOR_WITH_COMMIT, "_with_commit")):
        for name, values, _ in measures:
            ratio = median_ratio(values[OURS], values[floor])
            found.append(Row(f"webhook.{name}_ratio_to_floor{suffix}", ratio, "ratio"))
    for name, values, unit in measures:
        found += [
            Row(f"webhook.{name}.{target.replace(' ', '_')}", median_of(each), unit)
            for target, each in values.items()
        ]
    return found + _details(latencies[OURS], throughputs[OURS])


def _details(latencies: list[Latencies], throughputs: list[Throughput]) -> list[Row]:
    """Where our own time goes."""
    answers = Row("webhook.answer_p50.ours", median_of([one.answer_p50_ms for one in latencies]), "ms")
    requests = median_of([one.requests_per_order for one in throughputs])
    parts = [
        Row(
            f"webhook.cpu_ms_per_order.ours.{part}",
            median_of([t.cpu_ms_per_order[part] for t in throughputs]),
            "ms",
        )
        for part in throughputs[0].cpu_ms_per_order
    ]
    counts = [
        Row("webhook.exchange_requests_per_order.ours", requests, "count"),
        Row("webhook.alerts_resent.ours", sum(one.resent for one in throughputs), "count"),
    ]
    return [answers, *counts, *parts]
