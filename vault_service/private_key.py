"""API keys that are private keys: Ed25519 and RSA, in PEM form.

Binance knows the public half; the private half stands in the place of the API secret (Binance, USD-M futures,
general information, "SIGNED endpoint security"). The key is checked once, when it is registered, and kept as
PKCS #8 without a password: the vault's envelope is what protects it.
"""

import base64

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPrivateNumbers
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from tradekit.service.secret import Secret

PrivateKey = Ed25519PrivateKey | RSAPrivateKey

# Binance takes 2048 and 4096 bits. A larger key would hold every other signature up while it signs.
_RSA_BITS = range(2_048, 4_097)
_RSA_EXPONENT = 65_537
_PEM_START = "-----BEGIN "
_PROBE = b"tradingbot"


class PrivateKeyUnusable(ValueError):
    """The text is no private key that the vault signs with; the message says why and does not hold it."""


def is_pem(api_secret: Secret) -> bool:
    """Whether an API secret is a private key rather than an HMAC secret."""
    return api_secret.reveal().lstrip().startswith(_PEM_START)


def checked_pem(pem: Secret) -> Secret:
    """The key in its one stored form: PKCS #8, nothing around it.

    Raises:
        PrivateKeyUnusable: It is not an Ed25519 or RSA private key, is protected by a password, has another
            size, or its parts do not belong together.
    """
    try:
        key = _loaded(pem)
    except TypeError:
        raise PrivateKeyUnusable("must not be protected by a password") from None
    except (ValueError, UnsupportedAlgorithm):
        # The parser's words could quote what it read.
        raise PrivateKeyUnusable("must be a private key in PEM form") from None
    if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey):
        raise PrivateKeyUnusable("must be an Ed25519 or RSA key")
    if isinstance(key, RSAPrivateKey):
        _check_rsa(key)
    return _pem_of(key)


def signature_of(text: str, pem: Secret) -> str:
    """The base64 signature of `text`: Ed25519 of the text, or RSA (PKCS #1 v1.5) over its SHA-256.

    Args:
        pem: A key that `checked_pem` took.
    """
    key = _loaded(pem)
    assert isinstance(key, Ed25519PrivateKey | RSAPrivateKey)
    return base64.b64encode(_signed(text.encode(), key)).decode()


def _loaded(pem: Secret) -> PrivateKeyTypes:
    # OpenSSL's own check of an RSA key tests its primes: a second in which the whole process stands still.
    return serialization.load_pem_private_key(
        pem.reveal().encode(), password=None, unsafe_skip_rsa_key_validation=True
    )


def _check_rsa(key: RSAPrivateKey) -> None:
    """Checks that a key is safe to compute with, without testing its primes.

    With primes that are none, its signature does not verify.
    """
    if key.key_size not in _RSA_BITS:
        raise PrivateKeyUnusable("must be an RSA key of 2048 to 4096 bits")
    if not _belong_together(key.private_numbers()):
        raise PrivateKeyUnusable("must be an RSA key whose parts belong together")
    try:
        key.public_key().verify(_signed(_PROBE, key), _PROBE, PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        raise PrivateKeyUnusable("must be an RSA key whose parts belong together") from None


def _belong_together(key: RSAPrivateNumbers) -> bool:
    """Two odd factors of one size, and exponents and coefficient as RFC 8017, 3.2 has them."""
    p, q, d, e = key.p, key.q, key.d, key.public_numbers.e
    return (
        p * q == key.public_numbers.n
        and p % 2 == q % 2 == 1
        and p.bit_length() == q.bit_length()
        and e == _RSA_EXPONENT
        and (key.dmp1, key.dmq1) == (d % (p - 1), d % (q - 1))
        and e * d % (p - 1) == e * d % (q - 1) == 1
        and key.iqmp * q % p == 1
    )


def _signed(text: bytes, key: PrivateKey) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(text)
    return key.sign(text, PKCS1v15(), hashes.SHA256())


def _pem_of(key: PrivateKey) -> Secret:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Secret(text.decode())
