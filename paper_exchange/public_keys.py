"""Keys whose private half only the user has: Ed25519, or RSA with PKCS#1 v1.5 over SHA-256.

The exchange keeps the public half and verifies with it; there is no secret that it could leak.
"""

import binascii
from base64 import b64decode
from enum import StrEnum
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_RSA_BITS = range(2048, 4097)


class KeyType(StrEnum):
    HMAC = "HMAC"
    ED25519 = "ED25519"
    RSA = "RSA"


class PublicKeyInvalid(ValueError):
    """This is not a public key that the exchange takes; the message says why."""


def key_type_of(pem: str) -> KeyType:
    """Which kind of public key this is.

    Raises:
        PublicKeyInvalid: not a PEM public key, neither Ed25519 nor RSA, or RSA of a size that is not taken.
    """
    key = _loaded(pem)
    if isinstance(key, Ed25519PublicKey):
        return KeyType.ED25519
    if key.key_size not in _RSA_BITS:
        raise PublicKeyInvalid("an RSA key must have 2048 to 4096 bits")
    return KeyType.RSA


def is_signed_by(pem: str, payload: bytes, signature: str) -> bool:
    """Whether this base64 signature of the payload was made with the private half of the key."""
    try:
        raw = b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    key = _loaded(pem)
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(raw, payload)
        else:
            key.verify(raw, payload, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=1024)
def _loaded(pem: str) -> Ed25519PublicKey | RSAPublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError as error:
        raise PublicKeyInvalid("this is not a public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey | RSAPublicKey):
        raise PublicKeyInvalid("the key must be Ed25519 or RSA")
    return key
