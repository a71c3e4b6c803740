"""Why an alert is not taken: told to the caller, and nothing is recorded for it."""

from tradekit.service.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)


def unknown_symbol(symbol: str, exchange: str) -> InvalidArgument:
    """The exchange has no such market, or does not trade it now."""
    return InvalidArgument(
        "UNKNOWN_SYMBOL", f"{symbol} is not a market that trades on {exchange}.", {"symbol": symbol}
    )


def exchange_mismatch(named: str, exchange: str) -> InvalidArgument:
    """The alert names another exchange than the account's."""
    return InvalidArgument(
        "EXCHANGE_MISMATCH",
        f"The alert is for {named}, the account is on {exchange}.",
        {"exchange": exchange},
    )


def stop_on_wrong_side(message: str) -> InvalidArgument:
    """A stop or target would trigger at once."""
    return InvalidArgument("STOP_ON_WRONG_SIDE", message)


def alert_from_future() -> InvalidArgument:
    """The alert's time is ahead of ours."""
    return InvalidArgument("ALERT_FROM_FUTURE", "The alert's time lies in the future.")


def alert_too_old(age_s: int, limit_s: int) -> FailedPrecondition:
    """The alert's time is outside of the replay window."""
    return FailedPrecondition(
        "ALERT_TOO_OLD", f"The alert is {age_s} s old; at most {limit_s} s are taken.", {"age_s": str(age_s)}
    )


def account_inactive() -> FailedPrecondition:
    """The account takes no entries."""
    return FailedPrecondition("ACCOUNT_INACTIVE", "The account is disabled; enable it to trade.")


def key_rejected(message: str) -> FailedPrecondition:
    """The exchange did not accept the account's key; it is not asked again for every alert."""
    return FailedPrecondition("KEY_REJECTED", message)


def position_opposite(side: str) -> FailedPrecondition:
    """There is a position the other way, and the alert forbids a reversal."""
    return FailedPrecondition(
        "POSITION_OPPOSITE",
        f"There is an open {side} position, and the alert says reverse: false.",
        {"side": side},
    )


def alert_id_reused() -> AlreadyExists:
    """The id was used for something else."""
    return AlreadyExists("ALERT_ID_REUSED", "This alert_id was used before for an alert with other content.")


def signal_not_found() -> NotFound:
    """The user has no such signal."""
    return NotFound("SIGNAL_NOT_FOUND", "There is no such signal.")


def account_in_use(what: str) -> Aborted:
    """Something of the account is open."""
    return Aborted("ACCOUNT_IN_USE", f"The account still has {what}; close it first.", {"what": what})


def journal_unavailable() -> Unavailable:
    """Nothing was recorded."""
    return Unavailable("JOURNAL_UNAVAILABLE", "The alert could not be recorded; send it again.")


def exchange_unavailable(message: str) -> Unavailable:
    """The exchange did not answer a question."""
    return Unavailable("EXCHANGE_UNAVAILABLE", message)
