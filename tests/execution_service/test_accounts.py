"""What is kept at hand of an account."""

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import cast

import pytest

from execution_service.accounts import Account, Accounts
from execution_service.exchanges import Exchange
from execution_service.exchanges.errors import KeyRejected
from execution_service.exchanges.types import AccountKey, Balance, Environment, Position
from execution_service.market_data import MarketData
from tests.execution_service.clocks import StillClock
from tradekit.market.sizing import Side
from tradekit.service.errors import NotFound, Unavailable

pytestmark = pytest.mark.anyio

USER, ACCOUNT = str(uuid.UUID(int=2)), str(uuid.UUID(int=3))
KEY = AccountKey(USER, ACCOUNT, "binance", Environment.PAPER)


class Wallet:
    """An exchange that knows balance and positions, and counts how often it is asked."""

    account = KEY

    def __init__(self) -> None:
        self.questions = 0
        self.positions: list[Position] = []

    async def get_account_balance(self) -> Balance:
        self.questions += 1
        return Balance("USDT", Decimal(100), Decimal(100), Decimal(0))

    async def get_positions(self) -> list[Position]:
        self.questions += 1
        return self.positions


def position(symbol: str, side: Side = Side.LONG) -> Position:
    return Position(symbol, side, Decimal(1), Decimal(10), Decimal(10), Decimal(0), None)


def open_account(wallet: Wallet, clock: StillClock) -> Account:
    return Account(cast(Exchange, wallet), cast(MarketData, None), clock)


async def test_both_positions_of_a_market_are_seen_in_hedge_mode() -> None:
    wallet = Wallet()
    wallet.positions = [position("BTCUSDT"), position("ETHUSDT"), position("BTCUSDT", Side.SHORT)]

    found = await open_account(wallet, StillClock()).positions_of("BTCUSDT")

    assert [held.side for held in found] == [Side.LONG, Side.SHORT]


async def test_after_a_trade_everything_is_asked_for_anew() -> None:
    wallet, clock = Wallet(), StillClock()
    account = open_account(wallet, clock)
    await account.keep_warm()
    await account.keep_warm()
    assert wallet.questions == 2

    account.traded()
    await account.keep_warm()

    assert wallet.questions == 4


async def test_F41_a_refused_key_is_tried_again_after_a_minute() -> None:
    clock = StillClock()
    account = open_account(Wallet(), clock)
    account.reject_key(KeyRejected("The key is gone."))

    await account.keep_warm()
    still_refused = account.key_rejected is not None
    clock.pass_time(timedelta(seconds=61))
    await account.keep_warm()

    assert still_refused
    assert account.key_rejected is None


class Vault:
    """Describes one account."""

    def __init__(self) -> None:
        self.active = True
        self.away = False

    async def describe(self, user_id: str, account_id: str) -> tuple[AccountKey, bool]:
        if self.away:
            raise Unavailable("VAULT_UNAVAILABLE", "away")
        if (user_id, account_id) != (USER, ACCOUNT):
            raise NotFound("ACCOUNT_NOT_FOUND", "There is no such account.")
        return KEY, self.active


def accounts_of(vault: Vault, clock: StillClock) -> Accounts:
    return Accounts(vault.describe, lambda key: (cast(Exchange, Wallet()), cast(MarketData, None)), clock)


async def test_an_account_is_one_object_however_often_it_is_asked_for() -> None:
    accounts = accounts_of(Vault(), StillClock())

    assert await accounts.get(USER, ACCOUNT) is await accounts.get(USER, ACCOUNT)


async def test_accounts_that_do_not_exist_leave_nothing_behind() -> None:
    accounts = accounts_of(Vault(), StillClock())

    for number in range(100):
        with pytest.raises(NotFound):
            await accounts.get(USER, str(number))

    assert not accounts._descriptions  # memory that strangers could fill


async def test_a_disabled_account_is_noticed_within_a_second() -> None:
    vault, clock = Vault(), StillClock()
    accounts = accounts_of(vault, clock)
    account = await accounts.get(USER, ACCOUNT)
    vault.active = False
    clock.pass_time(timedelta(seconds=1.1))

    assert not await accounts.is_active(account)
    vault.active = True
    assert await accounts.is_active(account)  # enabled again: at once


async def test_while_the_vault_is_away_its_last_word_holds() -> None:
    vault, clock = Vault(), StillClock()
    accounts = accounts_of(vault, clock)
    account = await accounts.get(USER, ACCOUNT)
    vault.away = True
    clock.pass_time(timedelta(hours=1))

    assert await accounts.is_active(account)
