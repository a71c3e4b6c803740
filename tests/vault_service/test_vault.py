"""Accounts: registered, listed, toggled and deleted by their owner, and by nobody else."""

import json
import uuid
from typing import Any

import pytest

from tests.vault_service.conftest import (
    API_KEY,
    API_SECRET,
    PASSPHRASE,
    RunningVault,
    as_admin,
    client_order_id,
)
from tradekit.service.channel import call
from tradekit.service.errors import DataLoss, InvalidArgument, NotFound, Unavailable
from tradekit.service.wire import instant_from
from tradingbot.vault.v1 import vault_pb2

pytestmark = pytest.mark.anyio


async def page(vault: RunningVault, user_id: uuid.UUID, **fields: Any) -> vault_pb2.ListAccountsResponse:
    request = vault_pb2.ListAccountsRequest(user_id=str(user_id), **fields)
    return await call(vault.accounts.ListAccounts(request, timeout=5))


async def get(vault: RunningVault, user_id: str, account_id: str) -> vault_pb2.Account:
    request = vault_pb2.GetAccountRequest(user_id=user_id, account_id=account_id)
    return (await call(vault.accounts.GetAccount(request, timeout=5))).account


async def test_registered_account_is_active_and_reads_back(vault: RunningVault, user_id: uuid.UUID) -> None:
    account = await vault.register(user_id, label="대표 계정")

    assert account.user_id == str(user_id)
    assert account.exchange == vault_pb2.EXCHANGE_BINANCE
    assert account.environment == vault_pb2.ENVIRONMENT_TESTNET
    assert account.label == "대표 계정"
    assert account.active
    assert instant_from(account.create_time) == vault.clock.now()
    assert await get(vault, account.user_id, account.account_id) == account


@pytest.mark.parametrize(
    ("environment", "testnet"),
    [
        (vault_pb2.ENVIRONMENT_PAPER, True),
        (vault_pb2.ENVIRONMENT_TESTNET, True),
        (vault_pb2.ENVIRONMENT_LIVE, False),
    ],
)
async def test_table_has_the_columns_that_stay(
    vault: RunningVault, user_id: uuid.UUID, environment: vault_pb2.Environment.ValueType, testnet: bool
) -> None:
    account = await vault.register(user_id, environment=environment)

    (row,) = await vault.fetch(
        "SELECT id, user_id, exchange, api_key, api_secret, passphrase, testnet, is_active, created_at"
        " FROM vault.api_keys"
    )
    assert (str(row["id"]), row["user_id"], row["exchange"]) == (account.account_id, user_id, "binance")
    assert (row["testnet"], row["is_active"], row["created_at"]) == (testnet, True, vault.clock.now())


async def test_T01_no_column_holds_a_key_in_clear(vault: RunningVault, user_id: uuid.UUID) -> None:
    await vault.register(user_id, exchange=vault_pb2.EXCHANGE_OKX, passphrase=PASSPHRASE)

    (row,) = await vault.fetch("SELECT * FROM vault.api_keys")
    stored = json.dumps(
        {name: value.hex() if isinstance(value, bytes) else str(value) for name, value in row.items()}
    )
    for secret in (API_KEY, API_SECRET, PASSPHRASE):
        assert secret not in stored
        assert secret.encode().hex() not in stored


async def test_list_is_of_one_user_oldest_first(vault: RunningVault, user_id: uuid.UUID) -> None:
    mine = []
    for number in range(3):
        mine.append(await vault.register(user_id, label=f"account {number}"))
        await vault.register(uuid.uuid4())
        vault.clock.advance(milliseconds=1)

    listed = await page(vault, user_id)

    assert list(listed.accounts) == mine
    assert (listed.total_count, listed.next_page_token) == (3, "")


async def test_list_comes_in_pages(vault: RunningVault, user_id: uuid.UUID) -> None:
    for _ in range(5):
        await vault.register(user_id)
        vault.clock.advance(milliseconds=1)

    first = await page(vault, user_id, page_size=2)
    second = await page(vault, user_id, page_size=2, page_token=first.next_page_token)
    last = await page(vault, user_id, page_size=2, page_token=second.next_page_token)

    together = [*first.accounts, *second.accounts, *last.accounts]
    assert together == list((await page(vault, user_id)).accounts)
    assert last.next_page_token == ""
    assert {listed.total_count for listed in (first, second, last)} == {5}


@pytest.mark.parametrize("fields", [{"page_size": -1}, {"page_size": 501}, {"page_token": "garbage"}])
async def test_list_with_a_wrong_page_is_refused(
    vault: RunningVault, user_id: uuid.UUID, fields: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument):
        await page(vault, user_id, **fields)


async def test_toggle_turns_over_and_back(vault: RunningVault, account: vault_pb2.Account) -> None:
    assert (await vault.toggle(account)).active is False
    assert (await vault.toggle(account)).active is True


async def test_deleted_account_is_gone_with_its_keys(vault: RunningVault, account: vault_pb2.Account) -> None:
    await vault.delete(account)

    assert await vault.fetch("SELECT * FROM vault.api_keys") == []
    with pytest.raises(NotFound):
        await get(vault, account.user_id, account.account_id)
    actions = [row["action"] for row in await vault.audit()]
    assert actions == ["register_account", "delete_account"]


async def test_B59_another_users_account_is_not_there(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    """Every method gives the same error for another's account as for none, and changes nothing."""
    foreign = vault_pb2.Account(user_id=str(uuid.uuid4()), account_id=account.account_id)
    unknown = vault_pb2.Account(user_id=account.user_id, account_id=str(uuid.uuid4()))
    describe = vault.signer.DescribeAccount

    texts = set()
    for stranger in (foreign, unknown):
        request = vault_pb2.DescribeAccountRequest(user_id=stranger.user_id, account_id=stranger.account_id)
        for attempt in (
            get(vault, stranger.user_id, stranger.account_id),
            vault.toggle(stranger),
            vault.delete(stranger),
            call(describe(request, timeout=5)),
        ):
            with pytest.raises(NotFound) as refusal:
                await attempt
            texts.add(str(refusal.value))

    assert texts == {"ACCOUNT_NOT_FOUND: There is no such account."}
    assert await get(vault, account.user_id, account.account_id) == account


async def test_execution_reads_an_account(vault: RunningVault, account: vault_pb2.Account) -> None:
    request = vault_pb2.DescribeAccountRequest(user_id=account.user_id, account_id=account.account_id)

    described = await call(vault.signer.DescribeAccount(request, timeout=5))

    assert described.account == account


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", ""),
        ("user_id", "42"),
        ("exchange", vault_pb2.EXCHANGE_UNSPECIFIED),
        ("exchange", 99),
        ("environment", vault_pb2.ENVIRONMENT_UNSPECIFIED),
        ("environment", 99),
        ("api_key", ""),
        ("api_key", "with space"),
        ("api_key", "new\nline"),
        ("api_key", "tab\t"),
        ("api_key", "nul\x00"),
        ("api_key", "ключ"),
        ("api_key", "k" * 513),
        ("api_secret", ""),
        ("api_secret", "new\nline"),
        ("api_secret", "s" * 4097),
        ("api_secret", "-----BEGIN " + "PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----\n"),
        ("passphrase", "binance has none"),
        ("label", "x" * 101),
        ("label", "line\nbreak"),
        ("label", "\x1b[31m"),
    ],
)
async def test_B40_B57_wrong_field_is_named_and_nothing_is_stored(
    vault: RunningVault, user_id: uuid.UUID, field: str, value: Any
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await vault.register(user_id, **{field: value})

    assert refusal.value.reason == "FIELD_INVALID"
    assert refusal.value.metadata["field"] == field
    assert not value or str(value) not in refusal.value.message
    assert await vault.fetch("SELECT * FROM vault.api_keys") == []


async def test_B38_okx_needs_a_passphrase(vault: RunningVault, user_id: uuid.UUID) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await vault.register(user_id, exchange=vault_pb2.EXCHANGE_OKX)

    assert refusal.value.metadata["field"] == "passphrase"
    assert (await vault.register(user_id, exchange=vault_pb2.EXCHANGE_OKX, passphrase=PASSPHRASE)).active


COLUMNS = "data_key, api_key, api_secret"


async def test_T02_swapped_rows_are_refused_and_audited(vault: RunningVault, user_id: uuid.UUID) -> None:
    """The ciphertexts of two accounts of one user, exchanged in the database."""
    one, other = await vault.register(user_id), await vault.register(user_id)
    await vault.fetch(
        f"UPDATE vault.api_keys AS a SET ({COLUMNS}) = "  # noqa: S608  # constants
        f"(SELECT {COLUMNS} FROM vault.api_keys AS b WHERE b.id <> a.id)"
    )

    results = await vault.sign(*(vault.order(account, client_order_id()) for account in (one, other)))

    assert {(result.error.reason, result.error.status_code) for result in results} == {
        ("CREDENTIAL_UNREADABLE", 15)
    }
    assert all(result.error.message.startswith("Decryption failed") for result in results)
    refused = await vault.audit(where="outcome = 'refused'")
    assert [row["reason"] for row in refused] == ["credential_unreadable"] * 2


async def test_T02_unreadable_account_does_not_fail_its_batch(
    vault: RunningVault, user_id: uuid.UUID
) -> None:
    good, bad = await vault.register(user_id), await vault.register(user_id)
    await vault.fetch(
        "UPDATE vault.api_keys SET api_secret = api_key WHERE id = $1", uuid.UUID(bad.account_id)
    )

    results = await vault.sign(vault.query(good), vault.query(bad), vault.query(good))

    assert [result.error.reason for result in results] == ["", "CREDENTIAL_UNREADABLE", ""]


async def test_T02_account_switched_on_in_the_database_is_refused(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    await vault.toggle(account)
    await vault.fetch("UPDATE vault.api_keys SET is_active = true")

    assert await vault.refusal(vault.order(account, client_order_id())) == "CREDENTIAL_UNREADABLE"


async def test_T02_old_row_that_was_put_back_is_refused(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    """A whole row from before a toggle opens by itself; the audit knows that there is a newer one."""
    (old,) = await vault.fetch("SELECT * FROM vault.api_keys")
    await vault.toggle(account)
    await _put_back(vault, old)

    assert await vault.refusal(vault.order(account, client_order_id())) == "CREDENTIAL_UNREADABLE"
    with pytest.raises(DataLoss):
        await vault.toggle(account)
    refused = await vault.audit(where="reason = 'credential_unreadable'")
    assert [row["action"] for row in refused] == ["sign", "toggle_account"]


async def test_T02_deleted_row_that_was_put_back_is_refused(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    await vault.toggle(account)
    await vault.toggle(account)
    (old,) = await vault.fetch("SELECT * FROM vault.api_keys")
    await vault.delete(account)
    await _put_back(vault, old)

    assert await vault.refusal(vault.query(account)) == "CREDENTIAL_UNREADABLE"
    await vault.delete(account)
    await _put_back(vault, old)
    assert await vault.refusal(vault.query(account)) == "CREDENTIAL_UNREADABLE"


async def _put_back(vault: RunningVault, row: Any) -> None:
    stored = {name: value for name, value in row.items() if name not in {"testnet", "key_id"}}
    names = ", ".join(stored)
    places = ", ".join(f"${number}" for number in range(1, len(stored) + 1))
    await as_admin(vault.database, "DELETE FROM vault.api_keys")
    statement = f"INSERT INTO vault.api_keys ({names}) VALUES ({places})"  # noqa: S608  # names of columns
    await as_admin(vault.database, statement, *stored.values())


async def test_table_that_cannot_be_read_is_unavailable(vault: RunningVault, user_id: uuid.UUID) -> None:
    await vault.fetch("ALTER TABLE vault.api_keys RENAME TO api_keys_away")
    try:
        with pytest.raises(Unavailable) as refusal:
            await page(vault, user_id)
    finally:
        await vault.fetch("ALTER TABLE vault.api_keys_away RENAME TO api_keys")

    assert refusal.value.reason == "STORE_UNAVAILABLE"


def test_T03_no_answer_has_a_field_for_a_secret() -> None:
    """Every message that the vault answers with, down to the last nested field."""
    services = vault_pb2.DESCRIPTOR.services_by_name.values()
    names = {
        name for service in services for method in service.methods for name in _fields(method.output_type)
    }

    assert not {name for name in names if any(word in name for word in ("secret", "passphrase", "api_key"))}
    assert {"target", "headers", "account_id"} <= names


def _fields(message: Any) -> set[str]:
    nested = (_fields(field.message_type) for field in message.fields if field.message_type)
    return {field.name for field in message.fields}.union(*nested)
