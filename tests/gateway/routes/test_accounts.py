"""Exchange accounts: registered in the vault, listed, toggled, deleted; their webhook secrets."""

import json

import asyncpg
import pytest

from tests.gateway.conftest import API_KEY, API_SECRET, GatewayUnderTest, Start
from tests.system import running_paper
from tradekit.service.errors import Aborted

pytestmark = pytest.mark.anyio

REGISTER = "/accounts-secure/register"


async def test_registered_account_is_listed(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()

    account = await person.register(label="Main", testnet=False)

    webhook, warnings = account.pop("webhook"), account.pop("warnings")
    assert warnings == []
    assert webhook["url"] == "https://bot.example.com/api/v1/webhook/tradingview"
    assert len(webhook["secret"]) == 43
    assert account | {"id": "", "created_at": ""} == {
        "id": "",
        "exchange": "binance",
        "testnet": False,
        "environment": "live",
        "label": "Main",
        "is_active": True,
        "created_at": "",
    }
    listed = await person.call("GET", "/accounts-secure/list")
    assert listed.json() == {"accounts": [account], "total": 1}


async def test_environment_wins_over_testnet(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()

    assert (await person.register())["environment"] == "testnet"
    assert (await person.register(testnet=False))["environment"] == "live"
    live = await person.register(testnet=True, environment="live")
    assert (live["environment"], live["testnet"]) == ("live", False)


async def test_okx_account(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()

    account = await person.register(exchange="okx", passphrase="canary-pass")

    assert account["exchange"] == "okx"


async def test_secrets_of_an_account_stand_in_no_answer(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    body = {"exchange": "okx", "api_key": API_KEY, "api_secret": API_SECRET, "passphrase": "canary-pass"}

    registered = await person.call("POST", REGISTER, json=body)
    listed = await person.call("GET", "/accounts-secure/list")

    assert "canary" not in registered.text + listed.text


async def test_B38_passphrases(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    keys = {"api_key": API_KEY, "api_secret": API_SECRET}

    for body in ({"exchange": "okx", **keys}, {"exchange": "binance", "passphrase": "canary", **keys}):
        answer = await person.call("POST", REGISTER, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
        assert "passphrase" in answer.json()["detail"]
        assert "canary" not in answer.text


async def test_B39_B40_wrong_fields(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    good = {"exchange": "binance", "api_key": API_KEY, "api_secret": API_SECRET}

    for field, value in (
        ("exchange", "kraken"),
        ("exchange", None),
        ("environment", "prod"),
        ("testnet", "yes"),
        ("label", "x" * 101),
        ("label", "a\x00b"),
        ("label", "a\nb"),
        ("label", "half \ud800"),
        ("colour", "canary"),
        ("user_id", "canary"),
        ("api_key", ""),
        *((name, text) for name in ("api_key", "api_secret") for text in _UNUSABLE),
    ):
        # Written in ASCII, so that half of a surrogate pair can be sent too.
        body = json.dumps(good | {field: value})
        answer = await person.call("POST", REGISTER, content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error"), (field, value)
        assert "canary" not in answer.text
    assert (await person.call("GET", "/accounts-secure/list")).json()["total"] == 0


_UNUSABLE = ("canary\nx", "canary\tx", "canary\x00x", "canaryé", "canary" * 1_000, 17, ["canary"])


async def test_keys_are_needed_but_on_paper(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()

    for body in (
        {"exchange": "binance"},
        {"exchange": "binance", "api_key": API_KEY},
        {"exchange": "binance", "environment": "paper", "api_key": API_KEY},
    ):
        answer = await person.call("POST", REGISTER, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")


async def test_paper_account_without_keys(start: Start) -> None:
    async with running_paper() as paper, start(paper_base_url=paper.url) as gateway:
        person = await gateway.sign_up()
        answer = await person.call("POST", REGISTER, json={"exchange": "binance", "environment": "paper"})
        assert answer.status_code == 200
        assert (answer.json()["environment"], answer.json()["testnet"]) == ("paper", True)
        state = await paper.control("GET", "/paper/state")
        (opened,) = state["accounts"]
        assert opened["api_key"] not in answer.text


async def test_paper_exchange_that_is_down(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()

    answer = await person.call("POST", REGISTER, json={"exchange": "binance", "environment": "paper"})

    assert (answer.status_code, answer.json()["code"]) == (503, "paper_exchange_unavailable")
    assert (await person.call("GET", "/accounts-secure/list")).json()["total"] == 0


async def test_toggle_turns_over(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register()

    off = await person.call("POST", f"/accounts-secure/{account['id']}/toggle")
    on = await person.call("POST", f"/accounts-secure/{account['id']}/toggle")

    assert off.json() == {"success": True, "account_id": account["id"], "is_active": False}
    assert on.json()["is_active"] is True


async def test_deleted_account_is_gone_everywhere(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register()

    answer = await person.call("DELETE", f"/accounts-secure/{account['id']}")

    assert answer.json() == {"success": True, "message": "Account deleted successfully"}
    assert gateway.execution.retired == [account["id"]]
    assert (await person.call("GET", "/accounts-secure/list")).json()["total"] == 0
    assert (await gateway.alert(account)).status_code == 401
    assert (await person.call("DELETE", f"/accounts-secure/{account['id']}")).status_code == 404


async def test_account_in_use_stays(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register()
    gateway.execution.retire_error = Aborted("ACCOUNT_IN_USE", "BTCUSDT has an open position.")

    answer = await person.call("DELETE", f"/accounts-secure/{account['id']}")

    assert (answer.status_code, answer.json()["code"]) == (409, "account_in_use")
    assert (await gateway.alert(account)).status_code == 200


async def test_T13_rotation_ends_the_old_secret_at_once(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register()

    rotated = await person.call("POST", f"/accounts-secure/{account['id']}/webhook-secret")

    new = rotated.json()["webhook"]["secret"]
    assert (await gateway.alert(account)).status_code == 401
    assert (await gateway.alert(account, secret=new)).status_code == 200


async def test_T13_with_a_grace_both_secrets_work_for_that_long(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register()
    path = f"/accounts-secure/{account['id']}/webhook-secret"

    new = (await person.call("POST", path, json={"grace_s": 60})).json()["webhook"]["secret"]

    for secret in (new, account["webhook"]["secret"]):
        assert (await gateway.alert(account, secret=secret)).status_code == 200
    gateway.clock.advance(seconds=61)
    assert (await gateway.alert(account)).status_code == 401
    assert (await gateway.alert(account, secret=new)).status_code == 200


async def test_grace_out_of_range(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register()

    for grace in (-1, 1.5, "60", True, 10**9, None):
        path = f"/accounts-secure/{account['id']}/webhook-secret"
        answer = await person.call("POST", path, json={"grace_s": grace})
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error"), grace
    assert (await gateway.alert(account)).status_code == 200


async def test_opt_in_to_the_operator_secret_survives_a_rotation(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register(allow_operator_secret=True)
    path = f"/accounts-secure/{account['id']}/webhook-secret"

    await person.call("POST", path)
    assert await _allows_operator(gateway, account["id"]) is True
    await person.call("POST", path, json={"allow_operator_secret": False})
    assert await _allows_operator(gateway, account["id"]) is False


async def _allows_operator(gateway: GatewayUnderTest, account_id: str) -> object:
    connection = await asyncpg.connect(gateway.database.admin.reveal())
    try:
        query = "SELECT allow_operator_secret FROM gateway.webhook_secrets WHERE account_id = $1"
        return await connection.fetchval(query, account_id)
    finally:
        await connection.close()


async def test_webhook_secrets_are_stored_as_hashes(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register()
    connection = await asyncpg.connect(gateway.database.admin.reveal())
    try:
        row = await connection.fetchrow("SELECT * FROM gateway.webhook_secrets")
    finally:
        await connection.close()

    assert account["webhook"]["secret"].encode() not in bytes(row["secret_hash"])
    assert len(row["secret_hash"]) == 32


async def test_live_from_the_exchange(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register()
    gateway.execution.known_accounts.add((person.id, account["id"]))

    balance = await person.call("GET", f"/accounts-secure/{account['id']}/balance")
    positions = await person.call("GET", f"/accounts-secure/{account['id']}/positions")
    orders = await person.call("GET", f"/accounts-secure/{account['id']}/orders")

    assert balance.json() == {
        "currency": "USDT",
        "total": "10000",
        "available": "9900.5",
        "unrealized_profit": "-1.25",
    }
    assert positions.json()["positions"][0]["entry_price"] == "62000.1"
    assert positions.json()["positions"][0]["liquidation_price"] is None
    assert orders.json()["orders"][0]["trigger_price"] == "61400"
