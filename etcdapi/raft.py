"""
Reads etcd's plain HTTP pages: raft's view of its followers, and a member's uptime.

`raft.status` is in the leader's `GET /debug/vars` (etcd 3.4 and later).
"""

from __future__ import annotations

import json
import math
import re
from email.utils import parsedate_to_datetime

from membership.model import RaftProgress
from membership.witness import RaftView


def parse_view(body: bytes) -> RaftView | None:
    """
    The member's own view of raft. None when the page has another shape.

    The debug page is optional evidence, never required.
    """
    try:
        raft = json.loads(body)["raft.status"]
        rows = raft["progress"].items()
        progress = {str(key): RaftProgress(_uint64(row["match"]), str(row["state"])[:40]) for key, row in rows}
        return RaftView(str(raft["id"]), str(raft["lead"]), _uint64(raft["term"]), _uint64(raft["commit"]), progress)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _uint64(value: object) -> int:
    """An unsigned 64-bit number, as raft has them. Raises ValueError for others: no lag could be computed from them."""
    number = int(str(value))
    if not 0 <= number < 2**64:
        raise ValueError(f"{number} is not a raft index")
    return number


_START = re.compile(rb"^process_start_time_seconds (\S+)$", re.MULTILINE)


def uptime_of(metrics: bytes, date: str) -> float:
    """
    Seconds since the start of the process that answered with these metrics at this date, all by its own clock.

    Raises ValueError when the metrics do not contain the start time.
    """
    started = _START.search(metrics)
    if started is None or not math.isfinite(float(started[1])):
        raise ValueError("no process_start_time_seconds in the metrics")
    return parsedate_to_datetime(date).timestamp() - float(started[1])
