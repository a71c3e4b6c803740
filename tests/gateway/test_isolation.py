"""One user learns nothing of another: every route with a foreign id gives the bytes of a random one."""

import uuid
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import GatewayUnderTest, Person

pytestmark = pytest.mark.anyio

ACCOUNT_ROUTES = (
    ("DELETE", "/accounts-secure/{id}"),
    ("POST", "/accounts-secure/{id}/toggle"),
    ("POST", "/accounts-secure/{id}/webhook-secret"),
    ("GET", "/accounts-secure/{id}/balance"),
    ("GET", "/accounts-secure/{id}/positions"),
    ("GET", "/accounts-secure/{id}/orders"),
    ("GET", "/simple/export-pine?strategy=ema_crossover&account_id={id}"),
)


async def test_T21_B41_foreign_accounts(gateway: GatewayUnderTest) -> None:
    ann, bob = await gateway.sign_up(), await gateway.sign_up()
    account = await ann.register()
    gateway.execution.known_accounts.add((ann.id, account["id"]))

    for method, route in ACCOUNT_ROUTES:
        foreign = await bob.call(method, route.format(id=account["id"]))
        assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found"), route
        for other in (str(uuid.uuid4()), "nonsense", account["id"].replace("-", ""), "\u00e9"):
            answer = await bob.call(method, route.format(id=other))
            assert comparable(answer) == comparable(foreign), (route, other)


async def test_T21_foreign_calls_change_nothing(gateway: GatewayUnderTest) -> None:
    ann, bob = await gateway.sign_up(), await gateway.sign_up()
    account = await ann.register()

    for method, route in ACCOUNT_ROUTES:
        await bob.call(method, route.format(id=account["id"]))

    listed = (await ann.call("GET", "/accounts-secure/list")).json()["accounts"]
    assert [(entry["id"], entry["is_active"]) for entry in listed] == [(account["id"], True)]
    assert gateway.execution.retired == []
    # The secret still opens the account: in the database, and in the memory of this process.
    assert (await gateway.alert(account)).status_code == 200


async def test_T21_foreign_signals(gateway: GatewayUnderTest) -> None:
    ann, bob = await gateway.sign_up(), await gateway.sign_up()
    signal_id = (await gateway.alert(await ann.register())).json()["signal_id"]

    foreign = await bob.call("GET", f"/signals/{signal_id}")

    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    for other in (str(uuid.uuid4()), "nonsense"):
        assert comparable(await bob.call("GET", f"/signals/{other}")) == comparable(foreign)
    assert await _signal_count(bob) == 0
    assert await _signal_count(ann) == 1


async def test_T21_filter_by_a_foreign_account(gateway: GatewayUnderTest) -> None:
    ann, bob = await gateway.sign_up(), await gateway.sign_up()
    account = await ann.register()
    await gateway.alert(account)

    foreign = await bob.call("GET", f"/signals?account_id={account['id']}")
    unknown = await bob.call("GET", f"/signals?account_id={uuid.uuid4()}")

    assert foreign.json() == unknown.json() == {"signals": [], "next_cursor": None}


async def test_users_see_their_own_accounts_only(gateway: GatewayUnderTest) -> None:
    ann, bob = await gateway.sign_up(), await gateway.sign_up()
    await ann.register()
    own = await bob.register()

    listed = (await bob.call("GET", "/accounts-secure/list")).json()

    assert [account["id"] for account in listed["accounts"]] == [own["id"]]


async def test_every_route_asks_who_is_there(gateway: GatewayUnderTest) -> None:
    """Whatever the OpenAPI document lists and is not public answers 401 to a stranger."""
    document = (await gateway.http.get("/openapi.json")).json()
    public = {
        "/api/v1/auth/signup",
        "/api/v1/auth/login",
        "/api/v1/auth/refresh",
        "/api/v1/webhook/tradingview",
        "/api/v1/webhook/health",
        "/health",
        "/ready",
    }

    assert public < set(document["paths"])
    for path, operations in document["paths"].items():
        for method in operations if path not in public else ():
            url = path.replace("{account_id}", str(uuid.uuid4())).replace("{signal_id}", str(uuid.uuid4()))
            body: dict[str, Any] = {"json": {"refresh_token": "x"}} if path.endswith("/logout") else {}
            answer = await gateway.http.request(method.upper(), url, **body)
            assert answer.status_code == 401, (method, path)


async def _signal_count(person: Person) -> int:
    return len((await person.call("GET", "/signals")).json()["signals"])


def comparable(answer: httpx.Response) -> tuple[int, dict[str, Any], list[str]]:
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    return answer.status_code, body, sorted(answer.headers)
