"""OKX's WebSockets: login, subscriptions and their errors, pings, silence, orders, being cut."""

import json
import time
from typing import Any

import aiohttp
import pytest

from paper_exchange.okx_socket import SILENCE_MS
from tests.paper_exchange.conftest import OkxPaper, StillClock
from tests.paper_exchange.okx import SWAP, OkxStream, serving

pytestmark = pytest.mark.anyio
TICKERS = {"channel": "tickers", "instId": SWAP}


async def code_of(stream: OkxStream) -> int:
    event = await stream.event()
    assert event["event"] == "error", event
    assert len(event["connId"]) == 8
    return int(event["code"])


async def test_a_login_is_confirmed(okx: OkxPaper) -> None:
    async with okx.trader.socket("private", query="?brokerId=9999") as stream:
        await stream.request("login", okx.trader.login_argument())
        event = await stream.event()
        assert (event["event"], event["code"], event["msg"]) == ("login", "0", "")


async def test_a_timestamp_may_be_a_number(okx: OkxPaper) -> None:
    argument = okx.trader.login_argument()
    async with okx.trader.socket("business") as stream:
        await stream.request("login", argument | {"timestamp": int(argument["timestamp"])})
        assert (await stream.event())["code"] == "0"


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"apiKey": "00000000-0000-0000-0000-000000000000"}, 60005),
        ({"sign": "c2lnbg=="}, 60007),
        ({"passphrase": "wrong"}, 60024),
        ({"timestamp": "soon"}, 60004),
        ({"timestamp": ""}, 60004),
    ],
)
async def test_a_wrong_login_is_refused(okx: OkxPaper, terms: dict[str, str], code: int) -> None:
    async with okx.trader.socket("private") as stream:
        await stream.request("login", okx.trader.login_argument() | terms)
        assert await code_of(stream) == code
        await stream.request("subscribe", {"channel": "account"})
        assert await code_of(stream) == 60011


async def test_an_old_login_is_refused(okx: OkxPaper) -> None:
    async with okx.trader.socket("private") as stream:
        await stream.request("login", okx.trader.login_argument(at_s=int(time.time()) - 40))
        assert await code_of(stream) == 60006


@pytest.mark.parametrize(
    ("entrance", "arg", "code"),
    [
        ("public", {"channel": "candle1m", "instId": SWAP}, 60018),
        ("public", {"channel": "orders", "instType": "SWAP"}, 60018),
        ("public", {"channel": "tickers", "instId": "NO-USDT-SWAP"}, 60018),
        ("public", {"channel": "tickers"}, 60018),
        ("public", {"channel": "weather", "instId": SWAP}, 60018),
        ("private", {"channel": "orders", "instType": "SWAP"}, 60011),
        ("private", {"channel": "tickers", "instId": SWAP}, 60018),
        ("business", {"channel": "orders-algo", "instType": "SWAP"}, 60011),
        ("business", {"channel": "candle7m", "instId": SWAP}, 60018),
        ("business", {"channel": "tickers", "instId": SWAP}, 60018),
    ],
)
async def test_a_channel_that_is_not_there(okx: OkxPaper, entrance: str, arg: Any, code: int) -> None:
    async with okx.trader.socket(entrance) as stream:
        await stream.request("subscribe", arg)
        assert await code_of(stream) == code


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "hello",
        '{"op":"subscribe"}',
        '{"op":"dance","args":[{}]}',
        '{"op":"login","args":[1]}',
        "[" * 9999,
    ],
)
async def test_a_message_that_means_nothing(okx: OkxPaper, text: str) -> None:
    async with okx.trader.socket("public") as stream:
        await stream.connection.send_str(text)
        assert await code_of(stream) == 60012


async def test_one_wrong_argument_spares_the_others(okx: OkxPaper) -> None:
    async with okx.trader.socket("public") as stream:
        await stream.request("subscribe", {"channel": "weather"}, TICKERS, id="7")
        assert await code_of(stream) == 60018
        event = await stream.event()
        assert (event["event"], event["arg"], event["id"]) == ("subscribe", TICKERS, "7")


async def test_unsubscribing_ends_the_pushes(okx: OkxPaper) -> None:
    async with okx.trader.socket("public") as stream:
        await stream.subscribed(**TICKERS)
        assert (await stream.pushed_row("tickers"))["last"] == "60000"
        await stream.request("unsubscribe", TICKERS)
        while "event" not in (event := await stream.event()):
            pass
        assert event["event"] == "unsubscribe"
        await stream.request("unsubscribe", TICKERS)
        assert await code_of(stream) == 60018


async def test_ping_is_answered_in_text(okx: OkxPaper) -> None:
    async with okx.trader.socket("public") as stream:
        await stream.connection.send_str("ping")
        assert await stream.connection.receive_str(timeout=5) == "pong"


async def test_too_many_requests_in_an_hour(okx: OkxPaper) -> None:
    async with okx.trader.socket("public") as stream:
        for _ in range(481):
            await stream.request("unsubscribe", {"channel": "weather"})
        codes = [await code_of(stream) for _ in range(481)]
        assert (codes[479], codes[480]) == (60018, 60014)


async def test_F40_thirty_seconds_of_silence_end_the_connection() -> None:
    clock = StillClock()
    async with serving(clock=clock) as (_, session), session.ws_connect("/ws/v5/public") as socket:
        clock.forward(ms=SILENCE_MS)
        await socket.send_str("ping")
        assert await socket.receive_str(timeout=5) == "pong"
        clock.forward(ms=SILENCE_MS + 1)
        message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4004)


# Orders


async def test_orders_over_the_socket_take_the_same_way(okx: OkxPaper) -> None:
    order = {"instIdCode": 10000, "tdMode": "cross", "side": "buy", "ordType": "market", "sz": "1"}
    async with okx.trader.socket("private", login=True) as stream:
        await stream.request("order", order | {"clOrdId": "ws1"}, id="1512")
        answer = await stream.event()
        assert (answer["id"], answer["op"], answer["code"]) == ("1512", "order", "0")
        assert (await okx.trader.queried(answer["data"][0]["ordId"]))["state"] == "filled"
        await stream.request("order", order | {"clOrdId": "ws1"}, id="2")
        answer = await stream.event()
        assert (answer["code"], answer["data"][0]["sCode"]) == ("1", "51016")


async def test_orders_need_a_login_and_the_private_socket(okx: OkxPaper) -> None:
    for entrance, code in (("private", 60011), ("business", 60019)):
        async with okx.trader.socket(entrance) as stream:
            await stream.request("order", {"instId": SWAP}, id="1")
            assert await code_of(stream) == code


# Control


async def test_F42_control_cuts_user_streams_and_keeps_them_cut(okx: OkxPaper) -> None:
    async with okx.trader.socket("private", login=True) as stream, okx.trader.socket("public") as public:
        await okx.control.call("POST", "/paper/streams", {"drop": True, "block_s": 60})
        message = await stream.connection.receive(timeout=5)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
        await public.subscribed(**TICKERS)
    async with okx.trader.socket("private") as stream:
        await stream.request("login", okx.trader.login_argument())
        message = await stream.connection.receive(timeout=5)
        assert message.type is not aiohttp.WSMsgType.TEXT


async def test_secrets_are_not_told_back(okx: OkxPaper) -> None:
    argument = okx.trader.login_argument() | {"sign": "wrong"}
    async with okx.trader.socket("private") as stream:
        await stream.request("login", argument)
        text = json.dumps(await stream.event())
    assert argument["passphrase"] not in text
    assert okx.trader.keys["api_secret"] not in text


async def test_a_closing_exchange_says_goodbye() -> None:
    async with serving() as (server, session), session.ws_connect("/ws/v5/public") as socket:
        await server.close()
        message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
