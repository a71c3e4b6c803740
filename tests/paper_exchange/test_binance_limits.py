"""Request limits: weights, order counts, refusals and bans."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from paper_exchange.binance_errors import BinanceError
from paper_exchange.binance_limits import Limits, RequestLimits
from paper_exchange.server import start
from tests.paper_exchange.conftest import BTC, START_MS, Control, Paper, Trader

HERE = "127.0.0.1"


def refusal(limits: RequestLimits, now_ms: int, address: str = HERE) -> BinanceError | None:
    try:
        limits.use_weight(address, 1, now_ms)
    except BinanceError as error:
        return error
    return None


def test_F27_beyond_the_weight_every_request_is_refused_until_the_minute_ends() -> None:
    limits = RequestLimits(Limits(weight_per_minute=10))
    now_ms = START_MS + 45_500
    assert [limits.use_weight(HERE, 5, now_ms) for _ in range(2)] == [5, 10]
    refused = refusal(limits, now_ms)
    assert refused is not None
    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (429, -1003, "15")
    assert refusal(limits, now_ms, address="127.0.0.2") is None
    assert refusal(limits, START_MS + 60_000) is None


def test_F28_who_goes_on_is_banned_longer_each_time() -> None:
    limits = RequestLimits(Limits(weight_per_minute=1))
    now_ms, bans = START_MS, []
    for _ in range(3):
        while (refused := refusal(limits, now_ms)) is None or refused.status != 418:
            pass
        bans.append(int(refused.headers["Retry-After"]))
        until = now_ms + bans[-1] * 1000
        assert f"banned until {until}" in refused.msg
        still = refusal(limits, until - 1)
        assert still is not None
        assert still.status == 418
        now_ms = until
    assert bans == [120, 240, 480]


def test_orders_are_counted_per_account_and_window() -> None:
    limits = RequestLimits(Limits(orders_per_10s=3, orders_per_minute=5))
    limits.use_orders(1, 3, START_MS)
    with pytest.raises(BinanceError) as refused:
        limits.use_orders(1, 1, START_MS + 9_999)
    assert (refused.value.code, refused.value.status) == (-1015, 429)
    limits.use_orders(2, 3, START_MS)
    limits.use_orders(1, 2, START_MS + 10_000)
    assert limits.order_headers(1, START_MS + 10_000) == {
        "X-MBX-ORDER-COUNT-10S": "2",
        "X-MBX-ORDER-COUNT-1M": "5",
    }
    with pytest.raises(BinanceError, match="1MINUTE"):
        limits.use_orders(1, 1, START_MS + 20_000)
    limits.use_orders(1, 1, START_MS + 60_000)


pytestmark = pytest.mark.anyio


@pytest.fixture
async def strict() -> AsyncIterator[Paper]:
    """An exchange with small limits."""
    server = await start(speed=0, limits=Limits(weight_per_minute=12, orders_per_10s=2))
    async with aiohttp.ClientSession(server.url) as session:
        control = Control(session)
        trader = Trader(session, server.url, await control.open_account())
        await control.price("60000")
        yield Paper(server, session, control, trader)
    await server.close()


async def test_answers_tell_what_is_used(paper: Paper) -> None:
    reply = await paper.trader.call("GET", "/fapi/v3/balance")
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == "5"
    assert "X-MBX-ORDER-COUNT-10S" not in reply.headers
    terms = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    reply = await paper.trader.call("POST", "/fapi/v1/order", **terms)
    assert (reply.headers["X-MBX-USED-WEIGHT-1M"], reply.headers["X-MBX-ORDER-COUNT-1M"]) == ("5", "1")
    refused = await paper.trader.call("POST", "/fapi/v1/order", **terms | {"quantity": "0"})
    assert refused.headers["X-MBX-ORDER-COUNT-10S"] == "2"


async def test_limits_over_http(strict: Paper) -> None:
    assert (await strict.trader.send("GET", "/fapi/v1/exchangeInfo")).body["rateLimits"][0]["limit"] == 12
    for _ in range(2):
        await strict.trader.market("BUY", "0.01")
    terms = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    reply = await strict.trader.call("POST", "/fapi/v1/order", **terms)
    assert (reply.status, reply.code) == (429, -1015)
    for _ in range(3):
        reply = await strict.trader.call("GET", "/fapi/v3/balance")
    assert (reply.status, reply.code) == (429, -1003)
    assert int(reply.headers["Retry-After"]) <= 60
    statuses = {(await strict.trader.send("GET", "/fapi/v1/ping")).status for _ in range(25)}
    assert statuses == {429, 418}
    await strict.control.call("POST", "/paper/reset")
    assert (await strict.trader.call("GET", "/fapi/v3/balance")).status == 200
