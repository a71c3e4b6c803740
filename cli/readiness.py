"""Whether a process of ours does its work, asked over HTTP."""

import aiohttp

ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=5.0)
REASON_LENGTH = 300


async def why_not_ok(session: aiohttp.ClientSession, url: str) -> str | None:
    """None when `url` answers 200, else its answer or the reason why there is none."""
    try:
        async with session.get(url, timeout=ANSWER_TIMEOUT, allow_redirects=False) as response:
            if response.status == 200:
                return None
            body = (await response.text()).strip()[:REASON_LENGTH]
            return f"{url} answers {response.status}: {body}"
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
        return f"{url}: {error or type(error).__name__}"
