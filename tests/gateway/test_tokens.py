"""Tokens that are not ours, not yet, not any more."""

import base64
import hmac
import json
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.gateway.conftest import API, GatewayUnderTest, Person

pytestmark = pytest.mark.anyio


@pytest.fixture
async def person(gateway: GatewayUnderTest) -> Person:
    return await gateway.sign_up()


async def test_T19_an_access_token_names_what_it_must(gateway: GatewayUnderTest, person: Person) -> None:
    claims = _claims(person)

    assert set(claims) == {"iss", "aud", "sub", "sid", "pwm", "typ", "jti", "iat", "exp"}
    assert claims["exp"] - claims["iat"] == 900
    assert claims["typ"] == "access"
    assert jwt.get_unverified_header(person.tokens["access_token"])["alg"] == "HS256"


async def test_a_token_made_like_ours_works(gateway: GatewayUnderTest, person: Person) -> None:
    """Otherwise the refusals below would prove nothing."""
    assert await _code(gateway, _signed(gateway, _claims(person))) == "200"


async def test_B43_other_algorithms_and_keys(gateway: GatewayUnderTest, person: Person) -> None:
    claims = _claims(person)
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    for token in (
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(claims, "another key another key another key", algorithm="HS256"),
        jwt.encode(claims, gateway.running.resources.settings.secret_key.reveal() * 2, algorithm="HS512"),
        jwt.encode(claims, pem, algorithm="RS256"),
        _signed(gateway, claims, headers={"alg": "RS256"}),
        _signed(gateway, claims)[:-3] + "AAA",
    ):
        assert await _code(gateway, token) == "unauthorized"


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
    head = {"alg": "HS256", "typ": "JWT"} | (headers or {})
    text = f"{_part(json.dumps(head).encode())}.{_part(json.dumps(claims).encode())}"
    key = gateway.running.resources.settings.secret_key.reveal()
    return f"{text}.{_part(hmac.digest(key.encode(), text.encode(), 'sha256'))}"


def _part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


async def _code(gateway: GatewayUnderTest, token: str) -> str:
    answer = await gateway.http.get(f"{API}/auth/me", headers={"Authorization": f"Bearer {token}"})
    if answer.status_code == 200:
        return "200"
    assert answer.status_code == 401, answer.text
    return str(answer.json()["code"])


async def _execute(gateway: GatewayUnderTest, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(gateway.database.admin.reveal())
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()
