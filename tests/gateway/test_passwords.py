"""Password hashes: today's, yesterday's, nobody's."""

import asyncio

import asyncpg
import bcrypt
import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from gateway import passwords as module
from gateway.errors import Problem
from gateway.passwords import Passwords, password_problem
from tests.gateway.conftest import API, FAST_HASHER, PASSWORD, GatewayUnderTest

pytestmark = pytest.mark.anyio


async def test_argon2id_with_a_fresh_salt() -> None:
    passwords = Passwords(FAST_HASHER)

    first, second = await passwords.hash(PASSWORD), await passwords.hash(PASSWORD)

    assert first.startswith("$argon2id$")
    assert first != second
    assert await passwords.verify(PASSWORD, first)
    assert not await passwords.verify(PASSWORD + "x", first)


async def test_bcrypt_still_verifies_and_wants_to_be_replaced() -> None:
    passwords = Passwords(FAST_HASHER)
    stored = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()

    assert await passwords.verify(PASSWORD, stored)
    assert not await passwords.verify("another password", stored)
    assert passwords.needs_rehash(stored)
    assert not passwords.needs_rehash(await passwords.hash(PASSWORD))
    assert Passwords(PasswordHasher()).needs_rehash(await passwords.hash(PASSWORD))


async def test_B33_bcrypt_never_takes_what_it_cannot_see() -> None:
    passwords = Passwords(FAST_HASHER)
    seen = "x" * 72
    stored = bcrypt.hashpw(seen.encode(), bcrypt.gensalt(4)).decode()

    assert await passwords.verify(seen, stored)
    assert not await passwords.verify(seen + "anything", stored)


@pytest.mark.parametrize("stored", ["", "plain", "$2b$", "$2b$04$short", "$argon2id$v=19$broken", "$1$md5"])
async def test_what_is_no_hash_matches_nothing(stored: str) -> None:
    passwords = Passwords(FAST_HASHER)

    assert not await passwords.verify(PASSWORD, stored)


async def test_nobody_has_no_password() -> None:
    passwords = Passwords(FAST_HASHER)

    assert not await passwords.verify("nobody has this password", None)


async def test_more_logins_than_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    passwords = Passwords(FAST_HASHER)

    results = await asyncio.gather(*(passwords.hash(PASSWORD) for _ in range(5)), return_exceptions=True)

    refused = [result for result in results if isinstance(result, Problem)]
    assert [problem.code for problem in refused] == ["overloaded"] * 3
    assert await passwords.hash(PASSWORD)


def test_B32_every_common_password_is_refused() -> None:
    for password in FREQUENCY_LISTS["passwords"][: module.COMMON_PASSWORDS]:
        assert password_problem(password), password
        assert password_problem(password.upper()), password


@given(st.text(min_size=8, max_size=60).filter(lambda text: text.lower() not in module._common_passwords()))
def test_other_long_passwords_are_good(password: str) -> None:
    assert (password_problem(password) is None) == (len(password.encode()) <= module.MAX_BYTES)


async def test_bcrypt_hash_is_replaced_at_login(gateway: GatewayUnderTest) -> None:
    old = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    connection = await asyncpg.connect(gateway.database.admin.reveal())
    try:
        insert = "INSERT INTO gateway.users (email, password) VALUES ('old@example.com', $1)"
        await connection.execute(insert, old)
        login = {"email": "old@example.com", "password": PASSWORD}

        answer = await gateway.http.post(f"{API}/auth/login", json=login)

        assert answer.status_code == 200
        stored = await connection.fetchval("SELECT password FROM gateway.users")
        assert stored.startswith("$argon2id$")
        bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert (await gateway.http.get(f"{API}/auth/me", headers=bearer)).status_code == 200
        assert (await gateway.http.post(f"{API}/auth/login", json=login)).status_code == 200
    finally:
        await connection.close()
