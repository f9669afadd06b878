"""hold, resume and cancel of a replacement: before its first half, in it, between the halves, and too late."""

from __future__ import annotations

import pytest
from asked_midway import asked_as_it_arrives, waits_before_another, waits_in_line

from etcdapi.faults import Fault
from support.checks.puts import Puts
from support.parts.lab import ends, eventually, follower


@pytest.mark.parametrize("way_out", ["resume", "cancel"])
def test_a_replace_held_in_line(lab, way_out):
    """By Temporal's own command: it goes on with its turn, or leaves the line with nothing sent."""
    cluster = lab.cluster(fresh=True)
    ahead = cluster.join(cluster.new_member())
    ahead.handover()
    before, old = cluster.roles(), follower(cluster)
    replace = cluster.replace(old.name, cluster.new_member())
    workflow_id = cluster.workflow_id(replace.new, "replace")
    waits_in_line(lab, workflow_id)
    lab.update(workflow_id, "hold")
    assert lab.held(workflow_id)
    lab.update(workflow_id, way_out)
    if way_out == "resume":
        lab.cancel(cluster.workflow_id(ahead.new))
        replace.start_member()
    end = replace.wait()
    if way_out == "resume":
        assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
        assert cluster.counts() == (2, 1, 2)  # one add and one removal are the other's
    else:
        assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
        assert (before, cluster.counts()) == (cluster.roles(), (1, 0, 0))


@pytest.mark.parametrize("way_out", ["resume", "cancel"])
def test_a_replace_held_while_it_waits_for_the_new_member(lab, way_out):
    """By Temporal's own command: started meanwhile it goes no further until resumed; cancelled nothing has changed."""
    cluster = lab.cluster(fresh=way_out == "resume")
    before, old = cluster.roles(), follower(cluster)
    with Puts(cluster) as puts:
        replace = cluster.replace(old.name, cluster.new_member())
        replace.handover()
        workflow_id = cluster.workflow_id(replace.new, "replace")
        eventually(lambda: "has not started" in lab.waits_for(workflow_id), "the wait for the member")
        lab.update(workflow_id, "hold")
        replace.start_member()
        replace.new.wait_until_serving()
        assert lab.held(workflow_id)
        assert not cluster.sent("MemberPromote")
        lab.update(workflow_id, way_out)
        end = replace.wait()
    puts.check()
    if way_out == "resume":
        assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
        assert cluster.counts() == (1, 1, 1)
    else:
        assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
        assert (before, cluster.counts()) == (cluster.roles(), (1, 0, 1))
        ends(replace.new)


def test_a_replace_cancelled_as_the_old_one_is_removed(lab):
    """It takes effect: the cluster is not as before, and the replace doesn't say that it is."""
    cluster = lab.cluster(fresh=True)
    old = follower(cluster)
    old.kill()
    new = cluster.new_member()
    asked = asked_as_it_arrives(lab, cluster, "MemberRemove", cluster.workflow_id(new, "replace"), "cancel")
    end = cluster.replace(old.name, new).wait()
    assert len(cluster.rows()) == 2
    assert (end.code, end.answer["outcome"]) == (1, "failed"), end
    assert "old removed, new not joined" in end.answer["reason"]
    assert asked[0].wait().code == 1


def test_a_replace_cancelled_between_its_halves(lab):
    """The old one is gone, so it can't end as if nothing had been: it says what stands, and goes on when run again."""
    cluster = lab.cluster(fresh=True)
    old = follower(cluster)
    old_id = cluster.id_of(old)
    old.kill()
    new = cluster.new_member()
    replace = cluster.replace(old.name, new)
    replace.handover()
    assert lab.run("hold", cluster.name, new.name).code == 0
    assert lab.held(cluster.workflow_id(new, "replace"))
    cancel = lab.run("cancel", cluster.name, new.name, "--json")
    assert (cancel.code, cancel.answer["outcome"]) == (1, "failed"), cancel
    assert "old removed, new not joined" in cancel.answer["reason"]
    assert "run the same command again" in cancel.answer["hint"]
    assert replace.wait().code == 1
    assert list(cluster.roles().values()) == ["voter"] * 2
    assert old_id not in cluster.roles()
    replace.env_file.unlink()
    again = cluster.replace(old.name, new)
    again.start_member()
    end = again.wait()
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
    assert list(cluster.roles().values()) == ["voter"] * 3


def test_a_replace_cancelled_before_anything_stands(lab):
    """The new one is only a learner yet: all of it is taken back."""
    cluster = lab.cluster()
    before = cluster.roles()
    old = follower(cluster)
    replace = cluster.replace(old.name, cluster.new_member(), "--hold-before", "promote")
    replace.start_member()
    workflow_id = cluster.workflow_id(replace.new, "replace")
    eventually(lambda: lab.held(workflow_id), "the replace to be held")
    assert lab.run("cancel", cluster.name, replace.new.name).code == 0
    end = replace.wait()
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert before == cluster.roles()
    ends(replace.new)


def test_a_replace_cancelled_after_the_join(lab):
    """The new one is a voter and stays one; the old one stays too, and goes when the same command is run again."""
    cluster = lab.cluster(fresh=True)
    old = follower(cluster)
    cluster.inject(Fault("MemberRemove", "refuse", times=None))
    replace = cluster.replace(old.name, cluster.new_member())
    replace.start_member()
    waits_before_another(lab, "replace", cluster, replace.new.name)
    cancel = lab.run("cancel", cluster.name, replace.new.name, "--json")
    assert (cancel.code, cancel.answer["outcome"]) == (1, "failed"), cancel
    assert "new joined, old not removed" in cancel.answer["reason"]
    assert list(cluster.roles().values()) == ["voter"] * 4
    cluster.mend()
    end = cluster.replace(old.name, replace.new).wait()
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
    assert list(cluster.roles().values()) == ["voter"] * 3
    assert cluster.counts() == (1, 1, 1)


def test_a_replace_that_was_held_too_late(lab):
    """Asked for while the promote is under way: whoever is told that it came too late is not held later either."""
    cluster = lab.cluster(fresh=True)
    old = follower(cluster)
    new = cluster.new_member()
    workflow_id = cluster.workflow_id(new, "replace")
    asked = asked_as_it_arrives(lab, cluster, "MemberPromote", workflow_id, "hold", answered=new.freeze)
    replace = cluster.replace(old.name, new)
    replace.start_member()
    eventually(lambda: lab.view(workflow_id)["stage"] == "verify", "the promote", 60)
    new.thaw()
    hold = asked[0].wait(60)
    assert hold.code == 1, hold
    assert "too late" in hold.stderr
    end = replace.wait(40)
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), (hold, end)
