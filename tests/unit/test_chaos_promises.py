"""`make chaos` notices a broken promise, and draws the same from the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from etcdapi.faults import Call
from local.etcd_cluster import LocalMember
from tools.chaos.drawing import draw
from tools.chaos.promises import Members, Reported, violations

NEW = LocalMember("new", Path("etcd"), Path("new"), client_port=1, peer_port=2)
BEFORE = Members({"1": "voter"}, {"http://1": "1"})
LEARNER = Members({"1": "voter", "9": "learner"}, {"http://1": "1", NEW.peer_url: "9"})
VOTER = Members({"1": "voter", "9": "voter"}, {"http://1": "1", NEW.peer_url: "9"})
REPLACED = Members({"9": "voter"}, {NEW.peer_url: "9"})
ADD = Call("MemberAdd", code="OK", subject=NEW.peer_url)


def join(outcome, code=0, **answer):
    return Reported(code, {"outcome": outcome, "member_id": "9", **answer}, NEW, "")


def replace(reason):
    return Reported(1, {"outcome": "failed", "reason": reason}, NEW, "1")


REMOVAL = Reported(1, {"outcome": "cancelled"}, None, "1")


@pytest.mark.parametrize(
    ("reported", "at_end", "later", "calls", "told"),
    [
        (join("promoted"), VOTER, VOTER, [ADD], []),
        (join("promoted"), LEARNER, VOTER, [], ["its learner is left", "promoted, but the new member is no voter"]),
        (join("promoted", member_id="8"), VOTER, VOTER, [], ["promoted, but with another ID"] * 2),
        (join("promoted", code=1), VOTER, VOTER, [], ["exit code 1 with outcome 'promoted'"]),
        (join("cancelled", code=1), BEFORE, BEFORE, [], []),
        (join("cancelled", code=1), BEFORE, VOTER, [], ["cancelled, but the new member is a voter"]),
        (join("failed", code=1), BEFORE, LEARNER, [], ["its learner is left"]),
        (join("failed", code=1, reason="unsettled"), BEFORE, LEARNER, [], []),
        (REMOVAL, BEFORE, REPLACED, [], ["cancelled, but the old member is gone"]),
        (Reported(0, {"outcome": "removed"}, None, "1"), BEFORE, REPLACED, [], ["removed, but the old member is in"]),
        (replace("new joined, old not removed: Cancelled"), VOTER, VOTER, [], []),
        (replace("new joined, old not removed: Cancelled"), VOTER, REPLACED, [], ["new joined, old not removed, but"]),
        (replace("old removed, new not joined: late"), BEFORE, BEFORE, [], ["old removed, new not joined, but"] * 2),
        (join("promoted"), VOTER, VOTER, [ADD, ADD], ["MemberAdd of http://127.0.0.1:2 took effect 2 times"]),
    ],
)
def test_a_broken_promise_is_told(reported, at_end, later, calls, told):
    """Once for each moment in which it is broken."""
    found = list(violations(reported, at_end, later, calls))
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True)), found


def test_the_same_seed_draws_the_same():
    """Another seed draws something else."""
    assert list(draw(1, 20)) == list(draw(1, 20)) != list(draw(2, 20))
