"""A signal as JSON: in lists, one by one, and as the answer of the webhook. Enum words are in lower case."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from typing_extensions import TypedDict

from tradekit.service.wire import instant_from
from tradingbot.execution.v1 import execution_pb2 as pb

Json = dict[str, Any]


class AlertJson(TypedDict):
    """What was asked for, in the webhook's own words; what was not said is null. Decimals are text."""

    order_type: str
    price: str | None
    leverage: int | None
    size_type: str
    size: str | None
    stop_loss: dict[str, str] | None
    take_profit: list[dict[str, str]]
    trailing_percent: str | None
    reverse: bool
    alert_id: str | None
    time: str | None
    interval: str | None
    strategy: str
    comment: str


class LegJson(TypedDict):
    """One request to the exchange and what came of it. Decimals are text."""

    kind: str
    index: int
    status: str
    client_order_id: str | None
    order_id: str | None
    side: str | None
    quantity: str | None
    filled_quantity: str
    average_price: str | None
    trigger_price: str | None
    limit_price: str | None
    leverage: int | None
    reason: str | None
    message: str | None


class StepJson(TypedDict):
    """Something that happened."""

    create_time: str
    kind: str
    attributes: dict[str, str]


class SignalJson(TypedDict):
    """One alert and what was done for it."""

    id: str
    account_id: str
    exchange: str
    action: str
    symbol: str
    state: str
    reason: str | None
    message: str
    receive_time: str
    finish_time: str | None
    alert: AlertJson
    legs: list[LegJson]


class SignalWithStepsJson(SignalJson):
    """The same with everything that happened, oldest first."""

    steps: list[StepJson]


_FINAL = frozenset(
    {
        pb.SIGNAL_STATE_DONE,
        pb.SIGNAL_STATE_REJECTED,
        pb.SIGNAL_STATE_EXPIRED,
        pb.SIGNAL_STATE_FAILED,
    }
)


def is_final(signal: pb.Signal) -> bool:
    """Whether nothing more will happen for it."""
    return signal.state in _FINAL


def action_word(signal: pb.Signal) -> str:
    """For example "close_long"."""
    return pb.Action.Name(signal.action).removeprefix("ACTION_").lower()


def signal_json(signal: pb.Signal) -> SignalJson:
    """A signal without its steps."""
    return {
        "id": signal.signal_id,
        "account_id": signal.account_id,
        "exchange": signal.exchange,
        "action": action_word(signal),
        "symbol": signal.symbol,
        "state": pb.SignalState.Name(signal.state).removeprefix("SIGNAL_STATE_").lower(),
        "reason": signal.reason.lower() or None,
        "message": signal.message,
        "receive_time": instant_json(signal.receive_time),
        "finish_time": instant_json(signal.finish_time) if signal.HasField("finish_time") else None,
        "alert": alert_json(signal.alert),
        "legs": [leg_json(leg) for leg in signal.legs],
    }


def signal_json_with_steps(signal: pb.Signal) -> SignalWithStepsJson:
    """A signal with everything that was done for it, step by step."""
    steps: list[StepJson] = [
        {
            "create_time": instant_json(step.create_time),
            "kind": step.kind,
            "attributes": dict(step.attributes),
        }
        for step in signal.steps
    ]
    return {**signal_json(signal), "steps": steps}


def alert_json(alert: pb.Alert) -> AlertJson:
    """What was asked for."""
    return {
        "order_type": pb.OrderType.Name(alert.order_type).removeprefix("ORDER_TYPE_").lower(),
        "price": _optional(alert, "limit_price"),
        "leverage": _optional(alert, "leverage"),
        "size_type": pb.SizeType.Name(alert.size_type).removeprefix("SIZE_TYPE_").lower(),
        "size": _optional(alert, "size"),
        "stop_loss": _level(alert.stop_loss) if alert.HasField("stop_loss") else None,
        "take_profit": [{**_level(target.level), "share": target.share} for target in alert.take_profits],
        "trailing_percent": _optional(alert, "trailing_percent"),
        "reverse": alert.reverse,
        "alert_id": _optional(alert, "alert_id"),
        "time": instant_json(alert.alert_time) if alert.HasField("alert_time") else None,
        "interval": _optional(alert, "interval"),
        "strategy": alert.strategy,
        "comment": alert.comment,
    }


def leg_json(leg: pb.Leg) -> LegJson:
    """One request to the exchange and what came of it."""
    return {
        "kind": pb.LegKind.Name(leg.kind).removeprefix("LEG_KIND_").lower(),
        "index": leg.index,
        "status": _status(leg),
        "client_order_id": leg.client_order_id or None,
        "order_id": leg.exchange_order_id or None,
        "side": leg.side or None,
        "quantity": _optional(leg, "quantity"),
        "filled_quantity": leg.filled_quantity or "0",
        "average_price": _optional(leg, "average_price"),
        "trigger_price": _optional(leg, "trigger_price"),
        "limit_price": _optional(leg, "limit_price"),
        "leverage": _optional(leg, "leverage"),
        "reason": leg.reason.lower() or None,
        "message": leg.message or None,
    }


def order_details(signal: pb.Signal) -> Json:
    """What the webhook answers on a signal's orders; the quantity of an order is what has filled of it."""
    results: Json = {}
    for name, kind in _RESULTS:
        legs = [leg for leg in signal.legs if leg.kind == kind]
        if legs:
            results[name] = _result(legs, signal)
    return {
        "exchange": signal.exchange,
        "action": action_word(signal),
        "symbol": signal.symbol,
        "results": results,
    }


_RESULTS = (
    ("leverage", pb.LEG_KIND_LEVERAGE),
    ("close", pb.LEG_KIND_CLOSE),
    ("entry", pb.LEG_KIND_ENTRY),
    ("stop_loss", pb.LEG_KIND_STOP_LOSS),
    ("take_profit", pb.LEG_KIND_TAKE_PROFIT),
    ("trailing_stop", pb.LEG_KIND_TRAILING_STOP),
)


def _result(legs: Sequence[pb.Leg], signal: pb.Signal) -> Json | list[Json]:
    results = [_leg_result(leg, signal) for leg in legs]
    return results[0] if len(results) == 1 else results


def _leg_result(leg: pb.Leg, signal: pb.Signal) -> Json:
    if leg.kind == pb.LEG_KIND_LEVERAGE:
        return {"leverage": _optional(leg, "leverage"), "status": _status(leg), **_refusal(leg)}
    order: Json = {"status": _status(leg), "side": leg.side}
    if leg.kind in (pb.LEG_KIND_ENTRY, pb.LEG_KIND_CLOSE):
        order |= {
            "order_type": "limit" if leg.HasField("limit_price") else "market",
            "quantity": _optional(leg, "quantity"),
            "filled_quantity": leg.filled_quantity or "0",
            "average_price": _optional(leg, "average_price"),
        }
    else:
        order |= {"trigger_price": _optional(leg, "trigger_price"), "quantity": _optional(leg, "quantity")}
    if leg.HasField("limit_price"):
        order["limit_price"] = leg.limit_price
    ids = {"client_order_id": leg.client_order_id, "order_id": leg.exchange_order_id or None}
    return order | ids | _refusal(leg)


def _refusal(leg: pb.Leg) -> Json:
    said = {"reason": leg.reason.lower(), "message": leg.message}
    return {name: text for name, text in said.items() if text}


def _status(leg: pb.Leg) -> str:
    return pb.LegState.Name(leg.state).removeprefix("LEG_STATE_").lower()


def _level(level: pb.Level) -> Json:
    kind = level.WhichOneof("kind")
    return {kind: getattr(level, kind)} if kind else {}


def _optional(message: pb.Leg | pb.Alert, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None  # type: ignore[arg-type] # checked by name


def instant_json(stamp: Timestamp) -> str:
    """For example "2026-11-24T09:30:00.123Z"."""
    return instant_from(stamp).isoformat(timespec="milliseconds").replace("+00:00", "Z")
