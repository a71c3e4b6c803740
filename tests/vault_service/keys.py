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
    private = rsa.rsa_recover_private_exponent(65_537, p, q)
    numbers = rsa.RSAPrivateNumbers(
        p,
        q,
        private,
        rsa.rsa_crt_dmp1(private, p),
        rsa.rsa_crt_dmq1(private, q),
        rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(65_537, p * q),
    )
    return pem_of(numbers.private_key())


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
