"""Log records are JSON lines: one a record, bounded, readable, nothing secret by type."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradekit.service import log as service_log
from tradekit.service.secret import Secret
from tradingbot.vault.v1 import vault_pb2

CANARY = "canary-5b7e"
Emit = Callable[..., dict[str, Any]]


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What this process' log writes; the root logger is as before afterwards."""
    text, root = io.StringIO(), logging.getLogger()
    monkeypatch.setattr("sys.stderr", text)
    before = root.handlers[:], root.level
    service_log.configure("vault")
    yield text
    root.handlers[:], root.level = before


@pytest.fixture
def emit(stream: io.StringIO) -> Emit:
    """Logs one event and returns its record; fails when it is not exactly one line."""

    def write(event: str, /, **fields: object) -> dict[str, Any]:
        stream.seek(0)
        stream.truncate()
        logging.getLogger("test").warning(event, extra=fields)
        lines = stream.getvalue().splitlines()
        assert len(lines) == 1
        record = json.loads(lines[0])
        assert isinstance(record, dict)
        return record

    return write


def test_a_record_has_its_head_and_its_fields(emit: Emit) -> None:
    record = emit("order.placed", signal_id="s-1", quantity=Decimal("0.050"), filled=True, count=3)
    assert record.pop("time").endswith("+00:00")
    assert record == {
        "level": "warning",
        "service": "vault",
        "event": "order.placed",
        "signal_id": "s-1",
        "quantity": "0.050",
        "filled": True,
        "count": 3,
    }


@pytest.mark.parametrize(
    "text",
    [
        'x\n{"level":"error"}',
        "\x1b[2J\x1b[31mred",
        "\x9b2J",
        "a\u2028b\u2029c\x85d\x0be",
        "\u202edesrever\u2066",
        "\x00\x7f\ud800",
    ],
)
def test_T26_control_characters_make_no_second_record_and_reach_no_terminal(
    emit: Emit, stream: io.StringIO, text: str
) -> None:
    assert emit("signal.received", comment=text)["comment"] == text
    line = stream.getvalue().removesuffix("\n")
    assert all(character.isprintable() or "\ud800" <= character <= "\udfff" for character in line)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=50), st.text(max_size=50))
def test_T26_any_text_is_one_record(emit: Emit, event: str, text: str) -> None:
    record = emit(event.replace("%", ""), comment=text)
    assert record["comment"] == text


def test_T26_huge_values_are_cut_in_the_middle(emit: Emit) -> None:
    record = emit(
        "x", comment="a" * 100_000 + "end", nested={"list": ["b" * 100_000]}, many=list(range(10_000))
    )
    assert record["comment"].endswith("end (100003 characters)")
    assert len(json.dumps(record)) < 10_000


def test_korean_is_readable(emit: Emit, stream: io.StringIO) -> None:
    emit("signal.received", comment="비트코인 롱")
    assert "비트코인 롱" in stream.getvalue()


def test_fields_cannot_pretend_to_be_the_head(emit: Emit) -> None:
    record = emit("real", level="error", time="never", service="gateway", event="forged")
    assert (record["level"], record["service"], record["event"]) == ("warning", "vault", "real")
    assert record["time"] != "never"


def test_the_requests_id_is_in_every_record_of_the_call(emit: Emit) -> None:
    token = service_log.request_id.set("r-1")
    try:
        assert emit("x")["request_id"] == "r-1"
    finally:
        service_log.request_id.reset(token)
    assert "request_id" not in emit("x")


def test_R5_what_may_hold_a_secret_is_not_printed(emit: Emit, stream: io.StringIO) -> None:
    message = vault_pb2.RegisterAccountRequest(api_secret=CANARY)
    signed = vault_pb2.SignRequest(items=[vault_pb2.SignItem(account_id=CANARY)])
    record = emit(
        "x",
        message_itself=message,
        nested={"list": [message], "secret": Secret(CANARY)},
        container=signed.items,
        secret=Secret(CANARY),
        key=CANARY.encode(),
    )
    assert CANARY not in stream.getvalue()
    assert record["message_itself"] == "<RegisterAccountRequest>"
    assert record["nested"] == {"list": ["<RegisterAccountRequest>"], "secret": "…"}
    assert (record["secret"], record["key"]) == ("…", "<bytes>")


def test_values_that_json_does_not_know(emit: Emit) -> None:
    record = emit(
        "x",
        not_a_number=float("nan"),
        keys={("a", 1): 2, None: 3},
        deep=[[[[[["x"]]]]]],
        error=ValueError("why"),
    )
    assert record["not_a_number"] == "nan"
    assert record["keys"] == {"('a', 1)": 2, "None": 3}
    assert record["deep"] == [[[["[['x']]"]]]]
    assert record["error"] == "why"


def test_a_long_traceback_keeps_what_it_says(stream: io.StringIO) -> None:
    try:
        raise ValueError("x" * 5_000 + " the very reason")
    except ValueError:
        logging.getLogger("test").exception("call.failed")
    record = json.loads(stream.getvalue())
    assert "xxx the very reason" in record["exc_info"]
    assert record["exc_info"].startswith("Traceback")


def test_the_level_is_obeyed(stream: io.StringIO) -> None:
    service_log.configure("vault", "warning")
    logging.getLogger("test").info("quiet")
    assert stream.getvalue() == ""
