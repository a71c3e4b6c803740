"""deploy/certificates.sh, as the service `certificates` of docker-compose.yml runs it."""

import os
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from cli.main import _COMMANDS
from tests.deploy.compose_file import ROOT
from tests.deploy.dockerfile import Tree, images

pytestmark = pytest.mark.skipif(
    "certificates" not in _COMMANDS, reason="`tradingbot certificates DIR` is not there yet"
)

SERVICES = ("gateway", "vault", "execution", "strategy")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "image").mkdir()
    return Tree(images()["migrate"], tmp_path / "image")


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    for name in ("authority", *SERVICES):
        (tmp_path / "tls" / name).mkdir(mode=0o700, parents=True)
    return tmp_path / "tls"


def issue(tree: Tree, tls: Path) -> None:
    python = Path(tree.argv()[0]).parent
    environment = tree.environment() | {"PATH": f"{python}:{os.environ['PATH']}"}
    subprocess.run(["sh", ROOT / "deploy/certificates.sh", tls], env=environment, cwd=tree.app, check=True)


def test_each_service_gets_its_own_files_and_no_other(tree: Tree, tls: Path) -> None:
    issue(tree, tls)

    authority = x509.load_pem_x509_certificate((tls / "authority/ca.crt").read_bytes())
    for service in SERVICES:
        own = tls / service
        assert {path.name for path in own.iterdir()} == {"ca.crt", "service.crt", "service.key"}
        certificate = x509.load_pem_x509_certificate((own / "service.crt").read_bytes())
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        identities = names.get_values_for_type(x509.UniformResourceIdentifier)
        assert identities == [f"spiffe://tradingbot/{service}"]
        assert (own / "service.key").stat().st_mode & 0o777 == 0o600


def test_what_is_good_stays(tree: Tree, tls: Path) -> None:
    issue(tree, tls)
    before = (tls / "vault/service.crt").read_bytes()

    issue(tree, tls)

    assert (tls / "vault/service.crt").read_bytes() == before
