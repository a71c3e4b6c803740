"""Calls to another service: mTLS, a deadline, the request's id, errors of ours."""

import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import grpc

from tradekit.service.config import Environment
from tradekit.service.errors import from_rpc_error
from tradekit.service.log import request_id

T = TypeVar("T")

MAX_MESSAGE_BYTES = 1024 * 1024
REQUEST_ID_HEADER = "x-request-id"


class TlsFiles:
    """Where a service's certificate, its key and the internal authority's certificate are."""

    def __init__(self, *, authority: Path, certificate: Path, key: Path) -> None:
        self.authority = authority
        self.certificate = certificate
        self.key = key

    @classmethod
    def from_environment(cls, env: Environment) -> "TlsFiles":
        """Reads TLS_CA_FILE, TLS_CERT_FILE and TLS_KEY_FILE."""
        return cls(
            authority=Path(env.text("TLS_CA_FILE")),
            certificate=Path(env.text("TLS_CERT_FILE")),
            key=Path(env.text("TLS_KEY_FILE")),
        )


@asynccontextmanager
async def dial(address: str, *, service: str, tls: TlsFiles) -> AsyncIterator[grpc.aio.Channel]:
    """Yields a channel to `service` at `address` ("host:port"); closes it on exit.

    The other side must show the certificate of `service`, whatever host name the address has.
    """
    credentials = grpc.ssl_channel_credentials(
        root_certificates=tls.authority.read_bytes(),
        private_key=tls.key.read_bytes(),
        certificate_chain=tls.certificate.read_bytes(),
    )
    options = (
        ("grpc.ssl_target_name_override", service),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", 16 * MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        # A service that was restarted is found again at once, not after a minute of back-off.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
    )
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        yield channel


async def call(rpc: Awaitable[T]) -> T:
    """Awaits an RPC.

    Raises:
        ServiceError: What the other side said, or the failure of the call itself.
    """
    try:
        return await rpc
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


def call_metadata() -> tuple[tuple[str, str], ...]:
    """Metadata to pass with every call: the request's id, a new one where there is none."""
    return ((REQUEST_ID_HEADER, request_id.get() or uuid.uuid4().hex),)
