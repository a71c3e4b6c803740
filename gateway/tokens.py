"""Access tokens, refresh tokens and NextAuth sessions.

An access token is a JWT (HS256, 15 minutes) that names its user, the login that it comes of and the password
of the time: after a logout or with another password it is worthless. Its header names the key that signed it,
so that keys can be changed without ending logins. A refresh token is 256 random bits, stored as a hash and
good for one use; a second use means that somebody else has it, and ends the whole login.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.errors import Problem, unauthorized
from gateway.models import RefreshToken, Session, TokenFamily, User
from gateway.signing_keys import SigningKeys
from tradekit.service.clock import Clock
from tradekit.service.database import Database
from tradekit.service.secret import Secret

ACCESS_LIFE = timedelta(minutes=15)
REFRESH_LIFE = timedelta(days=30)
# However often it is refreshed, a login ends some day.
LOGIN_LIFE = timedelta(days=90)
ALGORITHM = "HS256"
ISSUER = "tradingbot-gateway"
AUDIENCE = "tradingbot-api"
ACCESS = "access"
MAX_TOKEN_CHARACTERS = 4_096


@dataclass(frozen=True)
class TokenPair:
    """What a login gives; both are secrets, shown once.

    Attributes:
        expires_in: Life of the access token, seconds.
    """

    access_token: Secret
    refresh_token: Secret
    expires_in: int


class Tokens:
    """Issues, refreshes, revokes and reads tokens."""

    def __init__(self, database: Database, keys: SigningKeys, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock

    async def issue(self, user: User) -> TokenPair:
        """The tokens of a fresh login; old logins of the user that have ended are cleared away."""
        now = self._clock.now()
        family = TokenFamily(id=uuid4(), user_id=user.id, created_at=now, expires_at=now + LOGIN_LIFE)
        async with self._database.begin() as session:
            ended = (TokenFamily.user_id == user.id) & (TokenFamily.expires_at <= now)
            await session.execute(delete(TokenFamily).where(ended))
            await session.execute(delete(Session).where(Session.user_id == user.id, Session.expires <= now))
            session.add(family)
            await session.flush()
            return self._pair(session, user, family)

    async def refresh(self, presented: str) -> TokenPair:
        """A new pair for a refresh token, which is then used up.

        Raises:
            Problem: 401 token_reused (the login is ended), token_expired, unauthorized.
        """
        async with self._database.begin() as session:
            pair = await self._refresh(session, presented)
        # Raised here: what the transaction changed, a login that was ended, stays.
        if isinstance(pair, Problem):
            raise pair
        return pair

    async def _refresh(self, session: AsyncSession, presented: str) -> TokenPair | Problem:
        found = await session.execute(
            select(RefreshToken, TokenFamily, User)
            .join(TokenFamily, TokenFamily.id == RefreshToken.family_id)
            .join(User, User.id == TokenFamily.user_id)
            .where(RefreshToken.token_hash == _hash(presented))
            .with_for_update(of=[RefreshToken, TokenFamily])
        )
        row = found.one_or_none()
        if row is None:
            return unauthorized(detail="This refresh token is not valid.")
        token, family, user = row
        now = self._clock.now()
        if token.used_at is not None:
            family.revoked_at = family.revoked_at or now
            return unauthorized("token_reused", "This refresh token was used before. Log in again.")
        if family.revoked_at is not None or not self._keys.is_mark_of(token.password_mark, user.password):
            return unauthorized(detail="This login has ended. Log in again.")
        if min(token.expires_at, family.expires_at) <= now:
            return unauthorized("token_expired", "This refresh token has expired. Log in again.")
        token.used_at = now
        return self._pair(session, user, family)

    async def revoke(self, presented: str, user_id: UUID) -> None:
        """Ends the login that the refresh token comes of, if it is this user's."""
        family_id = select(RefreshToken.family_id).where(RefreshToken.token_hash == _hash(presented))
        async with self._database.begin() as session:
            await session.execute(
                update(TokenFamily)
                .where(TokenFamily.id.in_(family_id), TokenFamily.user_id == user_id)
                .where(TokenFamily.revoked_at.is_(None))
                .values(revoked_at=self._clock.now())
            )

    async def user_of(self, presented: str) -> User:
        """The user whose access token or NextAuth session token this is.

        Raises:
            Problem: 401 unauthorized, token_expired.
        """
        if not (presented.isascii() and presented.isprintable()) or len(presented) > MAX_TOKEN_CHARACTERS:
            raise unauthorized()
        if presented.count(".") == 2:
            return await self._user_of_access_token(presented)
        return await self._user_of_session(presented)

    async def _user_of_access_token(self, presented: str) -> User:
        claims = self._claims(presented)
        async with self._database.begin() as session:
            user = await session.get(User, claims.user_id)
            family = await session.get(TokenFamily, claims.family_id)
        if user is None:
            raise unauthorized(detail="User not found")
        ended = family is None or family.user_id != user.id or family.revoked_at is not None
        if ended or not self._keys.is_mark_of(claims.password_mark, user.password):
            raise unauthorized(detail="This login has ended. Log in again.")
        return user

    async def _user_of_session(self, presented: str) -> User:
        async with self._database.begin() as session:
            found = await session.execute(
                select(User, Session.expires)
                .join(Session, Session.user_id == User.id)
                .where(Session.session_token == presented)
            )
            row = found.one_or_none()
        if row is None:
            raise unauthorized()
        user, expires = row
        if expires <= self._clock.now():
            raise unauthorized("token_expired", "This session has expired. Log in again.")
        return user

    def _claims(self, presented: str) -> "_Claims":
        try:
            key = self._keys.find(jwt.get_unverified_header(presented)["kid"])
            if key is None:
                raise unauthorized()
            claims = jwt.decode(
                presented,
                key.secret.reveal(),
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                # Instants are compared below, with the clock that everything here uses.
                options={
                    "require": ["iss", "aud", "exp", "iat", "jti", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            return _read_claims(claims, self._clock.now().timestamp())
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            raise unauthorized() from None

    def _pair(self, session: AsyncSession, user: User, family: TokenFamily) -> TokenPair:
        now = self._clock.now()
        key = self._keys.current
        password_mark = key.password_mark(user.password)
        refresh = secrets.token_urlsafe(32)
        session.add(
            RefreshToken(
                token_hash=_hash(refresh),
                family_id=family.id,
                password_mark=password_mark,
                expires_at=min(now + REFRESH_LIFE, family.expires_at),
            )
        )
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user.id),
            "sid": str(family.id),
            "pwm": password_mark,
            "typ": ACCESS,
            "jti": uuid4().hex,
            "iat": int(now.timestamp()),
            "exp": int((now + ACCESS_LIFE).timestamp()),
        }
        access = jwt.encode(claims, key.secret.reveal(), algorithm=ALGORITHM, headers={"kid": key.id})
        return TokenPair(Secret(access), Secret(refresh), int(ACCESS_LIFE.total_seconds()))


@dataclass(frozen=True)
class _Claims:
    user_id: UUID
    family_id: UUID
    password_mark: str


def _read_claims(claims: dict[str, Any], now: float) -> _Claims:
    if claims["typ"] != ACCESS or float(claims.get("nbf", 0)) > now:
        raise unauthorized()
    if float(claims["exp"]) <= now:
        raise unauthorized("token_expired", "This access token has expired.")
    return _Claims(UUID(claims["sub"]), UUID(claims["sid"]), str(claims["pwm"]))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
