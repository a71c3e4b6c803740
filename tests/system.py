"""A running execution service: real vault, real PostgreSQL, real gRPC with mTLS, and the paper exchange."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import pytest
from prometheus_client import REGISTRY
from yarl import URL

import paper_exchange.server
from execution_service.__main__ import serve as serve_execution
from execution_service.config import Settings as ExecutionSettings
from tests.conftest import TestDatabase
from tests.venues import VENUES, BinanceHand, OKXHand, Venue
from tradekit.market.alert import content_hash, parse_alert
from tradekit.service.alert_wire import alert_to_proto
from tradekit.service.channel import TlsFiles, call, dial
from tradekit.service.clock import UtcClock
from tradekit.service.secret import Secret
from tradekit.service.wire import timestamp_from
from tradingbot.execution.v1 import execution_pb2 as pb
from tradingbot.execution.v1 import execution_pb2_grpc
from tradingbot.vault.v1 import vault_pb2, vault_pb2_grpc
from vault_service.__main__ import serve as serve_vault
from vault_service.config import Settings as VaultSettings
from vault_service.keyring import Keyring

KEY = Secret(base64.urlsafe_b64encode(os.urandom(32)).decode())
PRICE = "50000"

T = TypeVar("T")


class Paper:
    """The paper exchange's control: moves the market, makes faults, asks the referee."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def control(self, method: str, path: str, body: object = None) -> Any:
        """A control request."""
        headers = {"X-Paper-Control": "1"}
        async with self._session.request(method, f"{self.url}{path}", json=body, headers=headers) as response:
            answer = await response.json()
            assert response.status == 200, answer
            return answer

    async def ask(self, method: str, target: str, headers: dict[str, str], body: str) -> Any:
        """A request of a user's own client."""
        url = URL(self.url + target, encoded=True)
        async with self._session.request(method, url, headers=headers, data=body or None) as response:
            return await response.json()

    async def price(self, price: str, symbol: str = "BTCUSDT") -> None:
        """Moves the market to exactly this price."""
        await self.control("POST", "/paper/price", {"symbol": symbol, "price": price})

    async def fault(self, kind: str, **rule: object) -> None:
        """Makes the next matching requests suffer."""
        await self.control("POST", "/paper/faults", {"kind": kind, **rule})

    async def orders(self, kind: str | None = None, **wanted: object) -> list[dict[str, Any]]:
        """What the referee knows of orders, oldest first."""
        state = await self.control("GET", "/paper/state")
        return [
            order
            for order in state["orders"]
            if kind in (None, order["kind"]) and all(order[name] == value for name, value in wanted.items())
        ]

    async def positions(self) -> list[dict[str, Any]]:
        """The open positions."""
        return list((await self.control("GET", "/paper/state"))["positions"])

    async def requests(self) -> list[dict[str, Any]]:
        """The requests since the start, oldest first."""
        return list((await self.control("GET", "/paper/requests"))["requests"])


@dataclass
class Trader:
    """A user with one paper account, who sends alerts as the gateway does.

    Attributes:
        venue: The exchange's own words.
        hand: The same user at the exchange itself.
    """

    user_id: str
    account_id: str
    api_key: str
    venue: Venue
    hand: BinanceHand | OKXHand
    paper: Paper
    execution: execution_pb2_grpc.ExecutionServiceAsyncStub
    vault: vault_pb2_grpc.VaultServiceAsyncStub

    def request(
        self, action: str = "long", *, key: str = "", wait: float = 30, **fields: Any
    ) -> pb.ExecuteSignalRequest:
        """An alert as the gateway hands it on."""
        body = {"account_id": self.account_id, "secret": "s", "action": action, "symbol": "BTCUSDT"} | fields
        alert = parse_alert(json.dumps(body).encode()).alert
        return pb.ExecuteSignalRequest(
            alert_key=key or f"once:{uuid.uuid4()}",
            user_id=self.user_id,
            account_id=self.account_id,
            alert=alert_to_proto(alert),
            receive_time=timestamp_from(UtcClock().now()),
            content_hash=content_hash(alert),
            key_from_alert=bool(key),
        )

    async def send(
        self, action: str = "long", *, timeout: float = 30, **fields: Any
    ) -> pb.ExecuteSignalResponse:
        """Sends an alert, waits for its outcome, and tells that the answer has arrived."""
        response = await call(self.execution.ExecuteSignal(self.request(action, **fields), timeout=timeout))
        await self.delivered(response, True)
        return response

    async def signals(self) -> list[pb.Signal]:
        """The user's signals, newest first."""
        request = pb.ListSignalsRequest(user_id=self.user_id)
        return list((await call(self.execution.ListSignals(request, timeout=5))).signals)

    async def toggle(self) -> None:
        """Turns the account inactive, or active again."""
        request = vault_pb2.ToggleAccountRequest(user_id=self.user_id, account_id=self.account_id)
        await call(self.vault.ToggleAccount(request, timeout=5))

    async def delivered(self, response: pb.ExecuteSignalResponse, delivered: bool) -> None:
        """Tells whether the answer reached its sender."""
        request = pb.RecordDeliveryRequest(
            user_id=self.user_id, signal_id=response.signal.signal_id, delivered=delivered
        )
        await call(self.execution.RecordDelivery(request, timeout=5))

    async def close_by_hand(self) -> None:
        """Closes the position as its owner would, on the exchange itself."""
        (position,) = await self.paper.positions()
        side = "buy" if position["quantity"].startswith("-") else "sell"
        await self.hand.market(side, position["quantity"].lstrip("-"), reduce=True)

    async def is_followed(self) -> bool:
        """Whether the exchange's stream of this account is open."""
        labels = {"exchange": self.venue.name, "state": "live"}
        return REGISTRY.get_sample_value("user_streams", labels) == 1

    async def is_warm(self) -> bool:
        """Whether balance and positions were asked for after the account's last trade, and nothing since."""
        last_trade = max(order["update_time"] for order in await self.paper.orders())
        asked = [
            request
            for request in await self.paper.requests()
            if request["time"] > last_trade
            and request["status"] == 200
            and request["path"] in (self.venue.balance, self.venue.positions)
        ]
        # The watch asks for positions too, until it has seen that there is none: within two of its rounds.
        quiet_ms = UtcClock().now().timestamp() * 1000 - max((row["time"] for row in asked), default=0)
        return len({request["path"] for request in asked}) == 2 and quiet_ms > 2_500

    async def signal(self, signal_id: str) -> pb.Signal:
        """Reads a signal."""
        request = pb.GetSignalRequest(user_id=self.user_id, signal_id=signal_id)
        return (await call(self.execution.GetSignal(request, timeout=5))).signal


@dataclass
class System:
    """Everything that stands behind the gateway.

    Attributes:
        venue: The exchange on which its traders have their accounts.
    """

    venue: Venue
    paper: Paper
    execution: execution_pb2_grpc.ExecutionServiceAsyncStub
    vault: vault_pb2_grpc.VaultServiceAsyncStub

    async def trader(self, balance: str = "10000") -> Trader:
        """A new user with a fresh paper account."""
        keys = await self.paper.control(
            "POST", "/paper/accounts", {"exchange": self.venue.name, "balance": balance}
        )
        user_id = str(uuid.uuid4())
        request = vault_pb2.RegisterAccountRequest(
            user_id=user_id,
            exchange=self.venue.number,
            environment=vault_pb2.ENVIRONMENT_PAPER,
            api_key=keys["api_key"],
            api_secret=keys["api_secret"],
            passphrase=keys.get("passphrase"),
        )
        account = (await call(self.vault.RegisterAccount(request, timeout=5))).account
        return Trader(
            user_id,
            account.account_id,
            keys["api_key"],
            self.venue,
            self.venue.by_hand(keys, self.paper.ask),
            self.paper,
            self.execution,
            self.vault,
        )


async def until(look: Callable[[], Awaitable[T]], *, count: int = 1, seconds: float = 15) -> T:
    """What `look` sees as soon as it is true (and has at least `count` parts, if it has parts)."""
    async with asyncio.timeout(seconds):
        while True:
            seen = await look()
            if seen and (not isinstance(seen, list) or len(seen) >= count):
                return seen
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running_paper() -> AsyncIterator[Paper]:
    """A paper exchange whose market stands still."""
    server = await paper_exchange.server.start(speed=0)
    try:
        async with aiohttp.ClientSession() as session:
            paper = Paper(server.url, session)
            await paper.price(PRICE)
            yield paper
    finally:
        await server.close()


@pytest.fixture(params=sorted(VENUES))
def exchange_name(request: pytest.FixtureRequest) -> str:
    """What is told of one exchange holds on every exchange."""
    return str(request.param)


@pytest.fixture
async def system(
    exchange_name: str, database: TestDatabase, tls: Callable[[str], TlsFiles]
) -> AsyncIterator[System]:
    """Vault, execution and paper exchange, each with its own certificate and database role."""
    async with AsyncExitStack() as stack:
        paper = await stack.enter_async_context(running_paper())
        vault = await stack.enter_async_context(
            serve_vault(
                VaultSettings(
                    database_url=database.roles["vault"],
                    listen_address="127.0.0.1:0",
                    admin_address="127.0.0.1:0",
                    tls=tls("vault"),
                    keyring=Keyring.from_settings(KEY, None),
                )
            )
        )
        execution = await stack.enter_async_context(
            serve_execution(
                ExecutionSettings(
                    listen_address="127.0.0.1:0",
                    admin_address="127.0.0.1:0",
                    database_url=database.roles["execution"],
                    vault_address=vault.grpc,
                    tls=tls("execution"),
                    base_urls={(exchange_name, "paper"): paper.url},
                    stream_urls={(exchange_name, "paper"): paper.url.replace("http:", "ws:")},
                ),
                UtcClock(),
            )
        )
        to_vault = await stack.enter_async_context(dial(vault.grpc, service="vault", tls=tls("gateway")))
        to_execution = await stack.enter_async_context(
            dial(execution.address, service="execution", tls=tls("gateway"))
        )
        yield System(
            VENUES[exchange_name],
            paper,
            execution_pb2_grpc.ExecutionServiceStub(to_execution),
            vault_pb2_grpc.VaultServiceStub(to_vault),
        )


@pytest.fixture
async def trader(system: System) -> Trader:
    return await system.trader()
