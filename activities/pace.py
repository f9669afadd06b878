"""How often a wait looks: often while it is young and alone, and ever less often as it grows or others wait, too."""

from __future__ import annotations

# A share of the time waited. The end of a wait is then noticed about two percent too late.
SHARE = 0.02
# Seconds. At first every look may be the look that lets a member in.
SHORTEST = 0.05
LONGEST = 5.0
# Looks a second of all waits at one worker, until they look as rarely as they may. A look takes 2 ms of CPU, so that
# many young waits leave most of a core to the acts.
TOGETHER = 100
# Seconds. After that, a wait goes on in an attempt that heartbeats less often.
LONG_AFTER = 60.0


def pause_after(waited: float, waits: int = 1) -> float:
    """Seconds until the next look, after `waited` seconds in which nothing happened, where so many `waits` run."""
    return min(LONGEST, max(SHORTEST, SHARE * waited, waits / TOGETHER))
