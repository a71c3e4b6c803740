"""Why the exchange refuses a command, in words that belong to no protocol.

Each protocol edge translates a `Reason` into its own code and text.
"""

from enum import StrEnum, auto


class Reason(StrEnum):
    SYMBOL_UNKNOWN = auto()
    SYMBOL_NOT_TRADING = auto()
    PRECISION = auto()
    PRICE_NOT_POSITIVE = auto()
    PRICE_TOO_LOW = auto()
    PRICE_TOO_HIGH = auto()
    PRICE_OFF_TICK = auto()
    PRICE_ABOVE_CAP = auto()
    PRICE_BELOW_FLOOR = auto()
    QUANTITY_NOT_POSITIVE = auto()
    QUANTITY_TOO_SMALL = auto()
    QUANTITY_TOO_LARGE = auto()
    QUANTITY_OFF_STEP = auto()
    NOTIONAL_TOO_SMALL = auto()
    MARGIN_INSUFFICIENT = auto()
    POSITION_LIMIT = auto()
    REDUCE_ONLY = auto()
    REDUCE_ONLY_IN_HEDGE_MODE = auto()
    WOULD_TRIGGER = auto()
    CALLBACK_RATE = auto()
    POST_ONLY_WOULD_TAKE = auto()
    FILL_OR_KILL = auto()
    GOOD_TILL_DATE = auto()
    DUPLICATE_CLIENT_ID = auto()
    DUPLICATE_CLOSE_POSITION = auto()
    CLOSE_POSITION_SIDE = auto()
    ORDER_UNKNOWN = auto()
    CANCEL_UNKNOWN = auto()
    AMEND_NOT_LIMIT = auto()
    AMEND_NOTHING = auto()
    TOO_MANY_ORDERS = auto()
    TOO_MANY_CONDITIONAL_ORDERS = auto()
    POSITION_SIDE_MISMATCH = auto()
    LEVERAGE_INVALID = auto()
    LEVERAGE_TOO_LOW_FOR_MARGIN = auto()
    LEVERAGE_REDUCTION_ISOLATED = auto()
    MARGIN_TYPE_UNCHANGED = auto()
    MARGIN_TYPE_HAS_ORDERS = auto()
    MARGIN_TYPE_HAS_POSITION = auto()
    MARGIN_TYPE_MULTI_ASSETS = auto()
    POSITION_MODE_UNCHANGED = auto()
    POSITION_MODE_HAS_ORDERS = auto()
    POSITION_MODE_HAS_POSITION = auto()
    MULTI_ASSETS_UNCHANGED = auto()
    MULTI_ASSETS_HAS_ISOLATED = auto()
    ISOLATED_MARGIN_ON_CROSS = auto()
    ISOLATED_MARGIN_NO_POSITION = auto()
    ISOLATED_MARGIN_TOO_LARGE = auto()
    CROSS_BALANCE_TOO_SMALL = auto()
    AMOUNT_NOT_POSITIVE = auto()


class Refused(Exception):
    """The command was refused and changed nothing.

    Attributes:
        reason: Why.
        limit: The number that was violated, for the text; empty when there is none.
    """

    def __init__(self, reason: Reason, limit: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.limit = limit
