"""Passwords: argon2id for new ones, bcrypt hashes still verify; what is too weak."""

import asyncio
from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from gateway.errors import unavailable

MIN_CHARACTERS = 8
MAX_BYTES = 1_024
COMMON_PASSWORDS = 3_000
# bcrypt ignores what stands behind: such a password was never wholly checked, so it is not accepted.
BCRYPT_MAX_BYTES = 72
# argon2id takes 64 MiB a hash.
CONCURRENT_HASHES = 4
MAX_WAITING = 64

P = ParamSpec("P")
T = TypeVar("T")


def password_problem(password: str) -> str | None:
    """What is wrong with a new password, as a sentence; None: nothing."""
    if len(password) < MIN_CHARACTERS:
        return f"The password needs at least {MIN_CHARACTERS} characters."
    if len(password.encode()) > MAX_BYTES:
        return f"The password may have at most {MAX_BYTES} bytes."
    if password.lower() in _common_passwords():
        return "This password is one of the most common ones. Choose another."
    return None


@cache
def _common_passwords() -> frozenset[str]:
    # zxcvbn's list is in order of frequency.
    return frozenset(FREQUENCY_LISTS["passwords"][:COMMON_PASSWORDS])


class Passwords:
    """Hashes and verifies, a few at a time and away from the event loop.

    Args:
        hasher: Its parameters decide the cost; a hash made with others is replaced at login.
    """

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._slots = asyncio.Semaphore(CONCURRENT_HASHES)
        self._waiting = 0
        # What an unknown address is verified against: the same work as for a known one.
        self._decoy = hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """An argon2id hash with a fresh salt.

        Raises:
            Problem: 503, too many are waiting.
        """
        return await self._in_thread(self._hasher.hash, password)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password is the stored one; None (nobody's) costs the same and is False.

        Raises:
            Problem: 503, too many are waiting.
        """
        matches = await self._in_thread(self._matches, stored or self._decoy, password)
        return matches and stored is not None

    def needs_rehash(self, stored: str) -> bool:
        """Whether the hash is not of today's kind and cost."""
        return _is_bcrypt(stored) or self._hasher.check_needs_rehash(stored)

    def _matches(self, stored: str, password: str) -> bool:
        if _is_bcrypt(stored):
            return _bcrypt_matches(stored, password.encode())
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._waiting >= MAX_WAITING:
            raise unavailable("overloaded", "Too many logins at once. Try again in a moment.")
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work, *args, **kwargs)
        finally:
            self._waiting -= 1


def _is_bcrypt(stored: str) -> bool:
    return stored.startswith("$2")


def _bcrypt_matches(stored: str, password: bytes) -> bool:
    try:
        return len(password) <= BCRYPT_MAX_BYTES and bcrypt.checkpw(password, stored.encode())
    except ValueError:
        return False  # no bcrypt hash after all
