"""What a signature of the vault costs, against opening a key and signing in a loop.

The vault is the running service: mTLS, the closed rules, the second lock for orders, a hash-chained audit row
and one commit per batch with fsync. The floor opens one AES-256-GCM secret and makes one HMAC-SHA256 per
signature, in this process, with nothing around it. Two batches are under way at a time, as execution sends
them.
"""

import asyncio
import hmac
import os
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.harness import LEAST_ROUNDS, Row, interleave, median_of, median_ratio
from bench.rig.processes import running
from bench.rig.system import Account, RunningSystem, running_system
from tradekit.service.channel import call, call_metadata, dial
from tradingbot.vault.v1 import vault_pb2, vault_pb2_grpc

FLOOR = "floor"
AT_ONCE = 2
TIMEOUT_S = 20.0
PARTS = ("vault", "postgres")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Attributes:
        calls: Batch size -> calls a round.
        floor_signatures: Signatures of the floor a round.
    """

    rounds: int = LEAST_ROUNDS
    calls: tuple[tuple[int, int], ...] = ((1, 300), (64, 30), (256, 12))
    floor_signatures: int = 50_000


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one round."""

    signatures_per_s: float
    cpu_us: float


async def measure(size: Size = Size()) -> Sequence[Row]:
    """All rows; about a minute."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with _vault(Path(folder)) as vault:
            batches = {f"batch_{batch}": partial(vault.sign, batch, calls) for batch, calls in size.calls}
            await vault.sign(1, 20)  # connections, prepared statements
            targets = {**batches, FLOOR: partial(_floor, size.floor_signatures)}
            costs = await interleave(targets, rounds=size.rounds)
    return _rows(costs)


class _Vault:
    """The running vault, asked as execution asks it."""

    def __init__(
        self, system: RunningSystem, account: Account, stub: "vault_pb2_grpc.SignerServiceAsyncStub"
    ) -> None:
        self._system = system
        self._account = account
        self._stub = stub

    async def sign(self, batch: int, calls: int) -> Cost:
        """Has `calls` batches of new orders signed."""
        waiting = iter(range(calls))
        used, started = self._cpu_s(), time.monotonic()
        await asyncio.gather(*(self._work(batch, waiting) for _ in range(AT_ONCE)))
        elapsed, used = time.monotonic() - started, self._cpu_s() - used
        return Cost(batch * calls / elapsed, used * 1e6 / (batch * calls))

    async def _work(self, batch: int, waiting: Iterator[int]) -> None:
        for _ in waiting:
            request = vault_pb2.SignRequest(items=[self._order() for _ in range(batch)])
            response = await call(self._stub.Sign(request, timeout=TIMEOUT_S, metadata=call_metadata()))
            if refused := [result.error.reason for result in response.results if result.HasField("error")]:
                raise RuntimeError(f"the vault refused: {refused[0]}")

    def _order(self) -> vault_pb2.SignItem:
        parameters = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "MARKET",
            "quantity": "0.020",
            "newOrderRespType": "RESULT",
            "newClientOrderId": uuid.uuid4().hex,
            "recvWindow": "3000",
            "timestamp": str(time.time_ns() // 1_000_000),
        }
        return vault_pb2.SignItem(
            user_id=self._account.user_id,
            account_id=self._account.account_id,
            method="POST",
            path="/fapi/v1/order",
            parameters=[vault_pb2.Parameter(name=name, value=value) for name, value in parameters.items()],
        )

    def _cpu_s(self) -> float:
        used = self._system.cpu_by_part()
        return sum(used[part] for part in PARTS)


@asynccontextmanager
async def _vault(folder: Path) -> AsyncIterator[_Vault]:
    async with (
        running("bench.rig.instant_exchange") as (_, port),
        running_system(folder / "state", exchange=f"http://127.0.0.1:{port}") as system,
        dial(system.vault_address, service="vault", tls=system.tls("execution")) as channel,
    ):
        [account] = await system.register(1)
        yield _Vault(system, account, vault_pb2_grpc.SignerServiceStub(channel))


async def _floor(signatures: int) -> Cost:
    """Opens a secret and signs a text, again and again."""
    key = AESGCM(AESGCM.generate_key(bit_length=256))
    nonce, context = os.urandom(12), b"account"
    sealed = key.encrypt(nonce, os.urandom(32).hex().encode(), context)
    text = b"symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.020&newOrderRespType=RESULT&newClientOrderId=x"
    used, started = time.process_time(), time.monotonic()
    for _ in range(signatures):
        hmac.digest(key.decrypt(nonce, sealed, context), text, "sha256").hex()
    elapsed, used = time.monotonic() - started, time.process_time() - used
    return Cost(signatures / elapsed, used * 1e6 / signatures)


def _rows(costs: dict[str, list[Cost]]) -> list[Row]:
    rates = {name: [cost.signatures_per_s for cost in found] for name, found in costs.items()}
    cpu = {name: [cost.cpu_us for cost in found] for name, found in costs.items()}
    batches = [name for name in costs if name != FLOOR]
    return [
        *(
            Row(f"vault.sign_cpu_ratio_to_floor.{n}", median_ratio(cpu[n], cpu[FLOOR]), "ratio")
            for n in batches
        ),
        *(Row(f"vault.signatures_per_s.{name}", median_of(found), "1/s") for name, found in rates.items()),
        *(Row(f"vault.sign_cpu_us.{name}", median_of(found), "us") for name, found in cpu.items()),
    ]
