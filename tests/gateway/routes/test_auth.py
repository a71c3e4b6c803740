"""Sign-up, login, tokens."""

from typing import Any

import httpx
import pytest

from gateway.users import DEMO_EMAIL
from tests.gateway.conftest import API, PASSWORD, GatewayUnderTest, Start

pytestmark = pytest.mark.anyio


async def test_sign_up_logs_in(gateway: GatewayUnderTest) -> None:
    body = {"email": "Trader@Example.com", "password": PASSWORD, "name": " Ann "}
    answer = await gateway.http.post(f"{API}/auth/signup", json=body)

    assert answer.status_code == 201
    created = answer.json()
    assert set(created) == {"user", "access_token", "refresh_token", "token_type", "expires_in"}
    assert (created["token_type"], created["expires_in"]) == ("bearer", 900)

    bearer = {"Authorization": f"Bearer {created['access_token']}"}
    me = await gateway.http.get(f"{API}/auth/me", headers=bearer)
    assert me.status_code == 200
    assert me.json() == created["user"]
    assert me.json() | {"id": "", "created_at": ""} == {
        "id": "",
        "email": "trader@example.com",
        "name": "Ann",
        "total_xp": 0,
        "level": 1,
        "total_trades": 0,
        "created_at": "",
    }


async def test_login_gives_the_same_user(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up("ann@example.com")

    answer = await _log_in(gateway, "ANN@example.com ".strip(), PASSWORD)

    assert answer.status_code == 200
    assert answer.json()["user"]["id"] == person.id


async def test_B31_refuses_what_is_no_address(gateway: GatewayUnderTest) -> None:
    for email in [
        "a",
        "a@",
        "x" * 390 + "@example.com",
        "a@example.com\nb",
        "",
        "a b@example.com",
        "a@exa mple.com",
    ]:
        answer = await _sign_up(gateway, email, PASSWORD)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
        assert answer.json()["errors"] == [{"field": "email", "message": "must be an e-mail address."}]


async def test_B32_refuses_weak_passwords(gateway: GatewayUnderTest) -> None:
    for password in ["7 chars", "password1", "QWERTYUIOP", "x" * 1_025, ""]:
        answer = await _sign_up(gateway, "ann@example.com", password)
        assert (answer.status_code, answer.json()["code"]) == (422, "weak_password")
        assert (await _log_in(gateway, "ann@example.com", password)).status_code == 401


async def test_B33_long_passwords_are_not_cut(gateway: GatewayUnderTest) -> None:
    password = "x1" * 36 + "a"
    await gateway.sign_up("ann@example.com", password)

    assert (await _log_in(gateway, "ann@example.com", password[:-1] + "b")).status_code == 401
    assert (await _log_in(gateway, "ann@example.com", password)).status_code == 200


async def test_B34_huge_password(gateway: GatewayUnderTest) -> None:
    answer = await _sign_up(gateway, "ann@example.com", "x" * 2**20)

    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


async def test_B35_address_in_use_in_other_letter_case(gateway: GatewayUnderTest) -> None:
    await gateway.sign_up("ann@example.com")

    answer = await _sign_up(gateway, "Ann@EXAMPLE.com", PASSWORD)

    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")


async def test_B36_unknown_address_and_wrong_password_look_alike(gateway: GatewayUnderTest) -> None:
    await gateway.sign_up("ann@example.com")

    wrong = await _log_in(gateway, "ann@example.com", "not her password")
    unknown = await _log_in(gateway, "bob@example.com", "not her password")

    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json()["code"] == "invalid_credentials"
    assert _without_id(wrong) == _without_id(unknown)


async def test_B37_no_usable_token(gateway: GatewayUnderTest) -> None:
    for header, value in [
        ("X-Nothing", ""),
        ("Authorization", ""),
        ("Authorization", "Bearer"),
        ("Authorization", "Basic YTpi"),
        ("Authorization", "Bearer garbage"),
        ("Authorization", "Bearer a.b.c"),
        ("Authorization", "Bearer " + "x" * 5_000),
    ]:
        answer = await gateway.http.get(f"{API}/auth/me", headers={header: value})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_B48_token_in_the_query_is_none(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    token = person.tokens["access_token"]

    for name in ("token", "access_token", "authorization"):
        answer = await gateway.http.get(f"{API}/auth/me", params={name: token})
        assert answer.status_code == 401


async def test_B53_body_that_is_no_json(gateway: GatewayUnderTest) -> None:
    for body in [b"{", b"", b"\xff\xfe", b"[" * 60_000, b"1" * 5_000]:
        headers = {"Content-Type": "application/json"}
        answer = await gateway.http.post(f"{API}/auth/login", content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_B53_json_under_another_name(gateway: GatewayUnderTest) -> None:
    body = b'{"email": "a@example.com", "password": "whatever it is"}'
    answer = await gateway.http.post(
        f"{API}/auth/login", content=body, headers={"Content-Type": "text/plain"}
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_T22_nobody_sets_columns(gateway: GatewayUnderTest) -> None:
    for name, value in [
        ("id", "1"),
        ("total_xp", 9_000),
        ("level", 9),
        ("is_active", True),
        ("user_id", "1"),
    ]:
        body = {"email": "ann@example.com", "password": PASSWORD, name: value}
        answer = await gateway.http.post(f"{API}/auth/signup", json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"field": name, "message": "is not known here."}]


async def test_errors_never_echo_what_was_sent(gateway: GatewayUnderTest) -> None:
    body = {"email": 17, "password": {"canary-password": "canary"}, "name": ["canary-name"]}
    answer = await gateway.http.post(f"{API}/auth/signup", json=body)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert {error["field"] for error in answer.json()["errors"]} == {"email", "password", "name"}
    assert "canary" not in answer.text


async def test_refresh_rotates(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()

    answer = await _refresh(gateway, person.tokens["refresh_token"])

    assert answer.status_code == 200
    assert answer.json()["refresh_token"] != person.tokens["refresh_token"]
    person.tokens = answer.json()
    assert (await person.call("GET", "/auth/me")).status_code == 200


async def test_B47_reuse_of_a_refresh_token_ends_the_login(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    first = person.tokens["refresh_token"]
    child = (await _refresh(gateway, first)).json()

    reused = await _refresh(gateway, first)

    assert (reused.status_code, reused.json()["code"]) == (401, "token_reused")
    assert (await _refresh(gateway, child["refresh_token"])).status_code == 401
    person.tokens = child
    assert (await person.call("GET", "/auth/me")).status_code == 401


async def test_refresh_tokens_expire(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    gateway.clock.advance(days=30, seconds=1)

    answer = await _refresh(gateway, person.tokens["refresh_token"])

    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


async def test_a_login_ends_some_day_however_often_it_is_refreshed(gateway: GatewayUnderTest) -> None:
    token = (await gateway.sign_up()).tokens["refresh_token"]
    for _ in range(3):
        gateway.clock.advance(days=29)
        token = (await _refresh(gateway, token)).json()["refresh_token"]

    gateway.clock.advance(days=29)

    assert (await _refresh(gateway, token)).json()["code"] == "token_expired"


async def test_T19_logout_ends_access_and_refresh_tokens(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    body = {"refresh_token": person.tokens["refresh_token"]}

    answer = await person.call("POST", "/auth/logout", json=body)

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await person.call("GET", "/auth/me")).status_code == 401
    assert (await _refresh(gateway, body["refresh_token"])).status_code == 401


async def test_logout_does_not_end_another_users_login(gateway: GatewayUnderTest) -> None:
    ann, bob = await gateway.sign_up(), await gateway.sign_up()

    answer = await bob.call("POST", "/auth/logout", json={"refresh_token": ann.tokens["refresh_token"]})

    assert answer.status_code == 204
    assert (await ann.call("GET", "/auth/me")).status_code == 200


async def test_T30_demo_exists_on_one_machine_only(start: Start) -> None:
    async with start() as local:
        assert (await _sign_up(local, DEMO_EMAIL, PASSWORD)).status_code == 201
    async with start(production=True) as production:
        demo = await _log_in(production, DEMO_EMAIL, PASSWORD)
        unknown = await _log_in(production, "nobody@example.com", PASSWORD)
        assert demo.status_code == 401
        assert _without_id(demo) == _without_id(unknown)
        assert (await _sign_up(production, DEMO_EMAIL.upper(), PASSWORD)).status_code == 422


async def _sign_up(gateway: GatewayUnderTest, email: str, password: str) -> httpx.Response:
    return await gateway.http.post(f"{API}/auth/signup", json={"email": email, "password": password})


async def _log_in(gateway: GatewayUnderTest, email: str, password: str) -> httpx.Response:
    return await gateway.http.post(f"{API}/auth/login", json={"email": email, "password": password})


async def _refresh(gateway: GatewayUnderTest, token: str) -> httpx.Response:
    return await gateway.http.post(f"{API}/auth/refresh", json={"refresh_token": token})


def _without_id(answer: httpx.Response) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name != "request_id"}
