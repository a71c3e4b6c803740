"""Errors over a real call: class, reason, message and metadata arrive, whatever they hold."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tradekit.service.echo_service import EchoClient, client, served
from tradekit.service import errors
from tradekit.service.channel import TlsFiles
from tradekit.service.errors import (
    MAX_MESSAGE_LENGTH,
    MAX_METADATA_LENGTH,
    Internal,
    InvalidArgument,
    ServiceError,
    code_from_number,
    from_parts,
    to_status,
)

pytestmark = pytest.mark.anyio

Tls = Callable[[str], TlsFiles]
CLASSES = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)
][1:]


async def sent(tls: Tls, error: Exception) -> ServiceError:
    """What a caller gets when the service raises `error`."""

    async def refuse(_text: str) -> str:
        raise error

    async with served(tls("vault"), refuse) as address, client(address, tls("gateway")) as echo:
        with pytest.raises(ServiceError) as raised:
            await echo.unary("x")
        return raised.value


def test_there_is_a_class_for_each_decision() -> None:
    assert len(CLASSES) == 12
    assert len({kind.code for kind in CLASSES}) == 12


@pytest.mark.parametrize("kind", CLASSES)
async def test_every_class_arrives_as_itself(tls: Tls, kind: type[ServiceError]) -> None:
    received = await sent(tls, kind("SOME_REASON", "A sentence.", {"limit": "5"}))
    assert type(received) is kind
    assert (received.reason, received.message) == ("SOME_REASON", "A sentence.")
    assert received.metadata == {"limit": "5"}


async def test_a_class_of_a_service_arrives_as_the_class_of_its_status(tls: Tls) -> None:
    class SymbolMalformed(InvalidArgument):
        """As a service has it."""

    received = await sent(tls, SymbolMalformed("SYMBOL_MALFORMED", "No symbol."))
    assert type(received) is InvalidArgument
    assert received.reason == "SYMBOL_MALFORMED"


@pytest.mark.parametrize(
    "message",
    ["", " ", "한국어 문장", "line\nline\r\n", "50 % of 100%25", "😀", "x" * 100_000, "가" * 100_000],
)
async def test_any_message_arrives_and_a_long_one_is_cut(tls: Tls, message: str) -> None:
    received = await sent(tls, InvalidArgument("R", message, {"text": message}))
    assert received.reason == "R"
    assert received.message == message[:MAX_MESSAGE_LENGTH]
    assert received.metadata == {"text": message[:MAX_METADATA_LENGTH]}


@pytest.mark.parametrize(
    "trailer", [b"no protobuf \xff", to_status(InvalidArgument("R", "other"), domain="x").SerializeToString()]
)
async def test_a_trailer_that_contradicts_the_status_is_not_believed(trailer: bytes) -> None:
    """A peer that is none of ours, on loopback without TLS."""

    async def abort(_request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> StringValue:
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone", (("grpc-status-details-bin", trailer),))

    handlers: dict[str, Any] = {"Unary": grpc.unary_unary_rpc_method_handler(abort)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tradingbot.test.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(errors.NotFound) as raised:
                await EchoClient(channel).unary("x")
    finally:
        await server.stop(None)
    assert (raised.value.reason, raised.value.message) == ("NOT_FOUND", "gone")


def test_codes_by_their_number() -> None:
    assert code_from_number(5) is grpc.StatusCode.NOT_FOUND
    assert code_from_number(99) is grpc.StatusCode.UNKNOWN
    assert type(from_parts(grpc.StatusCode.UNKNOWN, "R", "m")) is Internal


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(blacklist_categories=["Cs"])), st.sampled_from(CLASSES))
def test_the_status_carries_code_message_and_domain(message: str, kind: type[ServiceError]) -> None:
    status = to_status(kind("R", message), domain="vault.tradingbot")
    assert status.code == kind.code.value[0]
    assert status.message == message[:MAX_MESSAGE_LENGTH]
    assert b"vault.tradingbot" in status.details[0].value
