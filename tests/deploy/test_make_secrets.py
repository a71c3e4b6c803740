"""deploy/make-secrets.sh."""

import base64
import shutil
from pathlib import Path

from cli.settings import encryption_key_problem, read_settings
from tests.deploy.conftest import make_secrets
from tradekit.service.example_values import is_example


def _contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text().strip() for path in folder.iterdir() if path.is_file()}


def test_the_secrets_are_good_for_production(made_secrets: Path) -> None:
    secrets = _contents(made_secrets)

    assert encryption_key_problem(secrets["encryption_key"]) is None
    settings = read_settings(
        {
            "DATABASE_URL": secrets["administrator_database_url"],
            "ENCRYPTION_KEY": secrets["encryption_key"],
            "SECRET_KEY": secrets["secret_key"],
            "DEBUG": "false",
        },
        web=False,
    )
    assert settings.deployment == "production"


def test_every_secret_has_256_bits_of_its_own(made_secrets: Path) -> None:
    secrets = _contents(made_secrets)
    random = [value for name, value in secrets.items() if value and not name.endswith("_url")]

    assert len(random) == len(set(random)) == 7
    for value in random:
        assert len(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))) == 32
        assert not is_example(value)


def test_a_url_holds_its_role_and_its_password(made_secrets: Path) -> None:
    secrets = _contents(made_secrets)

    for service in ("gateway", "vault", "execution", "strategy"):
        password = secrets[f"{service}_database_password"]
        assert secrets[f"{service}_database_url"] == (
            f"postgresql://tradingbot_{service}:{password}@postgres:5432/tradingbot"
        )
    assert secrets["administrator_database_url"] == (
        f"postgresql://tradingbot:{secrets['postgres_password']}@postgres:5432/tradingbot"
    )


def test_the_folder_is_closed_to_others(made_secrets: Path) -> None:
    assert made_secrets.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o444 for path in made_secrets.iterdir() if path.is_file())


def test_nothing_is_made_twice(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    before = _contents(tmp_path)

    assert make_secrets(tmp_path) == ""

    assert _contents(tmp_path) == before


def test_T11_a_lost_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    key = tmp_path / "encryption_key"
    key.chmod(0o600)
    key.write_text("")

    make_secrets(tmp_path)

    assert key.read_text() == ""


def test_without_openssl_the_certificate_is_asked_for(tmp_path: Path) -> None:
    """Everything else is made with what every machine has."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "base64", "cat", "chmod", "dirname", "head", "mkdir", "mv", "tr"):
        (programs / name).symlink_to(shutil.which(name) or name)

    printed = make_secrets(tmp_path / "secrets", path=str(programs))

    assert "put a certificate into" in printed
    assert len(_contents(tmp_path / "secrets")) == 15


def test_R5_no_value_is_printed(tmp_path: Path) -> None:
    printed = make_secrets(tmp_path)

    assert "encryption_key" in printed
    assert not [value for value in _contents(tmp_path).values() if value and value in printed]
