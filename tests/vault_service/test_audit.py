"""The audit: nobody changes it unseen, and nothing is done without it."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tests.vault_service.conftest import RunningVault, as_admin, client_order_id, item
from tradekit.service.errors import Unavailable
from tradingbot.vault.v1 import vault_pb2
from vault_service.audit import AuditReport, Head, parse_head
from vault_service.canonical import canonical
from vault_service.commands import audit_verify

pytestmark = pytest.mark.anyio

CHANGE = """
    ALTER TABLE vault.audit_entries DISABLE TRIGGER append_only;
    {};
    ALTER TABLE vault.audit_entries ENABLE ALWAYS TRIGGER append_only;
"""


async def tamper(vault: RunningVault, statement: str) -> None:
    """Changes the table as somebody who owns it and switches its trigger off."""
    connection = await asyncpg.connect(vault.database.admin.reveal())
    try:
        await connection.execute(CHANGE.format(statement))
    finally:
        await connection.close()


async def verify(vault: RunningVault, head: str | None = None) -> AuditReport:
    return await audit_verify(vault.database.roles["vault"], head=head)


@pytest.fixture
async def audited(vault: RunningVault, account: vault_pb2.Account) -> RunningVault:
    """A vault with nine rows of all kinds."""
    await vault.sign(*(vault.order(account, client_order_id(number)) for number in range(4)))
    await vault.sign(item(account, "POST", "/sapi/v1/asset/transfer"))
    await vault.toggle(account)
    await vault.sign(vault.order(account, client_order_id(9)))
    await vault.delete(account)
    return vault


async def test_untouched_chain_is_good(audited: RunningVault) -> None:
    report = await verify(audited)

    assert report.is_good
    assert report.entry_count == 9
    assert report.head.startswith("9:")
    assert (await verify(audited, head=report.head)).is_good


async def test_empty_chain_is_good(vault: RunningVault) -> None:
    assert await verify(vault) == AuditReport(0, str(Head()))


@pytest.mark.parametrize(
    "change",
    [
        "caller = 'gateway'",
        "action = 'call'",
        "subject = 'GET /fapi/v3/balance'",
        "outcome = 'refused'",
        "reason = ''",
        "signal_id = ''",
        f"user_id = '{uuid.UUID(int=1)}'",
        "account_id = NULL",
        "request_digest = NULL",
        "record_version = 7",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "entry_hash = decode(repeat('00', 32), 'hex')",
        "previous_hash = entry_hash",
    ],
)
async def test_T08_edited_row_is_named(audited: RunningVault, change: str) -> None:
    await tamper(audited, f"UPDATE vault.audit_entries SET {change} WHERE seq = 4")  # noqa: S608  # ours

    report = await verify(audited)

    assert report.first_bad == 4
    assert report.entry_count == 3


async def test_T08_edited_row_with_its_right_new_hash_breaks_the_next_one(audited: RunningVault) -> None:
    """Whoever knows how a row is hashed must change every row behind it too, and so the head."""
    (row,) = await audited.audit(where="seq = 5")
    columns = [*row.values()][:-1]
    columns[4] = "GET /fapi/v3/balance"
    forged = hashlib.sha256(canonical("tradingbot.vault.audit.v1", *columns)).hexdigest()
    await tamper(
        audited,
        f"UPDATE vault.audit_entries SET subject = '{columns[4]}', "  # noqa: S608  # ours
        f"entry_hash = decode('{forged}', 'hex') WHERE seq = 5",
    )

    report = await verify(audited)

    assert (report.first_bad, report.problem) == (6, "row 6 does not follow the row before it")


async def test_T08_deleted_row_is_named(audited: RunningVault) -> None:
    await tamper(audited, "DELETE FROM vault.audit_entries WHERE seq = 5")

    report = await verify(audited)

    assert (report.first_bad, report.problem) == (5, "row 5 is missing")


async def test_T08_deleted_start_is_named(audited: RunningVault) -> None:
    await tamper(audited, "DELETE FROM vault.audit_entries WHERE seq <= 2")

    assert (await verify(audited)).first_bad == 1


async def test_T08_reordered_rows_are_named(audited: RunningVault) -> None:
    await tamper(
        audited,
        "UPDATE vault.audit_entries SET seq = 100 WHERE seq = 3;"
        "UPDATE vault.audit_entries SET seq = 3 WHERE seq = 4;"
        "UPDATE vault.audit_entries SET seq = 4 WHERE seq = 100",
    )

    assert (await verify(audited)).first_bad == 3


async def test_T08_cut_off_tail_is_noticed_with_the_head(audited: RunningVault) -> None:
    head = (await verify(audited)).head
    await tamper(audited, "DELETE FROM vault.audit_entries WHERE seq > 7")

    assert (await verify(audited)).is_good
    report = await verify(audited, head=head)

    assert report.first_bad == 8
    assert report.problem == "the chain ends at row 7, the expected head is row 9"


async def test_T08_rewritten_tail_is_noticed_with_the_head(
    audited: RunningVault, account: vault_pb2.Account
) -> None:
    """A tail that was cut off and grew again to the same length is another one."""
    head = (await verify(audited)).head
    await tamper(audited, "DELETE FROM vault.audit_entries WHERE seq > 8")
    await audited.sign(audited.query(account))

    assert (await verify(audited)).is_good
    assert (await verify(audited, head=head)).first_bad == 9


@pytest.mark.parametrize("text", ["", "9", "9:zz", "x:00", "9:00", "-1:" + "00" * 32])
async def test_head_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whichever part is wrong
        parse_head(text)


@pytest.mark.parametrize("role", ["vault", "administrator"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE vault.audit_entries SET caller = 'nobody'",
        "DELETE FROM vault.audit_entries",
        "TRUNCATE vault.audit_entries",
    ],
)
async def test_T08_table_takes_no_change(audited: RunningVault, role: str, statement: str) -> None:
    """Not from the vault's own role, and not by accident from the owner of the table either."""
    url = audited.database.roles["vault"] if role == "vault" else audited.database.admin
    connection = await asyncpg.connect(url.reveal())
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("role", ["gateway", "execution", "strategy"])
@pytest.mark.parametrize("table", ["api_keys", "audit_entries", "signed_orders"])
async def test_other_services_roles_see_nothing(vault: RunningVault, role: str, table: str) -> None:
    connection = await asyncpg.connect(vault.database.roles[role].reveal())
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"SELECT * FROM vault.{table}")  # noqa: S608  # a constant
    finally:
        await connection.close()


async def test_chain_stays_whole_under_concurrent_writers(
    vault: RunningVault, account: vault_pb2.Account, user_id: uuid.UUID
) -> None:
    await asyncio.gather(
        *(vault.sign(vault.order(account, client_order_id(number))) for number in range(30)),
        *(vault.register(user_id) for _ in range(5)),
        *(vault.toggle(account) for _ in range(4)),
    )

    report = await verify(vault)

    assert report.is_good
    assert report.entry_count == 1 + 30 + 5 + 4


async def test_hostile_path_is_one_printable_bounded_subject(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    await vault.sign(item(account, "GET", '/\n{"level":"error"}\x1b[31m\x00' + "x" * 5000))

    (row,) = await vault.audit(where="action = 'sign'")
    assert row["subject"].isprintable()
    assert len(row["subject"]) == 200
    assert (await verify(vault)).is_good


REVOKE = "REVOKE INSERT ON vault.audit_entries FROM tradingbot_vault"
GRANT = "GRANT INSERT ON vault.audit_entries TO tradingbot_vault"


@asynccontextmanager
async def changed(vault: RunningVault, change: str, undo: str) -> AsyncIterator[None]:
    """Changes rights or tables as long as the context is open."""
    await as_admin(vault.database, change)
    try:
        yield
    finally:
        await as_admin(vault.database, undo)


@pytest.mark.parametrize(
    ("change", "undo"),
    [
        (REVOKE, GRANT),
        (
            "ALTER TABLE vault.audit_entries ADD CONSTRAINT full_disk CHECK (seq < 3)",
            "ALTER TABLE vault.audit_entries DROP CONSTRAINT full_disk",
        ),
    ],
)
async def test_T09_nothing_is_signed_or_changed_without_audit(
    vault: RunningVault, account: vault_pb2.Account, change: str, undo: str
) -> None:
    await vault.sign(vault.query(account))
    before = await vault.fetch("SELECT * FROM vault.api_keys")

    async with changed(vault, change, undo):
        with pytest.raises(Unavailable) as signing:
            await vault.sign(vault.order(account, client_order_id()))
        with pytest.raises(Unavailable) as toggling:
            await vault.toggle(account)
        with pytest.raises(Unavailable) as registering:
            await vault.register(uuid.uuid4())

    assert {error.value.reason for error in (signing, toggling, registering)} == {"AUDIT_UNAVAILABLE"}
    assert await vault.fetch("SELECT * FROM vault.api_keys") == before
    assert await vault.fetch("SELECT * FROM vault.signed_orders") == []


async def test_T09_health_says_why_and_heals(
    vault: RunningVault, account: vault_pb2.Account, healthz: Callable[[str], tuple[int, str]]
) -> None:
    assert await asyncio.to_thread(healthz, vault.admin) == (200, "ok\n")

    async with changed(vault, REVOKE, GRANT):
        status, why = await asyncio.to_thread(healthz, vault.admin)
    assert status == 503
    assert "the audit cannot be written" in why
    assert "permission denied for table audit_entries" in why

    assert await asyncio.to_thread(healthz, vault.admin) == (200, "ok\n")
    assert (await vault.sign_one(vault.query(account))).HasField("signed")


async def test_F18_dropped_connections_heal_by_themselves(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    await vault.sign(vault.query(account))
    await vault.fetch(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'tradingbot_vault'"
    )

    assert (await vault.sign_one(vault.query(account))).HasField("signed")
    assert (await vault.toggle(account)).active is False


async def test_locked_audit_makes_signing_fail_in_time(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    """Somebody holds the lock for ever: an answer after 2 s, no signature; all is well when it is free."""
    connection = await asyncpg.connect(vault.database.admin.reveal())
    try:
        await connection.execute("SELECT pg_advisory_lock(hashtext('tradingbot.vault.audit'))")
        with pytest.raises(Unavailable):
            await vault.sign(vault.query(account))
    finally:
        await connection.close()

    assert (await vault.sign_one(vault.query(account))).HasField("signed")
