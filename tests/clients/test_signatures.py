"""The vault signs as other people's clients do, for requests that are new in each run.

Vectors that stay are in tests/vault_service/rules/golden.
"""

import json
import secrets
import subprocess
from urllib.parse import quote

import pytest

from tests.clients.test_clients import DRIVERS, PYTHON, ROOT
from tests.vault_service.keys import ed25519_pem, rsa_pem
from tradekit.service.secret import Secret
from vault_service.rules import binance, okx

pytestmark = pytest.mark.slow

GOLDEN = json.loads((ROOT / "tests/vault_service/rules/golden/binance.json").read_text())
BINANCE_SECRETS = {
    "hmac": Secret(secrets.token_hex(32)),
    "ed25519": ed25519_pem(secrets.token_bytes(32)),
    "rsa": rsa_pem(p=int(GOLDEN["rsa_p"], 16), q=int(GOLDEN["rsa_q"], 16)),
}
OKX = {
    "api_key": secrets.token_hex(16),
    "api_secret": secrets.token_hex(16).upper(),
    "passphrase": "Pass-phrase.1",
}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What the clients made of one order each."""
    client_id = f"tb{secrets.token_hex(14)}"
    quantity = f"0.{secrets.randbelow(900) + 100}"
    given = {
        "binance": {
            "api_key": secrets.token_hex(32),
            "secrets": {kind: secret.reveal() for kind, secret in BINANCE_SECRETS.items()},
        },
        "okx": OKX,
        "parameters": {
            **{"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": quantity},
            "newClientOrderId": client_id,
        },
        "okx_parameters": {"instId": "BTC-USDT-SWAP", "clOrdId": client_id, "sz": quantity},
    }
    done = subprocess.run(
        [PYTHON, DRIVERS / "signatures.py"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path_factory.mktemp("empty"),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows: list[dict[str, str]] = json.loads(done.stdout)
    return rows


def test_binance_signatures_are_those_of_the_clients(signed: list[dict[str, str]]) -> None:
    """HMAC, Ed25519 and RSA keys."""
    rows = [row for row in signed if row["text"].count("symbol=BTCUSDT")]
    assert {(row["client"], row["key"]) for row in rows} == {
        (client, key) for client in ("ccxt", "binance-common", "python-binance") for key in BINANCE_SECRETS
    }
    for row in rows:
        own = binance.signature_of(row["text"], BINANCE_SECRETS[row["key"]])
        # Some clients percent-encode the base64 in the text, others when they send it.
        assert own in (row["signature"], quote(row["signature"], safe="")), row["client"]


def test_okx_signatures_are_those_of_the_clients(signed: list[dict[str, str]]) -> None:
    rows = [row for row in signed if "/api/v5/" in row["text"]]
    assert sorted(row["client"] for row in rows) == ["ccxt", "ccxt", "python-okx", "python-okx"]
    for row in rows:
        assert okx.signature_of(row["text"], Secret(OKX["api_secret"])) == row["signature"], row["client"]
