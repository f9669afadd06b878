"""Whatever dies in the middle of a join, the join ends, and nothing takes effect twice."""

from __future__ import annotations

import signal
import time

import pytest

from etcdapi.faults import Fault
from support.checks.afterwards import Before
from support.faults.deaths import leader_killed, leader_stopped, leader_stopped_while_it_answers
from support.parts.lab import eventually

# Seconds within which a change goes on after its worker was killed and started again, on a slow machine too.
GOES_ON_WITHIN = 90


def test_worker_stopped_in_order(lab):
    """SIGTERM lets a promote under way end; the next worker goes on, and the promote is not sent again."""
    cluster = lab.cluster()
    before = Before(cluster)

    def stop_in_background():
        lab.worker.process.send(signal.SIGTERM)

    cluster.inject(Fault("MemberPromote", "delay", seconds=2, arrives=stop_in_background))
    join = cluster.join(cluster.new_member())
    join.start_member()
    assert lab.worker.process.wait(40) == 0
    before.assert_joined(join.new)
    lab.worker.start()
    end = join.wait(GOES_ON_WITHIN)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)
    assert end.answer["attempts"]["promote"] == 1
    before.assert_joined(join.new)


def test_temporal_restarted(lab):
    """The server is killed while the member is waited for; the join goes on when it is back."""
    cluster = lab.cluster()
    before = Before(cluster)
    join = cluster.join(cluster.new_member())
    join.handover()
    lab.server.kill()
    join.start_member()
    time.sleep(2)  # the outage itself
    lab.restart_server()
    end = join.wait(90)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)
    before.assert_joined(join.new)


ADD, PROMOTE = "MemberAdd", "MemberPromote"


@pytest.mark.parametrize(
    ("method", "prepare"),
    [
        # etcd refuses an add while a voter is down.
        pytest.param(ADD, leader_killed(ADD, comes_back=True), id="killed as the add arrives"),
        pytest.param(ADD, leader_killed(ADD, "answered", comes_back=True), id="killed after the add"),
        pytest.param(ADD, leader_stopped_while_it_answers(ADD, comes_back=True), id="stopped while it answers the add"),
        pytest.param(PROMOTE, leader_killed(PROMOTE), id="killed as the promote arrives"),
        pytest.param(PROMOTE, leader_killed(PROMOTE, "answered"), id="killed after the promote"),
        pytest.param(PROMOTE, leader_stopped(PROMOTE), id="stopped as the promote arrives"),
        pytest.param(PROMOTE, leader_stopped_while_it_answers(PROMOTE), id="stopped while it answers the promote"),
    ],
)
def test_leader(lab, method, prepare):
    """Before or after the call took effect; it is sent twice at most, and the member is a voter in the end."""
    cluster = lab.cluster(fresh=True)
    before = Before(cluster)
    new = cluster.new_member()
    prepare(cluster, new)
    join = cluster.join(new)
    join.start_member()
    end = join.wait(90)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    rows = {f"{r.ID:x}": "learner" if r.isLearner else "voter" for r in cluster.rows(new)}
    assert {**before.roles, end.answer["member_id"]: "voter"} == rows
    assert not cluster.unused_faults()
    assert not cluster.sent("MemberRemove")
    for each in (ADD, PROMOTE):
        # etcd's own refusals, of links younger than 5 s, come to nothing.
        calls = [call for call in cluster.sent(each) if call.fault or call.code != "UNAVAILABLE"]
        assert 1 <= len(calls) <= 1 + (each == method), calls


@pytest.mark.parametrize("meanwhile", ["nothing", "cancel", "clock"])
def test_followers_frozen_while_the_promote_is_in_flight(lab, meanwhile):
    """It may commit long after its deadline: neither a cancel nor a clock removes the member before that is known."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = {"join_timeout": "25s"} if meanwhile == "clock" else {}
    before = Before(cluster)
    leader = cluster.leader()
    followers = [m for m in cluster.members if m is not leader]
    new = cluster.new_member()

    def freeze():
        for follower in followers:
            follower.freeze()

    cluster.relays[leader.name].inject(Fault("MemberPromote", "pass", arrives=freeze))
    join = cluster.join(new)
    join.start_member()
    workflow_id = cluster.workflow_id(new)
    eventually(lambda: "of promote" in lab.waits_for(workflow_id), "a look for its effect", 40)
    if meanwhile == "cancel":
        lab.cancel(workflow_id)
    if meanwhile == "clock":
        eventually(lambda: lab.executions.clock_ended(workflow_id, "JoinTimeout"), "join_timeout", 40)
    for follower in followers:
        follower.thaw()
    end = join.wait(90)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    adds, promotes, removes = cluster.counts()
    assert (adds, removes) == (1, 0)
    assert promotes <= 2
    assert {**before.roles, end.answer["member_id"]: "voter"} == cluster.roles()


def test_new_member_killed_as_the_promote_is_answered(lab):
    """It is a voter, nobody can verify it, and that is what is said."""
    cluster = lab.cluster()
    before = Before(cluster)
    new = cluster.new_member()
    cluster.inject(Fault("MemberPromote", "pass", answered=new.kill))
    join = cluster.join(new)
    join.start_member()
    end = join.wait(60)
    assert (end.code, end.answer["outcome"], end.answer.get("verified")) == (0, "promoted", False), end
    assert "not verified" in " ".join(end.answer["warnings"])
    assert cluster.counts() == (1, 1, 0)
    before.assert_joined(new)
