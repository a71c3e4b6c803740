"""Values that everybody knows: the examples of tutorials, sketches and of our own `.env.example`."""

import itertools
import re

# Published as examples and copied into real systems ever since.
_KNOWN = frozenset(
    {
        # FastAPI's tutorial, "OAuth2 with JWT"
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        # jwt.io's debugger, past and present
        "your-256-bit-secret",
        "a-string-secret-at-least-256-bits-long",
    }
)
_KNOWN_PREFIXES = ("django-insecure-",)

# A value of these words alone is a placeholder, in whatever order: "your-secret-key-change-in-production".
_PLACEHOLDER_WORDS = frozenset(
    """
    a admin aes ai an and any api app at base be bit bits bot byte bytes change changed changeit
    changeme char character characters default demo dev development dummy encryption example fernet fill
    foo bar for generate generated here hex hs in insecure is it jwt key keys least local long me min
    minimum must my mysecret mysecretkey need needs new nextauth not only operator or passphrase
    password placeholder please private prod production random replace replaceme same sample secret
    secretkey secrets secure session set should some something string strong super supersecret
    supersecretkey test testing text that the this to todo token trading tradingbot tradingview unsafe
    urlsafe use value very webhook wide with x xx xxx xxxx your yoursecret yoursecretkey yourself
    """.split()  # noqa: SIM905  # a list of words is read as words
)


def is_example(value: str) -> bool:
    """Whether a secret is a published example, a placeholder in words, or a plain row of characters."""
    lowered = value.strip().lower()
    words = [word for word in re.split(r"[^a-z]+", lowered) if word]
    return (
        lowered in _KNOWN
        or lowered.startswith(_KNOWN_PREFIXES)
        or _is_regular(lowered.encode())
        or (bool(words) and all(word in _PLACEHOLDER_WORDS for word in words))
    )


def _is_regular(value: bytes) -> bool:
    """True for one byte repeated, 0 1 2 3 …, abcabc and the like."""
    steps = {(later - earlier) % 256 for earlier, later in itertools.pairwise(value)}
    return len(steps) < 4
