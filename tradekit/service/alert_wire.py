"""An alert as execution's protobuf message, and back: both ends of that wire use this one file."""

from datetime import datetime
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from tradekit.market.alert import Action, Alert, OrderType
from tradekit.market.sizing import DEFAULT_SIZE, Level, LevelKind, Size, SizeType, Target
from tradekit.market.timeframe import Timeframe, TimeframeMalformed, parse_timeframe
from tradekit.service.wire import decimal_from, decimal_text, field_invalid, instant_from, timestamp_from
from tradingbot.execution.v1 import execution_pb2 as pb

ACTION_NUMBERS = {
    Action.LONG: pb.ACTION_LONG,
    Action.SHORT: pb.ACTION_SHORT,
    Action.CLOSE_LONG: pb.ACTION_CLOSE_LONG,
    Action.CLOSE_SHORT: pb.ACTION_CLOSE_SHORT,
    Action.CLOSE_ALL: pb.ACTION_CLOSE_ALL,
}
_ACTIONS = {number: action for action, number in ACTION_NUMBERS.items()}
_ORDER_TYPE_NUMBERS = {OrderType.MARKET: pb.ORDER_TYPE_MARKET, OrderType.LIMIT: pb.ORDER_TYPE_LIMIT}
_ORDER_TYPES = {number: kind for kind, number in _ORDER_TYPE_NUMBERS.items()}
_SIZE_TYPE_NUMBERS = {
    SizeType.PERCENT_BALANCE: pb.SIZE_TYPE_PERCENT_BALANCE,
    SizeType.QUOTE: pb.SIZE_TYPE_QUOTE,
    SizeType.BASE: pb.SIZE_TYPE_BASE,
    SizeType.RISK_PERCENT: pb.SIZE_TYPE_RISK_PERCENT,
}
_SIZE_TYPES = {number: kind for kind, number in _SIZE_TYPE_NUMBERS.items()}


def alert_to_proto(alert: Alert) -> pb.Alert:
    """An alert for the wire.

    The free texts may hold half of a surrogate pair, which JSON can spell and UTF-8 cannot: it becomes "?".
    """
    return pb.Alert(
        action=ACTION_NUMBERS[alert.action],
        symbol=alert.symbol,
        exchange=alert.exchange,
        leverage=alert.leverage,
        order_type=_ORDER_TYPE_NUMBERS[alert.order_type],
        limit_price=_optional_text(alert.limit_price),
        size_type=_SIZE_TYPE_NUMBERS[alert.size.type],
        size=decimal_text(alert.size.value),
        stop_loss=None if alert.stop_loss is None else _level_to(alert.stop_loss),
        take_profits=[
            pb.Target(level=_level_to(target.level), share=decimal_text(target.share))
            for target in alert.take_profits
        ],
        trailing_percent=_optional_text(alert.trailing_percent),
        reverse=alert.reverse,
        alert_id=None if alert.alert_id is None else _unicode(alert.alert_id),
        alert_time=None if alert.time is None else timestamp_from(alert.time),
        interval=None if alert.interval is None else alert.interval.tradingview,
        strategy=_unicode(alert.strategy),
        comment=_unicode(alert.comment),
    )


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
        limit_price=_optional_decimal(message, "limit_price"),
        size=_size_from(message),
        stop_loss=_level_from(message.stop_loss, "stop_loss") if message.HasField("stop_loss") else None,
        take_profits=tuple(_target_from(target) for target in message.take_profits),
        trailing_percent=_optional_decimal(message, "trailing_percent"),
        reverse=message.reverse,
        alert_id=message.alert_id if message.HasField("alert_id") else None,
        time=_time_from(message.alert_time) if message.HasField("alert_time") else None,
        interval=_interval_from(message.interval) if message.HasField("interval") else None,
        strategy=message.strategy,
        comment=message.comment,
    )


def _level_to(level: Level) -> pb.Level:
    return pb.Level(**{level.kind.value: decimal_text(level.value)})


def _level_from(message: pb.Level, field: str) -> Level:
    kind = message.WhichOneof("kind")
    if kind is None:
        raise field_invalid(field, "holds no level")
    return Level(LevelKind(kind), decimal_from(getattr(message, kind), field=field))


def _target_from(message: pb.Target) -> Target:
    return Target(_level_from(message.level, "take_profit"), decimal_from(message.share, field="share"))


def _size_from(message: pb.Alert) -> Size:
    if not message.HasField("size"):
        return DEFAULT_SIZE
    if message.size_type not in _SIZE_TYPES:
        raise field_invalid("size_type", "is missing or unknown")
    return Size(_SIZE_TYPES[message.size_type], decimal_from(message.size, field="size"))


def _time_from(stamp: Timestamp) -> datetime:
    try:
        return instant_from(stamp)
    except (ValueError, OverflowError):
        raise field_invalid("alert_time", "is no instant") from None


def _interval_from(text: str) -> Timeframe:
    try:
        return parse_timeframe(text)
    except TimeframeMalformed:
        raise field_invalid("interval", "is no bar length") from None


def _optional_decimal(message: pb.Alert, field: str) -> Decimal | None:
    return decimal_from(getattr(message, field), field=field) if message.HasField(field) else None  # type: ignore[arg-type]  # named by its two callers


def _optional_text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
