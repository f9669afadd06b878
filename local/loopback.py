"""HTTP to processes on this machine."""

from __future__ import annotations

import urllib.request
from http.client import HTTPException

# A proxy that the environment names is for other machines, so it is not used.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str, timeout: float) -> bytes:
    """The body of a successful answer, with a time-out in seconds. Raises OSError for every other outcome."""
    try:
        with _OPENER.open(url, timeout=timeout) as answer:
            return bytes(answer.read())
    except HTTPException as error:
        raise ConnectionError(f"{url}: {error}") from error
