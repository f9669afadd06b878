"""Plain words for gRPC's texts."""

from __future__ import annotations

import re

# gRPC's texts around the words of the system, and plain words for some of them.
_AROUND = re.compile(
    r"^failed to connect to all addresses; last error: \w+: \S+: (?:Failed to connect to remote host: )?"
)
_UNRESOLVED = re.compile(r"^errors resolving (\S+):\d+: ")
_PLAIN = {
    "Connection refused": "connection refused",
    "Deadline Exceeded": "no answer in time",
    "connection attempt timed out before receiving SETTINGS frame": "the connection was accepted, and nothing came",
    "Received http2 header with status: 404": "it is not an etcd member (HTTP 404)",
}


def plain(text: str) -> str:
    """The cause in gRPC's text for a call that failed, without addresses that are already in the error."""
    if unresolved := _UNRESOLVED.match(text):
        return f"the name {unresolved[1]} cannot be resolved"
    cause = _AROUND.sub("", text)
    return _PLAIN.get(cause, cause)
