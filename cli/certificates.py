"""The internal certificate authority and the certificate of each service, for mTLS between them."""

from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cli.home import write_private
from tradekit.service.channel import TlsFiles
from tradekit.service.clock import Clock
from tradekit.service.server import IDENTITY_PREFIX

AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=90)
# Two machines of one system may disagree a little about the time.
CLOCK_TOLERANCE = timedelta(minutes=5)
AUTHORITY_NAME = "TradingBot internal authority"


class CertificateAuthority:
    """An authority that signs for our own services only; EC P-256, its key mode 0600 in `folder`.

    Args:
        folder: Where `ca.crt`, `ca.key`, `NAME.crt` and `NAME.key` are; made before.
        clock: What time it is.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        # The key is written first: a certificate without a key cannot exist, a key without one is replaced.
        if not (folder / "ca.crt").exists():
            self._make()
        self._key = _read_key(folder / "ca.key")
        self._certificate = _read_certificate(folder / "ca.crt")

    def files(self, service: str) -> TlsFiles:
        """The files of `service`; issued anew when less than half of the certificate's life is left."""
        files = TlsFiles(
            authority=self._folder / "ca.crt",
            certificate=self._folder / f"{service}.crt",
            key=self._folder / f"{service}.key",
        )
        if not self._is_good(files):
            self._issue(service, files)
        return files

    def _is_good(self, files: TlsFiles) -> bool:
        if not (files.certificate.exists() and files.key.exists()):
            return False
        certificate = _read_certificate(files.certificate)
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        # A start that was cut off between the two files leaves a key that is not the certificate's.
        matches = certificate.public_key() == _read_key(files.key).public_key()
        return matches and certificate.not_valid_after_utc - self._clock.now() >= LEAF_LIFE / 2

    def _make(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY_NAME)])
        certificate = (
            self._builder(name, key.public_key(), AUTHORITY_LIFE)
            .issuer_name(name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(self._folder / "ca.key", self._folder / "ca.crt", key, certificate)

    def _issue(self, service: str, files: TlsFiles) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, service)])
        names = x509.SubjectAlternativeName(
            [
                x509.DNSName("localhost"),
                x509.DNSName(service),
                x509.UniformResourceIdentifier(IDENTITY_PREFIX + service),
            ]
        )
        both_ends = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        authority_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._builder(name, key.public_key(), LEAF_LIFE)
            .issuer_name(self._certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(both_ends, critical=False)
            .add_extension(names, critical=False)
            .add_extension(authority_key_id, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        _write(files.key, files.certificate, key, certificate)

    def _builder(
        self, name: x509.Name, public_key: ec.EllipticCurvePublicKey, life: timedelta
    ) -> x509.CertificateBuilder:
        now = self._clock.now()
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_TOLERANCE)
            .not_valid_after(now + life)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(
    key_path: Path, certificate_path: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(key_path, private.decode("ascii"))
    write_private(certificate_path, certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"))


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no elliptic-curve key")
    return key


def _read_certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())
