"""Bugs of etcd by version: on both sides of each release that brought or mended one."""

from __future__ import annotations

import pytest

from membership.known_bugs import bugs_of

MEMBER_UPDATE, NOT_PERSISTED, COME_BACK, UNSTARTED, INCONSISTENT, DEFRAGMENT, PERMISSIONS = (
    *(
        "MemberUpdate on a learner",
        "promotes are not persisted",
        "removed members may come back",
        "a learner that never started",
    ),
    *("data may become inconsistent", "defragmenting while a learner syncs", "CVE-2026-33413"),
)
BUGS = {
    "3.5.0": [MEMBER_UPDATE, COME_BACK, UNSTARTED, INCONSISTENT, DEFRAGMENT, PERMISSIONS],
    "3.5.1": [MEMBER_UPDATE, NOT_PERSISTED, COME_BACK, UNSTARTED, INCONSISTENT, DEFRAGMENT, PERMISSIONS],
    "3.5.5": [MEMBER_UPDATE, NOT_PERSISTED, COME_BACK, UNSTARTED, INCONSISTENT, DEFRAGMENT, PERMISSIONS],
    "3.5.6": [MEMBER_UPDATE, NOT_PERSISTED, COME_BACK, UNSTARTED, DEFRAGMENT, PERMISSIONS],
    "3.5.7": [MEMBER_UPDATE, NOT_PERSISTED, COME_BACK, DEFRAGMENT, PERMISSIONS],
    "3.5.22": [MEMBER_UPDATE, NOT_PERSISTED, COME_BACK, DEFRAGMENT, PERMISSIONS],
    "3.5.23": [MEMBER_UPDATE, NOT_PERSISTED, COME_BACK, PERMISSIONS],
    "3.5.24": [MEMBER_UPDATE, COME_BACK, PERMISSIONS],
    "3.5.26": [MEMBER_UPDATE, PERMISSIONS],
    "3.5.27": [MEMBER_UPDATE, PERMISSIONS],
    "3.5.28": [MEMBER_UPDATE],
    "3.5.30": [MEMBER_UPDATE],
    "3.5.31": [],
    "3.6.0-rc.1": [MEMBER_UPDATE, DEFRAGMENT, PERMISSIONS],
    "3.6.4": [MEMBER_UPDATE, DEFRAGMENT, PERMISSIONS],
    "3.6.5": [MEMBER_UPDATE, PERMISSIONS],
    "3.6.8": [MEMBER_UPDATE, PERMISSIONS],
    "3.6.9": [MEMBER_UPDATE],
    "3.6.11": [MEMBER_UPDATE],
    "3.6.12": [],
    "3.7.0": [],
}


@pytest.mark.parametrize("version", BUGS)
def test_the_bugs_of_a_version(version):
    """Those that bear on membership changes, and no others."""
    found = bugs_of(version)
    assert len(BUGS[version]) == len(found)
    assert all(start in text for start, text in zip(BUGS[version], found, strict=True))
