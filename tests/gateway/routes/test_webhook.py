"""The webhook, row by row: what is taken, what is refused, in which order, with which bytes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.config import parse_networks
from tests.gateway.conftest import API, GatewayUnderTest, Start, undisturbed
from tests.gateway.scripted_execution import Script, executing, refused
from tradekit.service.errors import FailedPrecondition, InvalidArgument, NotFound
from tradekit.service.secret import Secret
from tradingbot.execution.v1 import execution_pb2 as pb

pytestmark = pytest.mark.anyio

PATH = f"{API}/webhook/tradingview"
Account = dict[str, Any]


@pytest.fixture
async def account(gateway: GatewayUnderTest) -> Account:
    person = await gateway.sign_up()
    return await person.register()


async def test_executed_alert(gateway: GatewayUnderTest, account: Account) -> None:
    answer = await gateway.alert(account, leverage=5)

    assert answer.status_code == 200
    body = answer.json()
    assert body == {
        "success": True,
        "signal_id": body["signal_id"],
        "duplicate": False,
        "message": "LONG order executed on binance",
        "order_details": {
            "exchange": "binance",
            "action": "long",
            "symbol": "BTCUSDT",
            "results": {
                "leverage": {"leverage": 5, "status": "filled"},
                "entry": {
                    "status": "filled",
                    "side": "buy",
                    "order_type": "market",
                    "quantity": "0.016",
                    "filled_quantity": "0.016",
                    "average_price": "62000.1",
                    "client_order_id": "tb" + "a" * 26 + "en",
                    "order_id": "77",
                },
                "stop_loss": _resting("61400"),
                "take_profit": _resting("63200"),
            },
        },
    }
    assert gateway.execution.calls[0].alert.leverage == 5


def _resting(price: str) -> dict[str, object]:
    return {
        "status": "open",
        "side": "sell",
        "trigger_price": price,
        "quantity": None,
        "client_order_id": "",
        "order_id": None,
    }


async def test_json_under_every_name_that_tradingview_uses(
    gateway: GatewayUnderTest, account: Account
) -> None:
    for content_type in ["text/plain", "application/json; charset=utf-8", "TEXT/PLAIN", None]:
        headers = {"Content-Type": content_type} if content_type else {}
        answer = await gateway.http.post(PATH, content=json.dumps(_message(account)), headers=headers)
        assert answer.status_code == 200


async def test_alert_that_the_exchange_has_not_answered(gateway: GatewayUnderTest, account: Account) -> None:
    gateway.execution.outcome = executing

    answer = await gateway.alert(account)

    assert answer.status_code == 202
    body = answer.json()
    assert body == {
        "success": True,
        "signal_id": body["signal_id"],
        "duplicate": False,
        "status": "executing",
    }


async def test_rejected_signal(gateway: GatewayUnderTest, account: Account) -> None:
    gateway.execution.outcome = refused("BALANCE_INSUFFICIENT", "Insufficient balance")

    answer = await gateway.alert(account)

    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "balance_insufficient"
    assert problem["detail"] == "Insufficient balance"
    assert problem["signal_id"]
    assert problem["duplicate"] is False


async def test_refusal_before_the_journal(gateway: GatewayUnderTest, account: Account) -> None:
    async def refuse(_context: object) -> None:
        raise FailedPrecondition("ACCOUNT_INACTIVE", "The account is turned off.")

    gateway.execution.scripts.append(Script(before=refuse))

    answer = await gateway.alert(account)

    assert (answer.status_code, answer.json()["code"]) == (422, "account_inactive")
    assert "signal_id" not in answer.json()


async def test_field_that_execution_refuses(gateway: GatewayUnderTest, account: Account) -> None:
    async def refuse(_context: object) -> None:
        raise InvalidArgument("UNKNOWN_SYMBOL", "DOGEBTCX is no market of binance.", {"symbol": "DOGEBTCX"})

    gateway.execution.scripts.append(Script(before=refuse))

    answer = await gateway.alert(account, symbol="DOGEBTCX")

    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_symbol")


async def test_B01_B02_B03_no_json(gateway: GatewayUnderTest) -> None:
    for body in [b"", b'{"account_id": "a", ', b"BUY BTCUSDT", b"\xff\xfe\x00", b"[" * 60_000]:
        answer = await gateway.http.post(PATH, content=body, headers={"Content-Type": "text/plain"})
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
        assert "JSON" in answer.json()["detail"]


async def test_B04_json_that_is_no_object(gateway: GatewayUnderTest) -> None:
    for body in [b"[]", b'"x"', b"7", b"null", b"true"]:
        answer = await gateway.http.post(PATH, content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")


async def test_B05_other_media_types(gateway: GatewayUnderTest, account: Account) -> None:
    for content_type in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]:
        content = json.dumps(_message(account))
        answer = await gateway.http.post(PATH, content=content, headers={"Content-Type": content_type})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
        assert not gateway.execution.calls


async def test_B06_too_large_with_a_content_length(gateway: GatewayUnderTest, account: Account) -> None:
    answer = await gateway.http.post(PATH, content=_padded(account, 64 * 1024 + 1))

    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    largest = await gateway.http.post(PATH, content=_padded(account, 64 * 1024))
    assert largest.status_code == 200


async def test_B06_too_large_without_a_content_length(gateway: GatewayUnderTest, account: Account) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        body = _padded(account, 64 * 1024 + 1)
        yield body[:40_000]
        yield body[40_000:]

    answer = await gateway.http.post(PATH, content=chunks())

    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert not gateway.execution.calls


async def test_B07_wrong_secret(gateway: GatewayUnderTest, account: Account) -> None:
    for secret in ["", "wrong", "x" * 10_000]:
        answer = await gateway.alert(account, secret=secret)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_webhook_secret")
        assert answer.json()["detail"] == "Invalid webhook secret"
        assert not gateway.execution.calls


async def test_B07_secret_of_another_type(gateway: GatewayUnderTest, account: Account) -> None:
    for secret in [None, 17, ["canary"], {"canary": 1}, True]:
        answer = await gateway.alert(account, secret=secret)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
        assert answer.json()["errors"][0]["field"] == "secret"
        assert "canary" not in answer.text


async def test_B07_secret_missing(gateway: GatewayUnderTest, account: Account) -> None:
    message = _message(account)
    del message["secret"]

    answer = await gateway.http.post(PATH, json=message)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")


async def test_B08_unknown_account_looks_like_a_wrong_secret(
    gateway: GatewayUnderTest, account: Account
) -> None:
    for unknown in ["00000000-0000-7000-8000-000000000000", "nobody", "x" * 100]:
        wrong = await gateway.alert(account, secret="wrong")
        nobody = await gateway.alert(account, account_id=unknown)
        assert _without_id(wrong) == _without_id(nobody)
        assert wrong.status_code == nobody.status_code == 401
        assert _header_names(wrong) == _header_names(nobody)


async def test_T12_unknown_account_and_wrong_secret_take_the_same_time(
    gateway: GatewayUnderTest, account: Account
) -> None:
    wrong, unknown = [], []
    for _ in range(200):
        wrong.append(await _seconds(gateway, account, secret="wrong"))
        unknown.append(await _seconds(gateway, account, account_id="00000000-0000-7000-8000-000000000000"))

    assert abs(undisturbed(wrong) - undisturbed(unknown)) < 0.002


async def _seconds(gateway: GatewayUnderTest, account: Account, **fields: str) -> float:
    started = time.perf_counter()
    await gateway.alert(account, **fields)
    return time.perf_counter() - started


async def test_B11_B12_actions(gateway: GatewayUnderTest, account: Account) -> None:
    for action in ["hold", "", None, 1, "long;short", "buy"]:
        answer = await gateway.alert(account, action=action)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
        assert answer.json()["errors"][0]["field"] in ("action", "market_position")
        assert not gateway.execution.calls


async def test_B15_leverage(gateway: GatewayUnderTest, account: Account) -> None:
    for leverage, code in [
        (0, "leverage_out_of_range"),
        (126, "leverage_out_of_range"),
        (1.5, "validation_error"),
    ]:
        answer = await gateway.alert(account, leverage=leverage)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert answer.json()["errors"][0]["field"] == "leverage"


async def test_B25_placeholder_not_filled_in(gateway: GatewayUnderTest, account: Account) -> None:
    answer = await gateway.alert(account, time="{{timenow}}")

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert "{{timenow}}" in answer.json()["detail"]


async def test_B26_same_id_and_content_is_one_alert(gateway: GatewayUnderTest, account: Account) -> None:
    first = await gateway.alert(account, alert_id="bar-1")
    again = await gateway.alert(account, alert_id="bar-1")

    assert first.status_code == again.status_code == 200
    assert again.json() == first.json() | {"duplicate": True}


async def test_B27_same_id_with_other_content(gateway: GatewayUnderTest, account: Account) -> None:
    await gateway.alert(account, alert_id="bar-1")

    answer = await gateway.alert(account, alert_id="bar-1", action="close_long")

    assert (answer.status_code, answer.json()["code"]) == (409, "alert_id_reused")


async def test_B29_other_methods(gateway: GatewayUnderTest) -> None:
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"]:
        answer = await gateway.http.request(method, PATH)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"
        if method != "HEAD":
            assert answer.json()["code"] == "method_not_allowed"


async def test_B30_numbers_as_text(gateway: GatewayUnderTest, account: Account) -> None:
    answer = await gateway.alert(account, leverage="10", size="5")

    assert answer.status_code == 200
    assert (gateway.execution.calls[0].alert.leverage, gateway.execution.calls[0].alert.size) == (10, "5")


async def test_unknown_fields_are_told(gateway: GatewayUnderTest, account: Account) -> None:
    answer = await gateway.alert(account, colour="red")

    assert answer.status_code == 200
    assert answer.json()["warnings"] == ["Unknown field 'colour' was ignored."]


async def test_characters_that_are_none(gateway: GatewayUnderTest, account: Account) -> None:
    """JSON can spell half of a surrogate pair."""
    for field in ("comment", "alert_id", "strategy", "symbol", "secret", "account_id", "colour \udfff"):
        body = json.dumps(_message(account) | {field: "half \ud800"}).encode()
        answer = await gateway.http.post(PATH, content=body)
        assert answer.status_code < 500, field


async def test_T14_forged_forwarding_header(start: Start) -> None:
    async with start(webhook_allowlist=parse_networks("tradingview")) as gateway:
        account = await (await gateway.sign_up()).register()
        forged = {"X-Forwarded-For": "52.89.214.238"}
        answer = await gateway.http.post(PATH, json=_message(account), headers=forged)
        assert (answer.status_code, answer.json()["code"]) == (403, "address_not_allowed")
        assert not gateway.execution.calls


async def test_T14_address_told_by_our_own_proxy(start: Start) -> None:
    allowed, proxies = parse_networks("tradingview"), parse_networks("127.0.0.1")
    async with start(webhook_allowlist=allowed, trusted_proxies=proxies) as gateway:
        account = await (await gateway.sign_up()).register()
        told = {"X-Forwarded-For": "6.6.6.6, 52.89.214.238"}
        assert (await gateway.http.post(PATH, json=_message(account), headers=told)).status_code == 200
        forged = {"X-Forwarded-For": "52.89.214.238, 6.6.6.6"}
        assert (await gateway.http.post(PATH, json=_message(account), headers=forged)).status_code == 403


async def test_checks_come_in_the_stated_order(start: Start) -> None:
    """Size, address, media type, JSON, shape, secret: each request fails all checks from its own on."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with start(webhook_allowlist=parse_networks("9.9.9.9")) as gateway:
        assert (await gateway.http.post(PATH, content=b"x" * 70_000, headers=form)).status_code == 413
        assert (await gateway.http.post(PATH, content=b"x", headers=form)).status_code == 403
    async with start() as gateway:
        assert (await gateway.http.post(PATH, content=b"x", headers=form)).status_code == 415
        assert (await gateway.http.post(PATH, content=b"x")).status_code == 400
        assert (await gateway.http.post(PATH, json={"action": "hold"})).status_code == 422
        shaped = {"account_id": "a", "secret": "b", "action": "long", "symbol": "BTCUSDT"}
        assert (await gateway.http.post(PATH, json=shaped)).status_code == 401


async def test_T15_operator_secret_opens_only_accounts_that_opted_in(start: Start) -> None:
    operator = "the operator-wide secret"
    async with start(webhook_secret=Secret(operator)) as gateway:
        person = await gateway.sign_up()
        closed, opened = await person.register(), await person.register(allow_operator_secret=True)
        assert (await gateway.alert(closed, secret=operator)).status_code == 401
        assert (await gateway.alert(opened, secret=operator)).status_code == 200
        assert (await gateway.alert(opened)).status_code == 200


async def test_operator_secret_that_is_not_configured_opens_nothing(gateway: GatewayUnderTest) -> None:
    person = await gateway.sign_up()
    opened = await person.register(allow_operator_secret=True)

    for secret in ("", "\0" * 32, "None"):
        assert (await gateway.alert(opened, secret=secret)).status_code == 401


async def test_delivery_is_recorded_after_the_answer(gateway: GatewayUnderTest, account: Account) -> None:
    answer = await gateway.alert(account)

    await _until_recorded(gateway)

    assert gateway.execution.deliveries == {answer.json()["signal_id"]: True}


async def test_delivery_of_an_alert_with_its_own_key_matters_to_nobody(
    gateway: GatewayUnderTest, account: Account
) -> None:
    await gateway.alert(account, alert_id="bar-1")
    again = await gateway.alert(account)
    await _until_recorded(gateway)

    assert set(gateway.execution.deliveries) == {again.json()["signal_id"]}


async def test_F02_sender_that_hung_up_may_send_again(gateway: GatewayUnderTest, account: Account) -> None:
    """Its repeat, which has no id and no time, is the same alert."""
    recorded, answered = asyncio.Event(), asyncio.Event()

    async def wait_for_hang_up(_context: object) -> None:
        recorded.set()
        await answered.wait()

    gateway.execution.scripts.append(Script(after=wait_for_hang_up))
    body = json.dumps(_message(account)).encode()
    host, _, port = gateway.running.address.rpartition(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    writer.write(head + body)
    await recorded.wait()
    writer.close()
    await writer.wait_closed()
    # The server's side of the connection has noticed it, too, when it answers the next request.
    await gateway.http.get("/health")
    answered.set()
    await _until_recorded(gateway)
    assert list(gateway.execution.deliveries.values()) == [False]

    again = await gateway.alert(account)

    assert again.json()["duplicate"] is True


async def _until_recorded(gateway: GatewayUnderTest) -> None:
    async with asyncio.timeout(5), gateway.execution.delivered:
        await gateway.execution.delivered.wait_for(lambda: gateway.execution.deliveries)


async def test_before_the_secrets_are_read_it_is_503(start: Start) -> None:
    """Not 401: the sender would not repeat."""
    async with start(database_url=Secret("postgresql://nobody:x@127.0.0.1:1/none")) as gateway:
        account = {"id": "a", "webhook": {"secret": "b"}}
        answer = await gateway.alert(account)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert answer.headers["retry-after"] == "1"


async def test_alert_of_an_account_that_is_just_being_deleted(
    gateway: GatewayUnderTest, account: Account
) -> None:
    async def gone(_context: object) -> None:
        raise NotFound("ACCOUNT_NOT_FOUND", "There is no such account.")

    gateway.execution.scripts.append(Script(before=gone))

    answer = await gateway.alert(account)

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_webhook_secret")


async def test_expired_and_failed_signals_are_refusals(gateway: GatewayUnderTest, account: Account) -> None:
    for state, code in ((pb.SIGNAL_STATE_EXPIRED, "too_old"), (pb.SIGNAL_STATE_FAILED, "unprotected")):
        gateway.execution.outcome = refused(code.upper(), "It did not go well.", state)
        answer = await gateway.alert(account, alert_id=code)
        assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_health(gateway: GatewayUnderTest) -> None:
    answer = await gateway.http.get(f"{API}/webhook/health")

    assert answer.json() == {"status": "ok", "webhook": "ok"}


def _message(account: Account) -> dict[str, Any]:
    return {
        "account_id": account["id"],
        "secret": account["webhook"]["secret"],
        "action": "long",
        "symbol": "BTCUSDT",
    }


def _padded(account: Account, size: int) -> bytes:
    body = json.dumps(_message(account)).encode()
    return body + b" " * (size - len(body))


def _without_id(answer: httpx.Response) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name != "request_id"}


def _header_names(answer: httpx.Response) -> list[str]:
    return sorted(answer.headers)
