"""Names of a market: every spelling that people and TradingView use, parsed to one."""

import re
from dataclasses import dataclass

QUOTES = ("USDT", "USDC")

_TEXT = re.compile(r"(?:([A-Z0-9_]{2,20}):)?([A-Z0-9][A-Z0-9.\-]{1,38})", re.ASCII)
_PAIR = re.compile(rf"([A-Z0-9]{{1,20}}?)({'|'.join(QUOTES)})(?:\.P|PERP)?", re.ASCII)
_SWAP = re.compile(rf"([A-Z0-9]{{1,20}})-({'|'.join(QUOTES)})-SWAP", re.ASCII)


class SymbolMalformed(ValueError):
    """The text cannot be a symbol."""


class SymbolUnknown(ValueError):
    """The text may be a symbol, but not of a linear perpetual that we know how to name."""


@dataclass(frozen=True, slots=True)
class Market:
    """A linear perpetual future.

    Attributes:
        base: For example "BTC".
        quote: For example "USDT"; the margin is in it too.
        exchange: The exchange that the text named ("binance" in "BINANCE:BTCUSDT.P"), lower case, or None.
    """

    base: str
    quote: str
    exchange: str | None = None

    @property
    def symbol(self) -> str:
        """The exchange-neutral name, for example "BTCUSDT"."""
        return self.base + self.quote


def check_symbol_text(text: str) -> None:
    """Raises SymbolMalformed unless `text` is letters, digits, dots and dashes behind an optional "XY:"."""
    _prefix_and_name(text)


def parse_market(text: str) -> Market:
    """Reads `BTCUSDT`, `BTCUSDT.P`, `BINANCE:BTCUSDT.P` or `BTC-USDT-SWAP`, any case.

    Raises:
        SymbolMalformed: It cannot be a symbol.
        SymbolUnknown: It is none of these.
    """
    prefix, name = _prefix_and_name(text)
    pair = _SWAP.fullmatch(name) or _PAIR.fullmatch(name)
    if not pair:
        raise SymbolUnknown(f"{name} is not a perpetual future in {' or '.join(QUOTES)}")
    return Market(base=pair[1], quote=pair[2], exchange=prefix.lower() if prefix else None)


def _prefix_and_name(text: str) -> tuple[str | None, str]:
    # Before `upper`: that turns letters such as "ſ" into ASCII, and a look-alike into another market's name.
    match = _TEXT.fullmatch(text.upper()) if text.isascii() else None
    if not match:
        raise SymbolMalformed(f"{text[:60]!r} is not a symbol")
    return match[1], match[2]
