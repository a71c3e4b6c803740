"""The HTTP edge of OKX: paths, bodies, limits, faults; and that nothing of it is lost in a restart."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from paper_exchange.okx_errors import OkxError
from paper_exchange.okx_limits import Limit, OkxLimits, Scope
from tests.paper_exchange.conftest import Control, OkxPaper
from tests.paper_exchange.okx import SWAP, OkxTrader, serving

pytestmark = pytest.mark.anyio
ORDER = {"instId": SWAP, "tdMode": "cross", "side": "buy", "ordType": "market", "sz": "1"}


async def test_unknown_paths_and_methods(okx: OkxPaper) -> None:
    unknown = await okx.trader.get("no/such")
    assert (unknown.status, unknown.body["code"]) == (404, "404")
    assert (await okx.trader.send("DELETE", "/api/v5/trade/order")).code == 50115


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [("", "application/json", 50000), ("{", "application/json", 50002), ("{}", "text/plain", 50006)],
)
async def test_a_body_that_cannot_be_read(okx: OkxPaper, body: str, content_type: str, code: int) -> None:
    target = "/api/v5/trade/order"
    headers = okx.trader.headers("POST", target, body) | {"Content-Type": content_type}
    reply = await okx.trader.send("POST", target, body, headers)
    assert (reply.status, reply.code) == (400, code)


async def test_answers_have_the_shape_of_okx(okx: OkxPaper) -> None:
    reply = await okx.trader.post("trade/order", ORDER)
    assert set(reply.body) == {"code", "data", "msg", "inTime", "outTime"}
    assert set((await okx.trader.get("public/time")).body) == {"code", "data", "msg"}


# Limits


def test_a_limit_holds_for_two_seconds_and_its_own_users() -> None:
    limits, limit = OkxLimits(), Limit("place", 3, Scope.ACCOUNT)
    for _ in range(3):
        limits.use(limit, "a", 1, 10_000)
    with pytest.raises(OkxError) as refused:
        limits.use(limit, "a", 1, 11_999)
    assert (refused.value.code, refused.value.status) == (50011, 429)
    limits.use(limit, "b", 3, 11_999)
    limits.use(limit, "a", 1, 12_000)


def test_all_orders_of_an_account_together_have_a_limit() -> None:
    limits = OkxLimits()
    limits.use_orders(1, 1000, 10_000)
    with pytest.raises(OkxError) as refused:
        limits.use_orders(1, 1, 10_000)
    assert refused.value.code == 50061
    limits.use_orders(2, 1, 10_000)
    limits.use_orders(1, 1, 12_000)


async def test_F20_too_many_requests_are_refused_and_not_executed(okx: OkxPaper) -> None:
    replies = [await okx.trader.get("account/config") for _ in range(11)]
    limited = [reply for reply in replies if reply.status == 429]
    assert limited
    assert {reply.code for reply in limited} == {50011}


async def test_reset_forgets_what_was_used(okx: OkxPaper) -> None:
    for _ in range(11):
        last = await okx.trader.get("account/config")
        if last.status == 429:
            break
    await okx.control.call("POST", "/paper/reset")
    assert (await okx.trader.get("account/config")).status == 200


# Faults


async def orders(okx: OkxPaper) -> list[Any]:
    listed: list[Any] = (await okx.control.state())["orders"]
    return listed


async def test_F01_an_answer_that_is_lost_leaves_the_order(okx: OkxPaper) -> None:
    await okx.control.fault(kind="drop_after_accept", path="/api/v5/trade/order", method="POST")
    with pytest.raises(aiohttp.ClientError):
        await okx.trader.place("buy", "1", clOrdId="tbLost")
    found = await okx.trader.row("trade/order", instId=SWAP, clOrdId="tbLost")
    assert found["state"] == "filled"


async def test_F02_a_request_that_is_lost_leaves_nothing(okx: OkxPaper) -> None:
    await okx.control.fault(kind="drop_before_accept", symbol=SWAP)
    with pytest.raises(aiohttp.ClientError):
        await okx.trader.place("buy", "1", clOrdId="tbLost")
    assert (await okx.trader.get("trade/order", instId=SWAP, clOrdId="tbLost")).code == 51603


@pytest.mark.parametrize(
    ("code", "status", "top"),
    [(50004, 400, "50004"), (50001, 503, "50001"), (51149, 500, "51149"), (50011, 429, "50011")],
)
async def test_errors_of_the_whole_request_on_demand(okx: OkxPaper, code: int, status: int, top: str) -> None:
    await okx.control.fault(kind="error_code", code=code, path="/api/v5/trade/*", executed=True)
    reply = await okx.trader.place("buy", "1")
    assert (reply.status, reply.body["code"], reply.body["data"]) == (status, top, [])
    assert len(await orders(okx)) == 1


async def test_errors_of_an_order_on_demand_stand_in_its_row(okx: OkxPaper) -> None:
    await okx.control.fault(kind="error_code", code=51008, account=okx.trader.keys["api_key"])
    reply = await okx.trader.place("buy", "1", clOrdId="tb1")
    assert (reply.status, reply.body["code"], reply.code) == (200, "1", 51008)
    assert reply.rows[0]["clOrdId"] == "tb1"
    assert await orders(okx) == []


async def test_html_and_retry_after_on_demand(okx: OkxPaper) -> None:
    await okx.control.fault(kind="http_status", status=502, body="<html>bad gateway</html>", retry_after=3)
    reply = await okx.trader.get("account/balance")
    assert (reply.status, reply.headers["Retry-After"]) == (502, "3")
    assert (await okx.trader.get("account/balance")).status == 200


async def test_a_fault_for_one_market_spares_the_others(okx: OkxPaper) -> None:
    await okx.control.fault(kind="error_code", code=51008, symbol="BTCUSDT", count=2)
    assert (await okx.trader.place("buy", "1", instId="ETH-USDT-SWAP")).code == 0
    assert (await okx.trader.post("trade/batch-orders", [ORDER])).code == 51008
    assert (await okx.trader.get("trade/order", instId=SWAP, ordId="1")).body["code"] == "51008"


async def test_requests_are_written_down_with_their_codes(okx: OkxPaper) -> None:
    await okx.trader.place("buy", "0.001")
    body = (await okx.control.call("GET", "/paper/requests")).body
    latest = body["requests"][-1]
    assert (latest["path"], latest["status"], latest["code"]) == ("/api/v5/trade/order", 200, 51020)
    assert latest["account_id"] == 1


async def test_state_outlives_a_restart(tmp_path: Path) -> None:
    """An entry that waits with its exits, a two-legged stop, a position: all as before."""
    async with serving(state=tmp_path) as (server, session):
        control = Control(session)
        keys = await control.open_account(exchange="okx", environment="demo")
        await control.price("60000")
        trader = Simulated(session, server.url, keys)
        await trader.order("buy", "1", tdMode="isolated")
        exits = [{"slTriggerPx": "58000", "slOrdPx": "-1", "tpTriggerPx": "64000", "tpOrdPx": "-1"}]
        await trader.order("buy", "2", "59000", tdMode="isolated", tag="kept", attachAlgoOrds=exits)
        both = {"slTriggerPx": "57000", "slOrdPx": "-1", "tpTriggerPx": "63000", "tpOrdPx": "62000"}
        await trader.algo_order("oco", "sell", tdMode="isolated", sz="1", reduceOnly=True, **both)
        before = await told(trader)
    async with serving(state=tmp_path) as (server, session):
        assert await told(Simulated(session, server.url, keys)) == before


class Simulated(OkxTrader):
    """Sends the header that a demo key needs."""

    def headers(self, method: str, target: str, body: str, *, at_ms: int | None = None) -> dict[str, str]:
        return super().headers(method, target, body, at_ms=at_ms) | {"x-simulated-trading": "1"}


async def told(trader: OkxTrader) -> list[Any]:
    return [
        await trader.rows("account/positions"),
        await trader.rows("trade/orders-pending"),
        await trader.rows("trade/orders-algo-pending", ordType="oco"),
        await trader.rows("trade/fills"),
        await trader.rows("account/leverage-info", instId=SWAP, mgnMode="isolated"),
    ]
