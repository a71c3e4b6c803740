"""Why `candles fetch` ends early; each message is a sentence for the person at the shell."""


class FetchRefused(Exception):
    """What was asked for cannot be done: another market's file, an unknown symbol, a wrong range."""


class FetchFailed(Exception):
    """The exchange did not give what it has; what came so far is kept, and the same command goes on."""
