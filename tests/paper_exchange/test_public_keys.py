"""Accounts whose user keeps his key: Ed25519 and RSA instead of a shared secret."""

import time
from base64 import b64encode
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from paper_exchange.public_keys import KeyType, PublicKeyInvalid, is_signed_by, key_type_of
from tests.paper_exchange.conftest import BTC, Paper, Reply

# RFC 8032, section 7.1, TEST 2: a published vector.
RFC_SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
RFC_SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)

PrivateKey = Ed25519PrivateKey | RSAPrivateKey


@pytest.fixture(scope="module")
def rsa() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65_537, key_size=2048)


@pytest.fixture(params=["ed25519", "rsa"])
def key(request: pytest.FixtureRequest, rsa: RSAPrivateKey) -> PrivateKey:
    return rsa if request.param == "rsa" else Ed25519PrivateKey.generate()


def pem(key: Any) -> str:
    encoded: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


def sign(key: PrivateKey, payload: bytes) -> str:
    raw = key.sign(payload) if isinstance(key, Ed25519PrivateKey) else key.sign(payload, PKCS1v15(), SHA256())
    return b64encode(raw).decode()


def test_a_published_signature_holds() -> None:
    public = pem(Ed25519PrivateKey.from_private_bytes(RFC_SEED))

    assert is_signed_by(public, b"\x72", b64encode(RFC_SIGNATURE).decode())
    assert not is_signed_by(public, b"\x73", b64encode(RFC_SIGNATURE).decode())


def test_kinds_are_told_apart(rsa: RSAPrivateKey) -> None:
    assert key_type_of(pem(rsa)) is KeyType.RSA
    assert key_type_of(pem(Ed25519PrivateKey.generate())) is KeyType.ED25519


@pytest.mark.parametrize(
    "text", ["", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(PublicKeyInvalid):
        key_type_of(text)


def test_other_and_weak_keys_are_refused() -> None:
    for other in (ec.generate_private_key(ec.SECP256R1()), generate_private_key(65_537, 1024)):  # noqa: S505 # refused for it
        with pytest.raises(PublicKeyInvalid):
            key_type_of(pem(other))


@pytest.mark.parametrize("signature", ["", "!", "AAAA", "é"])
def test_what_is_no_signature_is_none(key: PrivateKey, signature: str) -> None:
    assert not is_signed_by(pem(key), b"text", signature)


async def signed(paper: Paper, api_key: str, key: PrivateKey, method: str, path: str, **terms: Any) -> Reply:
    query = urlencode({**terms, "timestamp": time.time_ns() // 1_000_000})
    signature = quote(sign(key, query.encode()), safe="")
    return await paper.trader.send(
        method, f"{path}?{query}&signature={signature}", headers={"X-MBX-APIKEY": api_key}
    )


async def open_account(paper: Paper, **terms: Any) -> Reply:
    return await paper.control.call("POST", "/paper/accounts", {"exchange": "binance", **terms})


@pytest.mark.anyio
async def test_an_account_trades_with_its_own_key_and_has_no_secret(paper: Paper, key: PrivateKey) -> None:
    opened = await open_account(paper, public_key=pem(key), key_type=key_type_of(pem(key)))
    assert set(opened.body) == {"api_key"}

    placed = await signed(
        paper, opened.body["api_key"], key, "POST", "/fapi/v1/order",
        symbol=BTC, side="BUY", type="MARKET", quantity="0.010", newOrderRespType="RESULT",
    )  # fmt: skip

    assert (placed.status, placed.body["status"]) == (200, "FILLED")


@pytest.mark.anyio
async def test_another_key_does_not_sign_for_it(paper: Paper, key: PrivateKey) -> None:
    opened = await open_account(paper, public_key=pem(key))

    refused = await signed(
        paper, opened.body["api_key"], Ed25519PrivateKey.generate(), "GET", "/fapi/v3/balance"
    )

    assert (refused.status, refused.code) == (400, -1022)


@pytest.mark.anyio
async def test_the_exchanges_own_secret_does_not_sign_for_it(paper: Paper) -> None:
    """Nobody can sign by HMAC for an account with a public key, not even with a derived secret."""
    opened = await open_account(paper, public_key=pem(Ed25519PrivateKey.generate()))
    paper.trader.api_key = opened.body["api_key"]

    assert (await paper.trader.call("GET", "/fapi/v3/balance")).code == -1022


@pytest.mark.anyio
@pytest.mark.parametrize(
    "terms",
    [
        {"public_key": "nonsense"},
        {"public_key": 7},
        {"key_type": "ED25519"},
        {"public_key": pem(Ed25519PrivateKey.generate()), "key_type": "RSA"},
        {"public_key": pem(Ed25519PrivateKey.generate()), "exchange": "okx"},
    ],
)
async def test_bad_keys_open_no_account(paper: Paper, terms: dict[str, Any]) -> None:
    reply = await open_account(paper, **terms)

    assert reply.status == 400
    assert reply.body["error"]
