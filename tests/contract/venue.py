"""An exchange client under contract: the real adapter and vault against the paper exchange."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import execution_service.exchanges as protocol
from execution_service.exchanges.http import open_hosts
from execution_service.exchanges.registry import Registry
from execution_service.exchanges.types import AccountKey, Environment, Order, OrderRef, Send
from execution_service.market_data import MarketData
from execution_service.signals import LegKind, OrderSide, client_order_id
from execution_service.signer import Signer
from tests.conftest import TestDatabase
from tests.system import KEY, Paper, running_paper
from tests.venues import VENUES
from tradekit.market.sizing import Side
from tradekit.service.channel import TlsFiles, call, dial
from tradekit.service.clock import UtcClock
from tradingbot.vault.v1 import vault_pb2, vault_pb2_grpc
from vault_service.__main__ import serve as serve_vault
from vault_service.config import Settings as VaultSettings
from vault_service.keyring import Keyring

SYMBOL = "BTCUSDT"
QUANTITY = Decimal("0.02")
SIGNAL = "01a20f89-6859-7539-a42b-cf9763772308"
EXCHANGES = {name: words.number for name, words in VENUES.items()}


@dataclass
class Venue:
    """One account on one exchange.

    Attributes:
        requests: What the vault was asked to sign, oldest first.
    """

    name: str
    paper: Paper
    exchange: protocol.Exchange
    market_data: MarketData
    requests: list[vault_pb2.SignItem] = field(default_factory=list)
    _orders: int = 0

    def send(self, *, conditional: bool = False) -> Send:
        """The next order's terms."""
        self._orders += 1
        kind = LegKind.STOP_LOSS if conditional else LegKind.ENTRY
        return Send(
            client_order_id=client_order_id(uuid.UUID(SIGNAL), kind, 0, self._orders),
            timestamp=self.market_data.market.exchange_time(),
            valid_ms=3_000,
            signal_id=SIGNAL,
        )

    async def buy(self, quantity: Decimal = QUANTITY, send: Send | None = None) -> Order:
        """Opens (or enlarges) a long at market."""
        return await self.exchange.create_market_order(
            SYMBOL, OrderSide.BUY, quantity, position=Side.LONG, reduce_only=False, send=send or self.send()
        )

    async def sell(self, quantity: Decimal = QUANTITY, *, reduce_only: bool = True) -> Order:
        """Reduces a long at market."""
        return await self.exchange.create_market_order(
            SYMBOL,
            OrderSide.SELL,
            quantity,
            position=Side.LONG,
            reduce_only=reduce_only,
            send=self.send(),
        )

    async def limit(self, price: str = "49000", **more: Any) -> Order:
        """An order that rests."""
        return await self.exchange.create_limit_order(
            SYMBOL,
            OrderSide.BUY,
            QUANTITY,
            Decimal(price),
            position=Side.LONG,
            send=self.send(),
            **more,
        )

    async def stop(self, trigger: str = "49000", quantity: Decimal | None = None) -> Order:
        """The stop of a long."""
        return await self.exchange.create_stop_loss(
            SYMBOL,
            OrderSide.SELL,
            Decimal(trigger),
            position=Side.LONG,
            quantity=quantity,
            send=self.send(conditional=True),
        )

    async def target(self, trigger: str = "52000", quantity: Decimal | None = None) -> Order:
        """The target of a long."""
        return await self.exchange.create_take_profit(
            SYMBOL,
            OrderSide.SELL,
            Decimal(trigger),
            position=Side.LONG,
            quantity=quantity,
            send=self.send(conditional=True),
        )

    async def trail(self, percent: str = "1") -> Order:
        """A stop that follows the price of a long."""
        return await self.exchange.create_trailing_stop(
            SYMBOL,
            OrderSide.SELL,
            Decimal(percent),
            position=Side.LONG,
            quantity=QUANTITY,
            send=self.send(conditional=True),
        )


def ref(order: Order, *, conditional: bool = False) -> OrderRef:
    """How the order is named."""
    return OrderRef(order.symbol, order.client_order_id, conditional)


@asynccontextmanager
async def open_venue(
    name: str, database: TestDatabase, tls: Callable[[str], TlsFiles]
) -> AsyncIterator[Venue]:
    """Yields a fresh account with 10,000 USDT; the price is 50,000."""
    clock = UtcClock()
    async with AsyncExitStack() as stack:
        paper = await stack.enter_async_context(running_paper())
        settings = VaultSettings(
            database_url=database.roles["vault"],
            listen_address="127.0.0.1:0",
            admin_address="127.0.0.1:0",
            tls=tls("vault"),
            keyring=Keyring.from_settings(KEY, None),
        )
        vault = await stack.enter_async_context(serve_vault(settings))
        gateway = await stack.enter_async_context(dial(vault.grpc, service="vault", tls=tls("gateway")))
        channel = await stack.enter_async_context(dial(vault.grpc, service="vault", tls=tls("execution")))
        hosts = await stack.enter_async_context(open_hosts(clock))
        account = await _register(name, paper, vault_pb2_grpc.VaultServiceStub(gateway))
        signer, requests = Signer(channel), list[vault_pb2.SignItem]()

        async def sign(item: vault_pb2.SignItem) -> vault_pb2.SignedRequest:
            requests.append(item)
            return await signer.sign(item)

        registry = Registry({(name, "paper"): paper.url}, hosts, sign, clock)
        exchange, market_data = registry.connect(account)
        yield Venue(name, paper, exchange, market_data, requests)


async def _register(name: str, paper: Paper, vault: vault_pb2_grpc.VaultServiceAsyncStub) -> AccountKey:
    keys = await paper.control("POST", "/paper/accounts", {"exchange": name, "balance": "10000"})
    user_id = str(uuid.uuid4())
    request = vault_pb2.RegisterAccountRequest(
        user_id=user_id,
        exchange=EXCHANGES[name],
        environment=vault_pb2.ENVIRONMENT_PAPER,
        api_key=keys["api_key"],
        api_secret=keys["api_secret"],
        passphrase=keys.get("passphrase"),
    )
    account = (await call(vault.RegisterAccount(request, timeout=5))).account
    return AccountKey(user_id, account.account_id, name, Environment.PAPER)
