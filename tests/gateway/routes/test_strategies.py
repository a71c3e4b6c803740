"""The strategies and their Pine export, over the real strategy service."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.gateway.conftest import GatewayUnderTest, Start
from tradekit.market.alert import Action, parse_alert

pytestmark = pytest.mark.anyio

EXPORT = "/simple/export-pine"


@pytest.fixture
async def gateway(start: Start, strategy_address: str) -> AsyncIterator[GatewayUnderTest]:
    async with start(strategy_address=strategy_address) as under_test:
        yield under_test


async def test_strategies_with_their_parameters(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()

    answer = await person.call("GET", "/simple/strategies")

    strategies = {strategy["key"]: strategy for strategy in answer.json()["strategies"]}
    assert set(strategies) == {
        "supertrend",
        "rsi_ema",
        "macd_stochastic",
        "ichimoku",
        "bollinger_rsi",
        "ema_crossover",
    }
    crossover = strategies["ema_crossover"]
    assert crossover["available"] is True
    assert crossover["parameters"]
    assert set(crossover["parameters"][0]) == {
        "name",
        "description",
        "type",
        "default",
        "minimum",
        "maximum",
    }


async def test_exported_alert_is_the_one_that_the_webhook_takes(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register()

    query = f"?strategy=ema_crossover&symbol=ETHUSDT&timeframe=1h&account_id={account['id']}"
    export = (await person.call("GET", EXPORT + query)).json()

    assert set(export) == {
        "strategy",
        "version",
        "script",
        "alert_message",
        "webhook_url",
        "setup_guide",
        "setup_guide_ko",
    }
    assert export["webhook_url"] == account["webhook"]["url"]
    assert account["webhook"]["secret"] not in export["script"]
    fields = json.loads(export["alert_message"])
    assert fields["account_id"] == account["id"]
    fields["secret"] = account["webhook"]["secret"]
    message = parse_alert(json.dumps(fields).encode())
    assert message.alert.action in (Action.LONG, Action.SHORT)
    answer = await gateway.http.post("/api/v1/webhook/tradingview", json=fields)
    assert answer.status_code == 200


async def test_script_as_text(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()

    answer = await person.call("GET", f"{EXPORT}?strategy=ema_crossover&format=pine&version=6")

    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.lstrip().startswith("//@version=6")


async def test_B50_wrong_exports(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()

    for query, field in (
        ("", "strategy"),
        ("strategy=martingale", "strategy"),
        ("strategy=ema_crossover&version=7", "version"),
        ("strategy=ema_crossover&version=x", "version"),
        ("strategy=ema_crossover&symbol=../etc/passwd", "symbol"),
        ("strategy=ema_crossover&timeframe=1y", "timeframe"),
        ("strategy=ema_crossover&format=exe", "format"),
        ("strategy=ema_crossover&colour=red", "colour"),
        ("strategy=ema_crossover&colour=1&colour=2", "colour"),
        ("strategy=ema_crossover&fast=" + "9" * 100, "fast"),
    ):
        answer = await person.call("GET", f"{EXPORT}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error"), query
        assert field in (answer.json()["errors"][0]["field"], answer.json()["detail"].split()[0]), answer.text
