"""Each benchmark runs, small: the real system, the real floors. Its numbers are not looked at here."""

import math
from collections.abc import Sequence

import pytest

from bench import start, vault_sign, webhook_to_order
from bench.harness import Row

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.xdist_group("bench")]


def by_name(rows: Sequence[Row]) -> dict[str, float]:
    found = {row.name: row.value for row in rows}
    assert len(found) == len(rows), "two rows of one name"
    assert all(math.isfinite(value) and value >= 0 for value in found.values())
    return found


async def test_webhook_to_order() -> None:
    size = webhook_to_order.Size(
        rounds=1, sequential_accounts=2, accounts=4, connections=2, our_turns=1, floor_turns=3
    )
    rows = by_name(await webhook_to_order.measure(size))
    assert {
        "webhook.order_p50_ratio_to_floor",
        "webhook.orders_per_s_ratio_to_floor",
        "webhook.cpu_ms_per_order_ratio_to_floor",
    } <= rows.keys()
    # An entry has a stop and a target beside it: it cannot be a single request.
    assert rows["webhook.exchange_requests_per_order.ours"] > 2
    assert 0 < rows["webhook.order_p50.ours"] < rows["webhook.answer_p50.ours"]


async def test_vault_sign() -> None:
    rows = by_name(
        await vault_sign.measure(vault_sign.Size(rounds=1, calls=((1, 4), (8, 2)), floor_signatures=2_000))
    )
    assert rows["vault.signatures_per_s.floor"] > rows["vault.signatures_per_s.batch_1"] > 0


async def test_start() -> None:
    rows = by_name(await start.measure(start.Size(starts=1)))
    assert 0 < rows["start.second_s"] == rows["start.second_slowest_s"]
