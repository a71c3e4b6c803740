"""Refusals as problem documents (RFC 9457): the single table from status and reason to HTTP.

`code` is the reason in lower case; `detail` is the sentence that came with it. What may not tell one user
about another's data has a sentence of its own here, the same for "not there" and "not yours".
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from grpc import StatusCode

from tradekit.service.errors import ServiceError
from tradekit.service.log import request_id

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = "1"

_HTTP = {
    StatusCode.INVALID_ARGUMENT: 422,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.ABORTED: 409,
    StatusCode.FAILED_PRECONDITION: 422,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DEADLINE_EXCEEDED: 504,
}

# Reasons that are told under another code: the code of their status, or a wrong field.
_CODES = {
    "ACCOUNT_NOT_FOUND": "not_found",
    "SIGNAL_NOT_FOUND": "not_found",
    "BACKTEST_NOT_FOUND": "not_found",
}
_DETAILS = {
    "ACCOUNT_NOT_FOUND": "There is no such account.",
    "SIGNAL_NOT_FOUND": "There is no such signal.",
    "BACKTEST_NOT_FOUND": "There is no such backtest.",
}
# Reasons that say which part of the request is wrong; which REST field that is, where the error does not say.
_FIELDS = {
    "FIELD_INVALID": "",
    "STRATEGY_NOT_FOUND": "strategy",
    "PARAMETER_UNKNOWN": "",
    "PARAMETER_INVALID": "",
    "SYMBOL_MALFORMED": "symbol",
    "TIMEFRAME_MALFORMED": "timeframe",
    "PINE_VERSION_UNSUPPORTED": "version",
}
# The services' words for fields that REST calls otherwise.
_REST_NAMES = {"page_size": "limit", "page_token": "cursor", "pine_version": "version"}
_OURS = (StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS)


class Problem(Exception):
    """A refusal, as the client will read it.

    Args:
        status: HTTP status, 4xx or 5xx.
        code: Stable, snake_case.
        detail: A sentence for a person; holds no secret.
        headers: Response headers that belong to it.
        members: Further members of the document.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def document(self) -> dict[str, Any]:
        """The problem document."""
        return {
            "type": f"urn:tradingbot:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id.get(),
            **self.members,
        }


def unauthorized(code: str = "unauthorized", detail: str = "This needs a valid access token.") -> Problem:
    """Who asks did not say who he is."""
    return Problem(401, code, detail, headers={"WWW-Authenticate": "Bearer"})


def not_found(detail: str = "There is nothing at this address.") -> Problem:
    """No such thing for this user."""
    return Problem(404, "not_found", detail)


def unavailable(code: str, detail: str) -> Problem:
    """Nothing was done; the same request may be sent again."""
    return Problem(503, code, detail, headers={"Retry-After": RETRY_AFTER_S})


def internal_error() -> Problem:
    """Our bug; what it was stands in the log, under the request's id."""
    return Problem(500, "internal_error", "Something went wrong on our side.")


def invalid(errors: Sequence[tuple[str, str]]) -> Problem:
    """Fields are wrong.

    Args:
        errors: At least one (field, what is wrong with it); the field may be empty for the body as a whole.
    """
    field, message = errors[0]
    detail = f"{field}: {message}" if field and field not in message else message
    listed = [{"field": name, "message": text} for name, text in errors]
    return Problem(422, "validation_error", detail, members={"errors": listed})


def problem_from(error: ServiceError) -> Problem:
    """What a service's refusal means for the client."""
    if error.reason in _FIELDS:
        field = error.metadata.get("field") or error.metadata.get("parameter") or _FIELDS[error.reason]
        return invalid([(_REST_NAMES.get(field, field), error.message)])
    if error.code in _OURS:
        return internal_error()
    status = _HTTP.get(error.code, 500)
    if status == 503:
        return unavailable(*_unavailable(error))
    headers = {"Retry-After": error.metadata.get("retry_after", RETRY_AFTER_S)} if status == 429 else {}
    code = _CODES.get(error.reason, error.reason.lower())
    return Problem(status, code, _detail(error), headers=headers)


def _unavailable(error: ServiceError) -> tuple[str, str]:
    if error.reason == StatusCode.UNAVAILABLE.name:
        # The call itself failed: gRPC's own words name addresses and are of no use to a user.
        return "service_unavailable", "A part of the system does not answer. Try again in a moment."
    return error.reason.lower(), error.message


def _detail(error: ServiceError) -> str:
    if error.reason == StatusCode.DEADLINE_EXCEEDED.name:
        return "The answer did not come in time. It may still be going on."
    return _DETAILS.get(error.reason, error.message)
