"""The API's description for strangers: what FastAPI cannot see by itself."""

from typing import Any

from fastapi import FastAPI

from gateway.routes.webhook import PATH as WEBHOOK_PATH

Json = dict[str, Any]

DESCRIPTION = """
Turns TradingView alerts into protected futures orders.

1. `POST /api/v1/auth/signup`, and send `Authorization: Bearer <access_token>` from then on.
2. `POST /api/v1/accounts-secure/register` with `{"exchange": "binance", "environment": "paper"}` for an
   account with play money. The answer shows the webhook's URL and secret, this once.
3. Put the URL and a JSON message with that secret into a TradingView alert.

**Errors** are problem documents (RFC 9457, `application/problem+json`): `type`, `title`, `status`, `detail`
(a sentence for a person), `code` (stable), `request_id`; wrong fields are listed in
`errors: [{field, message}]`. What is not there and what is another user's get the same 404. Unknown fields in
a body are refused (422); only the webhook ignores them and lists them in `warnings`. Bodies may have at most
64 KiB.

**Numbers**: prices, quantities and balances are decimals as text. **Instants** are UTC, ISO 8601.
"""

_PROBLEM: Json = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for a person."},
        "code": {"type": "string", "description": "Stable, snake_case."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_PROBLEM_REF: Json = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

_LEVEL: Json = {
    "description": 'A price, "2%" of the entry price, or {"atr": 1.5}.',
    "anyOf": [{"type": "number"}, {"type": "string"}, {"type": "object"}],
}
_ALERT: Json = {
    "type": "object",
    "required": ["account_id", "secret", "action", "symbol"],
    "properties": {
        "account_id": {"type": "string"},
        "secret": {"type": "string", "description": "The account's webhook secret."},
        "action": {
            "type": "string",
            "description": "long, short, close_long, close_short, close_all, or buy/sell (market_position).",
        },
        "symbol": {
            "type": "string",
            "description": "BTCUSDT, BTCUSDT.P, BINANCE:BTCUSDT.P or BTC-USDT-SWAP.",
        },
        "market_position": {
            "type": "string",
            "description": "{{strategy.market_position}}: long, short, flat.",
        },
        "exchange": {"type": "string", "description": "Must be the account's."},
        "leverage": {"type": "integer", "minimum": 1, "maximum": 125},
        "order_type": {"enum": ["market", "limit"], "default": "market"},
        "price": {"type": "number", "description": "Of a limit order."},
        "size": {"type": "number", "default": 10},
        "size_type": {
            "enum": ["percent_balance", "quote", "base", "risk_percent"],
            "default": "percent_balance",
        },
        "stop_loss": {**_LEVEL, "default": {"atr": 1.5}},
        "take_profit": {
            "description": 'A level, or a list of them with shares: [{"percent": 2, "share": 0.5}, …].',
            "anyOf": [*_LEVEL["anyOf"], {"type": "array"}],
        },
        "trailing": {"description": "Distance of a trailing stop, percent, 0.1 to 20.", "type": "string"},
        "reverse": {"type": "boolean", "default": True},
        "alert_id": {
            "type": "string",
            "description": "Your own id of this alert; alerts of an account with the same id are one.",
        },
        "time": {"type": "string", "description": "{{timenow}} or a bar's time; too old is refused."},
        "interval": {
            "type": "string",
            "description": "{{interval}}: with it, `time` may be a bar's open time.",
        },
        "strategy": {"type": "string"},
        "comment": {"type": "string"},
    },
    "example": {
        "account_id": "0193…",
        "secret": "…",
        "action": "long",
        "symbol": "BTCUSDT.P",
        "leverage": 5,
        "stop_loss": "2%",
        "take_profit": "4%",
        "time": "{{timenow}}",
    },
}
_EXECUTED: Json = {
    "success": True,
    "signal_id": "0193…",
    "duplicate": False,
    "message": "LONG order executed on binance",
    "order_details": {
        "exchange": "binance",
        "action": "long",
        "symbol": "BTCUSDT",
        "results": {
            "leverage": {"leverage": 5, "status": "filled"},
            "entry": {
                "status": "filled",
                "side": "buy",
                "order_type": "market",
                "quantity": "0.016",
                "filled_quantity": "0.016",
                "average_price": "62000.1",
                "client_order_id": "tb…",
                "order_id": "1234",
            },
            "stop_loss": {"status": "open", "side": "sell", "trigger_price": "61400"},
            "take_profit": {"status": "open", "side": "sell", "trigger_price": "63200"},
        },
    },
}
_EXECUTING: Json = {"success": True, "signal_id": "0193…", "duplicate": False, "status": "executing"}

_WEBHOOK_ANSWERS: dict[str, tuple[str, Json | None]] = {
    "200": ("Executed; or a repeat of an alert that was (`duplicate: true`).", _EXECUTED),
    "202": ("Recorded; the exchange has not answered yet. Read `/signals/{id}`.", _EXECUTING),
    "400": ("`malformed_json`", None),
    "401": ("`invalid_webhook_secret`: unknown account or wrong secret.", None),
    "403": ("`address_not_allowed`", None),
    "409": ("`alert_id_reused`: the same `alert_id` with another content.", None),
    "413": ("`payload_too_large`: over 64 KiB.", None),
    "415": ("`unsupported_media_type`", None),
    "422": ("`validation_error`, or what the exchange or a limit refused.", None),
    "503": ("Not recorded, send it again (`Retry-After`).", None),
}


def describe(app: FastAPI, *, public_url: str) -> None:
    """Adds to the application's OpenAPI document: the text, the webhook, how errors look."""
    app.description = DESCRIPTION
    generated = app.openapi

    def openapi() -> Json:
        if app.openapi_schema is None:
            document = generated()
            document["servers"] = [{"url": public_url}]
            document["components"]["schemas"]["Problem"] = _PROBLEM
            document["paths"][WEBHOOK_PATH] = {"post": _webhook()}
            _tell_errors(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend it


def _webhook() -> Json:
    return {
        "tags": ["Webhook"],
        "summary": "A TradingView alert",
        "description": (
            "Takes `application/json` and `text/plain` alike. Answers within 2.8 s, whatever is behind it. "
            "The secret in the message stands for a login. Numbers may be text."
        ),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ALERT}, "text/plain": {"schema": _ALERT}},
        },
        "responses": {
            status: {
                "description": description,
                "content": _PROBLEM_REF if example is None else {"application/json": {"example": example}},
            }
            for status, (description, example) in _WEBHOOK_ANSWERS.items()
        },
    }


def _tell_errors(document: Json) -> None:
    for path in document["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            if "422" in responses:
                responses["422"] = {"description": "A field is wrong.", "content": _PROBLEM_REF}
            if operation.get("security"):
                responses["401"] = {"description": "No valid token.", "content": _PROBLEM_REF}
            responses["default"] = {"description": "Refused.", "content": _PROBLEM_REF}
    for schema in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(schema, None)
