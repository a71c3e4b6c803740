"""Webhook bodies that tests send to the parser."""

import json

from tradekit.market.alert import AlertRejected, WebhookMessage, parse_alert

SECRET = "canary-4f1c9d0e7b"


def body(**fields: object) -> bytes:
    """A complete message, with `fields` on top; a field that is None stays away."""
    message: dict[str, object] = {
        "account_id": "0192f3a8-7c1e-7000-8000-000000000001",
        "secret": SECRET,
        "action": "long",
        "symbol": "BTCUSDT",
    }
    message |= fields
    return json.dumps({name: value for name, value in message.items() if value is not None}).encode()


def parsed(**fields: object) -> WebhookMessage:
    """What the parser reads in `body(**fields)`."""
    return parse_alert(body(**fields))


def rejection(content: bytes) -> AlertRejected:
    """Why the parser refuses `content`."""
    try:
        parse_alert(content)
    except AlertRejected as rejected:
        return rejected
    raise AssertionError(f"{content[:200]!r} was accepted")
