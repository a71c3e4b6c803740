"""Users: sign up, log in, experience; the queries on users."""

from dataclasses import dataclass
from math import isqrt
from uuid import UUID

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.errors import Problem, invalid, unauthorized
from gateway.login_throttle import Login, count_attempt, forget_attempts
from gateway.models import User
from gateway.passwords import Passwords, password_problem
from tradekit.service.clock import Clock
from tradekit.service.database import Database
from tradekit.service.secret import Secret

# The user that `tradingbot up` makes on one machine; in production nobody can be it.
DEMO_EMAIL = "demo@tradingbot.example"
MAX_EMAIL_CHARACTERS = 254
# On a network of one's own, me@home.local is a good address; we send no mail.
SPECIAL_USE_DOMAIN_NAMES.clear()

ENTRY_XP = 10
CLOSE_XP = 15
XP_OF_LEVEL_TWO = 100


@dataclass(frozen=True)
class Gain:
    """What a filled order adds to its user."""

    xp: int
    trades: int


GAINS = {"entry.filled": Gain(xp=ENTRY_XP, trades=1), "close.filled": Gain(xp=CLOSE_XP, trades=0)}


def level_of(total_xp: int) -> int:
    """The level of so much experience: 1 + floor(sqrt(total_xp / 100))."""
    return 1 + isqrt(total_xp // XP_OF_LEVEL_TWO)


async def apply_gain(session: AsyncSession, user_id: UUID, gain: Gain) -> None:
    """Adds a gain to a user; nothing when there is no such user any more."""
    user = await session.get(User, user_id, with_for_update=True)
    if user is not None:
        user.total_xp += gain.xp
        user.total_trades += gain.trades
        user.level = level_of(user.total_xp)


def normal_email(text: str) -> str:
    """An e-mail address in the one form that is stored: lower case, Unicode normalised.

    Raises:
        ValueError: It is none.
    """
    if len(text) > MAX_EMAIL_CHARACTERS:
        raise ValueError("too long")
    try:
        return validate_email(text, check_deliverability=False, globally_deliverable=False).normalized.lower()
    except EmailNotValidError:
        raise ValueError("no e-mail address") from None


class Users:
    """Who may come in.

    Args:
        demo_allowed: Whether the demo user may sign up and log in.
    """

    def __init__(self, database: Database, passwords: Passwords, clock: Clock, *, demo_allowed: bool) -> None:
        self._database = database
        self._passwords = passwords
        self._clock = clock
        self._demo_allowed = demo_allowed

    async def sign_up(self, email: str, password: Secret, name: str) -> User:
        """A new user.

        Args:
            email: In normal form.

        Raises:
            Problem: 422 weak_password; 409 email_taken; 422 for the demo's address in production.
        """
        if self._is_closed(email):
            raise invalid([("email", "This address is reserved.")])
        problem = password_problem(password.reveal())
        if problem is not None:
            raise Problem(422, "weak_password", problem)
        hashed = await self._passwords.hash(password.reveal())
        async with self._database.begin() as session:
            created: User | None = await session.scalar(
                insert(User)
                .values(email=email, password=hashed, name=name)
                .on_conflict_do_nothing(index_elements=[User.email])
                .returning(User)
            )
        if created is None:
            raise Problem(409, "email_taken", "Somebody has signed up with this e-mail address.")
        return created

    async def authenticate(self, email: str, password: Secret, address: str) -> User:
        """The user with this e-mail address and password.

        An unknown address, a wrong password and the demo in production get the same answer for the same work.

        Args:
            email: As it was typed.
            address: Where the request comes from.

        Raises:
            Problem: 401 invalid_credentials; 429 too_many_attempts.
        """
        login = Login.of(email, address)
        async with self._database.begin() as session:
            await count_attempt(session, login, self._clock.now())
            user = await _find(session, email)
        if user is not None and self._is_closed(user.email):
            user = None
        if not await self._passwords.verify(password.reveal(), user.password if user else None) or not user:
            raise unauthorized("invalid_credentials", "The e-mail address or the password is wrong.")
        await self._welcome(user, password, login)
        return user

    def _is_closed(self, email: str) -> bool:
        return email == DEMO_EMAIL and not self._demo_allowed

    async def _welcome(self, user: User, password: Secret, login: Login) -> None:
        stored = user.password
        if self._passwords.needs_rehash(stored):
            user.password = await self._passwords.hash(password.reveal())
        async with self._database.begin() as session:
            await forget_attempts(session, login)
            if user.password != stored:
                await session.execute(
                    # Unless the password was changed meanwhile.
                    update(User)
                    .where(User.id == user.id, User.password == stored)
                    .values(password=user.password)
                )


async def _find(session: AsyncSession, email: str) -> User | None:
    try:
        email = normal_email(email)
    except ValueError:
        return None
    return await session.scalar(select(User).where(User.email == email))
