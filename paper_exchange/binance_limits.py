"""Binance's request limits: weight per address and minute, orders per account and window, bans.

Beyond the weight limit every request is answered 429; who goes on sending is banned, 2 minutes at first and
twice as long each further time, up to 3 days.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from paper_exchange.binance_errors import BinanceError

_MINUTE_MS = 60_000
_FUNDING_WINDOW_MS = 300_000
_FUNDING_REQUESTS = 500  # of fundingRate and fundingInfo together, per address
_PATIENCE = 20  # requests answered 429 within a minute before the address is banned
_FIRST_BAN_MS = 120_000
_LONGEST_BAN_MS = 3 * 86_400_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers, as exchangeInfo tells them."""

    weight_per_minute: int = 2400
    orders_per_10s: int = 300
    orders_per_minute: int = 1200


@dataclass(slots=True)
class _Address:
    minute: int = -1
    weight: int = 0
    refused: int = 0
    bans: int = 0
    banned_until_ms: int = 0
    funding_window: int = -1
    funding_requests: int = 0


@dataclass(slots=True)
class _Orders:
    windows: dict[int, tuple[int, int]] = field(default_factory=dict)

    def count(self, window_ms: int, now_ms: int) -> int:
        started, count = self.windows.get(window_ms, (-1, 0))
        return count if started == now_ms // window_ms else 0

    def add(self, number: int, now_ms: int) -> None:
        for window_ms in (10_000, _MINUTE_MS):
            count = self.count(window_ms, now_ms) + number
            self.windows[window_ms] = (now_ms // window_ms, count)


class RequestLimits:
    """Counts what addresses and accounts use."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._addresses: dict[str, _Address] = defaultdict(_Address)
        self._orders: dict[int, _Orders] = defaultdict(_Orders)

    def clear(self) -> None:
        self._addresses.clear()
        self._orders.clear()

    def use_weight(self, address: str, weight: int, now_ms: int) -> int:
        """Counts a request; returns the weight used in this minute.

        Raises:
            BinanceError: -1003 with 429 above the limit, with 418 while banned; both with Retry-After.
        """
        user = self._addresses[address]
        if now_ms < user.banned_until_ms:
            raise _banned(address, user, now_ms)
        minute = now_ms // _MINUTE_MS
        if user.minute != minute:
            user.minute, user.weight, user.refused = minute, 0, 0
        user.weight += weight
        if user.weight <= self.limits.weight_per_minute:
            return user.weight
        user.refused += 1
        if user.refused > _PATIENCE:
            user.banned_until_ms = now_ms + min(_FIRST_BAN_MS << min(user.bans, 12), _LONGEST_BAN_MS)
            user.bans += 1
            raise _banned(address, user, now_ms)
        wait_s = (_MINUTE_MS - now_ms % _MINUTE_MS + 999) // 1000
        raise BinanceError(
            -1003,
            f"Too many requests; current limit of IP({address}) is {self.limits.weight_per_minute} requests "
            "per minute. Please use the websocket for live updates to avoid polling the API.",
            headers={"Retry-After": str(wait_s)},
        )

    def use_funding(self, address: str, now_ms: int) -> None:
        """Counts a request for funding rates, which have a limit of their own; -1003 beyond it."""
        user, window = self._addresses[address], now_ms // _FUNDING_WINDOW_MS
        if user.funding_window != window:
            user.funding_window, user.funding_requests = window, 0
        user.funding_requests += 1
        if user.funding_requests > _FUNDING_REQUESTS:
            wait_s = (_FUNDING_WINDOW_MS - now_ms % _FUNDING_WINDOW_MS + 999) // 1000
            raise BinanceError(
                -1003,
                f"Too many requests; current limit is {_FUNDING_REQUESTS} requests per 5 minutes.",
                headers={"Retry-After": str(wait_s)},
            )

    def use_orders(self, account_id: int, number: int, now_ms: int) -> None:
        """Counts new orders of an account; -1015 above a limit."""
        orders = self._orders[account_id]
        windows = (
            (10_000, self.limits.orders_per_10s, "10SECONDS"),
            (_MINUTE_MS, self.limits.orders_per_minute, "1MINUTE"),
        )
        for window_ms, limit, name in windows:
            if orders.count(window_ms, now_ms) + number > limit:
                wait_s = (window_ms - now_ms % window_ms + 999) // 1000
                raise BinanceError(
                    -1015,
                    f"Too many new orders; current limit is {limit} orders per {name}.",
                    headers={"Retry-After": str(wait_s)},
                )
        orders.add(number, now_ms)

    def order_headers(self, account_id: int, now_ms: int) -> dict[str, str]:
        orders = self._orders[account_id]
        return {
            "X-MBX-ORDER-COUNT-10S": str(orders.count(10_000, now_ms)),
            "X-MBX-ORDER-COUNT-1M": str(orders.count(60_000, now_ms)),
        }

    def order_limits(self) -> list[dict[str, object]]:
        """What GET /fapi/v1/rateLimit/order answers."""
        return [
            {
                "rateLimitType": "ORDERS",
                "interval": "SECOND",
                "intervalNum": 10,
                "limit": self.limits.orders_per_10s,
            },
            {
                "rateLimitType": "ORDERS",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": self.limits.orders_per_minute,
            },
        ]


def _banned(address: str, user: _Address, now_ms: int) -> BinanceError:
    wait_s = (user.banned_until_ms - now_ms + 999) // 1000
    return BinanceError(
        -1003,
        f"Way too many requests; IP({address}) banned until {user.banned_until_ms}. "
        "Please use the websocket for live updates to avoid bans.",
        status=418,
        headers={"Retry-After": str(wait_s)},
    )
