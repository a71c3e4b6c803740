"""Private keys, made from numbers: no PEM stands in the repository."""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tradekit.service.secret import Secret

AnyKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def ed25519_pem(seed: bytes = bytes(range(32))) -> Secret:
    """The Ed25519 key of a seed."""
    return pem_of(ed25519.Ed25519PrivateKey.from_private_bytes(seed))


def rsa_pem(*, p: int, q: int) -> Secret:
    """The RSA key of two primes, exponent 65537."""
    return pem_of(rsa_numbers(p=p, q=q).private_key())


def rsa_numbers(*, p: int, q: int, **changes: int) -> rsa.RSAPrivateNumbers:
    """The numbers of an RSA key of two factors, exponent 65537; `changes` replace some of them."""
    private = pow(65_537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65_537, p * q)
    numbers = {
        "p": p,
        "q": q,
        "d": private,
        "dmp1": private % (p - 1),
        "dmq1": private % (q - 1),
        "iqmp": pow(q, -1, p),
    } | changes
    return rsa.RSAPrivateNumbers(**numbers, public_numbers=public)


def pem_of(
    key: AnyKey,
    *,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    password: bytes | None = None,
) -> Secret:
    """The PEM text of a key."""
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        protection = serialization.BestAvailableEncryption(password)
    return Secret(key.private_bytes(serialization.Encoding.PEM, form, protection).decode())
