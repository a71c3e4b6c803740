"""Keys: secrets can be computed from the master key and from nothing else."""

import stat
from pathlib import Path

from paper_exchange.accounts import Venue
from paper_exchange.credentials import Credentialing, master_key


def test_a_secret_comes_from_key_and_master_key() -> None:
    issuer = Credentialing(b"m" * 32)
    keys = issuer.issue(Venue.BINANCE)
    assert (len(keys.api_key), len(keys.api_secret), keys.passphrase) == (64, 64, "")
    assert issuer.secret_of(keys.api_key) == keys.api_secret
    assert Credentialing(b"n" * 32).secret_of(keys.api_key) != keys.api_secret
    assert issuer.issue(Venue.BINANCE).api_key != keys.api_key


def test_passphrase_and_secret_differ() -> None:
    keys = Credentialing(b"m" * 32).issue(Venue.OKX)
    assert keys.passphrase
    assert keys.passphrase not in keys.api_secret


def test_secrets_are_not_printed() -> None:
    keys = Credentialing(b"m" * 32).issue(Venue.OKX)
    assert keys.api_secret not in repr(keys)
    assert keys.passphrase not in repr(keys)


def test_the_master_key_is_made_once_and_private(tmp_path: Path) -> None:
    first = master_key(tmp_path / "state")
    assert master_key(tmp_path / "state") == first
    (file,) = (tmp_path / "state").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert master_key(None) != master_key(None)
