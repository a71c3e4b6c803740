"""Tokens that are not ours, not yet, not any more."""

import base64
import hmac
import json
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.signing_keys import SigningKey
from tests.gateway.conftest import API, GatewayUnderTest, Person, Start
from tradekit.service.secret import Secret

pytestmark = pytest.mark.anyio


@pytest.fixture
async def person(gateway: GatewayUnderTest) -> Person:
    return await gateway.sign_up()


async def test_T19_an_access_token_names_what_it_must(gateway: GatewayUnderTest, person: Person) -> None:
    claims = _claims(person)

    assert set(claims) == {"iss", "aud", "sub", "sid", "pwm", "typ", "jti", "iat", "exp"}
    assert claims["exp"] - claims["iat"] == 900
    assert claims["typ"] == "access"
    key = gateway.running.resources.settings.secret_key
    header = jwt.get_unverified_header(person.tokens["access_token"])
    assert header == {"alg": "HS256", "typ": "JWT", "kid": SigningKey(key).id}


async def test_a_token_made_like_ours_works(gateway: GatewayUnderTest, person: Person) -> None:
    """Otherwise the refusals below would prove nothing."""
    assert await _code(gateway, _signed(gateway, _claims(person))) == "200"


async def test_B43_other_algorithms_and_keys(gateway: GatewayUnderTest, person: Person) -> None:
    claims = _claims(person)
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    key = gateway.running.resources.settings.secret_key
    ours = {"kid": SigningKey(key).id}
    for token in (
        jwt.encode(claims, "", algorithm="none", headers=ours),
        jwt.encode(claims, "another key another key another key", algorithm="HS256", headers=ours),
        jwt.encode(claims, key.reveal() * 2, algorithm="HS512", headers=ours),
        jwt.encode(claims, pem, algorithm="RS256", headers=ours),
        _signed(gateway, claims, headers={"alg": "RS256"}),
        _signed(gateway, claims)[:-3] + "AAA",
    ):
        assert await _code(gateway, token) == "unauthorized"


@pytest.mark.parametrize("key_id", [None, "", "0" * 16, 7, ["a"], {"a": "b"}, "../secret", "a" * 100_000])
async def test_T19_unknown_key_id(gateway: GatewayUnderTest, person: Person, key_id: object) -> None:
    assert await _code(gateway, _signed(gateway, _claims(person), headers={"kid": key_id})) == "unauthorized"


async def test_T19_a_token_without_a_key_id(gateway: GatewayUnderTest, person: Person) -> None:
    key = gateway.running.resources.settings.secret_key.reveal()
    assert await _code(gateway, jwt.encode(_claims(person), key, algorithm="HS256")) == "unauthorized"


async def test_T19_keys_are_changed_without_ending_logins(start: Start) -> None:
    """A retired key is accepted while it is set; what it signed ends with it, what came of that does not."""
    former, current = Secret("the-former-key-" + "f" * 32), Secret("the-current-key-" + "c" * 32)
    async with start(secret_key=former) as gateway:
        stays = await gateway.sign_up()
        sleeps = await gateway.sign_up()
    async with start(secret_key=current, secret_keys_retired=(former,)) as gateway:
        assert await _code(gateway, stays.tokens["access_token"]) == "200"
        renewed = (await _refresh(gateway, stays)).json()
        assert jwt.get_unverified_header(renewed["access_token"])["kid"] == SigningKey(current).id
        assert await _code(gateway, renewed["access_token"]) == "200"
    async with start(secret_key=current) as gateway:
        assert await _code(gateway, renewed["access_token"]) == "200"
        assert await _code(gateway, stays.tokens["access_token"]) == "unauthorized"
        assert (await _refresh(gateway, sleeps)).status_code == 401
        stays.tokens = renewed
        assert (await _refresh(gateway, stays)).status_code == 200


async def test_T19_a_retired_key_signs_for_the_same_password_only(start: Start) -> None:
    former = Secret("the-former-key-" + "f" * 32)
    async with start(secret_key=former) as gateway:
        person = await gateway.sign_up()
    async with start(secret_keys_retired=(former,)) as gateway:
        await _execute(gateway, "UPDATE gateway.users SET password = '$argon2id$another'")
        assert await _code(gateway, person.tokens["access_token"]) == "unauthorized"
        assert (await _refresh(gateway, person)).status_code == 401


async def test_B44_times(gateway: GatewayUnderTest, person: Person) -> None:
    now, claims = int(time.time()), _claims(person)

    assert await _code(gateway, _signed(gateway, claims | {"exp": now - 1})) == "token_expired"
    assert await _code(gateway, _signed(gateway, claims | {"nbf": now + 60})) == "unauthorized"
    for name in ("exp", "iat", "iss", "aud", "sub", "jti", "typ", "sid", "pwm"):
        without = {key: value for key, value in claims.items() if key != name}
        assert await _code(gateway, _signed(gateway, without)) == "unauthorized", name


async def test_B44_token_ends_after_a_quarter_of_an_hour(gateway: GatewayUnderTest, person: Person) -> None:
    gateway.clock.advance(minutes=14, seconds=50)
    assert (await person.call("GET", "/auth/me")).status_code == 200
    gateway.clock.advance(seconds=10)
    assert (await person.call("GET", "/auth/me")).json()["code"] == "token_expired"


async def test_B45_other_audience_issuer_or_kind(gateway: GatewayUnderTest, person: Person) -> None:
    claims = _claims(person)

    for change in (
        {"aud": "another"},
        {"iss": "another"},
        {"typ": "refresh"},
        {"sub": "nonsense"},
        {"sub": 7},
        {"sub": str(uuid4())},
        {"sid": str(uuid4())},
        {"exp": "soon"},
        {"exp": None},
        {"pwm": ""},
    ):
        assert await _code(gateway, _signed(gateway, claims | change)) == "unauthorized", change


async def test_B45_refresh_token_is_no_access_token(gateway: GatewayUnderTest, person: Person) -> None:
    assert await _code(gateway, person.tokens["refresh_token"]) == "unauthorized"


async def test_B46_deleted_user(gateway: GatewayUnderTest, person: Person) -> None:
    await _execute(gateway, "DELETE FROM gateway.users")

    answer = await person.call("GET", "/auth/me")

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.json()["detail"] == "User not found"
    body = {"refresh_token": person.tokens["refresh_token"]}
    assert (await gateway.http.post(f"{API}/auth/refresh", json=body)).status_code == 401


async def test_B46_password_was_changed(gateway: GatewayUnderTest, person: Person) -> None:
    await _execute(gateway, "UPDATE gateway.users SET password = '$argon2id$another'")

    answer = await person.call("GET", "/auth/me")

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    body = {"refresh_token": person.tokens["refresh_token"]}
    assert (await gateway.http.post(f"{API}/auth/refresh", json=body)).status_code == 401


async def test_nextauth_session(gateway: GatewayUnderTest, person: Person) -> None:
    token = f"canary-{uuid4()}"
    expires = gateway.clock.now() + timedelta(hours=1)
    insert = "INSERT INTO gateway.sessions (user_id, session_token, expires) VALUES ($1, $2, $3)"
    await _execute(gateway, insert, person.id, token, expires)

    bearer = {"Authorization": f"Bearer {token}"}
    answer = await gateway.http.get(f"{API}/auth/me", headers=bearer)

    assert (answer.status_code, answer.json()["id"]) == (200, person.id)
    assert await _code(gateway, token + "x") == "unauthorized"
    gateway.clock.advance(hours=1, seconds=1)
    assert await _code(gateway, token) == "token_expired"


async def test_refresh_tokens_are_stored_as_hashes(gateway: GatewayUnderTest, person: Person) -> None:
    connection = await asyncpg.connect(gateway.database.admin.reveal())
    try:
        rows = await connection.fetch("SELECT t::text AS row FROM gateway.refresh_tokens t")
    finally:
        await connection.close()

    token = person.tokens["refresh_token"]
    assert len(rows) == 1
    assert token not in rows[0]["row"]
    assert token.encode().hex() not in rows[0]["row"]


def _claims(person: Person) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(person.tokens["access_token"], options={"verify_signature": False})
    return claims


def _signed(gateway: GatewayUnderTest, claims: dict[str, Any], headers: dict[str, Any] | None = None) -> str:
    """Any header and claims, signed by HMAC-SHA256; jwt.encode refuses to write what an attacker would."""
    key = gateway.running.resources.settings.secret_key
    head = {"alg": "HS256", "typ": "JWT", "kid": SigningKey(key).id} | (headers or {})
    text = f"{_part(json.dumps(head).encode())}.{_part(json.dumps(claims).encode())}"
    return f"{text}.{_part(hmac.digest(key.reveal().encode(), text.encode(), 'sha256'))}"


def _part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


async def _code(gateway: GatewayUnderTest, token: str) -> str:
    answer = await gateway.http.get(f"{API}/auth/me", headers={"Authorization": f"Bearer {token}"})
    if answer.status_code == 200:
        return "200"
    assert answer.status_code == 401, answer.text
    return str(answer.json()["code"])


async def _refresh(gateway: GatewayUnderTest, person: Person) -> httpx.Response:
    body = {"refresh_token": person.tokens["refresh_token"]}
    return await gateway.http.post(f"{API}/auth/refresh", json=body)


async def _execute(gateway: GatewayUnderTest, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(gateway.database.admin.reveal())
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()
