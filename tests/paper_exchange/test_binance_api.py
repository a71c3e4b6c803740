"""Faults over HTTP: what the client sees, and what had happened by then."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from tests.paper_exchange.conftest import BTC, Paper

pytestmark = pytest.mark.anyio

BUY = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
ON_ORDERS = {"method": "POST", "path": "/fapi/v1/order"}


async def buy(paper: Paper, **terms: Any) -> Any:
    return await paper.trader.call("POST", "/fapi/v1/order", **BUY, **terms)


async def executed(paper: Paper) -> int:
    return len((await paper.control.state())["fills"])


async def test_F21_dropped_before_it_was_accepted(paper: Paper) -> None:
    await paper.control.fault(kind="drop_before_accept", **ON_ORDERS)
    with pytest.raises(aiohttp.ClientConnectionError):
        await buy(paper)
    assert await executed(paper) == 0
    assert (await buy(paper)).status == 200
    assert await executed(paper) == 1


async def test_F22_dropped_after_it_was_accepted(paper: Paper) -> None:
    await paper.control.fault(kind="drop_after_accept", **ON_ORDERS)
    with pytest.raises(aiohttp.ClientConnectionError):
        await buy(paper, newClientOrderId="lost")
    found = await paper.trader.ok("GET", "/fapi/v1/order", symbol=BTC, origClientOrderId="lost")
    assert found["status"] == "FILLED"
    assert await executed(paper) == 1


async def test_F23_executed_at_once_and_answered_late(paper: Paper) -> None:
    await paper.control.fault(kind="delay", delay_s=0.3, **ON_ORDERS)
    started = time.monotonic()
    answer = asyncio.create_task(buy(paper))
    while await executed(paper) == 0:
        pass
    assert not answer.done()
    assert (await answer).status == 200
    assert time.monotonic() - started >= 0.3


async def test_received_late_is_stale(paper: Paper) -> None:
    await paper.control.fault(kind="delay", delay_s=0.2, when="before", **ON_ORDERS)
    assert (await buy(paper, recvWindow=100)).code == -1021
    assert await executed(paper) == 0


@pytest.mark.parametrize("happens", [False, True])
async def test_F24_a_server_error_with_html(paper: Paper, happens: bool) -> None:
    body = "<html><body>502 Bad Gateway</body></html>"
    await paper.control.fault(kind="http_status", status=502, body=body, executed=happens, **ON_ORDERS)
    reply = await buy(paper)
    assert (reply.status, reply.body) == (502, body)
    assert reply.headers["Content-Type"].startswith("text/html")
    assert await executed(paper) == happens


@pytest.mark.parametrize("happens", [False, True])
async def test_F25_an_unknown_outcome(paper: Paper, happens: bool) -> None:
    await paper.control.fault(kind="error_code", code=-1007, executed=happens, **ON_ORDERS)
    reply = await buy(paper)
    assert (reply.status, reply.code) == (408, -1007)
    assert reply.body["msg"].endswith("execution status unknown.")
    assert await executed(paper) == happens


async def test_F26_F27_F28_throttled(paper: Paper) -> None:
    await paper.control.fault(kind="error_code", code=-1008, **ON_ORDERS)
    await paper.control.fault(kind="error_code", code=-1003, retry_after=7, **ON_ORDERS)
    await paper.control.fault(kind="error_code", code=-1003, status=418, msg="banned", **ON_ORDERS)
    first, second, third = [await buy(paper) for _ in range(3)]
    assert (first.status, second.status, third.status) == (503, 429, 418)
    assert second.headers["Retry-After"] == "7"
    assert third.body == {"code": -1003, "msg": "banned"}
    assert await executed(paper) == 0


async def test_F29_the_exchanges_clock_is_wrong(paper: Paper) -> None:
    await paper.control.fault(kind="clock_offset", offset_s=-30)
    early = await buy(paper)
    assert (early.code, early.body["msg"]) == (
        -1021,
        "Timestamp for this request was 1000ms ahead of the server's time.",
    )
    shown = (await paper.trader.send("GET", "/fapi/v1/time")).body["serverTime"]
    assert abs(shown + 30_000 - time.time() * 1000) < 2_000
    assert (await buy(paper, timestamp=shown)).status == 200
    await paper.control.call("DELETE", "/paper/faults")
    assert (await buy(paper)).status == 200


async def test_T28_answers_nobody_would_expect(paper: Paper) -> None:
    wrong = {"orderId": "NaN", "executedQty": "-1", "symbol": "ETHUSDT"}
    await paper.control.fault(kind="http_status", status=200, body=wrong, executed=True, **ON_ORDERS)
    assert (await buy(paper)).body == wrong
    await paper.control.fault(kind="http_status", status=200, body="{}", size=3_000_000, **ON_ORDERS)
    assert len((await buy(paper)).body) == 3_000_000
    await paper.control.fault(
        kind="http_status", status=307, headers={"Location": "/fapi/v1/ping"}, path="/fapi/v1/time"
    )
    async with paper.session.get("/fapi/v1/time", allow_redirects=False) as response:
        assert response.headers["Location"] == "/fapi/v1/ping"


async def test_F31_a_thin_market(paper: Paper) -> None:
    await paper.control.fault(kind="partial_fill", ratio="0.5", symbol=BTC)
    order = await paper.trader.market("BUY", "0.02")
    assert (order["status"], order["executedQty"]) == ("PARTIALLY_FILLED", "0.010")
    await paper.control.price("60100")
    filled = await paper.trader.ok("GET", "/fapi/v1/order", symbol=BTC, orderId=order["orderId"])
    assert (filled["status"], filled["avgPrice"]) == ("FILLED", "60050.00000")


async def test_faults_hit_one_account_only(paper: Paper) -> None:
    keys = await paper.control.open_account()
    await paper.control.fault(kind="error_code", code=-1001, account=keys["api_key"])
    other = type(paper.trader)(paper.session, paper.server.url, keys)
    assert (await buy(paper)).status == 200
    assert (await other.call("POST", "/fapi/v1/order", **BUY)).code == -1001


async def test_the_journal_tells_every_request(paper: Paper) -> None:
    await paper.control.fault(kind="drop_after_accept", **ON_ORDERS)
    with pytest.raises(aiohttp.ClientConnectionError):
        await buy(paper)
    assert (await buy(paper, colour="red")).code == -1104
    records = (await paper.control.call("GET", "/paper/requests")).body["requests"]
    told = [(record["path"], record["status"], record["code"], record["fault"]) for record in records]
    assert told == [("/fapi/v1/order", 200, None, "Drop"), ("/fapi/v1/order", 400, -1104, None)]
