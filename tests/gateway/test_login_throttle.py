"""T17, T18: how often a login may be tried, and what its answer tells."""

import asyncio
import time

import httpx
import pytest
from argon2 import PasswordHasher

from gateway import login_throttle
from gateway.config import parse_networks
from tests.gateway.conftest import API, PASSWORD, GatewayUnderTest, Start, undisturbed

pytestmark = pytest.mark.anyio

ANN = "ann@example.com"


async def test_T17_ten_tries_then_a_pause(gateway: GatewayUnderTest) -> None:
    await gateway.sign_up(ANN)

    codes = [(await _log_in(gateway, ANN, "wrong password")).json()["code"] for _ in range(12)]

    assert codes == ["invalid_credentials"] * 10 + ["too_many_attempts"] * 2
    refused = await _log_in(gateway, ANN, PASSWORD)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 15 * 60 + 1
    gateway.clock.advance(minutes=15, seconds=1)
    assert (await _log_in(gateway, ANN, PASSWORD)).status_code == 200


async def test_T17_parallel_tries_count_too(gateway: GatewayUnderTest) -> None:
    await gateway.sign_up(ANN)

    answers = await asyncio.gather(*(_log_in(gateway, ANN, "wrong password") for _ in range(30)))

    assert sum(answer.status_code == 401 for answer in answers) == 10


async def test_T17_success_forgets_the_owners_slips(gateway: GatewayUnderTest) -> None:
    await gateway.sign_up(ANN)
    for _ in range(3):
        for _ in range(9):
            await _log_in(gateway, ANN, "wrong password")
        assert (await _log_in(gateway, ANN, PASSWORD)).status_code == 200


async def test_T17_owner_can_still_log_in_from_elsewhere(start: Start) -> None:
    async with start(trusted_proxies=parse_networks("127.0.0.1")) as gateway:
        await gateway.sign_up(ANN)
        for _ in range(11):
            await _log_in(gateway, ANN, "wrong password", address="6.6.6.6")
        assert (await _log_in(gateway, ANN, PASSWORD, address="6.6.6.6")).status_code == 429
        assert (await _log_in(gateway, ANN, PASSWORD, address="7.7.7.7")).status_code == 200


async def test_T17_attack_from_many_addresses_leaves_the_owner_a_way_in(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_throttle, "TRIES_PER_ACCOUNT", 20)
    async with start(trusted_proxies=parse_networks("127.0.0.1")) as gateway:
        await gateway.sign_up(ANN)
        for number in range(2):
            for _ in range(10):
                await _log_in(gateway, ANN, "wrong password", address=f"6.6.6.{number}")

        tries = [await _log_in(gateway, ANN, "wrong password", address="6.6.6.9") for _ in range(4)]
        assert [answer.status_code for answer in tries] == [401, 401, 401, 429]
        assert (await _log_in(gateway, ANN, PASSWORD, address="7.7.7.7")).status_code == 200


async def test_T17_one_address_tries_many_accounts(
    gateway: GatewayUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_throttle, "TRIES_PER_ADDRESS", 5)

    answers = [await _log_in(gateway, f"{number}@example.com", "a password") for number in range(6)]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


async def test_T18_known_and_unknown_addresses_take_the_same_time(start: Start) -> None:
    # A hash takes some 20 ms: an answer without one would be seen.
    hasher = PasswordHasher(time_cost=2, memory_cost=16_384, parallelism=1)
    known, unknown = [], []
    async with start(hasher=hasher) as gateway:
        for number in range(30):
            email = f"{number}@example.com"
            await gateway.sign_up(email)
            known.append(await _seconds(gateway, email))
            unknown.append(await _seconds(gateway, f"x{email}"))

    assert undisturbed(unknown) > 0.005
    assert abs(undisturbed(known) - undisturbed(unknown)) < 0.005


async def test_T18_a_throttled_unknown_address_looks_like_a_known_one(gateway: GatewayUnderTest) -> None:
    await gateway.sign_up(ANN)
    for email in (ANN, "nobody@example.com"):
        answers = [await _log_in(gateway, email, "wrong password") for _ in range(11)]
        assert [answer.status_code for answer in answers] == [401] * 10 + [429]


async def _seconds(gateway: GatewayUnderTest, email: str) -> float:
    started = time.perf_counter()
    answer = await _log_in(gateway, email, "wrong password")
    assert answer.status_code == 401
    return time.perf_counter() - started


async def _log_in(
    gateway: GatewayUnderTest, email: str, password: str, *, address: str = ""
) -> httpx.Response:
    headers = {"X-Forwarded-For": address} if address else {}
    body = {"email": email, "password": password}
    return await gateway.http.post(f"{API}/auth/login", json=body, headers=headers)
