"""Clients that other people wrote trade on the paper exchange, each in a process of its own.

That they do is the proof that it keeps the protocols; our own client would agree with our own exchange.
`make test` installs them (tests/clients/requirements.lock) into `.venv-clients`.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients.clients_table import WORKS, Report, read_report, table_of
from tests.clients.tls_front import tls_front
from tests.paper_process import running_paper

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-clients/bin/python"
DRIVERS = Path(__file__).parent / "drivers"
DOCUMENT = ROOT / "docs/clients.md"

# Exchange -> client -> driver.
CLIENTS = {
    "binance": {
        "ccxt": "ccxt_binance",
        "python-binance": "python_binance",
        "Binance's SDK": "binance_sdk",
    },
    "okx": {"ccxt": "ccxt_okx", "python-okx": "python_okx"},
}
ALL = [(exchange, client) for exchange, clients in CLIENTS.items() for client in clients]
# What the issue asks for of every client; the tables have more.
WANTED = {
    *("markets and their filters", "server time", "balance", "set leverage", "margin mode", "position mode"),
    *("market order", "limit order", "query by client id", "cancel order", "stop loss", "take profit"),
    *("positions", "candles", "user stream: order", "user stream: position and balance"),
}
FEWEST_REFUSALS = 15


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Report]]:
    """What each client did; they run side by side, each on an exchange of its own."""
    if not PYTHON.exists():
        pytest.fail("the clients are not installed: run `make test`, or `make .venv-clients/.installed`")
    with ExitStack() as stack:
        running = {
            (exchange, client): stack.enter_context(
                _driver(exchange, driver, tmp_path_factory.mktemp(driver))
            )
            for exchange, clients in CLIENTS.items()
            for client, driver in clients.items()
        }
        yield {name: read_report(_output(process)) for name, process in running.items()}


@contextmanager
def _driver(exchange: str, driver: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Runs a driver on an exchange of its own; its errors go to a file, so that nobody need read them."""
    with running_paper() as paper:
        port = urlsplit(paper.url).port
        assert port is not None
        with tls_front(port, folder) as (tls_port, authority):
            given = {
                "url": paper.url,
                "keys": paper.control("POST", "/paper/accounts", {"exchange": exchange}),
                "tls_websocket_url": f"wss://localhost:{tls_port}",
                "authority": str(authority),
            }
            (folder / "given.json").write_text(json.dumps(given))
            with (folder / "given.json").open() as stdin, (folder / "errors.txt").open("w") as stderr:
                process = subprocess.Popen(
                    [PYTHON, DRIVERS / f"{driver}.py"],
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    text=True,
                    env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)},
                )
            try:
                yield process
            finally:
                process.kill()
                process.communicate()


def _output(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output[-2000:]
    return output


@pytest.mark.parametrize(("exchange", "client"), ALL)
def test_a_client_trades_as_on_the_real_exchange(
    reports: dict[tuple[str, str], Report], exchange: str, client: str
) -> None:
    report = reports[exchange, client]
    failed = {name: seen.note for name, seen in report.items() if seen.outcome == "fails"}
    assert failed == {}, "\n".join(f"{name}\n{note}" for name, note in failed.items())
    assert {name for name in WANTED if report[name].outcome != WORKS} == set()


@pytest.mark.parametrize(("exchange", "client"), ALL)
def test_a_client_understands_at_least_fifteen_refusals(
    reports: dict[tuple[str, str], Report], exchange: str, client: str
) -> None:
    names = list(reports[exchange, client])
    refusals = names[names.index("wrong secret") : names.index("user stream: order")]
    assert sum(reports[exchange, client][name].outcome == WORKS for name in refusals) >= FEWEST_REFUSALS


@pytest.mark.parametrize("exchange", CLIENTS)
def test_all_clients_of_an_exchange_try_the_same(
    reports: dict[tuple[str, str], Report], exchange: str
) -> None:
    first, *others = (list(reports[exchange, client]) for client in CLIENTS[exchange])
    for other in others:
        assert other == first


@pytest.mark.parametrize("exchange", CLIENTS)
def test_the_document_tells_what_was_seen(
    reports: dict[tuple[str, str], Report], exchange: str, capfd: pytest.CaptureFixture[str]
) -> None:
    table = table_of({client: reports[exchange, client] for client in CLIENTS[exchange]})
    with capfd.disabled():
        sys.stderr.write(f"\n\nClients on the paper exchange: {exchange}\n\n{table}\n")
    assert table in DOCUMENT.read_text(encoding="utf-8"), f"docs/clients.md must hold this table:\n\n{table}"
