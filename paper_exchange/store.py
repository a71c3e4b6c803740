"""What survives a restart: a SQLite file that holds every command's events before its answer is sent.

One table of JSON records by (kind, id). Commits go to the write-ahead log, so a killed process loses nothing
that was answered; after a power cut the last commits may be missing.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from paper_exchange.accounts import Account, Income, MarginChange, Position
from paper_exchange.books import Books, Counters
from paper_exchange.events import (
    AccountChanged,
    Cleared,
    ConditionalOrderChanged,
    Event,
    IncomeBooked,
    InstrumentChanged,
    MarginMoved,
    OrderAmended,
    OrderChanged,
    PositionChanged,
    PriceSet,
)
from paper_exchange.instruments import Instrument
from paper_exchange.market import Market, PostedPrice
from paper_exchange.orders import Amendment, ConditionalOrder, Fill, Order

FILE_NAME = "paper-exchange.sqlite3"
_VERSION = 1
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS record (
        kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)
    ) WITHOUT ROWID
"""
_FORGET = "DELETE FROM record WHERE kind NOT IN ('origin', 'lock', 'account', 'instrument')"
_NAMES: dict[type[Any], tuple[str, ...]] = {}
_READERS: dict[type[Any], dict[str, Callable[[Any], Any]]] = {}

_WRITE = "INSERT OR REPLACE INTO record VALUES (?, ?, ?)"

T = TypeVar("T")


class StoreUnusable(Exception):
    """The state folder cannot be used; the message says why."""


class Store:
    """The file of one exchange. Not shared between processes: a second one is refused."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._database = sqlite3.connect(folder / FILE_NAME, isolation_level=None, timeout=1)
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(_SCHEMA)
            self._database.execute("INSERT OR REPLACE INTO record VALUES ('lock', '', '')")
        except sqlite3.Error as error:
            raise StoreUnusable(f"{folder / FILE_NAME}: {error}") from error

    def close(self) -> None:
        self._database.close()

    def first_start(self, *, seed: int, now_ms: int) -> int:
        """When this exchange was first started (ms); remembered from the first call on.

        Raises:
            StoreUnusable: the folder belongs to an exchange with another seed or another version.
        """
        row = self._database.execute("SELECT body FROM record WHERE kind = 'origin'").fetchone()
        if row is None:
            body = json.dumps({"seed": seed, "start_ms": now_ms, "version": _VERSION})
            self._database.execute("INSERT INTO record VALUES ('origin', '', ?)", (body,))
            return now_ms
        origin = json.loads(row[0])
        if (origin["seed"], origin["version"]) != (seed, _VERSION):
            raise StoreUnusable(
                f"the state folder belongs to seed {origin['seed']}, version {origin['version']}; "
                f"not to seed {seed}, version {_VERSION}"
            )
        start_ms: int = origin["start_ms"]
        return start_ms

    def load(self, books: Books, market: Market) -> None:
        """Puts everything stored back into books and market."""
        for instrument in self._all("instrument", Instrument):
            market.relist(instrument)
        for posted in sorted(self._all("price", PostedPrice), key=lambda posted: posted.time_ms):
            market.post(posted)
        accounts = {account.account_id: account for account in self._all("account", Account)}
        for position in self._all("position", Position):
            accounts[position.account_id].positions[f"{position.symbol}:{position.side}"] = position
        for account in accounts.values():
            books.add_account(account)
        for order in sorted(self._all("order", Order), key=lambda order: order.order_id):
            books.index_order(order)
        for conditional in sorted(
            self._all("conditional", ConditionalOrder), key=lambda order: order.algo_id
        ):
            books.index_conditional(conditional)
        for fill in sorted(self._all("fill", Fill), key=lambda fill: fill.trade_id):
            books.index_fill(fill)
        for income in sorted(self._all("income", Income), key=lambda income: income.income_id):
            books.index_income(income)
        for amendment in sorted(self._all("amendment", Amendment), key=lambda one: one.amendment_id):
            books.index_amendment(amendment)
        for change in sorted(self._all("margin", MarginChange), key=lambda one: one.change_id):
            books.index_margin_change(change)
        books.counters = next(self._all("counters", Counters), books.counters)
        books.committed()

    def commit(self, events: Iterable[Event], counters: Counters) -> None:
        """Writes the entities of these events, as they are now, in one transaction."""
        records: dict[tuple[str, str], Any] = {("counters", ""): counters}
        forget = False
        for event in events:
            if isinstance(event, Cleared):
                forget, records = True, {("counters", ""): counters}
            else:
                records.update(_records(event))
        self._database.execute("BEGIN IMMEDIATE")
        try:
            if forget:
                self._database.execute(_FORGET)
            rows = ((kind, key, encode(entity)) for (kind, key), entity in records.items())
            self._database.executemany(_WRITE, rows)
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _all(self, kind: str, cls: type[T]) -> Iterator[T]:
        rows = self._database.execute("SELECT body FROM record WHERE kind = ?", (kind,)).fetchall()
        return (decode(cls, row[0]) for row in rows)


def _records(event: Event) -> Iterator[tuple[tuple[str, str], Any]]:
    """What an event changed, by kind and id."""
    match event:
        case OrderChanged(order=order, fill=fill):
            yield ("order", str(order.order_id)), order
            if fill is not None:
                yield ("fill", str(fill.trade_id)), fill
        case ConditionalOrderChanged(order=conditional):
            yield ("conditional", str(conditional.algo_id)), conditional
        case AccountChanged(account=account):
            yield ("account", str(account.account_id)), account
        case PositionChanged(position=position):
            yield ("position", f"{position.account_id}:{position.symbol}:{position.side}"), position
        case IncomeBooked(income=income):
            yield ("income", str(income.income_id)), income
        case OrderAmended(amendment=amendment):
            yield ("amendment", str(amendment.amendment_id)), amendment
        case MarginMoved(change=change):
            yield ("margin", str(change.change_id)), change
        case PriceSet(posted=posted, number=number):
            yield ("price", str(number)), posted
        case InstrumentChanged(instrument=instrument):
            yield ("instrument", instrument.symbol), instrument


def encode(value: Any) -> str:
    """A dataclass as JSON, decimals as strings; an account without its positions, which are records too."""
    body = {name: getattr(value, name) for name in _names(type(value))}
    if isinstance(value, Account):
        del body["positions"]
    return json.dumps(body, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if is_dataclass(value):
        return {name: getattr(value, name) for name in _names(type(value))}
    raise TypeError(type(value).__name__)


def decode(cls: type[T], body: str) -> T:
    """The dataclass that `encode` wrote."""
    return _build(cls, json.loads(body))


def _build(cls: type[T], body: dict[str, Any]) -> T:
    readers = _readers(cls)
    return cls(**{name: readers[name](value) for name, value in body.items()})


def _names(cls: type[Any]) -> tuple[str, ...]:
    if cls not in _NAMES:
        _NAMES[cls] = tuple(field.name for field in fields(cls))
    return _NAMES[cls]


def _readers(cls: type[Any]) -> dict[str, Callable[[Any], Any]]:
    if cls not in _READERS:
        hints = get_type_hints(cls)
        _READERS[cls] = {name: _reader(hints[name]) for name in _names(cls)}
    return _READERS[cls]


def _reader(hint: Any) -> Callable[[Any], Any]:
    """How a value of this type is made from JSON."""
    if get_origin(hint) is UnionType:
        (inner,) = (part for part in get_args(hint) if part is not NoneType)
        read = _reader(inner)
        return lambda value: None if value is None else read(value)
    if get_origin(hint) is dict:
        read_value = _reader(get_args(hint)[1])
        return lambda value: {key: read_value(item) for key, item in value.items()}
    if get_origin(hint) is tuple:
        read_item = _reader(get_args(hint)[0])
        return lambda value: tuple(read_item(item) for item in value)
    if is_dataclass(hint):
        return lambda value: _build(hint, value)  # type: ignore[arg-type] # a dataclass type, by the check
    if hint is Decimal or (isinstance(hint, type) and issubclass(hint, StrEnum)):
        return hint
    return lambda value: value
