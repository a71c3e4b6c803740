"""G06: no malformed request gets a 5xx or changes anything; each is answered with a problem document."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.conftest import API, GatewayUnderTest, Person
from tradekit.market.alert import ALERT_FIELDS

pytestmark = pytest.mark.anyio

# One gateway for all examples of a test: what they send must leave no trace anyway.
MANY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(
        ["", "NaN", "1e400", "-0", "\x00", "\ud800", "{{close}}", "../..", "' OR 1=1 --", "9" * 60]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
ALERTS = st.dictionaries(st.sampled_from(sorted(ALERT_FIELDS)) | st.text(max_size=12), VALUES, max_size=10)

BODIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("/auth/signup", ("email", "password", "name")),
    ("/auth/login", ("email", "password")),
    ("/auth/refresh", ("refresh_token",)),
    ("/auth/logout", ("refresh_token",)),
    (
        "/accounts-secure/register",
        ("exchange", "api_key", "api_secret", "passphrase", "testnet", "environment", "label"),
    ),
    ("/accounts-secure/x/webhook-secret", ("grace_s", "allow_operator_secret")),
)


def _requests(routes: Sequence[tuple[str, tuple[str, ...]]]) -> st.SearchStrategy[tuple[str, str]]:
    """Routes with bodies that are JSON and hold some of their fields."""

    def of_route(route: tuple[str, tuple[str, ...]]) -> st.SearchStrategy[tuple[str, str]]:
        path, names = route
        fields = st.dictionaries(st.sampled_from(names) | st.text(max_size=10), VALUES, max_size=6)
        return st.tuples(st.just(path), (fields | VALUES).map(json.dumps))

    return st.sampled_from(routes).flatmap(of_route)


@MANY
@given(body=st.binary(max_size=200))
async def test_bytes_at_the_webhook(gateway: GatewayUnderTest, body: bytes) -> None:
    answer = await gateway.http.post(f"{API}/webhook/tradingview", content=body)

    _check(answer)


@MANY
@given(fields=ALERTS)
async def test_any_fields_at_the_webhook(gateway: GatewayUnderTest, fields: dict[str, Any]) -> None:
    answer = await gateway.http.post(f"{API}/webhook/tradingview", content=json.dumps(fields))

    _check(answer)
    assert not gateway.execution.calls


@pytest.fixture
async def person(gateway: GatewayUnderTest) -> Person:
    return await gateway.sign_up()


@pytest.fixture
async def account(person: Person) -> dict[str, Any]:
    return await person.register()


@MANY
@given(fields=ALERTS)
async def test_one_wrong_field_behind_the_right_secret(
    gateway: GatewayUnderTest, account: dict[str, Any], fields: dict[str, Any]
) -> None:
    message = {"action": "long", "symbol": "BTCUSDT"} | fields
    message |= {"account_id": account["id"], "secret": account["webhook"]["secret"]}

    answer = await gateway.http.post(f"{API}/webhook/tradingview", content=json.dumps(message))

    assert answer.status_code in (200, 400, 409, 422), answer.text
    assert account["webhook"]["secret"] not in answer.text


@MANY
@given(
    request=_requests(BODIES), token=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)
)
async def test_any_body_on_every_route(
    gateway: GatewayUnderTest, request: tuple[str, str], token: str
) -> None:
    route, body = request
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}x"}

    answer = await gateway.http.post(API + route, content=body, headers=headers)

    _check(answer)


@MANY
@given(request=_requests(BODIES[4:]))
async def test_any_body_of_somebody_who_is_logged_in(person: Person, request: tuple[str, str]) -> None:
    route, body = request

    answer = await person.call("POST", route, content=body)

    _check(answer)


@MANY
@given(
    path=st.sampled_from(["/signals", "/signals/{}", "/simple/export-pine", "/accounts-secure/{}/balance"]),
    part=st.text(max_size=30),
    query=st.dictionaries(
        st.sampled_from(["limit", "cursor", "account_id", "strategy", "version", "format"])
        | st.text(max_size=8),
        st.text(max_size=30),
        max_size=4,
    ),
)
async def test_any_address(gateway: GatewayUnderTest, path: str, part: str, query: dict[str, str]) -> None:
    url = API + path.format(quote(part.encode("utf-8", "replace"), safe=""))

    answer = await gateway.http.get(url, params=query)

    assert answer.status_code in (401, 404), answer.text


def _check(answer: httpx.Response) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(problem)
    assert problem["status"] == answer.status_code
    assert "Traceback" not in answer.text
    assert "pydantic" not in answer.text
