"""A parsed alert as the request that execution takes, with the key that makes two alerts one."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from uuid import uuid4

from tradekit.market.alert import Action, Alert, OrderType, WebhookMessage, content_hash
from tradekit.market.sizing import Level, LevelKind, SizeType, Target
from tradekit.service.wire import decimal_text, timestamp_from
from tradingbot.execution.v1 import execution_pb2 as pb

_READABLE_ID = re.compile(r"[\x21-\x7e]{1,64}", re.ASCII)

FINEST_SHARE = Decimal("1e-18")

_ACTIONS = {
    Action.LONG: pb.ACTION_LONG,
    Action.SHORT: pb.ACTION_SHORT,
    Action.CLOSE_LONG: pb.ACTION_CLOSE_LONG,
    Action.CLOSE_SHORT: pb.ACTION_CLOSE_SHORT,
    Action.CLOSE_ALL: pb.ACTION_CLOSE_ALL,
}
_ORDER_TYPES = {OrderType.MARKET: pb.ORDER_TYPE_MARKET, OrderType.LIMIT: pb.ORDER_TYPE_LIMIT}
_SIZE_TYPES = {
    SizeType.PERCENT_BALANCE: pb.SIZE_TYPE_PERCENT_BALANCE,
    SizeType.QUOTE: pb.SIZE_TYPE_QUOTE,
    SizeType.BASE: pb.SIZE_TYPE_BASE,
    SizeType.RISK_PERCENT: pb.SIZE_TYPE_RISK_PERCENT,
}


@dataclass(frozen=True, slots=True)
class AlertIdentity:
    """What decides whether two alerts of an account are one.

    Attributes:
        key: Unique within the account.
        content_hash: The same key with another hash is refused.
        from_alert: Whether the alert itself gave the key; if not, execution looks at the content.
    """

    key: str
    content_hash: str
    from_alert: bool


def identity_of(alert: Alert) -> AlertIdentity:
    """By the alert's own id; else by its time with all that names the occasion; else it stands for itself."""
    if alert.alert_id is not None:
        return AlertIdentity(f"id:{_short(alert.alert_id)}", content_hash(alert), True)
    if alert.time is not None:
        occasion = _digest(
            [
                alert.action,
                alert.symbol,
                alert.strategy,
                str(alert.interval or ""),
                alert.time.isoformat(),
            ]
        )
        # Two alerts of one occasion are one, whatever else they say.
        return AlertIdentity(f"time:{occasion}", occasion, True)
    return AlertIdentity(f"once:{uuid4().hex}", content_hash(alert), False)


def execute_request(message: WebhookMessage, user_id: str, received: datetime) -> pb.ExecuteSignalRequest:
    """The request for an alert whose secret was right."""
    identity = identity_of(message.alert)
    return pb.ExecuteSignalRequest(
        alert_key=identity.key,
        user_id=user_id,
        account_id=message.account_id.lower(),
        alert=alert_to_proto(message.alert),
        receive_time=timestamp_from(received),
        content_hash=identity.content_hash,
        key_from_alert=identity.from_alert,
    )


def alert_to_proto(alert: Alert) -> pb.Alert:
    """The alert in execution's words."""
    return pb.Alert(
        action=_ACTIONS[alert.action],
        symbol=alert.symbol,
        exchange=alert.exchange,
        leverage=alert.leverage,
        order_type=_ORDER_TYPES[alert.order_type],
        limit_price=None if alert.limit_price is None else decimal_text(alert.limit_price),
        size_type=_SIZE_TYPES[alert.size.type],
        size=decimal_text(alert.size.value),
        stop_loss=None if alert.stop_loss is None else _level(alert.stop_loss),
        take_profits=[_target(target) for target in alert.take_profits],
        trailing_percent=None if alert.trailing_percent is None else decimal_text(alert.trailing_percent),
        reverse=alert.reverse,
        alert_time=None if alert.time is None else timestamp_from(alert.time),
        interval=None if alert.interval is None else alert.interval.tradingview,
        strategy=_unicode(alert.strategy),
        comment=_unicode(alert.comment),
        alert_id=None if alert.alert_id is None else _unicode(alert.alert_id),
    )


def _level(level: Level) -> pb.Level:
    text = decimal_text(level.value)
    match level.kind:
        case LevelKind.PRICE:
            return pb.Level(price=text)
        case LevelKind.PERCENT:
            return pb.Level(percent=text)
        case LevelKind.ATR:
            return pb.Level(atr=text)


def _target(target: Target) -> pb.Target:
    # A third has no last digit: what the wire cannot carry is left out, never added.
    share = target.share.quantize(FINEST_SHARE, rounding=ROUND_DOWN)
    return pb.Target(level=_level(target.level), share=decimal_text(share))


def _short(alert_id: str) -> str:
    return alert_id if _READABLE_ID.fullmatch(alert_id) else _digest([alert_id])


def _digest(parts: list[str]) -> str:
    # JSON keeps the parts apart and spells every character in ASCII.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _unicode(text: str) -> str:
    # JSON can spell half of a surrogate pair, which is no character and has no UTF-8.
    return text.encode("utf-8", "replace").decode()
