"""User streams: what they tell is acted on at once, and what they do not tell is found nevertheless."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from prometheus_client import REGISTRY

import execution_service.streams
import tests.system
from execution_service import watch
from execution_service.config import Settings
from tests.system import System, Trader, until

pytestmark = pytest.mark.anyio

# The target has a quantity of its own: the exchange does not take it away with the position.
LEVELS: dict[str, Any] = {"stop_loss": "2%", "take_profit": [{"percent": 4, "share": 0.5}]}


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polling alone would notice nothing within these tests, but for accounts whose stream is down."""
    monkeypatch.setattr(watch, "LIVE_PAUSE_S", 600.0)
    monkeypatch.setattr(watch, "ATTENTIVE_S", 0.5)


def streams_in(state: str, trader: Trader) -> float:
    return REGISTRY.get_sample_value("user_streams", {"exchange": trader.venue.name, "state": state}) or 0


def ends(trader: Trader, cause: str) -> float:
    name = {"exchange": trader.venue.name, "cause": cause}
    return REGISTRY.get_sample_value("user_stream_ends_total", name) or 0


async def is_live(trader: Trader) -> bool:
    return streams_in("live", trader) == 1


async def settled(trader: Trader) -> None:
    """The stream is open, and what it told of the entry has been looked into: polling has become seldom."""
    await until(lambda: is_live(trader))
    await asyncio.sleep(watch.ATTENTIVE_S + 2 * watch.PAUSE_S)


async def stops(trader: Trader) -> list[dict[str, Any]]:
    return [
        order
        for order in await trader.paper.orders("algo", status="NEW")
        if order["trigger_price"] == "49000"
    ]


async def nothing_rests(trader: Trader) -> bool:
    return await trader.paper.orders(status="NEW") == []


async def times_closed(trader: Trader, signal_id: str, by: str) -> int:
    steps = (await trader.signal(signal_id)).steps
    return sum(step.kind == "position.closed" and step.attributes["by"] == by for step in steps)


async def test_F44_a_position_closed_by_hand_is_noticed_by_its_stream(trader: Trader, seldom: None) -> None:
    response = await trader.send("long", **LEVELS)
    await settled(trader)

    await trader.close_by_hand()

    await until(lambda: nothing_rests(trader), seconds=5)
    await until(lambda: times_closed(trader, response.signal.signal_id, "somebody_else"), seconds=5)


async def test_F43_a_stop_that_triggers_takes_the_target_along(trader: Trader, seldom: None) -> None:
    response = await trader.send("long", **LEVELS)
    await settled(trader)

    await trader.paper.price("48900")

    await until(lambda: nothing_rests(trader), seconds=5)
    await until(lambda: times_closed(trader, response.signal.signal_id, "stop_loss"), seconds=5)


async def test_a_close_of_ours_is_not_taken_for_somebody_else_s(trader: Trader, seldom: None) -> None:
    """Its fill wakes the watch while the close is still being recorded."""
    opened = []
    for _ in range(4):
        opened.append((await trader.send("long", **LEVELS)).signal.signal_id)
        await trader.send("close_all")
    await settled(trader)

    assert [await times_closed(trader, signal_id, "somebody_else") for signal_id in opened] == [0] * 4


async def test_F45_a_stop_that_its_owner_cancels_is_placed_again(trader: Trader, seldom: None) -> None:
    await trader.send("long", **LEVELS)
    await settled(trader)
    (stop,) = await stops(trader)

    await trader.hand.cancel(stop)

    async def is_back() -> bool:
        return [other["trigger_price"] for other in await stops(trader)] == [stop["trigger_price"]]

    await until(is_back, seconds=5)


async def test_F45_a_cancelled_stop_is_found_without_a_stream(
    trader: Trader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trader.send("long", **LEVELS)
    await settled(trader)
    (stop,) = await stops(trader)
    await trader.paper.control("POST", "/paper/streams", {"drop": True, "block_s": 60})
    await asyncio.sleep(1)  # the end of the stream has been looked into
    monkeypatch.setattr(watch, "LIVE_PAUSE_S", 0.5)

    await trader.hand.cancel(stop)

    await until(lambda: stops(trader), seconds=10)


async def test_F08_an_entry_that_rests_is_protected_as_soon_as_it_is_told(
    trader: Trader, seldom: None
) -> None:
    await trader.send("long", order_type="limit", price=49000, **LEVELS)
    await settled(trader)

    await trader.paper.price("49000")

    await until(lambda: trader.paper.orders("algo", status="NEW"), count=2, seconds=5)


async def test_F42_a_stop_that_triggers_while_the_stream_is_cut(trader: Trader, seldom: None) -> None:
    """Polling takes over at once, and what happened is recorded once when the stream is back."""
    response = await trader.send("long", **LEVELS)
    await settled(trader)
    await trader.paper.control("POST", "/paper/streams", {"drop": True, "block_s": 4})

    await trader.paper.price("48900")

    await until(lambda: nothing_rests(trader), seconds=30)
    await until(lambda: is_live(trader), seconds=30)
    await settled(trader)
    assert await times_closed(trader, response.signal.signal_id, "stop_loss") == 1


async def test_F42_what_happened_between_two_connections_is_asked_for(
    trader: Trader, seldom: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any polling: the position is closed while the stream is cut, and found when it is back."""
    response = await trader.send("long", **LEVELS)
    await settled(trader)
    monkeypatch.setattr(watch, "PAUSE_S", 600.0)
    await trader.paper.control("POST", "/paper/streams", {"drop": True, "block_s": 3})
    await asyncio.sleep(1)  # the end of the stream has been looked into
    await trader.close_by_hand()
    await asyncio.sleep(0.5)
    assert not await times_closed(trader, response.signal.signal_id, "somebody_else")

    await until(lambda: times_closed(trader, response.signal.signal_id, "somebody_else"), seconds=15)

    assert await nothing_rests(trader)


async def test_an_inactive_account_s_position_is_still_watched(trader: Trader) -> None:
    """The vault signs no login for it where one is needed: then polling goes on alone."""
    response = await trader.send("long", **LEVELS)
    await settled(trader)
    await trader.toggle()
    await trader.paper.control("POST", "/paper/streams", {"drop": True})

    await trader.close_by_hand()

    await until(lambda: times_closed(trader, response.signal.signal_id, "somebody_else"), seconds=15)


async def test_a_stream_is_opened_anew_before_the_exchange_ends_it(
    trader: Trader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution_service.streams, "LIFETIME_S", 1.0)
    before = ends(trader, "old")
    await trader.send("long", **LEVELS)

    async def is_renewed() -> bool:
        return ends(trader, "old") > before and await is_live(trader)

    await until(is_renewed, seconds=15)


@asynccontextmanager
async def silent_exchange() -> AsyncIterator[str]:
    """Streams as they are when an exchange's side has died: they open, grant everything, and tell nothing."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            if message.data == "ping":
                await socket.send_str("pong")
                continue
            asked = json.loads(message.data)
            if asked.get("op") == "login":
                await socket.send_json({"event": "login", "code": "0"})
            elif asked.get("op") == "subscribe":
                for argument in asked["args"]:
                    await socket.send_json({"event": "subscribe", "arg": argument})
            else:
                await socket.send_json({"result": None, "id": asked["id"]})
        return socket

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def silence(exchange_name: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Execution is told that streams are where nothing is told."""
    async with silent_exchange() as url:

        def deaf(**fields: Any) -> Settings:
            return Settings(**fields | {"stream_urls": {(exchange_name, "paper"): url}})

        monkeypatch.setattr(tests.system, "ExecutionSettings", deaf)
        yield


@pytest.fixture
async def unheard(silence: None, system: System) -> Trader:
    """A trader whose exchange tells nothing."""
    return await system.trader()


async def test_F42_a_stream_that_does_not_tell_our_own_orders_is_dead(unheard: Trader, seldom: None) -> None:
    """It is open and answers pings. An order that it does not tell gives it away; polling notices all."""
    await unheard.send("long", order_type="limit", price=45000)
    await until(lambda: is_live(unheard))
    before = ends(unheard, "silent")

    response = await unheard.send("long", **LEVELS)

    async def is_found_out() -> bool:
        return ends(unheard, "silent") > before

    await until(is_found_out, seconds=15)
    await unheard.close_by_hand()
    await until(lambda: times_closed(unheard, response.signal.signal_id, "somebody_else"), seconds=15)
