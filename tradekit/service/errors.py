"""Errors that cross a wire: a status, a stable reason and a sentence, both directions.

    ServiceError
    ├── InvalidArgument      wrong whatever the state; fix the request
    ├── Unauthenticated      say who you are
    ├── PermissionDenied     known, not allowed
    ├── NotFound             no such thing for you
    ├── AlreadyExists        same key, different content
    ├── Aborted              something under way forbids it
    ├── FailedPrecondition   valid, but the state refuses
    ├── ResourceExhausted    slow down
    ├── Unavailable          nothing was recorded: repeat with the same key
    ├── DeadlineExceeded     it may be going on: read it by id
    ├── DataLoss             stored data cannot be read: a person must act
    └── Internal             our bug; details stay in the log

Each carries a `reason` (UPPER_SNAKE) that callers decide on, and travels as google.rpc.ErrorInfo in the
standard trailer `grpc-status-details-bin`.
"""

from collections.abc import Mapping
from typing import ClassVar

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

# What an error carries travels in HTTP/2 headers, and those of a call may take 8 KiB together.
MAX_MESSAGE_LENGTH = 500
MAX_METADATA_LENGTH = 200


class ServiceError(Exception):
    """Something that the caller must decide on.

    Args:
        reason: Stable, UPPER_SNAKE; callers decide on it.
        message: A sentence in English for a person; holds no secret.
        metadata: Every variable of the message, as text.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(self, reason: str, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})


class InvalidArgument(ServiceError):
    """The request is wrong whatever the state."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class Unauthenticated(ServiceError):
    """The caller did not say who it is."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(ServiceError):
    """The caller is known and not allowed."""

    code = grpc.StatusCode.PERMISSION_DENIED


class NotFound(ServiceError):
    """There is no such thing for this user."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(ServiceError):
    """The key is taken by different content."""

    code = grpc.StatusCode.ALREADY_EXISTS


class Aborted(ServiceError):
    """Something under way forbids it: wait for that, or end it."""

    code = grpc.StatusCode.ABORTED


class FailedPrecondition(ServiceError):
    """Valid, but the present state refuses it."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class ResourceExhausted(ServiceError):
    """Slow down; `retry_after` in the metadata says how long, in seconds."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(ServiceError):
    """Nothing was recorded: repeat with the same key."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(ServiceError):
    """No answer in time: it may be going on."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class DataLoss(ServiceError):
    """Stored data cannot be read: a person must act."""

    code = grpc.StatusCode.DATA_LOSS


class Internal(ServiceError):
    """Our bug."""

    code = grpc.StatusCode.INTERNAL


_BY_CODE: dict[grpc.StatusCode, type[ServiceError]] = {
    kind.code: kind
    for kind in (
        InvalidArgument,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        AlreadyExists,
        Aborted,
        FailedPrecondition,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        DataLoss,
        Internal,
    )
}


def from_parts(
    code: grpc.StatusCode, reason: str, message: str, metadata: Mapping[str, str] | None = None
) -> ServiceError:
    """The error of the class that stands for `code`."""
    return _BY_CODE.get(code, Internal)(reason, message, metadata)


def code_from_number(number: int) -> grpc.StatusCode:
    """The status code whose wire number is `number`; UNKNOWN for one that does not exist."""
    return next((code for code in grpc.StatusCode if code.value[0] == number), grpc.StatusCode.UNKNOWN)


def to_status(error: ServiceError, *, domain: str) -> status_pb2.Status:
    """The error as google.rpc.Status with one ErrorInfo; what is too long for a header is cut off.

    Args:
        error: What to send.
        domain: Who says so, for example "vault.tradingbot".
    """
    metadata = {name: value[:MAX_METADATA_LENGTH] for name, value in error.metadata.items()}
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=domain, metadata=metadata))
    message = error.message[:MAX_MESSAGE_LENGTH]
    return status_pb2.Status(code=error.code.value[0], message=message, details=[detail])


def from_rpc_error(error: grpc.aio.AioRpcError) -> ServiceError:
    """What a failed call means.

    A failure that the other side did not explain keeps its status; its reason is the status' name.
    """
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        status = None  # a trailer that is not of our making says nothing
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return from_parts(error.code(), info.reason, status.message, info.metadata)
    return from_parts(error.code(), error.code().name, error.details() or error.code().name)
