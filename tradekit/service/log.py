"""JSON lines on standard error; one id from alert to fill; nothing secret by type.

log.info("order.placed", extra={"signal_id": signal.id, "client_order_id": order.client_order_id})
"""

import logging
import math
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

MAX_VALUE_LENGTH = 2_000
MAX_DEPTH = 4
MAX_ITEMS = 100

# What JSON leaves as it is and a terminal or a reader of lines obeys: C1 controls, separators of lines,
# changes of the writing direction.
_CONTROL = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

# Travels with the call from the gateway through every service.
request_id: ContextVar[str] = ContextVar("request_id", default="")


class _Formatter(JsonFormatter):
    """One JSON object a record: time, level, service, event, request_id, then the record's own fields."""

    def __init__(self, service: str) -> None:
        super().__init__("%(message)s", json_ensure_ascii=False)
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", super().format(record))

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        super().add_fields(log_data, record, message_dict)
        log_data["event"] = log_data.pop("message", "")
        head = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
        }
        if request_id.get():
            head["request_id"] = request_id.get()
        fields = {name: _loggable(value) for name, value in log_data.items() if name not in head}
        log_data.clear()
        log_data.update(head | fields)


def _loggable(value: object, depth: int = MAX_DEPTH) -> object:
    """`value` in JSON's own types, bounded in every direction."""
    if _may_hold_a_secret(value):
        return f"<{type(value).__name__}>"
    match value:
        case None | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case Mapping() if depth:
            items = list(value.items())[:MAX_ITEMS]
            return {_bounded(str(name)): _loggable(inner, depth - 1) for name, inner in items}
        case list() | tuple() | set() | frozenset() if depth:
            return [_loggable(inner, depth - 1) for inner in list(value)[:MAX_ITEMS]]
    return _bounded(str(value))


def _may_hold_a_secret(value: object) -> bool:
    # A protobuf message prints every field and its containers every message; bytes are keys or ciphertexts.
    module = type(value).__module__
    is_protobuf = module.endswith("_pb2") or module.startswith(("google._upb", "google.protobuf"))
    return is_protobuf or isinstance(value, bytes | bytearray | memoryview)


def _bounded(text: str) -> str:
    if len(text) <= MAX_VALUE_LENGTH:
        return text
    # Both ends: what a traceback says stands at its end.
    half = MAX_VALUE_LENGTH // 2
    return f"{text[:half]}…{text[-half:]} ({len(text)} characters)"


def configure(service: str, level: str = "INFO") -> None:
    """Sends every log record of this process to standard error as a JSON line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
