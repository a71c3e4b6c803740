"""Registration asks the exchange about the key: what is refused is not kept, and says why at once."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from execution_service.__main__ import serve as serve_execution
from execution_service.config import Settings as ExecutionSettings
from tests.conftest import TestDatabase
from tests.gateway.conftest import LOOPBACK, GatewayUnderTest, Person, Start, Tls
from tests.system import Paper, running_paper
from tradekit.service.clock import UtcClock
from tradekit.service.errors import DeadlineExceeded, Unavailable
from tradingbot.execution.v1 import execution_pb2 as pb

pytestmark = pytest.mark.anyio

REGISTER = "/accounts-secure/register"
EXCHANGES = ("binance", "okx")
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
async def paper() -> AsyncIterator[Paper]:
    async with running_paper() as exchange:
        yield exchange


@pytest.fixture
async def real(
    start: Start, paper: Paper, vault_address: str, database: TestDatabase, tls: Tls
) -> AsyncIterator[GatewayUnderTest]:
    """A gateway on the real services; the paper exchange stands for the live one, and testnets are away."""
    settings = ExecutionSettings(
        listen_address=LOOPBACK,
        admin_address=LOOPBACK,
        database_url=database.roles["execution"],
        vault_address=vault_address,
        tls=tls("execution"),
        base_urls={
            (exchange, environment): NOBODY if environment == "testnet" else paper.url
            for exchange in EXCHANGES
            for environment in ("paper", "testnet", "live")
        },
        spot_urls={("binance", "live"): paper.url},
    )
    async with (
        serve_execution(settings, UtcClock()) as execution,
        start(execution_address=execution.address, paper_base_url=paper.url) as under_test,
    ):
        yield under_test


async def keys_with(paper: Paper, exchange: str, **permissions: bool) -> dict[str, str]:
    """A fresh account's keys, bound to addresses unless the test says otherwise."""
    granted = {"ip_restrict": True, **permissions}
    opened = await paper.control("POST", "/paper/accounts", {"exchange": exchange, "permissions": granted})
    return {name: opened[name] for name in ("api_key", "api_secret", "passphrase") if name in opened}


async def register(person: Person, exchange: str, keys: dict[str, str], **more: Any) -> Any:
    body = {"exchange": exchange, "environment": "live", **keys, **more}
    return await person.call("POST", REGISTER, json=body)


async def kept(database: TestDatabase) -> int:
    """How many accounts the vault holds."""
    connection = await asyncpg.connect(database.admin.reveal())
    try:
        return int(await connection.fetchval("SELECT count(*) FROM vault.api_keys"))
    finally:
        await connection.close()


async def assert_refused(answer: Any, database: TestDatabase, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert await kept(database) == 0


# --- Over the real services ---------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_good_key_is_registered(real: GatewayUnderTest, paper: Paper, exchange: str) -> None:
    person = await real.sign_up()

    answer = await register(person, exchange, await keys_with(paper, exchange))

    assert (answer.status_code, answer.json()["warnings"]) == (200, [])
    own = f"/accounts-secure/{answer.json()['id']}"
    assert (await person.call("GET", f"{own}/balance")).json()["total"] == "10000"


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_T01_a_wrong_secret_says_so_at_registration(
    real: GatewayUnderTest, paper: Paper, database: TestDatabase, exchange: str
) -> None:
    keys = await keys_with(paper, exchange) | {"api_secret": "canary-secret-" + "x" * 50}

    answer = await register(await real.sign_up(), exchange, keys)

    await assert_refused(answer, database, 422, "key_rejected")
    assert "canary-secret" not in answer.text


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_an_unknown_key_is_refused(
    real: GatewayUnderTest, paper: Paper, database: TestDatabase, exchange: str
) -> None:
    keys = await keys_with(paper, exchange) | {"api_key": "k" * 64}
    answer = await register(await real.sign_up(), exchange, keys)
    await assert_refused(answer, database, 422, "key_rejected")


async def test_a_wrong_passphrase_is_refused(
    real: GatewayUnderTest, paper: Paper, database: TestDatabase
) -> None:
    keys = await keys_with(paper, "okx") | {"passphrase": "another"}
    answer = await register(await real.sign_up(), "okx", keys)
    await assert_refused(answer, database, 422, "key_rejected")


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_key_that_may_withdraw_is_refused_unless_the_user_wants_it(
    real: GatewayUnderTest, paper: Paper, database: TestDatabase, exchange: str
) -> None:
    person, keys = await real.sign_up(), await keys_with(paper, exchange, withdrawals=True)

    refused = await register(person, exchange, keys)
    await assert_refused(refused, database, 422, "key_may_withdraw")
    assert "allow_withdrawal_key" in refused.json()["detail"]

    taken = await register(person, exchange, keys, allow_withdrawal_key=True)
    assert taken.status_code == 200
    assert [warning["code"] for warning in taken.json()["warnings"]] == ["key_may_withdraw"]


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_key_that_may_only_read_is_refused(
    real: GatewayUnderTest, paper: Paper, database: TestDatabase, exchange: str
) -> None:
    keys = await keys_with(paper, exchange, futures=False)
    answer = await register(await real.sign_up(), exchange, keys)
    await assert_refused(answer, database, 422, "key_cannot_trade")


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_key_for_every_address_is_warned_of(
    real: GatewayUnderTest, paper: Paper, exchange: str
) -> None:
    keys = await keys_with(paper, exchange, ip_restrict=False)
    answer = await register(await real.sign_up(), exchange, keys)
    assert answer.status_code == 200
    assert [warning["code"] for warning in answer.json()["warnings"]] == ["key_not_bound_to_addresses"]


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_while_the_exchange_is_away_nothing_is_registered(
    real: GatewayUnderTest, paper: Paper, database: TestDatabase, exchange: str
) -> None:
    keys = await keys_with(paper, exchange)
    answer = await register(await real.sign_up(), exchange, keys, environment="testnet")
    await assert_refused(answer, database, 503, "exchange_unavailable")
    assert answer.headers["Retry-After"]


async def test_what_binance_does_not_tell_is_not_held_against_the_key(
    real: GatewayUnderTest, paper: Paper
) -> None:
    """Without a spot host nobody tells permissions: testnets have none."""
    keys = await keys_with(paper, "binance", withdrawals=True)
    answer = await register(await real.sign_up(), "binance", keys, environment="paper")
    assert (answer.status_code, answer.json()["warnings"]) == (200, [])


async def test_a_spot_host_that_does_not_answer_is_no_permission(
    real: GatewayUnderTest, paper: Paper, database: TestDatabase
) -> None:
    keys = await keys_with(paper, "binance", withdrawals=True)
    await paper.fault("http_status", status=502, count=10, path="/sapi/v1/account/apiRestrictions")
    answer = await register(await real.sign_up(), "binance", keys)
    await assert_refused(answer, database, 503, "exchange_unavailable")


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_wrong_clock_is_mended_and_not_held_against_the_key(
    real: GatewayUnderTest, paper: Paper, exchange: str
) -> None:
    """OKX takes 30 s of difference, Binance 5."""
    await paper.fault("clock_offset", offset_s=45)
    answer = await register(await real.sign_up(), exchange, await keys_with(paper, exchange))
    assert answer.status_code == 200, answer.text


# --- What execution may answer ------------------------------------------------------------------------------


async def test_keys_that_were_made_here_are_not_asked_about(start: Start, paper: Paper) -> None:
    async with start(paper_base_url=paper.url) as gateway:
        person = await gateway.sign_up()
        body = {"exchange": "binance", "environment": "paper"}
        assert (await person.call("POST", REGISTER, json=body)).status_code == 200
        assert gateway.execution.checked == []


@pytest.mark.parametrize(
    "failure",
    [Unavailable("EXCHANGE_UNAVAILABLE", "The exchange did not answer."), DeadlineExceeded("", "late")],
)
async def test_a_check_that_does_not_end_keeps_nothing(
    gateway: GatewayUnderTest, database: TestDatabase, failure: Exception
) -> None:
    gateway.execution.key = failure
    answer = await register(await gateway.sign_up(), "binance", {"api_key": "k", "api_secret": "s"})
    await assert_refused(answer, database, 503, "exchange_unavailable")


async def test_what_is_not_told_is_not_warned_of(gateway: GatewayUnderTest) -> None:
    gateway.execution.key = pb.CheckKeyResponse(may_trade=True)
    answer = await register(await gateway.sign_up(), "binance", {"api_key": "k", "api_secret": "s"})
    assert answer.json()["warnings"] == []
