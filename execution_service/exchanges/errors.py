"""What can come of a request to an exchange, named after the decision that it forces.

ExchangeError
├── Refused                 certainly not done; `reason` says why; do not repeat as it is
│   ├── BalanceInsufficient     the free margin does not cover it
│   ├── PositionLimit           the position would be larger than the exchange allows
│   ├── LeverageRefused         the leverage is not offered for this market or position
│   ├── WouldTrigger            a stop or target is already beyond its price: act at once
│   ├── NotPostable             post-only, and it would have taken
│   ├── NothingToReduce         reduce-only, and there is nothing to reduce: read the position
│   ├── OrderUnknown            no such open order; soon after an unclear send this proves nothing
│   ├── OrderExists             the client order id is taken: our earlier attempt arrived, query it
│   ├── ProtectionExists        another whole-position stop or target of that direction is open
│   ├── RulesChanged            price or quantity off the step: the instrument's rules are old
│   ├── AlreadySo               the setting is already as asked: success
│   ├── SettingLocked           open orders or positions forbid the change: close them first
│   ├── AccountBlocked          the exchange has stopped the account: a person must act
│   └── KeyRejected             the key is wrong or revoked: a person must act
│       └── PermissionMissing       the key is good, but not allowed to, or not from here
├── NotSent                 certainly not done, and may be repeated after `retry_after`
│   ├── ClockSkew               our clock is off: ask the exchange's and repeat once
│   ├── ModeChanged             the account's position mode is another one: it is asked for anew, repeat
│   ├── RateLimited             too many requests
│   └── Unreachable             no connection, or the exchange said that it did nothing
│       └── Maintenance             the exchange is down on purpose or overloaded, and says so
└── OutcomeUnknown          may or may not have been done: ask by client order id, never resend
"""

from datetime import timedelta


class ExchangeError(Exception):
    """A request to an exchange did not succeed.

    Args:
        message: A sentence for the user; no secret.
        reason: Stable, UPPER_SNAKE.
        exchange_code: The exchange's own code, for the journal.
    """

    reason = "EXCHANGE_ERROR"

    def __init__(self, message: str, *, reason: str | None = None, exchange_code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.exchange_code = exchange_code
        if reason is not None:
            self.reason = reason


class Refused(ExchangeError):
    """Certainly not done."""

    reason = "ORDER_REFUSED"


class BalanceInsufficient(Refused):
    """The free margin does not cover the order."""

    reason = "INSUFFICIENT_BALANCE"


class PositionLimit(Refused):
    """The position would be larger than the exchange allows at this leverage."""

    reason = "POSITION_LIMIT"


class LeverageRefused(Refused):
    """The leverage is not offered for this market or position."""

    reason = "LEVERAGE_REFUSED"


class NotPostable(Refused):
    """A post-only order would have taken."""

    reason = "POST_ONLY_REFUSED"


class WouldTrigger(Refused):
    """A stop or target is already beyond its trigger price."""

    reason = "WOULD_TRIGGER_IMMEDIATELY"


class NothingToReduce(Refused):
    """A reduce-only order found nothing to reduce."""

    reason = "REDUCE_ONLY_REFUSED"


class OrderUnknown(Refused):
    """The exchange knows no such open order: it never came, or it has ended, or it is triggering now."""

    reason = "ORDER_NOT_FOUND"


class OrderExists(Refused):
    """The client order id is in use."""

    reason = "DUPLICATE_CLIENT_ORDER_ID"


class ProtectionExists(Refused):
    """A whole-position stop or target of that direction is open already."""

    reason = "PROTECTION_EXISTS"


class RulesChanged(Refused):
    """Price, quantity or notional do not fit the instrument's rules."""

    reason = "FILTER_REFUSED"


class AlreadySo(Refused):
    """The setting already has that value."""

    reason = "ALREADY_SO"


class SettingLocked(Refused):
    """Open orders or positions forbid the change."""

    reason = "SETTING_LOCKED"


class AccountBlocked(Refused):
    """The exchange has stopped the account: liquidation, a restriction, or a level without swaps."""

    reason = "ACCOUNT_BLOCKED"


class KeyRejected(Refused):
    """The API key is wrong, revoked, or lacks a permission."""

    reason = "KEY_REJECTED"


class PermissionMissing(KeyRejected):
    """The API key lacks a permission, or is not allowed from this address."""

    reason = "PERMISSION_MISSING"


class NotSent(ExchangeError):
    """Certainly not done; may be repeated."""

    reason = "EXCHANGE_UNAVAILABLE"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        exchange_code: str = "",
        retry_after: timedelta = timedelta(0),
    ) -> None:
        super().__init__(message, reason=reason, exchange_code=exchange_code)
        self.retry_after = retry_after


class ClockSkew(NotSent):
    """The request's timestamp was outside of what the exchange takes."""

    reason = "CLOCK_SKEW"


class ModeChanged(NotSent):
    """The order was worded for the other position mode (one-way or hedge)."""

    reason = "POSITION_MODE_CHANGED"


class RateLimited(NotSent):
    """Too many requests."""

    reason = "EXCHANGE_RATE_LIMITED"


class Unreachable(NotSent):
    """The exchange was not reached, or said that it did nothing."""

    reason = "EXCHANGE_UNAVAILABLE"


class Maintenance(Unreachable):
    """The exchange does not serve at present, and says so."""

    reason = "EXCHANGE_MAINTENANCE"


class OutcomeUnknown(ExchangeError):
    """The answer is missing: it may have been done."""

    reason = "OUTCOME_UNKNOWN"
