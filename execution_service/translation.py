"""Protobuf <-> domain: the only file that knows both."""

from decimal import Decimal

from google.protobuf import json_format

from execution_service.signals import Leg, LegKind, LegState, Signal, SignalState
from tradekit.market.alert import Action, Alert, OrderType
from tradekit.market.sizing import DEFAULT_SIZE, Level, LevelKind, Size, SizeType, Target
from tradekit.market.timeframe import parse_timeframe
from tradekit.service.wire import decimal_from, decimal_text, field_invalid, instant_from, timestamp_from
from tradingbot.execution.v1 import execution_pb2 as pb

_ACTIONS = {
    pb.ACTION_LONG: Action.LONG,
    pb.ACTION_SHORT: Action.SHORT,
    pb.ACTION_CLOSE_LONG: Action.CLOSE_LONG,
    pb.ACTION_CLOSE_SHORT: Action.CLOSE_SHORT,
    pb.ACTION_CLOSE_ALL: Action.CLOSE_ALL,
}
_ACTIONS_BACK = {action: number for number, action in _ACTIONS.items()}
_ORDER_TYPES = {pb.ORDER_TYPE_MARKET: OrderType.MARKET, pb.ORDER_TYPE_LIMIT: OrderType.LIMIT}
_ORDER_TYPES_BACK = {kind: number for number, kind in _ORDER_TYPES.items()}
_SIZE_TYPES = {
    pb.SIZE_TYPE_PERCENT_BALANCE: SizeType.PERCENT_BALANCE,
    pb.SIZE_TYPE_QUOTE: SizeType.QUOTE,
    pb.SIZE_TYPE_BASE: SizeType.BASE,
    pb.SIZE_TYPE_RISK_PERCENT: SizeType.RISK_PERCENT,
}
_SIZE_TYPES_BACK = {kind: number for number, kind in _SIZE_TYPES.items()}
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


def alert_from_proto(message: pb.Alert) -> Alert:
    """An alert from the wire.

    Raises:
        InvalidArgument: FIELD_INVALID.
    """
    if message.action not in _ACTIONS:
        raise field_invalid("action", "is missing or unknown")
    if message.order_type not in _ORDER_TYPES:
        raise field_invalid("order_type", "is missing or unknown")
    return Alert(
        action=_ACTIONS[message.action],
        symbol=message.symbol,
        exchange=message.exchange if message.HasField("exchange") else None,
        leverage=message.leverage if message.HasField("leverage") else None,
        order_type=_ORDER_TYPES[message.order_type],
        limit_price=(
            decimal_from(message.limit_price, field="limit_price")
            if message.HasField("limit_price")
            else None
        ),
        size=_size_from(message),
        stop_loss=_level_from(message.stop_loss, "stop_loss") if message.HasField("stop_loss") else None,
        take_profits=tuple(
            Target(_level_from(target.level, "take_profit"), decimal_from(target.share, field="share"))
            for target in message.take_profits
        ),
        trailing_percent=(
            decimal_from(message.trailing_percent, field="trailing_percent")
            if message.HasField("trailing_percent")
            else None
        ),
        reverse=message.reverse,
        alert_id=message.alert_id if message.HasField("alert_id") else None,
        time=instant_from(message.alert_time) if message.HasField("alert_time") else None,
        interval=parse_timeframe(message.interval) if message.HasField("interval") else None,
        strategy=message.strategy,
        comment=message.comment,
    )


def _size_from(message: pb.Alert) -> Size:
    if not message.HasField("size"):
        return DEFAULT_SIZE
    if message.size_type not in _SIZE_TYPES:
        raise field_invalid("size_type", "is missing or unknown")
    return Size(_SIZE_TYPES[message.size_type], decimal_from(message.size, field="size"))


def _level_from(message: pb.Level, field: str) -> Level:
    kind = message.WhichOneof("kind")
    if kind is None:
        raise field_invalid(field, "holds no level")
    return Level(LevelKind(kind), decimal_from(getattr(message, kind), field=field))


def alert_to_proto(alert: Alert) -> pb.Alert:
    """An alert for the wire."""
    return pb.Alert(
        action=_ACTIONS_BACK[alert.action],
        symbol=alert.symbol,
        exchange=alert.exchange,
        leverage=alert.leverage,
        order_type=_ORDER_TYPES_BACK[alert.order_type],
        limit_price=_optional(alert.limit_price),
        size_type=_SIZE_TYPES_BACK[alert.size.type],
        size=decimal_text(alert.size.value),
        stop_loss=_level_to(alert.stop_loss) if alert.stop_loss is not None else None,
        take_profits=[
            pb.Target(level=_level_to(target.level), share=decimal_text(target.share))
            for target in alert.take_profits
        ],
        trailing_percent=_optional(alert.trailing_percent),
        reverse=alert.reverse,
        alert_id=alert.alert_id,
        alert_time=timestamp_from(alert.time) if alert.time is not None else None,
        interval=str(alert.interval) if alert.interval is not None else None,
        strategy=alert.strategy,
        comment=alert.comment,
    )


def _level_to(level: Level) -> pb.Level:
    return pb.Level(**{level.kind.value: decimal_text(level.value)})


def _optional(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def signal_to_proto(signal: Signal) -> pb.Signal:
    """A signal for the wire, without its steps."""
    return pb.Signal(
        signal_id=str(signal.id),
        user_id=str(signal.user_id),
        account_id=str(signal.account_id),
        exchange=signal.exchange,
        action=_ACTIONS_BACK[signal.alert.action],
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
