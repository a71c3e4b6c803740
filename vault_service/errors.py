"""Why the vault refuses.

ServiceError
├── AccountNotFound       no such account for this user
├── AccountInactive       switched off: only what reduces a position is signed
├── PathNotAllowed        no rule for this (exchange, method, path)
├── ParameterNotAllowed   a name that the rule does not know
├── ParameterInvalid      a value that the rule does not take, a name given twice, a missing one
├── OrderAlreadySigned    the first signature for this client order id may still be accepted
├── CredentialUnreadable  stored keys do not decrypt, or are not the newest of their account
├── BatchTooLarge         more requests in one call than are taken
├── SignerOverloaded      more requests waiting than are taken
├── AuditUnavailable      no audit row, no answer
└── StoreUnavailable      the database does not answer

DecryptionFailed          inside the vault only: a blob that is not what it should be
"""

import uuid

from tradekit.service.errors import (
    Aborted,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ServiceError,
    Unavailable,
)

# The audit's words where they are not simply the reason in lower case.
_AUDIT_REASONS = {"PARAMETER_NOT_ALLOWED": "param_not_allowed"}


def audit_reason(error: ServiceError) -> str:
    """The word that stands in the audit for a refusal."""
    return _AUDIT_REASONS.get(error.reason, error.reason.lower())


class DecryptionFailed(Exception):
    """A blob was changed, belongs to another row or field, or was made with another key."""

    def __init__(self) -> None:
        super().__init__("Decryption failed")


class AccountNotFound(NotFound):
    """There is no such account for this user."""

    def __init__(self) -> None:
        super().__init__("ACCOUNT_NOT_FOUND", "There is no such account.")


class AccountInactive(FailedPrecondition):
    """The account is switched off and the request could enlarge a position."""

    def __init__(self) -> None:
        super().__init__("ACCOUNT_INACTIVE", "The account is inactive: it only closes positions.")


class PathNotAllowed(PermissionDenied):
    """No rule allows this request."""

    def __init__(self) -> None:
        super().__init__("PATH_NOT_ALLOWED", "This request is not on the list of what the vault signs.")


class ParameterNotAllowed(InvalidArgument):
    """The rule of this request does not know a parameter."""

    def __init__(self) -> None:
        super().__init__("PARAMETER_NOT_ALLOWED", "The request has a parameter that its rule does not know.")


class ParameterInvalid(InvalidArgument):
    """A parameter is missing, given twice, or has a value that the rule does not take.

    Args:
        name: A name that the rule knows.
        problem: What is wrong with it.
    """

    def __init__(self, name: str, problem: str) -> None:
        metadata = {"parameter": name, "problem": problem}
        super().__init__("PARAMETER_INVALID", f"The parameter {name} {problem}.", metadata)


class OrderAlreadySigned(Aborted):
    """A create-order for this client order id was signed and may still be accepted."""

    def __init__(self) -> None:
        super().__init__(
            "ORDER_ALREADY_SIGNED",
            "An order with this client order id was signed already and may still be accepted.",
        )


class CredentialUnreadable(DataLoss):
    """The account's stored keys cannot be used; a person must act."""

    def __init__(self, account_id: uuid.UUID) -> None:
        super().__init__(
            "CREDENTIAL_UNREADABLE",
            "Decryption failed: the stored keys of this account cannot be used. Register it again.",
            {"account_id": str(account_id)},
        )


class BatchTooLarge(InvalidArgument):
    """One call holds more requests than are taken."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            "BATCH_TOO_LARGE", f"At most {limit} requests go into one call.", {"limit": str(limit)}
        )


class SignerOverloaded(Unavailable):
    """More requests wait than are taken; nothing was recorded."""

    def __init__(self) -> None:
        super().__init__("SIGNER_OVERLOADED", "Too many requests wait for a signature.", {"retry_after": "1"})


class AuditUnavailable(Unavailable):
    """The audit cannot be written, so nothing was signed or changed."""

    def __init__(self) -> None:
        super().__init__("AUDIT_UNAVAILABLE", "The audit cannot be written, so nothing was done.")


class StoreUnavailable(Unavailable):
    """The vault's database does not answer."""

    def __init__(self) -> None:
        super().__init__("STORE_UNAVAILABLE", "The vault's database does not answer.")
