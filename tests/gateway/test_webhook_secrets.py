"""Webhook secrets in memory follow the database, also from other processes and after a lost connection."""

from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from gateway.models import WebhookSecret
from gateway.webhook_secrets import WebhookSecrets, hash_secret
from tests.gateway.conftest import GatewayUnderTest, MovableClock, Start, until
from tradekit.service.secret import Secret

pytestmark = pytest.mark.anyio

ACCOUNT, USER = uuid4(), uuid4()


def _row(**fields: object) -> WebhookSecret:
    defaults = {"account_id": ACCOUNT, "user_id": USER, "secret_hash": hash_secret("right")}
    return WebhookSecret(**(defaults | {"allow_operator_secret": False} | fields))


def test_right_secret_names_the_owner() -> None:
    secrets = WebhookSecrets(MovableClock(), None)
    secrets.remember(_row())

    assert secrets.owner(str(ACCOUNT), "right") == str(USER)
    assert secrets.owner(str(ACCOUNT).upper(), "right") == str(USER)
    assert secrets.owner(str(ACCOUNT), "wrong") is None
    assert secrets.owner(str(uuid4()), "right") is None
    assert secrets.owner("", "") is None


def test_previous_secret_works_until_its_end() -> None:
    clock = MovableClock()
    secrets = WebhookSecrets(clock, None)
    expires = clock.now() + timedelta(seconds=60)
    secrets.remember(_row(previous_hash=hash_secret("old"), previous_expires_at=expires))

    assert secrets.owner(str(ACCOUNT), "old") == str(USER)
    clock.advance(seconds=60)
    assert secrets.owner(str(ACCOUNT), "old") is None
    assert secrets.owner(str(ACCOUNT), "right") == str(USER)


def test_T15_operator_secret_needs_both_yeses() -> None:
    configured = WebhookSecrets(MovableClock(), Secret("operator"))
    configured.remember(_row())
    assert configured.owner(str(ACCOUNT), "operator") is None
    configured.remember(_row(allow_operator_secret=True))
    assert configured.owner(str(ACCOUNT), "operator") == str(USER)

    unset = WebhookSecrets(MovableClock(), None)
    unset.remember(_row(allow_operator_secret=True))
    assert unset.owner(str(ACCOUNT), "operator") is None


def test_operator_secret_opens_no_unknown_account() -> None:
    secrets = WebhookSecrets(MovableClock(), Secret("operator"))

    assert secrets.owner(str(uuid4()), "operator") is None


async def test_another_process_hears_of_a_change(gateway: GatewayUnderTest, start: Start) -> None:
    person = await gateway.sign_up()
    async with start() as other:
        account = await person.register()
        await _until_status(other, account, 200)
        path = f"/accounts-secure/{account['id']}/webhook-secret"
        rotated = await person.call("POST", path)
        await _until_status(other, account, 401)
        account["webhook"] = rotated.json()["webhook"]
        await _until_status(other, account, 200)
        await person.call("DELETE", f"/accounts-secure/{account['id']}")
        await _until_status(other, account, 401)


async def test_F18_database_drops_all_connections(gateway: GatewayUnderTest) -> None:
    """Known accounts work on, and what changed meanwhile is heard of; nothing answers 500."""
    person = await gateway.sign_up()
    account = await person.register()
    admin = await asyncpg.connect(gateway.database.admin.reveal())
    try:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tradingbot_gateway'"
        )
        await admin.execute(
            "UPDATE gateway.webhook_secrets SET secret_hash = $1", hash_secret("changed meanwhile")
        )
        assert (await person.call("GET", "/auth/me")).status_code == 200
        account["webhook"]["secret"] = "changed meanwhile"
        await _until_status(gateway, account, 200)
    finally:
        await admin.close()


async def test_secrets_of_a_deleted_user_are_gone(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register()
    admin = await asyncpg.connect(gateway.database.admin.reveal())
    try:
        await admin.execute("DELETE FROM gateway.users WHERE id = $1", UUID(person.id))
    finally:
        await admin.close()

    await _until_status(gateway, account, 401)


async def _until_status(gateway: GatewayUnderTest, account: dict[str, object], status: int) -> None:
    async def answered() -> bool:
        return (await gateway.alert(account)).status_code == status

    await until(answered)
