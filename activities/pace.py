"""How often a wait looks: often while it is young, and ever less often as it grows."""

from __future__ import annotations

# A share of the time waited. The end of a wait is then noticed about two percent too late.
SHARE = 0.02
# Seconds. At first every look may be the look that lets a member in.
SHORTEST = 0.05
LONGEST = 5.0
# Seconds. After that, a wait goes on in an attempt that heartbeats less often.
LONG_AFTER = 60.0


def pause_after(waited: float) -> float:
    """Seconds until the next look, after `waited` seconds in which nothing happened."""
    return min(LONGEST, max(SHORTEST, SHARE * waited))
