"""What request bodies have in common: closed, strict, and never echoed."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, StringConstraints

from gateway.users import normal_email
from tradekit.service.secret import Secret

MAX_TEXT = 100


class Body(BaseModel):
    """A request body: unknown fields are refused, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


def _without_controls(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not hold control characters")
    return text


def _email(text: str) -> str:
    try:
        return normal_email(text)
    except ValueError:
        raise ValueError("must be an e-mail address") from None


# A name that people read: trimmed, without control characters.
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=MAX_TEXT),
    AfterValidator(_without_controls),
]
Email = Annotated[str, AfterValidator(_email)]


def secret_from(value: SecretStr) -> Secret:
    """Pydantic's kind of secret as ours."""
    return Secret(value.get_secret_value())
