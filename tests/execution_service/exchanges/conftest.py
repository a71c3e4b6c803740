"""A client of each exchange, with the vault's real rules and signatures, at the paper exchange."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from execution_service.exchanges import AccountKey, Environment, Exchange, Market
from execution_service.exchanges.http import open_hosts
from execution_service.exchanges.registry import Registry
from execution_service.exchanges.types import Order, OrderRef, OrderStatus, Send
from execution_service.signals import OrderSide
from tests.system import Paper, running_paper, until
from tests.venues import VENUES, BinanceHand, OKXHand
from tradekit.market.sizing import Side
from tradekit.service.clock import UtcClock
from tradekit.service.secret import Secret
from tradingbot.vault.v1 import vault_pb2
from vault_service.cipher import ApiCredentials
from vault_service.models import Environment as VaultEnvironment
from vault_service.models import Exchange as VaultExchange
from vault_service.rules import venue_of

SYMBOL = "BTCUSDT"
SIGNAL = str(uuid.uuid4())


@dataclass
class Subject:
    """An account's client, its market, and the referee who knows what really happened."""

    exchange: Exchange
    market: Market
    paper: Paper
    hand: BinanceHand | OKXHand
    signed: list[vault_pb2.SignItem] = field(default_factory=list)

    def send(self, *, valid_ms: int = 3_000, late: timedelta = timedelta(0)) -> Send:
        """A fresh client order id, asked for now."""
        return Send(
            client_order_id=f"tb{uuid.uuid4().hex[:30]}",
            timestamp=self.market.exchange_time() - late,
            valid_ms=valid_ms,
            signal_id=SIGNAL,
        )

    async def buy(self, quantity: str, *, side: Side = Side.LONG) -> Order:
        """Opens or enlarges a position and waits until that has happened."""
        return await self.filled(
            await self.exchange.create_market_order(
                SYMBOL,
                OrderSide.opening(side),
                Decimal(quantity),
                position=side,
                reduce_only=False,
                send=self.send(),
            )
        )

    async def filled(self, order: Order) -> Order:
        """The order as it stands when it has ended: an answer to a new order may only be its receipt."""

        async def look() -> Order | None:
            found = await self.exchange.find_order(ref_of(order))
            return found if found is not None and found.status is not OrderStatus.OPEN else None

        found = await until(look)
        assert found is not None
        return found

    async def holds(self) -> list[tuple[str, Decimal]]:
        """Side and quantity of the open positions, as our client sees them."""
        return [(held.side.value, held.quantity) for held in await self.exchange.get_positions()]


def ref_of(order: Order) -> OrderRef:
    conditional = order.trigger_price is not None or order.kind.value == "trailing_stop"
    return OrderRef(order.symbol, order.client_order_id, conditional)


def signer(
    name: str, credentials: ApiCredentials, signed: list[vault_pb2.SignItem]
) -> Callable[[vault_pb2.SignItem], Awaitable[vault_pb2.SignedRequest]]:
    """What the vault does between its lock and its audit: its rule, then its signature."""
    venue = venue_of(VaultExchange(name))

    async def sign(item: vault_pb2.SignItem) -> vault_pb2.SignedRequest:
        signed.append(item)
        now = UtcClock().now() + timedelta(milliseconds=item.clock_offset_ms)
        parameters = [(parameter.name, parameter.value) for parameter in item.parameters]
        permit = venue.permit(item.method, item.path, parameters, exchange_now=now)
        request = venue.sign(permit, credentials, environment=VaultEnvironment.PAPER)
        headers = [vault_pb2.Header(name=name, value=value) for name, value in request.headers.items()]
        return vault_pb2.SignedRequest(target=request.target, body=request.body, headers=headers)

    return sign


@pytest.fixture
async def subject_of() -> AsyncIterator[Callable[..., Awaitable[Subject]]]:
    """Makes accounts on one paper exchange."""
    async with AsyncExitStack() as stack:
        paper = await stack.enter_async_context(running_paper())
        hosts = await stack.enter_async_context(open_hosts(UtcClock()))

        async def make(name: str, *, balance: str = "10000", **broken: str) -> Subject:
            keys: dict[str, Any] = await paper.control(
                "POST", "/paper/accounts", {"exchange": name, "balance": balance}
            )
            keys |= broken
            passphrase = Secret(keys["passphrase"]) if "passphrase" in keys else None
            credentials = ApiCredentials(Secret(keys["api_key"]), Secret(keys["api_secret"]), passphrase)
            signed: list[vault_pb2.SignItem] = []
            sign = signer(name, credentials, signed)
            registry = Registry({(name, "paper"): paper.url}, hosts, sign, UtcClock())
            account = AccountKey(str(uuid.uuid4()), str(uuid.uuid4()), name, Environment.PAPER)
            exchange, market_data = registry.connect(account)
            hand = VENUES[name].by_hand(keys, paper.ask)
            return Subject(exchange, market_data.market, paper, hand, signed)

        yield make


@pytest.fixture(params=sorted(VENUES))
def exchange_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def subject(subject_of: Callable[..., Awaitable[Subject]], exchange_name: str) -> Subject:
    return await subject_of(exchange_name)
