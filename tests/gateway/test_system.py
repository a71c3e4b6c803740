"""From a TradingView alert to a protected order, over the real vault, execution and paper exchange."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from execution_service.__main__ import serve as serve_execution
from execution_service.config import Settings as ExecutionSettings
from tests.conftest import TestDatabase
from tests.gateway.conftest import LOOPBACK, GatewayUnderTest, Person, Start, Tls, until
from tests.gateway.test_isolation import ACCOUNT_ROUTES, comparable
from tests.system import Paper, running_paper
from tests.venues import VENUES
from tradekit.service.clock import UtcClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def paper() -> AsyncIterator[Paper]:
    async with running_paper() as exchange:
        yield exchange


@pytest.fixture
async def gateway(
    start: Start, paper: Paper, vault_address: str, database: TestDatabase, tls: Tls
) -> AsyncIterator[GatewayUnderTest]:
    """A gateway with nothing scripted behind it."""
    settings = ExecutionSettings(
        listen_address=LOOPBACK,
        admin_address=LOOPBACK,
        database_url=database.roles["execution"],
        vault_address=vault_address,
        tls=tls("execution"),
        base_urls={(name, "paper"): paper.url for name in VENUES},
    )
    async with (
        serve_execution(settings, UtcClock()) as execution,
        start(execution_address=execution.address, paper_base_url=paper.url) as under_test,
    ):
        yield under_test


@pytest.fixture
async def person(gateway: GatewayUnderTest) -> Person:
    return await gateway.sign_up()


@pytest.fixture
def exchange_name() -> str:
    return "binance"


both = pytest.mark.parametrize("exchange_name", sorted(VENUES))


@pytest.fixture
async def account(person: Person, exchange_name: str) -> dict[str, Any]:
    answer = await person.call(
        "POST", "/accounts-secure/register", json={"exchange": exchange_name, "environment": "paper"}
    )
    assert answer.status_code == 200, answer.text
    account: dict[str, Any] = answer.json()
    return account


@both
async def test_alert_becomes_a_protected_order(
    gateway: GatewayUnderTest, person: Person, account: dict[str, Any], paper: Paper, exchange_name: str
) -> None:
    answer = await gateway.alert(account, leverage=5, comment="first")

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["success"], body["message"]) == (True, f"LONG order executed on {exchange_name}")
    results = body["order_details"]["results"]
    assert results["leverage"]["leverage"] == 5
    assert (results["entry"]["status"], results["entry"]["side"]) == ("filled", "buy")
    assert results["stop_loss"]["status"] == results["take_profit"]["status"] == "open"
    known = {order["client_order_id"] for order in await paper.orders()}
    assert {results[leg]["client_order_id"] for leg in ("entry", "stop_loss", "take_profit")} == known

    signal = (await person.call("GET", f"/signals/{body['signal_id']}")).json()
    assert (signal["state"], signal["alert"]["comment"]) == ("done", "first")
    assert any(step["kind"] == "entry.filled" for step in signal["steps"])


@both
async def test_live_account_and_its_end(
    gateway: GatewayUnderTest, person: Person, account: dict[str, Any]
) -> None:
    own = f"/accounts-secure/{account['id']}"
    assert (await person.call("GET", f"{own}/balance")).json()["available"] == "10000"
    await gateway.alert(account)

    positions = (await person.call("GET", f"{own}/positions")).json()["positions"]
    orders = (await person.call("GET", f"{own}/orders")).json()["orders"]
    assert [(position["symbol"], position["side"]) for position in positions] == [("BTCUSDT", "long")]
    assert sorted(order["type"] for order in orders) == ["stop_loss", "take_profit"]
    refused = await person.call("DELETE", own)
    assert (refused.status_code, refused.json()["code"]) == (409, "account_in_use")

    closed = await gateway.alert(account, action="close_all")

    assert (closed.status_code, "close" in closed.json()["order_details"]["results"]) == (200, True)

    async def deleted() -> bool:
        return (await person.call("DELETE", own)).status_code == 200

    await until(deleted)
    assert (await gateway.alert(account)).status_code == 401


async def test_numbers_of_the_user_move(
    gateway: GatewayUnderTest, person: Person, account: dict[str, Any]
) -> None:
    await gateway.alert(account)
    await gateway.alert(account, action="close_long")

    async def moved() -> bool:
        me = (await person.call("GET", "/auth/me")).json()
        return (me["total_trades"], me["total_xp"]) == (1, 25)

    await until(moved)


async def test_B26_B27_own_ids(gateway: GatewayUnderTest, account: dict[str, Any], paper: Paper) -> None:
    first = await gateway.alert(account, alert_id="bar-1")
    again = await gateway.alert(account, alert_id="bar-1")
    other = await gateway.alert(account, alert_id="bar-1", action="close_long")

    assert again.json() == first.json() | {"duplicate": True}
    assert (other.status_code, other.json()["code"]) == (409, "alert_id_reused")
    assert len(await paper.orders(side="BUY")) == 1


async def test_two_equal_alerts_that_were_both_answered_are_two(
    gateway: GatewayUnderTest, account: dict[str, Any], paper: Paper
) -> None:
    first, second = await gateway.alert(account), await gateway.alert(account)

    assert first.json()["signal_id"] != second.json()["signal_id"]
    assert second.json()["duplicate"] is False
    assert len(await paper.orders(side="BUY")) == 2


async def test_B10_to_B24_what_depends_on_stored_data(
    gateway: GatewayUnderTest, account: dict[str, Any], paper: Paper
) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"exchange": "okx"}, "exchange_mismatch"),
        ({"symbol": "KRAKEN:BTCUSDT"}, "exchange_mismatch"),
        ({"symbol": "DOGEBTCX"}, "unknown_symbol"),
        ({"size": "0.0001", "size_type": "base"}, "below_min_size"),
        ({"stop_loss": 60_000}, "stop_on_wrong_side"),
        ({"time": "2020-01-01T00:00:00Z"}, "alert_too_old"),
        ({"time": "2099-01-01T00:00:00Z"}, "alert_from_future"),
    ]
    for fields, code in cases:
        answer = await gateway.alert(account, **fields)
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
        assert await paper.orders() == []


async def test_B09_account_that_is_turned_off(
    gateway: GatewayUnderTest, person: Person, account: dict[str, Any], paper: Paper
) -> None:
    await person.call("POST", f"/accounts-secure/{account['id']}/toggle")

    answer = await gateway.alert(account)

    assert (answer.status_code, answer.json()["code"]) == (422, "account_inactive")
    assert await paper.orders() == []


async def test_B49_cursor_that_is_none(gateway: GatewayUnderTest, person: Person) -> None:
    answer = await person.call("GET", "/signals?cursor=garbage")

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert answer.json()["errors"][0]["field"] == "cursor"


async def test_pages_of_signals(gateway: GatewayUnderTest, person: Person, account: dict[str, Any]) -> None:
    sent = [(await gateway.alert(account, alert_id=str(number))).json()["signal_id"] for number in range(3)]

    first = (await person.call("GET", "/signals?limit=2")).json()
    second = (await person.call("GET", f"/signals?limit=2&cursor={first['next_cursor']}")).json()

    listed = [signal["id"] for page in (first, second) for signal in page["signals"]]
    assert listed == sent[::-1]
    assert second["next_cursor"] is None


async def test_T21_foreign_accounts_and_signals(
    gateway: GatewayUnderTest, account: dict[str, Any], paper: Paper
) -> None:
    signal_id = (await gateway.alert(account)).json()["signal_id"]
    stranger = await gateway.sign_up()
    routes = [(*route, account["id"]) for route in ACCOUNT_ROUTES] + [("GET", "/signals/{id}", signal_id)]

    for method, route, foreign in routes:
        answer = await stranger.call(method, route.format(id=foreign))
        unknown = await stranger.call(method, route.format(id=uuid4()))
        assert comparable(answer) == comparable(unknown), route
        assert answer.status_code == 404

    assert len(await paper.positions()) == 1
