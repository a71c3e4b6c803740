"""Every request that a client makes is one that the vault signs, and none goes around it."""

import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from execution_service.exchanges import Exchange
from execution_service.exchanges.types import MarginMode, OrderRef
from execution_service.signals import OrderSide
from tests.contract.venue import SIGNAL, SYMBOL, Venue, ref
from tradekit.market.sizing import Side
from tradekit.service.clock import UtcClock
from vault_service.models import Exchange as VaultExchange
from vault_service.rules import venue_of
from vault_service.rules.schema import Permit

pytestmark = pytest.mark.anyio


async def _close(venue: Venue) -> object:
    await venue.buy()
    (position,) = await venue.exchange.get_positions(SYMBOL)
    return await venue.exchange.close_position(position, send=venue.send())


async def _cancel_both(venue: Venue) -> None:
    await venue.buy()
    await venue.exchange.cancel_order(ref(await venue.limit()), signal_id=SIGNAL)
    await venue.exchange.cancel_order(ref(await venue.stop(), conditional=True), signal_id=SIGNAL)


async def _find_both(venue: Venue) -> None:
    for conditional in (False, True):
        unknown = OrderRef(SYMBOL, venue.send(conditional=conditional).client_order_id, conditional)
        await venue.exchange.find_order(unknown)


async def _stops(venue: Venue) -> None:
    await venue.buy()
    await venue.stop("48000")
    await venue.stop("47000", Decimal("0.01"))


async def _targets(venue: Venue) -> None:
    await venue.buy()
    await venue.target("52000")
    await venue.target("53000", Decimal("0.01"))


async def _trail(venue: Venue) -> None:
    await venue.buy()
    await venue.trail("0.5")


async def _market_orders(venue: Venue) -> None:
    await venue.buy()
    await venue.sell()
    await venue.exchange.create_market_order(
        SYMBOL, OrderSide.SELL, Decimal("0.01"), position=Side.SHORT, reduce_only=False, send=venue.send()
    )


async def _limits(venue: Venue) -> None:
    await venue.limit()
    await venue.limit("48000", post_only=True)


DRIVEN: dict[str, Callable[[Venue], Awaitable[Any]]] = {
    "get_account_balance": lambda venue: venue.exchange.get_account_balance(),
    "get_positions": lambda venue: venue.exchange.get_positions(SYMBOL),
    "get_leverage": lambda venue: venue.exchange.get_leverage(SYMBOL),
    "set_leverage": lambda venue: venue.exchange.set_leverage(SYMBOL, 125, signal_id=SIGNAL),
    "max_leverage": lambda venue: venue.exchange.max_leverage(SYMBOL),
    "leverage_brackets": lambda venue: venue.exchange.leverage_brackets(SYMBOL),
    "get_margin_mode": lambda venue: venue.exchange.get_margin_mode(SYMBOL),
    "set_margin_mode": lambda venue: venue.exchange.set_margin_mode(
        SYMBOL, MarginMode.ISOLATED, signal_id=SIGNAL
    ),
    "get_position_mode": lambda venue: venue.exchange.get_position_mode(),
    "create_market_order": _market_orders,
    "create_limit_order": _limits,
    "create_stop_loss": _stops,
    "create_take_profit": _targets,
    "create_trailing_stop": _trail,
    "close_position": _close,
    "cancel_order": _cancel_both,
    "find_order": _find_both,
    "get_open_orders": lambda venue: venue.exchange.get_open_orders(),
}


def test_every_method_of_the_interface_is_driven() -> None:
    methods = {
        name for name, _ in inspect.getmembers(Exchange, inspect.isfunction) if not name.startswith("_")
    }

    # What a stream asks for is driven by the tests of the streams.
    assert set(DRIVEN) == methods - {"user_stream"}


def permitted(venue: Venue) -> list[Permit]:
    """The requests as the vault's rules read them; a request that they do not know raises."""
    rules = venue_of(VaultExchange(venue.name))
    return [
        rules.permit(
            item.method,
            item.path,
            [(parameter.name, parameter.value) for parameter in item.parameters],
            exchange_now=UtcClock().now() + timedelta(milliseconds=item.clock_offset_ms),
        )
        for item in venue.requests
    ]


@pytest.mark.parametrize("method", sorted(DRIVEN))
async def test_the_vault_signs_what_the_client_asks(venue: Venue, method: str) -> None:
    await DRIVEN[method](venue)

    permits = permitted(venue)
    # An exchange may tell everybody how much leverage there is.
    assert permits or method == "max_leverage"
    assert all(permit.is_signed for permit in permits)


@pytest.mark.parametrize("method", ["close_position", "create_stop_loss", "create_take_profit"])
async def test_R7_what_only_reduces_is_known_as_such(venue: Venue, method: str) -> None:
    """The vault lets reducing orders of an inactive account through: all but the entry before them."""
    await DRIVEN[method](venue)

    orders = [permit for permit in permitted(venue) if permit.creates is not None]
    assert [permit.reduces_only for permit in orders] == [False] + [True] * (len(orders) - 1)


async def test_every_request_of_an_account_was_signed_by_the_vault(venue: Venue) -> None:
    """The exchange has seen no more private requests than the vault has signed."""
    await _stops(venue)
    await venue.exchange.get_account_balance()

    seen = [
        request
        for request in await venue.paper.requests()
        if (request["method"], request["path"]) in {(item.method, item.path) for item in venue.requests}
    ]
    assert len(seen) == len(venue.requests)


async def test_an_entry_carries_its_signal_into_the_vaults_audit(venue: Venue) -> None:
    await venue.buy()

    order = next(item for item in venue.requests if item.method == "POST")
    assert order.signal_id == SIGNAL
