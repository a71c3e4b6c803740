"""Signing for OKX accounts, from the call to what would be sent."""

import base64
import hmac
import json
import uuid

import pytest

from tests.vault_service.conftest import (
    API_KEY,
    API_SECRET,
    PASSPHRASE,
    RunningVault,
    client_order_id,
    item,
)
from tradingbot.vault.v1 import vault_pb2
from vault_service.rules import okx

pytestmark = pytest.mark.anyio


@pytest.fixture
async def account(vault: RunningVault, user_id: uuid.UUID) -> vault_pb2.Account:
    """An OKX demo account."""
    return await register(vault, user_id)


async def register(
    vault: RunningVault,
    user_id: uuid.UUID,
    environment: vault_pb2.Environment.ValueType = vault_pb2.ENVIRONMENT_TESTNET,
) -> vault_pb2.Account:
    return await vault.register(
        user_id, exchange=vault_pb2.EXCHANGE_OKX, environment=environment, passphrase=PASSPHRASE
    )


def order(
    vault: RunningVault, account: vault_pb2.Account, /, name: str | None = None, **changes: str
) -> vault_pb2.SignItem:
    """A market order of now; `changes` replace or add parameters."""
    parameters = {
        "instId": "BTC-USDT-SWAP",
        "tdMode": "cross",
        "side": "buy",
        "ordType": "market",
        "sz": "1.5",
        "clOrdId": name or client_order_id(),
        "timestamp": str(vault.clock.milliseconds),
    } | changes
    return item(account, "POST", "/api/v5/trade/order", *parameters.items())


def login(vault: RunningVault, account: vault_pb2.Account) -> vault_pb2.SignItem:
    return item(account, *okx.LOGIN, ("timestamp", str(vault.clock.milliseconds)))


def signature_of(text: str) -> str:
    return base64.b64encode(hmac.digest(API_SECRET.encode(), text.encode(), "sha256")).decode()


async def test_signed_order_is_what_okx_checks(vault: RunningVault, account: vault_pb2.Account) -> None:
    """The signature is that of exactly the returned path and body."""
    result = await vault.sign_one(order(vault, account, expTime=str(vault.clock.milliseconds + 5_000)))

    headers = {header.name: header.value for header in result.signed.headers}
    text = f"2026-11-24T12:00:00.000ZPOST{result.signed.target}{result.signed.body}"
    assert result.signed.target == "/api/v5/trade/order"
    assert result.signed.body == (
        '{"instId":"BTC-USDT-SWAP","tdMode":"cross","side":"buy","ordType":"market","sz":"1.5",'
        '"clOrdId":"tb00000000000000000000000000en"}'
    )
    assert headers == {
        "OK-ACCESS-KEY": API_KEY,
        "OK-ACCESS-SIGN": signature_of(text),
        "OK-ACCESS-TIMESTAMP": "2026-11-24T12:00:00.000Z",
        "OK-ACCESS-PASSPHRASE": PASSPHRASE,
        "expTime": "1795521605000",
        "Content-Type": "application/json",
        "x-simulated-trading": "1",
    }


@pytest.mark.parametrize(
    ("environment", "simulated"),
    [
        (vault_pb2.ENVIRONMENT_LIVE, False),
        (vault_pb2.ENVIRONMENT_TESTNET, True),
        (vault_pb2.ENVIRONMENT_PAPER, True),
    ],
)
async def test_environment_of_the_account_decides_what_is_simulated(
    vault: RunningVault,
    user_id: uuid.UUID,
    environment: vault_pb2.Environment.ValueType,
    simulated: bool,
) -> None:
    account = await register(vault, user_id, environment)

    result = await vault.sign_one(order(vault, account))

    assert ("x-simulated-trading" in {header.name for header in result.signed.headers}) is simulated


async def test_login_is_the_message_to_send_and_is_audited(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    result = await vault.sign_one(login(vault, account))

    message = {
        "apiKey": API_KEY,
        "passphrase": PASSPHRASE,
        "timestamp": "1795521600",
        "sign": signature_of("1795521600GET/users/self/verify"),
    }
    assert json.loads(result.signed.body) == {"op": "login", "args": [message]}
    assert not result.signed.headers
    (row,) = await vault.audit(where="action = 'sign'")
    assert (row["subject"], row["outcome"]) == ("GET /users/self/verify", "done")


async def test_inactive_account_only_reduces_and_does_not_log_in(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    """On a socket that is logged in, orders could be placed without the vault."""
    await vault.toggle(account)

    reasons = [
        await vault.refusal(request)
        for request in (
            order(vault, account),
            login(vault, account),
            order(vault, account, client_order_id(1), reduceOnly="true", side="sell"),
            vault.query(account, "/api/v5/account/positions"),
        )
    ]

    assert reasons == ["ACCOUNT_INACTIVE", "ACCOUNT_INACTIVE", "", ""]


async def test_second_lock_holds_until_the_order_is_discarded(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    """expTime and the second that clocks may differ."""
    await vault.sign_one(order(vault, account, expTime=str(vault.clock.milliseconds + 3_000)))

    vault.clock.advance(seconds=4)
    assert await vault.refusal(order(vault, account)) == "ORDER_ALREADY_SIGNED"
    vault.clock.advance(milliseconds=1)
    assert await vault.refusal(order(vault, account)) == ""


async def test_second_lock_without_expiry_holds_as_long_as_okx_takes_the_timestamp(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    await vault.sign_one(order(vault, account))

    vault.clock.advance(seconds=31)
    assert await vault.refusal(order(vault, account)) == "ORDER_ALREADY_SIGNED"
    vault.clock.advance(milliseconds=1)
    assert await vault.refusal(order(vault, account)) == ""


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v5/asset/withdrawal"),
        ("POST", "/api/v5/asset/transfer"),
        ("POST", "/api/v5/users/subaccount/apikey"),
        ("POST", "/api/v5/users/subaccount/create-subaccount"),
        ("POST", "/api/v5/trade/batch-orders"),
        ("POST", "/fapi/v1/order"),
        ("DELETE", "/api/v5/trade/order"),
    ],
)
async def test_B61_B62_requests_outside_the_list_are_refused_and_audited(
    vault: RunningVault, account: vault_pb2.Account, method: str, path: str
) -> None:
    time = ("timestamp", str(vault.clock.milliseconds))

    result = await vault.sign_one(item(account, method, path, ("amt", "1"), ("toAddr", "x"), time))

    assert (result.error.reason, result.error.status_code) == ("PATH_NOT_ALLOWED", 7)
    (row,) = await vault.audit(where="action = 'sign'")
    assert (row["subject"], row["reason"]) == (f"{method} {path}", "path_not_allowed")


async def test_B63_B64_B65_parameters_are_checked(vault: RunningVault, account: vault_pb2.Account) -> None:
    twice = order(vault, account)
    twice.parameters.add(name="sz", value="1.5")

    reasons = [
        await vault.refusal(request)
        for request in (
            order(vault, account, toAddr="x"),
            twice,
            order(vault, account, timestamp=str(vault.clock.milliseconds + 1_001)),
            order(vault, account, expTime=str(vault.clock.milliseconds + 30_001)),
        )
    ]

    assert reasons == ["PARAMETER_NOT_ALLOWED", *["PARAMETER_INVALID"] * 3]


async def test_T03_secret_is_in_nothing_that_is_returned(
    vault: RunningVault, account: vault_pb2.Account
) -> None:
    """The passphrase is: OKX wants it beside each signature. The secret is not, in no spelling."""
    results = await vault.sign(order(vault, account), login(vault, account))

    returned = b"".join(result.SerializeToString() for result in results)
    secret = API_SECRET.encode()
    assert returned.count(PASSPHRASE.encode()) == 2
    for spelling in (secret, secret.hex().encode(), base64.b64encode(secret)):
        assert spelling not in returned


async def test_accounts_of_both_exchanges_are_signed_in_one_batch(
    vault: RunningVault, account: vault_pb2.Account, user_id: uuid.UUID
) -> None:
    binance = await vault.register(user_id)

    results = await vault.sign(vault.query(binance), vault.query(account, "/api/v5/account/config"))

    assert [result.signed.target.split("?")[0] for result in results] == [
        "/fapi/v3/balance",
        "/api/v5/account/config",
    ]
