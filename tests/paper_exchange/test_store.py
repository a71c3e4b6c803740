"""The store: what was committed is there again, exactly."""

import sqlite3
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from paper_exchange.accounts import IncomeType, MarginType
from paper_exchange.books import Books
from paper_exchange.credentials import Credentialing, master_key
from paper_exchange.exchange import Exchange
from paper_exchange.instruments import LISTED
from paper_exchange.market import Market
from paper_exchange.matching import PartialFill
from paper_exchange.orders import ConditionalType, Side
from paper_exchange.referee import state_json
from paper_exchange.store import FILE_NAME, Store, StoreUnusable
from tests.paper_exchange.conftest import BTC, START_MS, Floor, make_floor


def keep(floor: Floor, folder: Path) -> None:
    """Commits everything that has happened, and closes the store."""
    store = Store(folder)
    store.first_start(seed=1, now_ms=START_MS)
    books = floor.exchange.books
    store.commit(books.pending, books.counters)
    books.committed()
    store.close()


def restart(folder: Path, now_ms: int) -> Exchange:
    store = Store(folder)
    anchor_ms = store.first_start(seed=1, now_ms=now_ms)
    market = Market(LISTED, seed=1, anchor_ms=anchor_ms, speed=0)
    books = Books(seed=1)
    store.load(books, market)
    store.close()
    return Exchange(books, market, lambda order: None, now_ms=now_ms)


def busy_floor() -> Floor:
    """Both modes of everything: positions, open and ended orders, waiting and done conditional ones."""
    floor = make_floor()
    floor.exchange.settings.set_margin_type(floor.account, "ETHUSDT", MarginType.ISOLATED, floor.now_ms)
    floor.exchange.settings.set_leverage(floor.account, BTC, 7, floor.now_ms)
    floor.price("3000", "ETHUSDT")
    floor.buy("1", symbol="ETHUSDT")
    floor.buy("0.05", client_order_id="entry")
    floor.buy("0.01", "59000")
    floor.thin.append(PartialFill(Decimal("0.5")))
    floor.sell("0.02", "60000", reduce_only=True)
    floor.conditional(
        ConditionalType.STOP_MARKET, Side.SELL, "58000", close_position=True, client_algo_id="sl"
    )
    floor.conditional(
        ConditionalType.TRAILING_STOP_MARKET, Side.SELL, quantity="0.01", callback_rate=Decimal(1)
    )
    floor.conditional(ConditionalType.TAKE_PROFIT_MARKET, Side.SELL, "60100", "0.01")
    floor.price("60200")
    return floor


def told(exchange: Exchange, now_ms: int) -> dict[str, Any]:
    return state_json(exchange, now_ms, api_key=None)


def test_everything_is_there_again(tmp_path: Path) -> None:
    floor = busy_floor()
    keep(floor, tmp_path)
    again = restart(tmp_path, floor.now_ms)
    assert told(again, floor.now_ms) == told(floor.exchange, floor.now_ms)
    (account,) = again.books.accounts.values()
    assert account == floor.account
    before, after = floor.exchange.books.of(floor.account), again.books.of(account)
    assert after == before


def test_trading_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    floor = busy_floor()
    keep(floor, tmp_path)
    again = Floor(restart(tmp_path, floor.now_ms), floor.account, now_ms=floor.now_ms)
    again.account = again.exchange.books.accounts[1]
    for one in (floor, again):
        one.price("57000")
        one.buy("0.03")
    assert told(again.exchange, again.now_ms) == told(floor.exchange, floor.now_ms)
    assert again.position() == floor.position() != 0


def test_what_happened_while_it_was_down_is_made_up_for(tmp_path: Path) -> None:
    floor = make_floor()
    floor.buy("0.05")
    keep(floor, tmp_path)
    again = restart(tmp_path, floor.now_ms + 9 * 3_600_000)
    again.advance(floor.now_ms + 9 * 3_600_000)
    kinds = [income.type for income in again.books.of(again.books.accounts[1]).incomes]
    assert kinds[-1] is IncomeType.FUNDING_FEE, "it was due at 16:00, four hours after the last start"


def test_reset_and_changed_contracts_are_kept(tmp_path: Path) -> None:
    floor = busy_floor()
    keep(floor, tmp_path)
    floor.exchange.reset(floor.now_ms)
    floor.exchange.relist(replace(floor.exchange.instrument(BTC), status="CLOSE"))
    keep(floor, tmp_path)
    again = restart(tmp_path, floor.now_ms)
    assert told(again, floor.now_ms) == told(floor.exchange, floor.now_ms)
    assert again.instrument(BTC).status == "CLOSE"
    assert again.books.counters == floor.exchange.books.counters


def test_the_first_start_is_remembered(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.first_start(seed=1, now_ms=5) == 5
    assert store.first_start(seed=1, now_ms=9) == 5
    with pytest.raises(StoreUnusable, match="seed 1"):
        store.first_start(seed=2, now_ms=9)
    store.close()


def test_a_folder_has_one_exchange(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreUnusable, match="locked"):
        Store(tmp_path)
    store.close()
    Store(tmp_path).close()


def test_a_failed_commit_leaves_the_last_one(tmp_path: Path) -> None:
    floor = make_floor()
    keep(floor, tmp_path)
    floor.buy("0.05")
    store = Store(tmp_path)
    store._database.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError):
        store.commit(floor.exchange.books.pending, floor.exchange.books.counters)
    store.close()
    assert floor.exchange.books.pending, "they are tried again with the next commit"
    assert list(restart(tmp_path, floor.now_ms).books.fills()) == []


def test_R5_the_file_holds_no_secret(tmp_path: Path) -> None:
    floor = make_floor()
    keep(floor, tmp_path)
    secret = Credentialing(master_key(tmp_path)).secret_of(floor.account.api_key)
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()
    assert floor.account.api_key.encode() in (tmp_path / FILE_NAME).read_bytes()
