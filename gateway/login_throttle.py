"""How often a login may be tried: per account and per address, across all gateway processes.

The owner of an account is never locked out for good: what is counted are the tries of the last 15 minutes,
and an account that is attacked from many addresses still grants each address a few.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.errors import Problem
from gateway.models import LoginAttempt

WINDOW = timedelta(minutes=15)
TRIES_PER_ACCOUNT_AND_ADDRESS = 10
TRIES_PER_ADDRESS = 300
TRIES_PER_ACCOUNT = 100
TRIES_UNDER_ATTACK = 3


@dataclass(frozen=True)
class Login:
    """Who tries to log in.

    Attributes:
        account: SHA-256 of the e-mail address, whether or not somebody has it.
        address: Where the request comes from.
    """

    account: bytes
    address: str

    @classmethod
    def of(cls, email: str, address: str) -> "Login":
        """The login of one e-mail address (any case) from one network address."""
        return cls(hashlib.sha256(email.lower().encode()).digest(), address)


async def count_attempt(session: AsyncSession, login: Login, now: datetime) -> None:
    """Counts one try, before the password is looked at; commit it whatever comes of the try.

    Raises:
        Problem: 429 too_many_attempts with Retry-After; this try is not to be made.
    """
    # Two tries at once would both see the last free place.
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": login.account.hex()}
    )
    await session.execute(delete(LoginAttempt).where(LoginAttempt.tried_at <= now - WINDOW))
    both, of_account, of_address = await _counts(session, login)
    under_attack = of_account >= TRIES_PER_ACCOUNT
    allowed = TRIES_UNDER_ATTACK if under_attack else TRIES_PER_ACCOUNT_AND_ADDRESS
    if both >= allowed or of_address >= TRIES_PER_ADDRESS:
        raise await _too_many(session, login, now)
    session.add(LoginAttempt(account=login.account, address=login.address, tried_at=now))


async def forget_attempts(session: AsyncSession, login: Login) -> None:
    """After a login that succeeded: its earlier tries were the owner's."""
    await session.execute(
        delete(LoginAttempt).where(
            LoginAttempt.account == login.account, LoginAttempt.address == login.address
        )
    )


async def _counts(session: AsyncSession, login: Login) -> tuple[int, int, int]:
    row = await session.execute(
        select(
            func.count().filter(LoginAttempt.account == login.account, LoginAttempt.address == login.address),
            func.count().filter(LoginAttempt.account == login.account),
            func.count().filter(LoginAttempt.address == login.address),
        ).where((LoginAttempt.account == login.account) | (LoginAttempt.address == login.address))
    )
    both, of_account, of_address = row.one()
    return both, of_account, of_address


async def _too_many(session: AsyncSession, login: Login, now: datetime) -> Problem:
    oldest = await session.scalar(
        select(func.min(LoginAttempt.tried_at)).where(LoginAttempt.address == login.address)
    )
    wait = (oldest + WINDOW - now) if oldest else WINDOW
    return Problem(
        429,
        "too_many_attempts",
        "Too many attempts to log in. Wait a while and try again.",
        headers={"Retry-After": str(max(1, int(wait.total_seconds()) + 1))},
    )
