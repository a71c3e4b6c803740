"""What an exchange can do to an order: each test is a row of the fault table, judged by its own record."""

import asyncio
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.system import System, Trader, until
from tradekit.service.errors import ServiceError
from tradingbot.execution.v1 import execution_pb2 as pb

pytestmark = pytest.mark.anyio

on_binance = pytest.mark.parametrize("exchange_name", ["binance"])
LEVELS: dict[str, Any] = {"stop_loss": "2%", "take_profit": "4%"}


async def one_protected_long(trader: Trader, quantity: str = "0.02") -> None:
    """The whole of the wanted position, once, with one live stop and one live target."""
    assert [order["executed_quantity"] for order in await trader.paper.orders("order")] == [quantity]
    (position,) = await trader.paper.positions()
    assert position["quantity"] == quantity
    resting = await trader.paper.orders("algo", status="NEW")
    assert sorted(order["type"] for order in resting) == ["STOP_MARKET", "TAKE_PROFIT_MARKET"]


async def flat(trader: Trader) -> None:
    """No position, and nothing that could open or close one."""
    assert await trader.paper.positions() == []
    assert await trader.paper.orders(status="NEW") == []


async def test_F21_an_order_that_never_arrived_is_proven_dead_and_sent_once_more(trader: Trader) -> None:
    await trader.paper.fault("drop_before_accept", **trader.venue.order)

    response = await trader.send("long", **LEVELS)

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    await one_protected_long(trader)
    kinds = [step.kind for step in (await trader.signal(response.signal.signal_id)).steps]
    assert kinds.index("entry.unknown") < kinds.index("entry.proven_dead") < kinds.index("entry.filled")


async def test_F22_an_order_whose_answer_was_lost_is_found_and_not_sent_again(trader: Trader) -> None:
    await trader.paper.fault("drop_after_accept", **trader.venue.order)

    response = await trader.send("long", **LEVELS)

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    await one_protected_long(trader)


async def test_F23_the_caller_is_answered_while_a_slow_exchange_works(trader: Trader) -> None:
    await trader.paper.fault("delay", delay_s=4, when="after", **trader.venue.order)
    started = time.monotonic()

    response = await trader.send("long", timeout=2.5, **LEVELS)

    assert time.monotonic() - started < 2.5
    assert response.signal.state == pb.SIGNAL_STATE_EXECUTING
    await until(lambda: _done(trader, response.signal.signal_id))
    await one_protected_long(trader)


async def _done(trader: Trader, signal_id: str) -> bool:
    return (await trader.signal(signal_id)).state == pb.SIGNAL_STATE_DONE


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("executed", [True, False])
async def test_F24_a_server_error_with_a_web_page_is_unknown_not_failed(
    trader: Trader, status: int, executed: bool
) -> None:
    page = "<html><body>Bad gateway</body></html>"
    await trader.paper.fault("http_status", status=status, body=page, executed=executed, **trader.venue.order)

    response = await trader.send("long", **LEVELS)

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    await one_protected_long(trader)


@pytest.mark.parametrize("number", [0, 1])
async def test_F25_a_timeout_of_the_exchange_itself_is_unknown(trader: Trader, number: int) -> None:
    code = trader.venue.codes["timeout"][number]
    await trader.paper.fault("error_code", code=code, executed=True, **trader.venue.order)

    await trader.send("long", **LEVELS)

    await one_protected_long(trader)


async def test_F26_an_overloaded_exchange_is_asked_again(trader: Trader) -> None:
    await trader.paper.fault("error_code", code=trader.venue.code("not now"), count=2, **trader.venue.order)

    await trader.send("long", **LEVELS)

    await one_protected_long(trader)


async def test_F26_a_close_keeps_trying(trader: Trader) -> None:
    await trader.send("long", **LEVELS)
    await trader.paper.fault("error_code", code=trader.venue.code("not now"), count=4, **trader.venue.order)

    response = await trader.send("close_long")

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    await flat(trader)


async def test_F27_a_rate_limit_is_waited_out_as_long_as_the_exchange_says(trader: Trader) -> None:
    await trader.paper.fault(
        "http_status", status=429, retry_after=2, body=trader.venue.limited_body, **trader.venue.order
    )
    started = time.monotonic()

    await trader.send("long", **LEVELS)

    assert time.monotonic() - started >= 2
    await one_protected_long(trader)
    limited = [request for request in await trader.paper.requests() if request["status"] in (418, 429)]
    assert len(limited) == 1


@pytest.mark.parametrize("offset_s", [-40, 40])
async def test_F29_a_clock_that_is_off_is_set_right(trader: Trader, offset_s: int) -> None:
    await trader.send("long", **LEVELS)
    await trader.send("close_all")
    await trader.paper.fault("clock_offset", offset_s=offset_s)

    response = await trader.send("long", **LEVELS)

    assert response.signal.state == pb.SIGNAL_STATE_DONE, response.signal
    assert len(await trader.paper.orders("order", side="BUY")) == 2
    refused = [
        request for request in await trader.paper.requests() if request["code"] == trader.venue.code("clock")
    ]
    assert 1 <= len(refused) <= 8  # a few questions were under way with the old clock


async def test_F30_a_partly_filled_entry_is_protected_for_what_it_filled(trader: Trader) -> None:
    await trader.paper.fault("partial_fill", ratio="0.5", rest="expire", symbol="BTCUSDT")

    response = await trader.send("long", **LEVELS)

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    await one_protected_long(trader, quantity="0.01")


async def test_F31_an_entry_that_fills_in_parts_is_protected_from_the_first_part_on(trader: Trader) -> None:
    await trader.paper.fault("partial_fill", ratio="0.5", rest="fill", symbol="BTCUSDT")

    response = await trader.send("long", **LEVELS)

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    await one_protected_long(trader, quantity="0.01")
    await trader.paper.price("50001")
    await until(lambda: _entry_is_whole(trader, response.signal.signal_id))
    await until(lambda: _target_covers(trader, Decimal("0.02")))
    await one_protected_long(trader, quantity="0.02")


async def _entry_is_whole(trader: Trader, signal_id: str) -> bool:
    legs = (await trader.signal(signal_id)).legs
    return any(leg.kind == pb.LEG_KIND_ENTRY and leg.state == pb.LEG_STATE_FILLED for leg in legs)


async def _target_covers(trader: Trader, quantity: Decimal) -> bool:
    resting = await trader.paper.orders("algo", type="TAKE_PROFIT_MARKET", status="NEW")
    return any(order["close_position"] or Decimal(order["quantity"]) == quantity for order in resting)


async def test_the_rest_of_an_entry_does_not_outlive_its_position(trader: Trader) -> None:
    """Half of a limit order fills and is closed: the other half is withdrawn and opens nothing."""
    await trader.paper.fault("partial_fill", ratio="0.5", rest="fill", symbol="BTCUSDT")
    response = await trader.send("long", order_type="limit", price=50000, **LEVELS)
    assert len(await trader.paper.orders("algo", status="NEW")) == 2, response

    await trader.close_by_hand()

    await until(lambda: _nothing_rests(trader))
    assert await trader.paper.positions() == []
    assert await trader.paper.orders(status="PARTIALLY_FILLED") == []


async def test_F32_when_the_stop_would_trigger_the_position_is_closed(trader: Trader) -> None:
    await trader.paper.fault("error_code", code=trader.venue.code("would trigger"), **trader.venue.algo)

    response = await trader.send("long", stop_loss="2%", take_profit="4%")

    assert (response.signal.state, response.signal.reason) == (pb.SIGNAL_STATE_FAILED, "STOP_WOULD_TRIGGER")
    assert "closed at market" in response.signal.message
    await flat(trader)


async def test_F33_a_stop_that_is_refused_once_is_placed_the_second_time(trader: Trader) -> None:
    await trader.paper.fault("error_code", code=trader.venue.code("refused"), **trader.venue.algo)

    response = await trader.send("long", stop_loss="2%", take_profit="4%")

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    assert await trader.paper.orders("algo", type="STOP_MARKET", status="NEW")


async def test_F33_a_stop_that_is_refused_for_good_closes_the_position(trader: Trader) -> None:
    await trader.paper.fault("error_code", code=trader.venue.code("refused"), count=10, **trader.venue.algo)

    response = await trader.send("long", **LEVELS)

    assert (response.signal.state, response.signal.reason) == (pb.SIGNAL_STATE_FAILED, "STOP_REFUSED")
    await flat(trader)


async def test_F34_a_stop_whose_answer_was_lost_is_not_doubled(trader: Trader) -> None:
    await trader.paper.fault("drop_after_accept", **trader.venue.algo)

    await trader.send("long", **LEVELS)

    await one_protected_long(trader)


async def test_F34_a_stop_that_never_arrived_is_live_within_ten_seconds(trader: Trader) -> None:
    await trader.paper.fault("drop_before_accept", count=2, **trader.venue.algo)

    await trader.send("long", **LEVELS)

    await one_protected_long(trader)
    (entry,) = await trader.paper.orders("order")
    (stop,) = await trader.paper.orders("algo", type="STOP_MARKET")
    assert stop["arrival_time"] - entry["arrival_time"] < 10_000


async def test_F35_a_refused_target_leaves_the_protected_position_alone(trader: Trader) -> None:
    """The stop and the target are sent together; the rule lets the first one pass."""
    await trader.paper.fault("error_code", code=trader.venue.code("refused"), skip=1, **trader.venue.algo)

    response = await trader.send("long", **LEVELS)

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    assert len(await trader.paper.positions()) == 1
    assert any(leg.state == pb.LEG_STATE_REFUSED for leg in response.signal.legs)


async def test_F36_no_entry_at_another_leverage_than_asked(trader: Trader) -> None:
    await trader.paper.fault("error_code", code=trader.venue.code("leverage"), path=trader.venue.leverage)

    response = await trader.send("long", leverage=7)

    assert response.signal.state == pb.SIGNAL_STATE_REJECTED
    assert await trader.paper.orders() == []


async def test_F37_an_order_that_the_margin_does_not_cover_is_rejected(trader: Trader) -> None:
    response = await trader.send("long", size=10, size_type="base", leverage=1)

    assert (response.signal.state, response.signal.reason) == (
        pb.SIGNAL_STATE_REJECTED,
        "INSUFFICIENT_BALANCE",
    )
    assert response.signal.message.startswith("Insufficient balance")
    await flat(trader)


async def test_F39_rules_that_have_changed_are_read_again(trader: Trader) -> None:
    await trader.send("long", size="0.013", size_type="base", **LEVELS)
    await trader.send("close_all")
    await trader.paper.control(
        "POST", "/paper/instruments", {"symbol": "BTCUSDT", "step": trader.venue.coarse_step}
    )

    response = await trader.send("long", size="0.013", size_type="base", **LEVELS)

    assert response.signal.state == pb.SIGNAL_STATE_DONE, response.signal
    (position,) = await trader.paper.positions()
    assert position["quantity"] == "0.01"


async def test_F40_a_market_that_is_closed_takes_no_entry(trader: Trader) -> None:
    await trader.paper.control("POST", "/paper/instruments", {"symbol": "XRPUSDT", "status": "SETTLING"})

    with pytest.raises(ServiceError) as refused:
        await trader.send("long", symbol="XRPUSDT")

    assert refused.value.reason == "UNKNOWN_SYMBOL"


@pytest.mark.parametrize("number", [0, 1])
async def test_F41_a_key_that_is_not_accepted_is_told(trader: Trader, number: int) -> None:
    code = trader.venue.codes["key"][number]
    await trader.paper.fault("error_code", code=code, **trader.venue.order)

    response = await trader.send("long")

    assert (response.signal.state, response.signal.reason) == (pb.SIGNAL_STATE_REJECTED, "KEY_REJECTED")
    await flat(trader)


async def test_F44_a_position_closed_by_hand_takes_its_orders_along(trader: Trader) -> None:
    """The user closes on the exchange: noticed, and every order of ours is cancelled."""
    response = await trader.send("long", stop_loss="2%", take_profit=[{"percent": 4, "share": 0.5}])
    await trader.close_by_hand()

    await until(lambda: _nothing_rests(trader))
    signal = await trader.signal(response.signal.signal_id)
    closed = next(step for step in signal.steps if step.kind == "position.closed")
    assert closed.attributes["by"] == "somebody_else"


async def _nothing_rests(trader: Trader) -> bool:
    resting = await trader.paper.orders("algo", status="NEW")
    signals = [await trader.signal(signal.signal_id) for signal in await trader.signals()]
    return not resting and all(any(s.kind == "position.closed" for s in signal.steps) for signal in signals)


@pytest.mark.parametrize("number", range(4))
async def test_T28_an_answer_that_makes_no_sense_proves_nothing(trader: Trader, number: int) -> None:
    body = trader.venue.nonsense[number]
    await trader.paper.fault("http_status", status=200, body=body, executed=True, **trader.venue.order)

    await trader.send("long", **LEVELS)

    await one_protected_long(trader)


@pytest.mark.parametrize("body", [[], "null"])
async def test_T28_an_answer_of_no_shape_proves_nothing(trader: Trader, body: object) -> None:
    await trader.paper.fault("http_status", status=200, body=body, executed=True, **trader.venue.order)

    await trader.send("long", **LEVELS)

    await one_protected_long(trader)


async def test_T28_a_huge_answer_is_not_read(trader: Trader) -> None:
    await trader.paper.fault(
        "http_status", status=200, body="x", size=40_000_000, executed=True, **trader.venue.order
    )

    await trader.send("long", **LEVELS)

    await one_protected_long(trader)


async def test_T28_a_redirect_is_not_followed(trader: Trader) -> None:
    headers = {"Location": f"{trader.paper.url}{trader.venue.order['path']}"}
    await trader.paper.fault(
        "http_status", status=307, body="", headers=headers, executed=True, **trader.venue.order
    )

    await trader.send("long", **LEVELS)

    await one_protected_long(trader)


async def test_fees_and_sizes_are_exact(trader: Trader) -> None:
    """Nothing is a float on the way: rounded down to the step, to the last digit."""
    response = await trader.send("long", size="0.0379", size_type="base", **LEVELS)

    (entry,) = (leg for leg in response.signal.legs if leg.kind == pb.LEG_KIND_ENTRY)
    ordered = trader.venue.lots["0.0379"]
    assert (entry.quantity, entry.filled_quantity) == (ordered, ordered)
    assert Decimal(entry.average_price) * Decimal(entry.filled_quantity) == Decimal(ordered) * 50_000


async def test_F21_a_stop_that_triggers_meanwhile_does_not_keep_the_proof_open(trader: Trader) -> None:
    """An entry that adds to a long is lost, the long is closed by hand: it moved, but not by our order."""
    await trader.send("long", **LEVELS)
    await trader.paper.fault("drop_before_accept", **trader.venue.order)
    sending = asyncio.create_task(trader.send("long", **LEVELS))
    await until(lambda: _unknown_entry(trader))
    await trader.close_by_hand()

    response = await sending

    assert response.signal.state == pb.SIGNAL_STATE_DONE, response.signal
    (position,) = await trader.paper.positions()
    assert position["quantity"] == response.signal.legs[0].filled_quantity
    (stop,) = await trader.paper.orders("algo", type="STOP_MARKET", status="NEW")
    assert stop["close_position"]


async def _unknown_entry(trader: Trader) -> bool:
    newest, *_ = await trader.signals()
    return any(leg.state == pb.LEG_STATE_UNKNOWN for leg in newest.legs)


async def test_R1_an_unknown_order_that_cannot_be_asked_for_ends_with_its_reason(
    trader: Trader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is revoked while an answer is missing: the signal ends, the lane goes on, nothing is sent."""
    monkeypatch.setattr("execution_service.orders.REFUSAL_PATIENCE", timedelta(seconds=1))
    await trader.paper.fault("drop_before_accept", **trader.venue.order)
    await trader.paper.fault("error_code", code=trader.venue.code("key"), count=1_000, **trader.venue.query)

    response = await trader.send("long", **LEVELS)

    assert (response.signal.state, response.signal.reason) == (pb.SIGNAL_STATE_FAILED, "KEY_REJECTED")
    assert await trader.paper.orders() == []


@on_binance
async def test_F28_an_entry_that_a_ban_would_make_too_old_is_given_up_at_once(trader: Trader) -> None:
    body = {"code": -1003, "msg": "Way too many requests; IP banned"}
    await trader.paper.fault("http_status", status=418, retry_after=120, body=body, **trader.venue.order)
    started = time.monotonic()

    response = await trader.send("long", **LEVELS)

    assert (response.signal.state, response.signal.reason) == (
        pb.SIGNAL_STATE_EXPIRED,
        "EXCHANGE_RATE_LIMITED",
    )
    assert time.monotonic() - started < 5


async def test_F27_an_accounts_order_limit_leaves_the_other_accounts_alone(system: System) -> None:
    limited, other = await system.trader(), await system.trader()
    await system.paper.fault(
        "error_code",
        code=limited.venue.code("order limit"),
        retry_after=30,
        account=limited.api_key,
        **limited.venue.order,
    )

    waiting = asyncio.create_task(limited.send("long", **LEVELS))
    await until(lambda: _was_limited(limited))
    response = await other.send("long", timeout=5, **LEVELS)

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def _was_limited(trader: Trader) -> bool:
    return any(
        request["code"] == trader.venue.code("order limit") for request in await trader.paper.requests()
    )


@pytest.mark.parametrize("when", ["before", "after"])
async def test_F34_a_stop_whose_answer_takes_longer_than_ten_seconds(trader: Trader, when: str) -> None:
    """It is not waited for: after the exchange could take it no more, it is asked for."""
    await trader.paper.fault("delay", delay_s=30, when=when, count=1, **trader.venue.algo)

    response = await trader.send("long", **LEVELS)

    assert response.signal.state == pb.SIGNAL_STATE_DONE, response.signal
    (entry,) = await trader.paper.orders("order")
    (stop,) = await trader.paper.orders("algo", type="STOP_MARKET")
    assert stop["arrival_time"] - entry["arrival_time"] < 10_000


async def test_R3_when_no_stop_gets_through_in_time_the_position_is_closed(trader: Trader) -> None:
    await trader.paper.fault("drop_before_accept", count=50, **trader.venue.algo)
    started = time.monotonic()

    response = await trader.send("long", **LEVELS)

    assert (response.signal.state, response.signal.reason) == (pb.SIGNAL_STATE_FAILED, "STOP_NOT_PLACED")
    (_, close) = await trader.paper.orders("order")
    assert close["reduce_only"]
    assert time.monotonic() - started < 20
    assert await trader.paper.positions() == []


async def test_R3_the_rest_of_an_entry_is_withdrawn_when_its_position_had_to_be_closed(
    trader: Trader,
) -> None:
    await trader.paper.fault("partial_fill", ratio="0.5", rest="fill", symbol="BTCUSDT")
    await trader.paper.fault("error_code", code=trader.venue.code("would trigger"), **trader.venue.algo)

    response = await trader.send("long", order_type="limit", price=50000, **LEVELS)

    assert response.signal.reason == "STOP_WOULD_TRIGGER", response.signal
    assert await trader.paper.positions() == []
    assert await trader.paper.orders(status="PARTIALLY_FILLED") == []
    assert await trader.paper.orders(status="NEW") == []


async def test_a_target_that_fails_in_any_way_does_not_disturb_the_stop(trader: Trader) -> None:
    """Targets are refused for now, one after the other, for longer than they are tried."""
    await trader.paper.fault(
        "error_code", code=trader.venue.code("not now"), skip=1, count=40, **trader.venue.algo
    )
    targets = [{"percent": 2, "share": 0.5}, {"percent": 4, "share": 0.5}]

    response = await trader.send("long", stop_loss="2%", take_profit=targets)

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    assert await trader.paper.orders("algo", type="STOP_MARKET", status="NEW")
    kinds = [step.kind for step in (await trader.signal(response.signal.signal_id)).steps]
    assert kinds.count("take_profit.given_up") == 2


async def test_an_owners_own_stop_for_the_whole_position_is_protection_too(trader: Trader) -> None:
    """An exchange takes one such stop: ours is refused, his stays, and the position is not closed."""
    await trader.send("long", **LEVELS)
    (own,) = await trader.paper.orders("algo", type="STOP_MARKET", status="NEW")
    await trader.hand.cancel(own)
    await trader.hand.stop_whole_position("47000")

    response = await trader.send("long", **LEVELS)

    assert response.signal.state == pb.SIGNAL_STATE_DONE, response.signal
    assert len(await trader.paper.positions()) == 1
    (stop,) = await trader.paper.orders("algo", type="STOP_MARKET", status="NEW")
    assert stop["trigger_price"] == "47000"
    kinds = [step.kind for step in (await trader.signal(response.signal.signal_id)).steps]
    assert "stop_loss.others_stop_stays" in kinds


async def test_a_new_position_that_the_exchange_lists_late_is_protected(trader: Trader) -> None:
    await trader.send("close_all")
    await until(lambda: _listed(trader))
    await trader.paper.fault(
        "http_status", status=200, body=[], executed=True, count=2, path=trader.venue.positions
    )

    response = await trader.send("long", **LEVELS)

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    await one_protected_long(trader)


async def _listed(trader: Trader) -> bool:
    return any(request["path"] == trader.venue.positions for request in await trader.paper.requests())


async def test_F41_a_key_that_was_refused_is_not_tried_for_every_alert(trader: Trader) -> None:
    await trader.paper.fault("error_code", code=trader.venue.code("key"), count=5, **trader.venue.order)
    await trader.send("long")

    with pytest.raises(ServiceError) as refused:
        await trader.send("long")

    assert refused.value.reason == "KEY_REJECTED"
    tried = [
        request for request in await trader.paper.requests() if request["path"] == trader.venue.order["path"]
    ]
    assert len(tried) == 1


@on_binance
async def test_T28_more_filled_than_ordered_proves_nothing(trader: Trader) -> None:
    for filled in ("-0.02", "1000000", "1e40"):
        body = {
            "orderId": 1,
            "symbol": "BTCUSDT",
            "side": "BUY",
            "status": "FILLED",
            "origQty": "0.02",
            "executedQty": filled,
        }
        await trader.paper.fault("http_status", status=200, body=body, executed=True, **trader.venue.order)
        response = await trader.send("long", **LEVELS)

        assert response.signal.state == pb.SIGNAL_STATE_DONE
        assert response.signal.legs[0].filled_quantity == response.signal.legs[0].quantity


@pytest.mark.parametrize("what", ["balance", "positions", "prices", "rules"])
@pytest.mark.parametrize("body", [{}, [], [[]], [{"symbol": 1}], {"symbols": [{}]}, {"code": "0"}, "null"])
async def test_T28_an_answer_of_another_shape_is_no_crash(trader: Trader, what: str, body: object) -> None:
    """The question is repeated; an alert is executed as soon as the exchange makes sense again."""
    await trader.paper.fault("http_status", status=200, body=body, count=2, path=getattr(trader.venue, what))

    response = await trader.send("close_all")

    assert response.signal.state == pb.SIGNAL_STATE_DONE
