"""The internal authority: chains verify, names are right, leaves are renewed in time."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from cli.certificates import LEAF_LIFE, CertificateAuthority

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


class SetClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def authority(tmp_path: Path, clock: SetClock) -> CertificateAuthority:
    return CertificateAuthority(tmp_path, clock)


def _certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.parametrize("name", ["localhost", "vault"])
def test_chain_verifies_as_server_for_both_names(authority: CertificateAuthority, name: str) -> None:
    files = authority.files("vault")
    verifier = (
        PolicyBuilder()
        .store(Store([_certificate(files.authority)]))
        .time(START + timedelta(days=1))
        .build_server_verifier(x509.DNSName(name))
    )
    chain = verifier.verify(_certificate(files.certificate), [])
    assert len(chain) == 2


def test_chain_verifies_as_client(authority: CertificateAuthority) -> None:
    files = authority.files("execution")
    verifier = (
        PolicyBuilder().store(Store([_certificate(files.authority)])).time(START).build_client_verifier()
    )
    client = verifier.verify(_certificate(files.certificate), [])
    assert x509.UniformResourceIdentifier("spiffe://tradingbot/execution") in (client.subjects or [])


def test_leaf_names_its_service(authority: CertificateAuthority) -> None:
    leaf = _certificate(authority.files("gateway").certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "gateway"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://tradingbot/gateway"]
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "gateway"
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert leaf.not_valid_after_utc - START == LEAF_LIFE


def test_leaf_cannot_sign_and_authority_signs_leaves_only(authority: CertificateAuthority) -> None:
    files = authority.files("vault")
    limits = [
        _certificate(path).extensions.get_extension_for_class(x509.BasicConstraints).value
        for path in (files.certificate, files.authority)
    ]
    assert [(limit.ca, limit.path_length) for limit in limits] == [(False, None), (True, 0)]


def test_keys_are_private_and_openssl_reads_them(authority: CertificateAuthority, tmp_path: Path) -> None:
    files = authority.files("vault")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_everything_is_kept_over_a_restart(tmp_path: Path, clock: SetClock) -> None:
    CertificateAuthority(tmp_path, clock).files("vault")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    CertificateAuthority(tmp_path, clock).files("vault")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("age", "renewed"), [(timedelta(days=45), False), (timedelta(days=45, seconds=1), True)]
)
def test_leaf_is_renewed_in_the_second_half_of_its_life(
    authority: CertificateAuthority, clock: SetClock, age: timedelta, renewed: bool
) -> None:
    first = _certificate(authority.files("vault").certificate)
    clock.time += age
    second = _certificate(authority.files("vault").certificate)
    assert (second.serial_number != first.serial_number) == renewed


def test_leaf_of_another_authority_is_replaced(tmp_path: Path, clock: SetClock) -> None:
    foreign = CertificateAuthority(tmp_path, clock).files("vault").certificate.read_bytes()
    (tmp_path / "ca.crt").unlink()
    files = CertificateAuthority(tmp_path, clock).files("vault")
    assert files.certificate.read_bytes() != foreign


def test_key_without_its_certificate_is_replaced(authority: CertificateAuthority, tmp_path: Path) -> None:
    """A start that was cut off between writing the two files."""
    files = authority.files("vault")
    files.key.write_bytes(authority.files("gateway").key.read_bytes())
    authority.files("vault")
    key = load_pem_private_key(files.key.read_bytes(), password=None)
    assert _certificate(files.certificate).public_key() == key.public_key()
