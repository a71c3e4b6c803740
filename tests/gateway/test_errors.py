"""The single table from status and reason to HTTP."""

import grpc
import pytest

from gateway.errors import invalid, problem_from
from tradekit.service.errors import from_parts

C = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "reason", "status", "told"),
    [
        (C.INVALID_ARGUMENT, "UNKNOWN_SYMBOL", 422, "unknown_symbol"),
        (C.INVALID_ARGUMENT, "FIELD_INVALID", 422, "validation_error"),
        (C.UNAUTHENTICATED, "TOKEN_EXPIRED", 401, "token_expired"),
        (C.PERMISSION_DENIED, "CALLER_NOT_ALLOWED", 403, "caller_not_allowed"),
        (C.NOT_FOUND, "ACCOUNT_NOT_FOUND", 404, "not_found"),
        (C.NOT_FOUND, "SIGNAL_NOT_FOUND", 404, "not_found"),
        (C.NOT_FOUND, "STRATEGY_NOT_FOUND", 422, "validation_error"),
        (C.ALREADY_EXISTS, "ALERT_ID_REUSED", 409, "alert_id_reused"),
        (C.ABORTED, "ACCOUNT_IN_USE", 409, "account_in_use"),
        (C.FAILED_PRECONDITION, "BELOW_MIN_SIZE", 422, "below_min_size"),
        (C.RESOURCE_EXHAUSTED, "EXCHANGE_RATE_LIMITED", 429, "exchange_rate_limited"),
        (C.UNAVAILABLE, "EXCHANGE_UNAVAILABLE", 503, "exchange_unavailable"),
        (C.UNAVAILABLE, "UNAVAILABLE", 503, "service_unavailable"),
        (C.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", 504, "deadline_exceeded"),
        (C.DATA_LOSS, "CREDENTIAL_UNREADABLE", 500, "internal_error"),
        (C.INTERNAL, "INTERNAL", 500, "internal_error"),
        (C.UNKNOWN, "UNKNOWN", 500, "internal_error"),
        (C.UNIMPLEMENTED, "UNIMPLEMENTED", 500, "internal_error"),
    ],
)
def test_every_status(code: grpc.StatusCode, reason: str, status: int, told: str) -> None:
    problem = problem_from(from_parts(code, reason, "The canary speaks."))

    assert (problem.status, problem.code) == (status, told)
    document = problem.document()
    assert document["type"] == f"urn:tradingbot:problem:{told}"
    assert document["status"] == status
    # gRPC's own words name addresses, and a bug's are for the log.
    hidden = status >= 500 and reason != "EXCHANGE_UNAVAILABLE"
    assert ("canary" in document["detail"]) == (not hidden and told != "not_found")


def test_repeatable_refusals_say_when() -> None:
    busy = problem_from(
        from_parts(C.RESOURCE_EXHAUSTED, "EXCHANGE_RATE_LIMITED", "Wait.", {"retry_after": "7"})
    )
    down = problem_from(from_parts(C.UNAVAILABLE, "JOURNAL_UNAVAILABLE", "Send it again."))

    assert (busy.headers["Retry-After"], down.headers["Retry-After"]) == ("7", "1")


def test_fields_get_their_rest_names() -> None:
    error = from_parts(C.INVALID_ARGUMENT, "FIELD_INVALID", "page_token is none.", {"field": "page_token"})

    problem = problem_from(error)

    assert problem.members["errors"] == [{"field": "cursor", "message": "page_token is none."}]


def test_first_field_stands_in_the_sentence() -> None:
    problem = invalid([("limit", "must be at most 200."), ("cursor", "is not valid.")])

    assert problem.detail == "limit: must be at most 200."
    assert len(problem.members["errors"]) == 2
