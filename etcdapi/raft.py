"""Raft's own view of its followers: `raft.status` in the leader's `GET /debug/vars` (etcd 3.4 and later)."""

from __future__ import annotations

import json

from membership.model import RaftProgress


def parse_progress(body: bytes) -> dict[str, RaftProgress]:
    """
    Progress by member ID; empty on a member that isn't the leader, or when the page has another shape.

    It is a debug page: optional evidence, never required.
    """
    try:
        rows = json.loads(body)["raft.status"]["progress"]
        return {str(key): RaftProgress(int(row["match"]), str(row["state"])) for key, row in rows.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
