"""Bugs of etcd that bear on membership changes, by version (sources: etcd's changelogs and the issues named)."""

from __future__ import annotations

from dataclasses import dataclass

from membership.verdicts import version_of

Version = tuple[int, ...]


@dataclass(frozen=True)
class Bug:
    """A bug, and the versions that have it."""

    what: str
    #: Of each pair, the first version has the bug, and the second one no longer.
    ranges: tuple[tuple[Version, Version], ...]


_BUGS = (
    Bug(
        "MemberUpdate on a learner turns it into a voter in the lists (etcd#21694)",
        (((3, 5, 0), (3, 5, 31)), ((3, 6, 0), (3, 6, 12))),
    ),
    Bug(
        "promotes are not persisted in the v3 store, so 3.6 may refuse to start (etcd#19557, #20793): "
        "go through the latest 3.5 before 3.6",
        (((3, 5, 1), (3, 5, 24)),),
    ),
    Bug(
        "removed members may come back after an upgrade to 3.6: go through 3.5.26 or later before it",
        (((3, 5, 0), (3, 5, 26)),),
    ),
    Bug("a learner that never started can be promoted", (((3, 5, 0), (3, 5, 7)),)),
    Bug("data may become inconsistent", (((3, 5, 0), (3, 5, 6)),)),
    Bug("defragmenting while a learner syncs may corrupt data", (((3, 5, 0), (3, 5, 23)), ((3, 6, 0), (3, 6, 5)))),
    Bug(
        "MemberList, Alarm and MoveLeader don't check permissions (CVE-2026-33413)",
        (((3, 5, 0), (3, 5, 28)), ((3, 6, 0), (3, 6, 9))),
    ),
)


def bugs_of(version: str) -> list[str]:
    """The bugs of this version that an operator should know before changing the membership."""
    numbers = version_of(version)
    return [bug.what for bug in _BUGS if any(first <= numbers < fixed for first, fixed in bug.ranges)]
