"""hold, resume and cancel of a join, at every stage: by the command line, and by Temporal's own."""

from __future__ import annotations

import pytest
from asked_midway import added, asked_as_it_arrives, before_promote, in_preflight, queued, syncing

from support.parts.lab import Cluster, Join, Lab, ends, eventually


def by_cli(lab: Lab, cluster: Cluster, verb: str, join: Join) -> None:
    """`memberflow hold`, `resume` or `cancel`."""
    end = lab.run(verb, cluster.name, join.new.name)
    assert end.code == 0, end


def by_temporal(lab: Lab, cluster: Cluster, verb: str, join: Join) -> None:
    """`temporal workflow update execute`, for a caller that has no memberflow."""
    lab.update(cluster.workflow_id(join.new), verb)


STAGES = pytest.mark.parametrize("reach", [in_preflight, queued, added, syncing, before_promote])


@STAGES
def test_held_and_resumed(lab, reach):
    """Held it goes no further, whatever becomes of what it waited for; resumed it ends as if nothing had been."""
    cluster = lab.cluster()
    stage = reach(lab, cluster)
    workflow_id = cluster.workflow_id(stage.join.new)
    by_cli(lab, cluster, "hold", stage.join)
    assert lab.held(workflow_id)
    stage.let_go()
    assert not lab.pending(workflow_id)
    promotes = len(cluster.sent("MemberPromote"))
    assert promotes == bool(stage.ahead)
    by_temporal(lab, cluster, "resume", stage.join)
    if stage.join.new.process is None:
        stage.join.start_member()
    end = stage.join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert promotes + 1 == len(cluster.sent("MemberPromote"))


@STAGES
def test_held_and_cancelled(lab, reach):
    """A held change can be cancelled; nothing of it is left."""
    cluster = lab.cluster()
    before = cluster.roles()
    stage = reach(lab, cluster)
    by_temporal(lab, cluster, "hold", stage.join)
    by_temporal(lab, cluster, "cancel", stage.join)
    end = stage.join.wait()
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert lab.status(cluster.workflow_id(stage.join.new)) == "WORKFLOW_EXECUTION_STATUS_CANCELED"
    assert cluster.counts() == stage.rolled_back
    if stage.join.new.process:
        ends(stage.join.new)
    if stage.ahead:
        by_temporal(lab, cluster, "cancel", stage.ahead)
        stage.ahead.wait_quietly()
    assert before == cluster.roles()


def test_cancelled_while_syncing(lab):
    """Without a hold before it; the command waits until the rollback is done."""
    cluster = lab.cluster()
    before = cluster.roles()
    join = syncing(lab, cluster).join
    end = lab.run("cancel", cluster.name, join.new.name, "--json")
    assert (end.code, end.answer["outcome"]) == (0, "cancelled"), end
    assert before == cluster.roles()
    assert join.wait().code == 1
    ends(join.new)


@pytest.mark.parametrize("way_out", ["resume", "cancel"])
def test_held_while_the_add_is_in_flight(lab, way_out):
    """No act is torn: it is held once the add has ended, and knows the learner that it added."""
    cluster = lab.cluster()
    before, new = cluster.roles(), cluster.new_member()
    asked = asked_as_it_arrives(lab, cluster, "MemberAdd", cluster.workflow_id(new), "hold")
    join = cluster.join(new)
    hold = eventually(lambda: asked, "the add")[0].wait()
    assert hold.code == 0, hold
    assert lab.held(cluster.workflow_id(new))
    assert cluster.roles()[cluster.id_of(new)] == "learner"
    by_temporal(lab, cluster, way_out, join)
    if way_out == "resume":
        join.start_member()
    end = join.wait()
    if way_out == "resume":
        assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
        assert cluster.counts() == (1, 1, 0)
    else:
        assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
        assert (before, cluster.counts()) == (cluster.roles(), (1, 0, 1))


def test_held_in_line_others_go_first(lab):
    """A held change needs nothing of the cluster, so it doesn't keep the turn from those behind it."""
    cluster = lab.cluster()
    first = added(lab, cluster).join
    held, last = cluster.join(cluster.new_member()), cluster.new_member()
    held_id = cluster.workflow_id(held.new)
    eventually(lambda: "its turn behind" in lab.waits_for(held_id), "the second join to wait in line")
    by_cli(lab, cluster, "hold", held)
    behind = cluster.join(last)
    eventually(lambda: "its turn behind" in lab.waits_for(cluster.workflow_id(last)), "the third to wait in line")
    by_cli(lab, cluster, "cancel", first)
    behind.handover(20)
    behind.start_member()
    assert behind.wait().code == 0
    assert lab.held(held_id)
    by_cli(lab, cluster, "resume", held)
    held.start_member()
    assert held.wait().code == 0


# ---- on_failure = hold ----


def test_a_failure_that_is_held_can_be_cancelled(lab):
    """Resumed without being mended it is held again; cancelled it leaves nothing."""
    cluster = lab.cluster()
    cluster.policy = {"start_timeout": "2s", "on_failure": "hold"}
    before = cluster.roles()
    join = cluster.join(cluster.new_member())
    join.handover()
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "StartTimeout" in lab.held(workflow_id), "the join to be held")
    by_cli(lab, cluster, "resume", join)
    eventually(lambda: "has not started" in lab.waits_for(workflow_id), "the wait to go on")
    eventually(lambda: "StartTimeout" in lab.held(workflow_id), "the join to be held again")
    by_temporal(lab, cluster, "cancel", join)
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert before == cluster.roles()
    assert cluster.counts() == (1, 0, 1)
