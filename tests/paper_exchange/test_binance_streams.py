"""Binance's streams: paths, subscriptions, keys, limits, and how they end."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from paper_exchange.binance_stream_connection import LIFETIME_MS, PING_INTERVAL_MS, PONG_WITHIN_MS
from paper_exchange.binance_streams import CONNECTIONS_PER_WINDOW
from paper_exchange.listen_keys import VALIDITY_MS
from paper_exchange.server import start
from tests.paper_exchange.conftest import BTC, Control, Paper, StillClock, Trader
from tests.paper_exchange.streams import listen_key, reading, user_stream

pytestmark = pytest.mark.anyio


@dataclass
class TimedPaper(Paper):
    clock: StillClock


@pytest.fixture
async def timed() -> AsyncIterator[TimedPaper]:
    """A served exchange whose clock the test moves."""
    clock = StillClock()
    server = await start(speed=0, clock=clock)
    async with aiohttp.ClientSession(server.url) as session:
        control = Control(session)
        trader = Trader(session, server.url, await control.open_account())
        await control.price("60000")
        yield TimedPaper(server, session, control, trader, clock)
    await server.close()


async def order(paper: TimedPaper) -> None:
    await paper.trader.market("BUY", "0.010", timestamp=paper.clock.now_ms())


# Paths


@pytest.mark.parametrize("form", ["/private/ws?listenKey={key}", "/private/ws/{key}"])
async def test_a_user_stream_is_raw_in_ws_mode(paper: Paper, form: str) -> None:
    async with reading(paper, form.format(key=await listen_key(paper))) as reader:
        await paper.trader.market("BUY", "0.010")

        assert (await reader.next())["e"] == "ORDER_TRADE_UPDATE"


async def test_a_user_stream_is_wrapped_in_stream_mode(paper: Paper) -> None:
    key = await listen_key(paper)
    async with reading(paper, f"/private/stream?listenKey={key}") as reader:
        await paper.trader.market("BUY", "0.010")
        message = await reader.next()

    assert (message["stream"], message["data"]["e"]) == (key, "ORDER_TRADE_UPDATE")


async def test_a_key_can_be_subscribed_to_and_left(paper: Paper) -> None:
    key = await listen_key(paper)
    async with reading(paper, "/private/stream") as reader:
        assert await reader.ask("SUBSCRIBE", [key], "a1") == {"result": None, "id": "a1"}
        assert (await reader.ask("LIST_SUBSCRIPTIONS", request_id=2))["result"] == [key]
        await paper.trader.limit("BUY", "0.010", "50000")
        assert (await reader.next())["stream"] == key

        await reader.ask("UNSUBSCRIBE", [key])
        await paper.trader.limit("BUY", "0.010", "50000")
        assert (await reader.ask("LIST_SUBSCRIPTIONS", request_id=3)) == {"result": [], "id": 3}


async def test_several_keys_share_a_connection_each_with_its_events(paper: Paper) -> None:
    other = Trader(paper.session, paper.server.url, await paper.control.open_account())
    mine = await listen_key(paper)
    theirs = (await other.send("POST", "/fapi/v1/listenKey")).body["listenKey"]
    query = f"listenKey={mine}&events=TRADE_LITE&listenKey={theirs}&events=ACCOUNT_UPDATE"
    async with reading(paper, f"/private/stream?{query}") as reader:
        await paper.trader.market("BUY", "0.010")
        await other.market("BUY", "0.010")

        told = [await reader.next() for _ in range(2)]

    assert [(m["stream"], m["data"]["e"]) for m in told] == [
        (mine, "TRADE_LITE"),
        (theirs, "ACCOUNT_UPDATE"),
    ]


@pytest.mark.parametrize("path", ["/ws/{key}", "/stream?streams={key}", "/ws", "/ws/btcusdt@aggTrade"])
async def test_the_retired_paths_are_gone(paper: Paper, path: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await paper.session.ws_connect(path.format(key=await listen_key(paper)))

    assert refused.value.status == 404


async def test_a_plain_request_is_refused(paper: Paper) -> None:
    async with paper.session.get("/private/ws") as reply:
        assert reply.status == 400


async def test_an_unknown_key_is_accepted_and_silent(paper: Paper) -> None:
    async with reading(paper, "/private/ws?listenKey=nobody") as reader:
        await paper.trader.market("BUY", "0.010")

        assert (await reader.ask("LIST_SUBSCRIPTIONS"))["result"] == ["nobody"]
        assert len(reader.read) == 1


# Requests


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 3),
        ("[]", 2),
        ('{"id": 1}', 2),
        ('{"method": "BUY", "id": 1}', 2),
        ('{"method": "SUBSCRIBE", "params": "btcusdt@trade", "id": 1}', 2),
        ('{"method": "SUBSCRIBE", "params": [1], "id": 1}', 2),
        ('{"method": "SUBSCRIBE", "params": [], "id": {}}', 2),
        ('{"method": "SUBSCRIBE", "params": [], "id": true}', 2),
        ('{"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}', 1),
        ('{"method": "SET_PROPERTY", "params": ["other", true], "id": 1}', 0),
        ('{"method": "GET_PROPERTY", "params": ["other"], "id": 1}', 0),
    ],
)
async def test_what_is_no_request_is_told_so(paper: Paper, text: str, code: int) -> None:
    async with reading(paper, "/market/ws") as reader:
        await reader.socket.send_str(text)
        answer = await reader.next()

        assert answer["error"]["code"] == code
        assert answer["error"]["msg"]
        assert (await reader.ask("LIST_SUBSCRIPTIONS", request_id=9))["result"] == []


async def test_wrapping_can_be_switched(paper: Paper) -> None:
    async with reading(paper, "/market/ws/btcusdt@markPrice@1s") as reader:
        assert (await reader.next())["e"] == "markPriceUpdate"
        assert (await reader.ask("GET_PROPERTY", ["combined"]))["result"] is False

        await reader.ask("SET_PROPERTY", ["combined", True], 2)
        wrapped = await reader.until(lambda message: "stream" in message)

    assert wrapped["data"]["e"] == "markPriceUpdate"


async def test_more_than_two_hundred_streams_are_refused(paper: Paper) -> None:
    names = [f"x{number}@aggTrade" for number in range(200)]
    async with reading(paper, "/market/ws") as reader:
        await reader.ask("SUBSCRIBE", names)
        refused = await reader.ask("SUBSCRIBE", ["btcusdt@aggTrade"], 2)
        again = await reader.ask("SUBSCRIBE", names[:1], 3)

    assert refused["error"]["code"] == 2
    assert again == {"result": None, "id": 3}


# Limits and ends


async def test_more_than_ten_messages_in_a_second_end_the_connection(timed: TimedPaper) -> None:
    async with reading(timed, "/market/ws") as reader:
        for number in range(10):
            await reader.ask("LIST_SUBSCRIPTIONS", request_id=number)
        await reader.socket.ping()

        assert await reader.end() is aiohttp.WSMsgType.CLOSE
        assert reader.socket.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION


async def test_ten_messages_are_fine_in_every_second(timed: TimedPaper) -> None:
    async with reading(timed, "/market/ws") as reader:
        for number in range(30):
            if number % 10 == 0:
                timed.clock.forward(ms=1000)
            await reader.ask("LIST_SUBSCRIPTIONS", request_id=number)

        assert not reader.socket.closed


async def test_a_ping_is_answered_with_its_payload(paper: Paper) -> None:
    async with reading(paper, "/market/ws") as reader:
        await reader.socket.ping(b"payload")
        message = await reader.socket.receive(timeout=5)

    assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PONG, b"payload")


async def test_the_server_pings_and_ends_what_does_not_answer(timed: TimedPaper) -> None:
    async with reading(timed, "/market/ws") as reader:
        timed.clock.forward(ms=PING_INTERVAL_MS)
        assert (await reader.socket.receive(timeout=5)).type is aiohttp.WSMsgType.PING
        await reader.socket.pong()
        await reader.ask("LIST_SUBSCRIPTIONS")

        timed.clock.forward(ms=PING_INTERVAL_MS)
        assert (await reader.socket.receive(timeout=5)).type is aiohttp.WSMsgType.PING
        timed.clock.forward(ms=PONG_WITHIN_MS - 1)
        assert (await reader.socket.receive(timeout=5)).type is aiohttp.WSMsgType.PING
        timed.clock.forward(ms=1)
        assert await reader.end() in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_a_connection_ends_after_a_day(timed: TimedPaper) -> None:
    async with reading(timed, "/market/ws") as reader:
        timed.clock.forward(ms=LIFETIME_MS)

        assert await reader.end() is aiohttp.WSMsgType.CLOSE


async def test_too_many_connections_of_an_address_are_refused(timed: TimedPaper) -> None:
    for _ in range(CONNECTIONS_PER_WINDOW):
        async with timed.session.ws_connect("/market/ws"):
            pass

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await timed.session.ws_connect("/market/ws")
    assert refused.value.status == 429

    timed.clock.forward(ms=300_000)
    async with timed.session.ws_connect("/market/ws"):
        pass


async def test_an_expired_key_is_told_and_then_silent(timed: TimedPaper) -> None:
    async with user_stream(timed) as reader:
        timed.clock.forward(ms=VALIDITY_MS - 1)
        await order(timed)
        await reader.event("ORDER_TRADE_UPDATE", x="TRADE")

        timed.clock.forward(ms=1)
        expired = await reader.event("listenKeyExpired")
        await order(timed)
        assert (await reader.ask("LIST_SUBSCRIPTIONS"))["result"] == [expired["listenKey"]]
        assert "listenKey" in reader.read[-2]


async def test_an_extended_key_goes_on(timed: TimedPaper) -> None:
    async with user_stream(timed) as reader:
        for _ in range(3):
            timed.clock.forward(ms=VALIDITY_MS // 2)
            await timed.trader.send("PUT", "/fapi/v1/listenKey")
        await order(timed)

        assert (await reader.event("ORDER_TRADE_UPDATE", x="TRADE"))["o"]["X"] == "FILLED"


async def test_a_closed_key_ends_its_connection(paper: Paper) -> None:
    async with user_stream(paper) as reader:
        await paper.trader.send("DELETE", "/fapi/v1/listenKey")

        assert (await reader.event("listenKeyExpired"))["listenKey"]
        assert await reader.end() is aiohttp.WSMsgType.CLOSE


async def test_the_exchange_ends_its_connections_when_it_stops() -> None:
    server = await start(speed=0)
    async with aiohttp.ClientSession(server.url) as session, session.ws_connect("/market/ws") as socket:
        await server.close()

        assert (await socket.receive(timeout=5)).type is not aiohttp.WSMsgType.TEXT


# Control


async def drop(paper: Paper, **terms: Any) -> Any:
    return await paper.control.call("POST", "/paper/streams", {"drop": True, **terms})


async def test_F42_control_cuts_a_users_stream_and_what_happened_meanwhile_is_not_told(paper: Paper) -> None:
    async with user_stream(paper) as reader:
        assert (await drop(paper, account=paper.trader.api_key)).body == {"dropped": 1}
        assert await reader.end() in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    await paper.trader.market("BUY", "0.010")

    async with user_stream(paper) as reader:
        await paper.trader.limit("BUY", "0.010", "50000", newClientOrderId="after")
        assert (await reader.next())["o"]["c"] == "after"


async def test_F42_user_streams_stay_cut_as_long_as_control_says(timed: TimedPaper) -> None:
    key = await listen_key(timed)
    await drop(timed, block_s=30)

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await timed.session.ws_connect(f"/private/ws?listenKey={key}")
    assert refused.value.status == 503
    async with reading(timed, "/private/stream") as reader:
        await reader.socket.send_json({"method": "SUBSCRIBE", "params": [key], "id": 1})
        assert await reader.end() in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)

    timed.clock.forward(ms=30_000)
    async with user_stream(timed) as reader:
        await order(timed)
        assert (await reader.next())["e"] == "ORDER_TRADE_UPDATE"


async def test_only_user_streams_are_cut_and_only_the_accounts(paper: Paper) -> None:
    other = await paper.control.open_account()
    async with user_stream(paper) as mine, reading(paper, "/market/ws") as market:
        assert (await drop(paper, account=other["api_key"])).body == {"dropped": 0}
        assert (await mine.ask("LIST_SUBSCRIPTIONS"))["id"] == 1
        await drop(paper)
        assert await mine.end() in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert (await market.ask("LIST_SUBSCRIPTIONS"))["result"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"drop": False},
        {"drop": True, "account": "nobody"},
        {"drop": True, "block_s": -1},
        {"drop": True, "x": 1},
    ],
)
async def test_bad_stream_control_is_refused(paper: Paper, body: dict[str, Any]) -> None:
    reply = await paper.control.call("POST", "/paper/streams", body)

    assert reply.status == 400
    assert reply.body["error"]


async def test_requests_tell_of_connections_but_not_of_their_keys(paper: Paper) -> None:
    key = await listen_key(paper)
    async with reading(paper, f"/private/ws/{key}"):
        listing = (await paper.control.call("GET", "/paper/requests")).body["requests"]

    opened = [entry for entry in listing if entry["path"] == "/private/ws"]
    assert [(entry["status"], entry["account_id"]) for entry in opened] == [(101, 1)]
    assert key not in json.dumps(listing)


async def test_the_user_stream_and_the_referee_agree(paper: Paper) -> None:
    async with user_stream(paper) as reader:
        for side in ("BUY", "BUY", "SELL"):
            await paper.trader.market(side, "0.010")
        fills = (await paper.control.call("GET", "/paper/state")).body["fills"]
        told = [(await reader.event("ORDER_TRADE_UPDATE", x="TRADE"))["o"] for _ in fills]

    assert [(o["t"], o["i"], o["s"], o["S"]) for o in told] == [
        (fill["trade_id"], fill["order_id"], BTC, fill["side"]) for fill in fills
    ]
