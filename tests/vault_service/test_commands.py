"""The operator's commands: re-wrapping all keys, also while the vault signs, also after a kill."""

import asyncio
import dataclasses
import signal
import sys
import uuid

import pytest

from tests.vault_service.conftest import RunningVault, VaultStarter, client_order_id, make_key
from tradingbot.vault.v1 import vault_pb2
from vault_service import commands
from vault_service.commands import audit_verify, rotate_keys
from vault_service.config import Settings
from vault_service.keyring import KeyMissing, Keyring, read_key

pytestmark = pytest.mark.anyio


@pytest.fixture
def next_keyring(keyring: Keyring) -> Keyring:
    """A new key; the one so far is retired."""
    return Keyring(read_key(make_key()), [keyring.current])


async def key_ids(vault: RunningVault) -> set[str]:
    return {row["key_id"] for row in await vault.fetch("SELECT DISTINCT key_id FROM vault.api_keys")}


async def test_rotation_rewraps_every_record(
    vault: RunningVault, user_id: uuid.UUID, next_keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More records than go into one batch."""
    monkeypatch.setattr(commands, "BATCH", 2)
    for _ in range(5):
        await vault.register(user_id)

    report = await rotate_keys(vault.database.roles["vault"], keyring=next_keyring)

    assert (report.rewrapped_count, report.current_count) == (5, 5)
    assert (report.unreadable, report.still_needed) == ([], [])
    assert await key_ids(vault) == {next_keyring.current.id}
    assert [row["caller"] for row in await vault.audit(where="action = 'rotate_keys'")] == ["operator"] * 3
    assert (await audit_verify(vault.database.roles["vault"])).is_good


async def test_rotation_twice_does_nothing(
    vault: RunningVault, account: vault_pb2.Account, next_keyring: Keyring
) -> None:
    url = vault.database.roles["vault"]
    await rotate_keys(url, keyring=next_keyring)

    again = await rotate_keys(url, keyring=next_keyring)

    assert (again.rewrapped_count, again.current_count) == (0, 1)


async def test_T11_vault_with_the_new_key_alone_runs_after_rotation_only(
    start_vault: VaultStarter, settings: Settings, user_id: uuid.UUID, next_keyring: Keyring
) -> None:
    only_new = dataclasses.replace(settings, keyring=Keyring(next_keyring.current))
    async with start_vault() as vault:
        account = await vault.register(user_id)

    with pytest.raises(KeyMissing) as missing:
        async with start_vault(only_new):
            pass
    assert missing.value.needed == [settings.keyring.current.id]

    await rotate_keys(settings.database_url, keyring=next_keyring)
    async with start_vault(only_new) as vault:
        assert await vault.refusal(vault.query(account)) == ""


async def test_T11_rotation_without_the_old_key_leaves_everything_as_it_is(
    vault: RunningVault, account: vault_pb2.Account, keyring: Keyring
) -> None:
    report = await rotate_keys(vault.database.roles["vault"], keyring=Keyring(read_key(make_key())))

    assert [str(account_id) for account_id in report.unreadable] == [account.account_id]
    assert report.still_needed == [keyring.current.id]
    assert await vault.refusal(vault.query(account)) == ""


async def test_rotation_reports_records_that_do_not_open(
    vault: RunningVault, user_id: uuid.UUID, next_keyring: Keyring
) -> None:
    """A data key that was changed is left, named, and does not stop the others."""
    bad, good = await vault.register(user_id), await vault.register(user_id)
    await vault.fetch(
        "UPDATE vault.api_keys SET data_key = set_byte(data_key, 30, 1 # get_byte(data_key, 30))"
        " WHERE id = $1",
        uuid.UUID(bad.account_id),
    )

    report = await rotate_keys(vault.database.roles["vault"], keyring=next_keyring)

    assert [str(account_id) for account_id in report.unreadable] == [bad.account_id]
    assert (report.rewrapped_count, report.current_count) == (1, 1)
    rows = await vault.audit(where="action = 'rotate_keys' AND outcome = 'refused'")
    assert [(str(row["account_id"]), row["reason"]) for row in rows] == [
        (bad.account_id, "credential_unreadable")
    ]
    assert good.account_id != bad.account_id


async def test_G08_rotation_while_the_vault_signs_and_toggles(
    start_vault: VaultStarter,
    settings: Settings,
    user_id: uuid.UUID,
    next_keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No signature fails, whatever moment of the rotation it meets."""
    monkeypatch.setattr(commands, "BATCH", 1)
    async with start_vault(dataclasses.replace(settings, keyring=next_keyring)) as vault:
        async with start_vault() as old:
            accounts = [await old.register(user_id) for _ in range(30)]
        rotation = asyncio.create_task(rotate_keys(settings.database_url, keyring=next_keyring))
        refusals = set()
        while not rotation.done():
            for account in accounts[::5]:
                refusals.add(await vault.refusal(vault.query(account)))
            await vault.toggle(accounts[-1])

        assert refusals == {""}
        assert (await rotation).current_count == 30
        assert {await vault.refusal(vault.query(account)) for account in accounts} == {""}


# Kills itself with the eleventh record changed and its transaction open.
KILLED_ROTATION = """
import asyncio, itertools, os, signal, sys
from tradekit.service.secret import Secret
from vault_service import audit, commands
from vault_service.keyring import Keyring, read_key
append, calls = audit.append, itertools.count()
async def append_or_die(*arguments, **keywords):
    if next(calls) == 10:
        os.kill(os.getpid(), signal.SIGKILL)
    return await append(*arguments, **keywords)
audit.append, commands.BATCH = append_or_die, 1
new, old, url = (Secret(line.strip()) for line in sys.stdin)
asyncio.run(commands.rotate_keys(url, keyring=Keyring(read_key(new), [read_key(old)])))
"""


async def test_T11_rotation_is_resumed_after_a_kill(
    start_vault: VaultStarter, settings: Settings, user_id: uuid.UUID
) -> None:
    """kill -9 in the middle: both keys are needed then; the next run does the rest."""
    old, new = make_key(), make_key()
    async with start_vault(dataclasses.replace(settings, keyring=Keyring(read_key(old)))) as vault:
        accounts = [await vault.register(user_id) for _ in range(15)]
        url = settings.database_url
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED_ROTATION, stdin=asyncio.subprocess.PIPE
        )
        await process.communicate(f"{new.reveal()}\n{old.reveal()}\n{url.reveal()}\n".encode())
        assert process.returncode == -signal.SIGKILL
        assert await key_ids(vault) == {read_key(old).id, read_key(new).id}

    report = await rotate_keys(url, keyring=Keyring(read_key(new), [read_key(old)]))

    assert (report.rewrapped_count, report.current_count) == (5, 15)
    assert (await audit_verify(url)).is_good
    async with start_vault(dataclasses.replace(settings, keyring=Keyring(read_key(new)))) as vault:
        assert await vault.refusal(vault.order(accounts[0], client_order_id())) == ""


async def test_audit_verify_refuses_a_head_of_another_form(vault: RunningVault) -> None:
    with pytest.raises(ValueError, match="is not number:hash"):
        await audit_verify(vault.database.roles["vault"], head="9:00")
