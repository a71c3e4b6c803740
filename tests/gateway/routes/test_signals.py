"""Signals as the user reads them."""

import uuid

import pytest

from tests.gateway.conftest import GatewayUnderTest

pytestmark = pytest.mark.anyio


async def test_signal_step_by_step(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register()
    alert = {"stop_loss": "2%", "take_profit": [{"atr": 2, "share": 0.5}], "alert_id": "bar-1"}
    signal_id = (await gateway.alert(account, **alert)).json()["signal_id"]

    answer = await person.call("GET", f"/signals/{signal_id}")

    assert answer.status_code == 200
    signal = answer.json()
    assert (signal["id"], signal["account_id"]) == (signal_id, account["id"])
    assert (signal["action"], signal["symbol"], signal["exchange"]) == ("long", "BTCUSDT", "binance")
    assert (signal["state"], signal["reason"]) == ("done", None)
    assert signal["receive_time"].endswith("Z")
    assert signal["alert"]["stop_loss"] == {"percent": "2"}
    assert signal["alert"]["take_profit"] == [{"atr": "2", "share": "0.5"}]
    kinds = [(leg["kind"], leg["status"]) for leg in signal["legs"]]
    assert kinds == [
        ("leverage", "filled"),
        ("entry", "filled"),
        ("stop_loss", "open"),
        ("take_profit", "open"),
    ]
    assert signal["steps"][0]["kind"] == "entry.filled"
    assert signal["steps"][0]["attributes"] == {"quantity": "0.016"}


async def test_list_has_no_steps(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    account = await person.register()
    first = (await gateway.alert(account, alert_id="1")).json()["signal_id"]

    body = (await person.call("GET", f"/signals?account_id={account['id']}&limit=1")).json()

    assert [signal["id"] for signal in body["signals"]] == [first]
    assert "steps" not in body["signals"][0]
    assert body["next_cursor"] is None


async def test_B49_limits(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()

    for query, field in (
        ("limit=-1", "limit"),
        ("limit=0", "limit"),
        ("limit=1e9", "limit"),
        ("limit=1000000000", "limit"),
        ("limit=x", "limit"),
        ("cursor=" + "x" * 201, "cursor"),
        ("account_id=nonsense", "account_id"),
    ):
        answer = await person.call("GET", f"/signals?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error"), query
        assert answer.json()["errors"][0]["field"] == field


async def test_unknown_signal(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()

    answer = await person.call("GET", f"/signals/{uuid.uuid4()}")

    assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such signal.")
