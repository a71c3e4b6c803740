"""Sign-up, login, tokens."""

import pytest

from tests.gateway.conftest import API, PASSWORD, GatewayUnderTest

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
