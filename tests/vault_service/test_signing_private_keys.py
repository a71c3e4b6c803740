"""Accounts whose secret is a private key, from registration to the signed request."""

import base64
import uuid
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from tests.vault_service.conftest import PASSPHRASE, RunningVault, client_order_id
from tests.vault_service.keys import pem_of
from tradekit.service.errors import InvalidArgument
from tradingbot.vault.v1 import vault_pb2

pytestmark = pytest.mark.anyio

ED25519_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RSA_KEY = rsa.generate_private_key(65_537, 2_048)


def signed_text(result: vault_pb2.SignResult) -> tuple[bytes, bytes]:
    """What was signed, and the signature."""
    text, signature = result.signed.target.partition("?")[2].split("&signature=")
    # Base64 has characters that mean something else in a query.
    assert not set(signature) & set("+/=")
    return text.encode(), base64.b64decode(unquote(signature))


async def test_order_is_signed_with_an_ed25519_key(vault: RunningVault, user_id: uuid.UUID) -> None:
    account = await vault.register(user_id, api_secret=pem_of(ED25519_KEY).reveal())

    text, signature = signed_text(await vault.sign_one(vault.order(account, client_order_id())))

    ED25519_KEY.public_key().verify(signature, text)


async def test_order_is_signed_with_an_rsa_key(vault: RunningVault, user_id: uuid.UUID) -> None:
    account = await vault.register(user_id, api_secret=pem_of(RSA_KEY).reveal())

    text, signature = signed_text(await vault.sign_one(vault.order(account, client_order_id())))

    RSA_KEY.public_key().verify(signature, text, padding.PKCS1v15(), hashes.SHA256())


async def test_account_with_a_private_key_survives_its_toggles(
    vault: RunningVault, user_id: uuid.UUID
) -> None:
    """Each toggle seals the key anew."""
    account = await vault.register(user_id, api_secret=pem_of(ED25519_KEY).reveal())
    await vault.toggle(account)
    await vault.toggle(account)

    text, signature = signed_text(await vault.sign_one(vault.query(account)))

    ED25519_KEY.public_key().verify(signature, text)


async def test_B40_private_key_that_cannot_sign_is_refused_and_not_stored(
    vault: RunningVault, user_id: uuid.UUID
) -> None:
    protected = pem_of(ED25519_KEY, password=b"password").reveal()

    with pytest.raises(InvalidArgument) as refusal:
        await vault.register(user_id, api_secret=protected)

    assert refusal.value.metadata["field"] == "api_secret"
    assert "must not be protected by a password" in refusal.value.message
    assert await vault.fetch("SELECT * FROM vault.api_keys") == []


async def test_B40_longest_private_key_is_bounded(vault: RunningVault, user_id: uuid.UUID) -> None:
    padded = pem_of(ED25519_KEY).reveal() + "\n" * 4_096

    with pytest.raises(InvalidArgument) as refusal:
        await vault.register(user_id, api_secret=padded)

    assert refusal.value.metadata["field"] == "api_secret"
    assert "at most 4096 characters" in refusal.value.message


async def test_okx_account_takes_no_private_key(vault: RunningVault, user_id: uuid.UUID) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await vault.register(
            user_id,
            exchange=vault_pb2.EXCHANGE_OKX,
            passphrase=PASSPHRASE,
            api_secret=pem_of(ED25519_KEY).reveal(),
        )

    assert refusal.value.metadata["field"] == "api_secret"
