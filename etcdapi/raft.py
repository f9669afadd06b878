"""
What etcd tells over plain HTTP: raft's view of its followers, and how long a member has been up.

`raft.status` is in the leader's `GET /debug/vars` (etcd 3.4 and later).
"""

from __future__ import annotations

import json
import re
from email.utils import parsedate_to_datetime

from membership.model import RaftProgress
from membership.witness import RaftView


def parse_progress(body: bytes) -> dict[str, RaftProgress]:
    """
    Progress by member ID; empty on a member that isn't the leader, or when the page has another shape.

    It is a debug page: optional evidence, never required.
    """
    view = parse_view(body)
    return view.progress if view else {}


def parse_view(body: bytes) -> RaftView | None:
    """The member's own view of raft; None when the page has another shape."""
    try:
        raft = json.loads(body)["raft.status"]
        rows = raft["progress"].items()
        progress = {str(key): RaftProgress(int(row["match"]), str(row["state"])) for key, row in rows}
        return RaftView(str(raft["id"]), str(raft["lead"]), int(raft["term"]), int(raft["commit"]), progress)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


_START = re.compile(rb"^process_start_time_seconds (\S+)$", re.MULTILINE)


def uptime_of(metrics: bytes, date: str) -> float:
    """
    Seconds since the start of the process that answered with these metrics at this date, all by its own clock.

    Raises ValueError when it doesn't tell.
    """
    started = _START.search(metrics)
    if started is None:
        raise ValueError("no process_start_time_seconds in the metrics")
    return parsedate_to_datetime(date).timestamp() - float(started[1])
