"""How long a change waits before it tries an act again. Pure: no clock, no Temporal."""

from __future__ import annotations

# Seconds before another attempt, by the name of the error. Each further pause is longer by half.
_FIRST = {"NotSent": 0.5, "LearnerNotReady": 0.5, "Unhealthy": 0.8, "TooManyLearners": 5.0}
_ELSE = 1.0
# The attempts before the pauses grow. etcd refuses changes until the leader has been connected to every member for 5 s
# (HealthInterval in server/etcdserver/server.go).
_EVEN = {"Unhealthy": 7}
_LONGEST = 300.0
_LONGEST_AFTER = 20
# A share of the time for which the change has tried. An attempt takes up to 60 events, and with this share the attempts
# of a year, the longest time that a policy may give a change, fit into the history of one run: a way back has no other.
_SHARE = 0.03


def pause_after(error: str, attempts: int, tried_for: float) -> float:
    """
    Seconds until the next attempt, after so many attempts without effect.

    `error`: the name of the last one's error. `tried_for`: seconds since the first one.
    """
    steps = max(0, attempts - 1 - _EVEN.get(error, 0))
    growing = _FIRST.get(error, _ELSE) * 1.5 ** min(steps, _LONGEST_AFTER)
    return max(min(_LONGEST, growing), _SHARE * tried_for)
