"""How often a wait looks: often while it is young, and ever less often as it grows."""

from __future__ import annotations

# Of the time waited; a wait is then noticed to be over about two percent too late.
SHARE = 0.02
# Seconds. At first every look may be the one that lets a member in.
SHORTEST = 0.05
LONGEST = 5.0
# Seconds waited after which a wait goes on in an attempt that heartbeats less often.
LONG_AFTER = 60.0


def pause_after(waited: float) -> float:
    """Seconds until the next look of a wait that has lasted so many seconds, since something last happened."""
    return min(LONGEST, max(SHORTEST, SHARE * waited))
