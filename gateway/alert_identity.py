"""The key that makes two alerts one, and the request that carries it to execution."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from tradekit.market.alert import Alert, WebhookMessage, content_hash
from tradekit.service.alert_wire import alert_to_proto
from tradekit.service.wire import timestamp_from
from tradingbot.execution.v1 import execution_pb2 as pb

_READABLE_ID = re.compile(r"[\x21-\x7e]{1,64}", re.ASCII)


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


def _short(alert_id: str) -> str:
    return alert_id if _READABLE_ID.fullmatch(alert_id) else _digest([alert_id])


def _digest(parts: list[str]) -> str:
    # JSON keeps the parts apart and spells every character in ASCII.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
