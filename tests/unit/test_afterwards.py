"""The tests' own judgement of what overlaps: a test that can't fail proves nothing."""

from __future__ import annotations

import pytest

from etcdapi.faults import Call
from support.checks.afterwards import no_overlap

A, B = ("http://a:1", "aa"), ("http://b:1", "bb")


def made(*calls, lasts=0.5):
    """Calls one second apart: what was sent, of which member, and what etcd said."""
    found = []
    for at, (what, (url, member_id), *code) in enumerate(calls):
        subject = url if what == "Add" else member_id
        known = member_id if what != "Add" or not code else ""
        found.append(Call(f"Member{what}", at, ended=at + lasts, subject=subject, member_id=known))
    return found


def test_one_after_the_other():
    """An add that is refused is its member's as well; the order of the list doesn't matter."""
    calls = made(("Add", A, "UNAVAILABLE"), ("Add", A), ("Promote", A), ("Add", B), ("Remove", B))
    assert no_overlap(calls[::-1])


@pytest.mark.parametrize(
    "calls",
    [
        made(("Add", A), ("Add", B), ("Promote", A)),
        made(("Add", A), ("Add", B, "UNAVAILABLE"), ("Promote", A), ("Add", B)),
        made(("Add", A), ("Promote", A), ("Add", B), ("Promote", B), ("Remove", A)),
        made(("Add", A), ("Promote", A), lasts=1.5),
    ],
    ids=["interleaved", "an attempt in between", "back to an earlier one", "at the same time"],
)
def test_overlaps(calls):
    """Two changes under way at once, in whichever way."""
    assert not no_overlap(calls)
