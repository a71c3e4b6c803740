"""Protobuf <-> domain: the only file of this service that knows both; alerts are `tradekit`'s."""

from decimal import Decimal

from google.protobuf import json_format

from execution_service.signals import Leg, LegKind, LegState, Signal, SignalState
from tradekit.market.alert import Alert
from tradekit.service.alert_wire import ACTION_NUMBERS, alert_from_proto, alert_to_proto
from tradekit.service.wire import decimal_text, timestamp_from
from tradingbot.execution.v1 import execution_pb2 as pb

_SIGNAL_STATES = {
    SignalState.RECEIVED: pb.SIGNAL_STATE_RECEIVED,
    SignalState.EXECUTING: pb.SIGNAL_STATE_EXECUTING,
    SignalState.PROTECTING: pb.SIGNAL_STATE_PROTECTING,
    SignalState.DONE: pb.SIGNAL_STATE_DONE,
    SignalState.REJECTED: pb.SIGNAL_STATE_REJECTED,
    SignalState.EXPIRED: pb.SIGNAL_STATE_EXPIRED,
    SignalState.FAILED: pb.SIGNAL_STATE_FAILED,
}
_LEG_KINDS = {
    LegKind.LEVERAGE: pb.LEG_KIND_LEVERAGE,
    LegKind.ENTRY: pb.LEG_KIND_ENTRY,
    LegKind.STOP_LOSS: pb.LEG_KIND_STOP_LOSS,
    LegKind.TAKE_PROFIT: pb.LEG_KIND_TAKE_PROFIT,
    LegKind.TRAILING_STOP: pb.LEG_KIND_TRAILING_STOP,
    LegKind.CLOSE: pb.LEG_KIND_CLOSE,
}
_LEG_STATES = {
    LegState.INTENDED: pb.LEG_STATE_INTENDED,
    LegState.UNKNOWN: pb.LEG_STATE_UNKNOWN,
    LegState.OPEN: pb.LEG_STATE_OPEN,
    LegState.FILLED: pb.LEG_STATE_FILLED,
    LegState.CANCELED: pb.LEG_STATE_CANCELED,
    LegState.REFUSED: pb.LEG_STATE_REFUSED,
    LegState.DEAD: pb.LEG_STATE_DEAD,
}


def alert_from_json(text: str) -> Alert:
    """An alert from the journal."""
    return alert_from_proto(json_format.Parse(text, pb.Alert()))


def alert_to_json(message: pb.Alert) -> str:
    """An alert for the journal."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)


def _optional(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def signal_to_proto(signal: Signal) -> pb.Signal:
    """A signal for the wire, without its steps."""
    return pb.Signal(
        signal_id=str(signal.id),
        user_id=str(signal.user_id),
        account_id=str(signal.account_id),
        exchange=signal.exchange,
        action=ACTION_NUMBERS[signal.alert.action],
        symbol=signal.symbol,
        state=_SIGNAL_STATES[signal.state],
        reason=signal.reason,
        message=signal.message,
        receive_time=timestamp_from(signal.receive_time),
        finish_time=timestamp_from(signal.finish_time) if signal.finish_time else None,
        legs=[_leg_to_proto(leg) for leg in signal.legs],
        alert=alert_to_proto(signal.alert),
    )


def _leg_to_proto(leg: Leg) -> pb.Leg:
    return pb.Leg(
        kind=_LEG_KINDS[leg.kind],
        index=leg.index,
        state=_LEG_STATES[leg.state],
        client_order_id=leg.client_order_id,
        exchange_order_id=leg.exchange_order_id,
        side=leg.side.value if leg.side else "",
        quantity=_optional(leg.quantity),
        filled_quantity=decimal_text(leg.filled_quantity),
        average_price=_optional(leg.average_price),
        trigger_price=_optional(leg.trigger_price),
        limit_price=_optional(leg.limit_price),
        leverage=leg.leverage,
        reason=leg.reason,
        message=leg.message,
    )
