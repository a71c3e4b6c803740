"""Refusals of FastAPI and pydantic as problem documents: in our words, without what the client sent."""

from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from gateway.errors import Problem, invalid, not_found

MAX_ERRORS = 20
MAX_FIELD = 60

_TEXTS = {
    "missing": "is missing.",
    "extra_forbidden": "is not known here.",
    "string_type": "must be text.",
    "string_unicode": "must be text.",
    "int_type": "must be a whole number.",
    "int_parsing": "must be a whole number.",
    "int_parsing_size": "is too large.",
    "int_from_float": "must be a whole number.",
    "bool_type": "must be true or false.",
    "uuid_parsing": "must be a UUID.",
    "model_attributes_type": "must be a JSON object.",
    "model_type": "must be a JSON object.",
    "dict_type": "must be a JSON object.",
}
# With the limits that the model states, which are no secret.
_TEMPLATES = {
    "literal_error": "must be {expected}.",
    "string_too_short": "must have at least {min_length} characters.",
    "string_too_long": "may have at most {max_length} characters.",
    "too_short": "must have at least {min_length} characters.",
    "too_long": "may have at most {max_length} characters.",
    "greater_than_equal": "must be at least {ge}.",
    "less_than_equal": "must be at most {le}.",
    "value_error": "{error}.",
}
_CODES = {405: "method_not_allowed", 415: "unsupported_media_type", 413: "payload_too_large"}


def problem_from_validation(error: RequestValidationError) -> Problem:
    """Which fields are wrong; 400 when the body is no JSON at all."""
    errors = error.errors()
    if any(_is_no_json(item, error.body) for item in errors):
        return Problem(
            400, "malformed_json", "The body must be JSON, with the Content-Type application/json."
        )
    return invalid([_told(item) for item in errors[:MAX_ERRORS]])


def problem_from_http(error: HTTPException) -> Problem:
    """What the framework itself refuses."""
    if error.status_code == HTTPStatus.NOT_FOUND:
        return not_found()
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return Problem(
            400, "malformed_json", "The body must be JSON, with the Content-Type application/json."
        )
    code = _CODES.get(error.status_code, "http_error")
    return Problem(error.status_code, code, str(error.detail), headers=error.headers)


def _is_no_json(item: Any, body: Any) -> bool:
    if item["type"] == "json_invalid":
        return True
    # Nothing was sent, or it was sent as something else.
    whole_body = tuple(item["loc"]) == ("body",)
    return whole_body and (item["type"] == "missing" or isinstance(body, bytes))


def _told(item: Any) -> tuple[str, str]:
    parts = [str(part) for part in item["loc"][1:]]
    field = ".".join(parts)[:MAX_FIELD]
    kind = item["type"]
    if kind in _TEMPLATES:
        return field, _TEMPLATES[kind].format_map(item["ctx"])
    return field, _TEXTS.get(kind, "is not valid.")
