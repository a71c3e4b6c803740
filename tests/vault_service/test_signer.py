"""Signing: what is sent, what is refused, and what stands in the audit."""

import asyncio
import hashlib
import hmac
import itertools
import uuid

import asyncpg
import pytest

from tests.vault_service.conftest import (
    API_KEY,
    API_SECRET,
    RunningVault,
    VaultStarter,
    client_order_id,
    item,
)
from tradekit.service.errors import InvalidArgument, Unavailable
from tradingbot.vault.v1 import vault_pb2
from vault_service import signer
from vault_service.audit import LOCK

pytestmark = pytest.mark.anyio


async def test_signed_order_is_what_binance_checks(vault: RunningVault, account: vault_pb2.Account) -> None:
    """The target holds every parameter in its order and the HMAC of exactly these bytes."""
    result = await vault.sign_one(vault.order(account, client_order_id()))

    query = (
        "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.050&newClientOrderId=tb00000000000000000000000000en"
        "&newOrderRespType=RESULT&timestamp=1795521600000&recvWindow=5000"
    )
    signature = hmac.new(API_SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    assert result.signed.target == f"/fapi/v1/order?{query}&signature={signature}"
    assert result.signed.body == ""
    assert [(header.name, header.value) for header in result.signed.headers] == [("X-MBX-APIKEY", API_KEY)]


async def test_listen_key_has_the_key_header_and_no_signature(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    result = await vault.sign_one(item(account, "POST", "/fapi/v1/listenKey"))

    assert result.signed.target == "/fapi/v1/listenKey"
    assert result.signed.headers[0].value == API_KEY


async def test_refused_item_does_not_fail_its_batch(vault: RunningVault, account: vault_pb2.Account) -> None:
    results = await vault.sign(
        vault.query(account),
        item(account, "POST", "/sapi/v1/capital/withdraw/apply"),
        vault_pb2.SignItem(user_id="nobody", account_id=account.account_id, method="GET", path="/"),
        vault.order(account, client_order_id()),
    )

    assert [result.error.reason for result in results] == ["", "PATH_NOT_ALLOWED", "FIELD_INVALID", ""]


async def test_every_item_of_concurrent_calls_gets_its_own_answer(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    """Calls that are committed together are answered apart, and each request has one audit row."""
    ids = [client_order_id(number) for number in range(60)]

    results = await asyncio.gather(*(vault.sign_one(vault.order(account, name)) for name in ids))

    assert all(
        f"newClientOrderId={name}&" in result.signed.target for name, result in zip(ids, results, strict=True)
    )
    assert len(await vault.audit(where="action = 'sign' AND outcome = 'done'")) == 60


async def test_audit_tells_who_signed_what_for_which_signal(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    order = vault.order(account, client_order_id())
    order.signal_id = "0192f3a4-signal"

    await vault.sign_one(order)

    (row,) = await vault.audit(where="action = 'sign'")
    assert row["caller"] == "execution"
    assert row["subject"] == "POST /fapi/v1/order"
    assert (row["outcome"], row["reason"]) == ("done", None)
    assert str(row["account_id"]) == account.account_id
    assert str(row["user_id"]) == account.user_id
    assert row["signal_id"] == "0192f3a4-signal"


@pytest.mark.parametrize("count", [0, 257])
async def test_batch_outside_its_limits_is_refused(
    vault: RunningVault, account: vault_pb2.Account, count: int
) -> None:
    with pytest.raises(InvalidArgument):
        await vault.sign(*[vault.query(account)] * count)


async def test_largest_batch_is_signed(vault: RunningVault, account: vault_pb2.Account) -> None:
    results = await vault.sign(*(vault.order(account, client_order_id(number)) for number in range(256)))

    assert {result.WhichOneof("outcome") for result in results} == {"signed"}


async def test_B59_account_of_another_user_is_not_found(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    """Another user's account and one that does not exist give the same error."""
    foreign = vault.query(account)
    foreign.user_id = str(uuid.uuid4())
    unknown = vault.query(account)
    unknown.account_id = str(uuid.uuid4())

    first, second = await vault.sign(foreign, unknown)

    assert first == second
    assert first.error.reason == "ACCOUNT_NOT_FOUND"
    assert [row["reason"] for row in await vault.audit(where="outcome = 'refused'")] == [
        "account_not_found"
    ] * 2


@pytest.mark.parametrize(
    ("method", "path", "parameters"),
    [
        ("POST", "/sapi/v1/capital/withdraw/apply", [("coin", "USDT"), ("address", "x"), ("amount", "1")]),
        ("POST", "/sapi/v1/asset/transfer", [("type", "UMFUTURE_MAIN"), ("asset", "USDT"), ("amount", "1")]),
        ("POST", "/sapi/v1/sub-account/universalTransfer", []),
        ("POST", "/sapi/v1/account/apiRestrictions", []),
        ("GET", "/fapi/v1//order", []),
        ("GET", "/fapi/v1/../v1/order", []),
        ("GET", "/fapi/v1/order/", []),
        ("GET", "/fapi/v1/order?symbol=BTCUSDT", []),
        ("GET", "/FAPI/v1/order", []),
        ("GET", "/fapi/v1/%6frder", []),
        ("GET", "https://fapi.binance.com/fapi/v1/order", []),
    ],
)
async def test_B60_paths_outside_the_list_are_refused_and_audited(
    vault: RunningVault,
    account: vault_pb2.Account,
    method: str,
    path: str,
    parameters: list[tuple[str, str]],
) -> None:
    """Withdrawals, transfers, sub-accounts, key management, and paths that are not normal."""
    time = ("timestamp", str(vault.clock.milliseconds))

    result = await vault.sign_one(item(account, method, path, *parameters, time))

    assert (result.error.reason, result.error.status_code) == ("PATH_NOT_ALLOWED", 7)
    (row,) = await vault.audit(where="action = 'sign'")
    assert row["reason"] == "path_not_allowed"
    assert row["subject"] == f"{method} {path}"


@pytest.mark.parametrize(
    "path", ["/api/v5/asset/withdrawal", "/api/v5/asset/transfer", "/api/v5/users/subaccount/apikey"]
)
async def test_B61_okx_paths_are_refused(vault: RunningVault, user_id: uuid.UUID, path: str) -> None:
    okx = await vault.register(user_id, exchange=vault_pb2.EXCHANGE_OKX, passphrase="passphrase")

    assert await vault.refusal(item(okx, "POST", path)) == "PATH_NOT_ALLOWED"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/fapi/v1/order"),
        ("get", "/fapi/v1/order"),
        ("POST", "/fapi/v3/balance"),
        ("DELETE", "/fapi/v1/leverage"),
        ("GET", "/fapi/v1/listenKey"),
    ],
)
async def test_B62_wrong_method_is_refused(
    vault: RunningVault, account: vault_pb2.Account, method: str, path: str
) -> None:
    assert await vault.refusal(item(account, method, path)) == "PATH_NOT_ALLOWED"


@pytest.mark.parametrize("name", ["coin", "address", "amount", "asset", "symbol ", "Symbol", "signature"])
async def test_B63_T05_unknown_parameter_is_refused_and_audited(
    vault: RunningVault, account: vault_pb2.Account, name: str
) -> None:
    order = vault.order(account, client_order_id())
    order.parameters.add(name=name, value="1")

    result = await vault.sign_one(order)

    assert (result.error.reason, result.error.status_code) == ("PARAMETER_NOT_ALLOWED", 3)
    (row,) = await vault.audit(where="action = 'sign'")
    assert row["reason"] == "param_not_allowed"


async def test_T05_value_of_another_request_is_refused(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    order = vault.order(account, client_order_id(), type="MAIN_UMFUTURE")

    assert await vault.refusal(order) == "PARAMETER_INVALID"


async def test_B64_duplicate_parameter_is_refused(vault: RunningVault, account: vault_pb2.Account) -> None:
    order = vault.order(account, client_order_id())
    order.parameters.add(name="symbol", value="BTCUSDT")

    result = await vault.sign_one(order)

    assert (result.error.reason, result.error.status_code) == ("PARAMETER_INVALID", 3)


@pytest.mark.parametrize("window", ["5001", "60000", "0", "-1", "05000", "5e3", ""])
async def test_B65_window_above_the_limit_is_refused(
    vault: RunningVault, account: vault_pb2.Account, window: str
) -> None:
    order = vault.order(account, client_order_id())
    for parameter in order.parameters:
        if parameter.name == "recvWindow":
            parameter.value = window

    assert await vault.refusal(order) == "PARAMETER_INVALID"


async def test_B65_timestamp_more_than_a_second_ahead_is_refused(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    now = vault.clock.milliseconds
    at_the_limit = vault.order(account, client_order_id(1), timestamp=str(now + 1000))
    beyond = vault.order(account, client_order_id(2), timestamp=str(now + 1001))

    assert [await vault.refusal(order) for order in (at_the_limit, beyond)] == ["", "PARAMETER_INVALID"]


async def test_B65_offset_of_the_exchange_clock_counts(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    now = vault.clock.milliseconds
    ahead = vault.order(account, client_order_id(1), timestamp=str(now + 30_000))
    ahead.clock_offset_ms = 29_000
    beyond = vault.order(account, client_order_id(2), timestamp=str(now))
    beyond.clock_offset_ms = -1_001

    assert [await vault.refusal(order) for order in (ahead, beyond)] == ["", "PARAMETER_INVALID"]


async def test_B57_offset_of_more_than_a_minute_is_refused(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    query = vault.query(account)
    query.clock_offset_ms = 60_001

    assert await vault.refusal(query) == "FIELD_INVALID"


async def test_B66_inactive_account_signs_only_what_reduces(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    await vault.toggle(account)
    time = ("timestamp", str(vault.clock.milliseconds))
    symbol = ("symbol", "BTCUSDT")

    refused = await vault.sign(
        vault.order(account, client_order_id(1)),
        vault.order(account, client_order_id(2), reduceOnly="false"),
        item(account, "POST", "/fapi/v1/leverage", symbol, ("leverage", "125"), time),
        item(account, "POST", "/fapi/v1/marginType", symbol, ("marginType", "CROSSED"), time),
    )
    signed = await vault.sign(
        vault.order(account, client_order_id(3), reduceOnly="true"),
        vault.order(account, client_order_id(4), positionSide="LONG", side="SELL"),
        vault.query(account),
        item(account, "DELETE", "/fapi/v1/allOpenOrders", symbol, time),
        item(account, "PUT", "/fapi/v1/listenKey"),
    )

    assert [result.error.reason for result in refused] == ["ACCOUNT_INACTIVE"] * 4
    assert {result.error.status_code for result in refused} == {9}
    assert {result.WhichOneof("outcome") for result in signed} == {"signed"}


async def test_B66_toggled_back_account_signs_entries_again(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    await vault.toggle(account)
    await vault.toggle(account)

    assert await vault.refusal(vault.order(account, client_order_id())) == ""


async def test_B66_deleted_account_is_not_found(vault: RunningVault, account: vault_pb2.Account) -> None:
    await vault.delete(account)

    assert await vault.refusal(vault.query(account)) == "ACCOUNT_NOT_FOUND"


async def test_second_lock_refuses_the_same_id_while_the_first_may_be_accepted(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    """Window 5 s and a grace of 1 s: refused up to 6 s after the timestamp, allowed afterwards."""
    assert await vault.refusal(vault.order(account, client_order_id())) == ""

    vault.clock.advance(seconds=6)
    held = await vault.sign_one(vault.order(account, client_order_id()))
    vault.clock.advance(milliseconds=1)
    free = await vault.refusal(vault.order(account, client_order_id()))
    again = await vault.refusal(vault.order(account, client_order_id()))

    assert (held.error.reason, held.error.status_code) == ("ORDER_ALREADY_SIGNED", 10)
    assert (free, again) == ("", "ORDER_ALREADY_SIGNED")


async def test_second_lock_holds_for_other_parameters_and_other_requests(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    """An id is one order, whatever its side, its window or whether it is a conditional one."""
    await vault.sign(vault.order(account, client_order_id()))
    conditional = item(
        account,
        "POST",
        "/fapi/v1/algoOrder",
        ("algoType", "CONDITIONAL"),
        ("symbol", "BTCUSDT"),
        ("side", "SELL"),
        ("type", "STOP_MARKET"),
        ("triggerPrice", "60000"),
        ("closePosition", "true"),
        ("clientAlgoId", client_order_id()),
        ("timestamp", str(vault.clock.milliseconds)),
    )

    other_side = vault.order(account, client_order_id(), side="SELL", recvWindow="1")

    assert await vault.refusal(other_side) == "ORDER_ALREADY_SIGNED"
    assert await vault.refusal(conditional) == "ORDER_ALREADY_SIGNED"


async def test_second_lock_is_per_account(vault: RunningVault, user_id: uuid.UUID) -> None:
    first, second = await vault.register(user_id), await vault.register(user_id)

    results = await vault.sign(vault.order(first, client_order_id()), vault.order(second, client_order_id()))

    assert {result.WhichOneof("outcome") for result in results} == {"signed"}


async def test_second_lock_inside_one_batch(vault: RunningVault, account: vault_pb2.Account) -> None:
    results = await vault.sign(*[vault.order(account, client_order_id())] * 3)

    assert [result.error.reason for result in results] == ["", *["ORDER_ALREADY_SIGNED"] * 2]


async def test_second_lock_is_not_opened_by_a_false_clock_offset(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    """A second caller that says the exchange is a minute ahead does not make the first signature old."""
    await vault.sign(vault.order(account, client_order_id()))
    liar = vault.order(account, client_order_id(), timestamp=str(vault.clock.milliseconds + 60_000))
    liar.clock_offset_ms = 60_000

    assert await vault.refusal(liar) == "ORDER_ALREADY_SIGNED"


async def test_second_lock_of_two_vaults_on_one_database(
    start_vault: VaultStarter, user_id: uuid.UUID
) -> None:
    """Every id is asked for on two vaults at once: each is signed exactly once."""
    async with start_vault() as one, start_vault() as other:
        account = await one.register(user_id)
        ids = [client_order_id(number) for number in range(40)]

        results = await asyncio.gather(
            *(vault.sign_one(vault.order(account, name)) for name in ids for vault in (one, other))
        )

        for first, second in zip(results[::2], results[1::2], strict=True):
            assert sorted([first.error.reason, second.error.reason]) == ["", "ORDER_ALREADY_SIGNED"]
        assert len(await one.audit(where="reason = 'order_already_signed'")) == 40


async def test_toggle_on_one_vault_is_seen_by_the_other(
    start_vault: VaultStarter, user_id: uuid.UUID
) -> None:
    async with start_vault() as one, start_vault() as other:
        account = await one.register(user_id)
        await other.sign(other.query(account))

        await one.toggle(account)

        assert await other.refusal(other.order(account, client_order_id())) == "ACCOUNT_INACTIVE"


async def test_calls_beyond_the_queue_are_sent_away_and_the_others_served(
    start_vault: VaultStarter, user_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was recorded for those that were sent away: they may ask again at once."""
    monkeypatch.setattr(signer, "MAX_CALLS_WAITING", 3)
    async with start_vault() as vault:
        account = await vault.register(user_id)
        holder = await asyncpg.connect(vault.database.admin.reveal())
        await holder.execute(f"BEGIN; {LOCK}")
        calls = [
            asyncio.create_task(vault.sign_one(vault.order(account, client_order_id(n)))) for n in range(10)
        ]
        # One is under way and three wait; the other six are answered while the lock is still held.
        for sent_away in itertools.islice(asyncio.as_completed(calls), 6):
            with pytest.raises(Unavailable, match="SIGNER_OVERLOADED"):
                await sent_away
        await holder.close()
        results = await asyncio.gather(*calls, return_exceptions=True)

        away = [n for n, result in enumerate(results) if isinstance(result, Unavailable)]
        assert len(away) == 6
        assert await vault.refusal(vault.order(account, client_order_id(away[0]))) == ""


async def test_F12_second_lock_does_not_block_the_honest_repeat(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    """A caller that never saw its signature gets another one when the first is dead."""
    order = vault.order(account, client_order_id())
    call = vault.signer.Sign(vault_pb2.SignRequest(items=[order]), timeout=5)
    call.cancel()

    vault.clock.advance(seconds=6, milliseconds=1)

    assert await vault.refusal(vault.order(account, client_order_id())) == ""
