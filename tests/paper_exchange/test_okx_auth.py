"""Who an OKX request is from: signatures of other people's clients, and each way to be refused."""

import time
from collections.abc import Callable

import pytest

from paper_exchange.okx_auth import signature
from tests.paper_exchange.conftest import OkxPaper, Paper
from tests.paper_exchange.okx import OkxTrader

pytestmark = pytest.mark.anyio
SECRET = "22582BD0CFF14C41EDBF1AB98506286D"
BALANCE = "/api/v5/account/balance"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(
            "2026-11-23T11:22:33.123ZPOST/api/v5/trade/order"
            '{"instId": "BTC-USDT-SWAP", "tdMode": "cross", "side": "buy", "ordType": "market", "sz": "1"}',
            "v0VSiLGGmvxE1Pjs8SZ33cneACKYSDXc57xDj+BkzZI=",
            id="python-okx 0.4.4, a body with spaces",
        ),
        pytest.param(
            "2026-11-23T11:22:33.123ZGET/api/v5/account/balance?ccy=USDT",
            "S/6RksGQZu5zlyvxD0Bi7rJ5GRn0A+SQWcr7zMyUOPw=",
            id="python-okx 0.4.4, a query",
        ),
        pytest.param(
            "2026-11-23T11:22:33.123ZGET/api/v5/account/balance?ccy=BTC%2CUSDT",
            "VXMBWvwkJ/ZeAUqIf18gw2nP/bL9mBwvnuiQ0I72qhs=",
            id="ccxt 4.5.90, an encoded comma",
        ),
    ],
)
def test_signatures_equal_those_of_other_clients(payload: str, expected: str) -> None:
    assert signature(SECRET, payload) == expected


@pytest.mark.parametrize("target", [f"{BALANCE}?ccy=BTC,USDT", f"{BALANCE}?ccy=BTC%2CUSDT", BALANCE])
async def test_the_target_is_verified_as_it_was_sent(okx: OkxPaper, target: str) -> None:
    reply = await okx.trader.send("GET", target)
    assert (reply.status, reply.body["code"]) == (200, "0")


@pytest.mark.parametrize("body", ['{"posMode":"net_mode"}', '{ "posMode" : "net_mode" }'])
async def test_the_body_is_verified_as_it_was_sent(okx: OkxPaper, body: str) -> None:
    reply = await okx.trader.send("POST", "/api/v5/account/set-position-mode", body)
    assert reply.body == {"code": "0", "data": [{"posMode": "net_mode"}], "msg": ""}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("OK-ACCESS-KEY", 50103),
        ("OK-ACCESS-PASSPHRASE", 50104),
        ("OK-ACCESS-SIGN", 50106),
        ("OK-ACCESS-TIMESTAMP", 50107),
    ],
)
async def test_every_header_is_needed(okx: OkxPaper, name: str, code: int) -> None:
    headers = okx.trader.headers("GET", BALANCE, "")
    del headers[name]
    reply = await okx.trader.send("GET", BALANCE, headers=headers)
    assert (reply.status, reply.code) == (401, code)
    assert reply.body["data"] == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("OK-ACCESS-KEY", "00000000-0000-0000-0000-000000000000", 50111),
        ("OK-ACCESS-PASSPHRASE", "wrong", 50105),
        ("OK-ACCESS-SIGN", "c2lnbg==", 50113),
        ("OK-ACCESS-TIMESTAMP", "1795432953", 50112),
        ("OK-ACCESS-TIMESTAMP", "2026-13-23T11:22:33.123Z", 50112),
    ],
)
async def test_a_wrong_header_is_refused(okx: OkxPaper, name: str, value: str, code: int) -> None:
    headers = okx.trader.headers("GET", BALANCE, "") | {name: value}
    reply = await okx.trader.send("GET", BALANCE, headers=headers)
    assert (reply.status, reply.code) == (401, code)


@pytest.mark.parametrize("late_ms", [-31_000, 31_000])
async def test_T22_a_request_from_another_time_is_refused(okx: OkxPaper, late_ms: int) -> None:
    headers = okx.trader.headers("GET", BALANCE, "", at_ms=time.time_ns() // 1_000_000 + late_ms)
    reply = await okx.trader.send("GET", BALANCE, headers=headers)
    assert (reply.status, reply.code) == (401, 50102)


async def test_a_clock_that_is_set_wrong_refuses_right_requests(okx: OkxPaper) -> None:
    await okx.control.fault(kind="clock_offset", offset_s=40)
    assert (await okx.trader.get("account/balance")).code == 50102


def changed_body(trader: OkxTrader) -> dict[str, str]:
    return trader.headers("POST", "/api/v5/trade/order", '{"sz":"1"}')


def changed_target(trader: OkxTrader) -> dict[str, str]:
    return trader.headers("POST", "/api/v5/trade/cancel-order", '{"sz":"2"}')


@pytest.mark.parametrize("headers", [changed_body, changed_target])
async def test_a_signature_for_something_else_is_refused(
    okx: OkxPaper, headers: Callable[[OkxTrader], dict[str, str]]
) -> None:
    signed = headers(okx.trader)
    reply = await okx.trader.send("POST", "/api/v5/trade/order", '{"sz":"2"}', headers=signed)
    assert reply.code == 50113


async def test_a_key_of_the_other_protocol_is_unknown(okx: OkxPaper) -> None:
    binance = await okx.control.open_account()
    trader = OkxTrader(okx.session, okx.server.url, {**binance, "passphrase": "x"})
    assert (await trader.get("account/balance")).code == 50111


@pytest.mark.parametrize(
    ("environment", "header", "code"),
    [("demo", "1", 0), ("demo", "0", 50101), ("live", "0", 0), ("live", "1", 50101), ("any", "1", 0)],
)
async def test_a_key_belongs_to_its_environment(
    okx: OkxPaper, environment: str, header: str, code: int
) -> None:
    trader = await okx.another(environment=environment)
    headers = trader.headers("GET", BALANCE, "") | {"x-simulated-trading": header}
    assert (await trader.send("GET", BALANCE, headers=headers)).code == code


async def test_a_key_that_may_only_read_cannot_trade(okx: OkxPaper) -> None:
    trader = await okx.another(permissions={"futures": False})
    assert (await trader.get("account/balance")).code == 0
    reply = await trader.place("buy", "1")
    assert (reply.status, reply.body["code"]) == (200, "50120")
    assert (await trader.row("account/config"))["perm"] == "read_only"


async def test_an_okx_key_is_unknown_to_binance(okx: OkxPaper, paper: Paper) -> None:
    reply = await paper.trader.send(
        "POST", "/fapi/v1/listenKey", headers={"X-MBX-APIKEY": okx.trader.keys["api_key"]}
    )
    assert reply.code == -2014
