"""Alive, ready, and the admin port."""

import httpx
import pytest

from tests.gateway.conftest import GatewayUnderTest, Start

pytestmark = pytest.mark.anyio


async def test_alive_without_anything_behind_it(gateway: GatewayUnderTest) -> None:
    answer = await gateway.http.get("/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_ready_names_what_is_missing(gateway: GatewayUnderTest) -> None:
    answer = await gateway.http.get("/ready")

    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not_ready",
        "checks": {
            "database": "ok",
            "vault": "ok",
            "execution": "ok",
            "strategy": "unreachable",
            "webhook": "ok",
        },
    }


async def test_ready_when_everything_answers(start: Start, strategy_address: str) -> None:
    async with start(strategy_address=strategy_address) as gateway:
        answer = await gateway.http.get("/ready")
        assert answer.status_code == 200
        assert answer.json()["status"] == "ready"


async def test_admin_port(gateway: GatewayUnderTest) -> None:
    await gateway.alert({"id": "a", "webhook": {"secret": "b"}})
    async with httpx.AsyncClient(base_url=f"http://{gateway.running.admin_address}") as admin:
        health = await admin.get("/healthz")
        metrics = await admin.get("/metrics")

    assert (health.status_code, health.text) == (503, "strategy unreachable\n")
    assert 'webhook_requests_total{outcome="invalid_webhook_secret"}' in metrics.text
