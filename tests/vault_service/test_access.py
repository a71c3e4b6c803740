"""Who may call what: certificates, identities, sizes."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.certificates import CertificateAuthority
from tests.vault_service.conftest import MovableClock, RunningVault, VaultStarter, client_order_id
from tradekit.service.channel import TlsFiles, call, dial
from tradekit.service.clock import UtcClock
from tradekit.service.errors import PermissionDenied, ResourceExhausted
from tradingbot.vault.v1 import vault_pb2, vault_pb2_grpc
from vault_service.config import Settings

pytestmark = pytest.mark.anyio

Tls = Callable[[str], TlsFiles]
ACCOUNTS, SIGNER = "VaultService", "SignerService"


def methods() -> Iterator[tuple[str, str]]:
    """Every (service, method) of the vault."""
    for service in vault_pb2.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            yield service.name, method.name


@asynccontextmanager
async def calling_as(vault: RunningVault, files: TlsFiles) -> AsyncIterator[Callable[[str, str], Any]]:
    """Yields a way to call any method with its empty request."""
    async with dial(vault.address, service="vault", tls=files) as channel:
        stubs: dict[str, Any] = {
            ACCOUNTS: vault_pb2_grpc.VaultServiceStub(channel),
            SIGNER: vault_pb2_grpc.SignerServiceStub(channel),
        }

        async def attempt(service: str, method: str) -> Any:
            request = getattr(vault_pb2, f"{method}Request")()
            return await call(getattr(stubs[service], method)(request, timeout=5))

        yield attempt


@pytest.mark.parametrize(
    ("caller", "allowed"),
    [("gateway", ACCOUNTS), ("execution", SIGNER), ("strategy", None), ("vault", None), ("somebody", None)],
)
async def test_T07_B56_only_the_named_callers_are_served(
    vault: RunningVault, tls: Tls, caller: str, allowed: str | None
) -> None:
    """Every method of the vault as every identity: refused unless listed, and each refusal audited."""
    refused = [(service, method) for service, method in methods() if service != allowed]

    async with calling_as(vault, tls(caller)) as attempt:
        for service, method in refused:
            with pytest.raises(PermissionDenied) as refusal:
                await attempt(service, method)
            assert refusal.value.reason == "CALLER_NOT_ALLOWED"

    rows = await vault.audit()
    assert [row["subject"] for row in rows] == [
        f"/tradingbot.vault.v1.{service}/{method}" for service, method in refused
    ]
    assert {(row["caller"], row["reason"]) for row in rows} == {(caller, "caller_not_allowed")}


async def test_B55_caller_without_a_certificate_does_not_get_in(vault: RunningVault, tls: Tls) -> None:
    credentials = grpc.ssl_channel_credentials(tls("execution").authority.read_bytes())
    options = (("grpc.ssl_target_name_override", "vault"),)
    async with grpc.aio.secure_channel(vault.address, credentials, options) as channel:
        await _is_not_connected(channel)
    assert await vault.audit() == []


async def test_B55_certificate_of_another_authority_does_not_get_in(
    vault: RunningVault, tls: Tls, tmp_path: Path
) -> None:
    foreign = CertificateAuthority(tmp_path, UtcClock()).files("execution")
    mixed = TlsFiles(authority=tls("vault").authority, certificate=foreign.certificate, key=foreign.key)
    async with dial(vault.address, service="vault", tls=mixed) as channel:
        await _is_not_connected(channel)
    assert await vault.audit() == []


async def test_T07_expired_certificate_does_not_get_in(
    start_vault: VaultStarter, settings: Settings, tmp_path: Path
) -> None:
    """Issued a year ago by the very authority that the vault trusts."""
    a_year_ago = MovableClock()
    a_year_ago.set(UtcClock().now() - timedelta(days=365))
    expired = CertificateAuthority(tmp_path, a_year_ago).files("execution")
    files = CertificateAuthority(tmp_path, UtcClock()).files("vault")

    async with (
        start_vault(dataclasses.replace(settings, tls=files), tls=lambda _: files) as vault,
        dial(vault.address, service="vault", tls=expired) as channel,
    ):
        await _is_not_connected(channel)


async def test_B55_plain_text_does_not_get_in(vault: RunningVault) -> None:
    async with grpc.aio.insecure_channel(vault.address) as channel:
        await _is_not_connected(channel)


async def _is_not_connected(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await vault_pb2_grpc.SignerServiceStub(channel).Sign(vault_pb2.SignRequest(), timeout=5)
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_B58_message_over_1_MiB_is_refused(vault: RunningVault, account: vault_pb2.Account) -> None:
    order = vault.order(account, client_order_id())
    order.parameters.add(name="x" * (1024 * 1024), value="")

    with pytest.raises(ResourceExhausted):
        await vault.sign(order)


async def test_T03_compromised_execution_gets_no_secret(
    vault: RunningVault, account: vault_pb2.Account, tls: Tls
) -> None:
    """Whatever execution's certificate gets out of the vault, the API secret is not in it."""
    describe = vault_pb2.DescribeAccountRequest(user_id=account.user_id, account_id=account.account_id)
    answers = await asyncio.gather(
        call(vault.signer.DescribeAccount(describe, timeout=5)),
        vault.sign_one(vault.order(account, client_order_id())),
        vault.sign_one(vault.query(account)),
    )

    assert all(b"secret-canary" not in answer.SerializeToString() for answer in answers)
