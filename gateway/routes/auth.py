"""`/auth`: sign up, log in, refresh, log out, who am I."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, SecretStr

from gateway.bodies import Body, Email, Name, secret_from
from gateway.dependencies import ClientAddress, CurrentUser, ResourcesOf
from gateway.models import User
from gateway.tokens import TokenPair

router = APIRouter(prefix="/auth", tags=["Users"])

_password = Field(
    description="8 characters to 1,024 bytes, none of the 3,000 most common ones.", examples=["correct horse"]
)


class SignUp(Body):
    email: Email = Field(examples=["trader@example.com"])
    password: SecretStr = _password
    name: Name = ""


class LogIn(Body):
    email: str = Field(max_length=1_000, examples=["trader@example.com"])
    password: SecretStr = _password


class RefreshTokenBody(Body):
    refresh_token: SecretStr = Field(description="As the last login or refresh gave it.")


class UserAnswer(BaseModel):
    id: UUID
    email: str
    name: str
    total_xp: int = Field(description="10 for each filled entry, 15 for each filled close.")
    level: int = Field(description="1 + floor(sqrt(total_xp / 100)).")
    total_trades: int = Field(description="Filled entries.")
    created_at: datetime


class TokensAnswer(BaseModel):
    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    refresh_token: str = Field(description="Good for one use; a second use ends the login.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a word of the protocol
    expires_in: int = Field(description="Life of the access token in seconds.")


class LoginAnswer(TokensAnswer):
    user: UserAnswer


@router.post("/signup", status_code=201, summary="Sign up")
async def sign_up(body: SignUp, resources: ResourcesOf) -> LoginAnswer:
    """Makes a user and logs in. Errors: `email_taken` (409), `weak_password` (422)."""
    user = await resources.users.sign_up(body.email, secret_from(body.password), body.name)
    return _login_answer(user, await resources.tokens.issue(user))


@router.post("/login", summary="Log in")
async def log_in(body: LogIn, resources: ResourcesOf, address: ClientAddress) -> LoginAnswer:
    """Errors: `invalid_credentials` (401), whatever was wrong; `too_many_attempts` (429)."""
    user = await resources.users.authenticate(body.email, secret_from(body.password), address)
    return _login_answer(user, await resources.tokens.issue(user))


@router.post("/refresh", summary="New tokens for a refresh token")
async def refresh(body: RefreshTokenBody, resources: ResourcesOf) -> TokensAnswer:
    """Errors: `token_reused` (401): it was used before, and the whole login has ended; `token_expired`."""
    return _tokens_answer(await resources.tokens.refresh(body.refresh_token.get_secret_value()))


@router.post("/logout", status_code=204, summary="Log out")
async def log_out(body: RefreshTokenBody, user: CurrentUser, resources: ResourcesOf) -> Response:
    """Ends the login that the refresh token comes of, access tokens included."""
    await resources.tokens.revoke(body.refresh_token.get_secret_value(), user.id)
    return Response(status_code=204)


@router.get("/me", summary="Who am I")
async def me(user: CurrentUser) -> UserAnswer:
    """The user of the token, with the numbers that move when trades fill."""
    return _user_answer(user)


def _user_answer(user: User) -> UserAnswer:
    return UserAnswer(
        id=user.id,
        email=user.email,
        name=user.name,
        total_xp=user.total_xp,
        level=user.level,
        total_trades=user.total_trades,
        created_at=user.created_at,
    )


def _tokens_answer(pair: TokenPair) -> TokensAnswer:
    return TokensAnswer(
        access_token=pair.access_token.reveal(),
        refresh_token=pair.refresh_token.reveal(),
        expires_in=pair.expires_in,
    )


def _login_answer(user: User, pair: TokenPair) -> LoginAnswer:
    tokens = _tokens_answer(pair)
    return LoginAnswer(user=_user_answer(user), **tokens.model_dump())
