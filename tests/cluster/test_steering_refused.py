"""hold, resume and cancel that are refused: too late, not held, ended, unknown, or of several changes of one name."""

from __future__ import annotations

import pytest
from asked_midway import added, asked_as_it_arrives, before_promote

from etcdapi.faults import Fault
from messages.ids import change_id
from support.parts.lab import LOOSE, Cluster, Lab, eventually


def refused(lab: Lab, cluster: Cluster, verb: str, name: str) -> None:
    """By both ways, in the same words."""
    end = lab.run(verb, cluster.name, name)
    assert end.code == 1, end
    assert "too late: the change is past its last safe point" in end.stderr


@pytest.mark.parametrize("verb", ["hold", "cancel"])
def test_too_late_after_the_promote(lab, verb):
    """The member is a voter, only its own word is missing: a clear refusal, and it stays one."""
    cluster = lab.cluster()
    new = cluster.new_member()
    cluster.inject(Fault("MemberPromote", "pass", answered=new.freeze))
    join = cluster.join(new)
    join.start_member()
    workflow_id = cluster.workflow_id(new)
    eventually(lambda: lab.view(workflow_id)["stage"] == "verify", "the promote")
    refused(lab, cluster, verb, new.name)
    with pytest.raises(AssertionError, match="too late: the change is past its last safe point"):
        lab.update(workflow_id, verb)
    new.thaw()
    end = join.wait()
    assert (end.code, end.answer["outcome"], end.answer.get("verified")) == (0, "promoted", True), end
    assert cluster.counts() == (1, 1, 0)


@pytest.mark.parametrize("verb", ["hold", "cancel"])
def test_too_late_while_the_promote_is_under_way(lab, verb):
    """Asked for in time, but the promote takes effect first: exit 1, and what became of it."""
    cluster = lab.cluster()
    new = cluster.new_member()
    asked = asked_as_it_arrives(lab, cluster, "MemberPromote", cluster.workflow_id(new), verb)
    join = cluster.join(new)
    join.start_member()
    end = join.wait(40)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    late = asked[0].wait()
    assert late.code == 1, late
    assert "promoted" in late.stdout or "too late" in late.stderr, late
    assert cluster.counts() == (1, 1, 0)


def test_steering_what_is_not_running(lab):
    """Exit 1 for a change that is not held, or has ended; 2 for one that never was."""
    cluster = lab.cluster()
    stage = added(lab, cluster)
    name = stage.join.new.name
    end = lab.run("resume", cluster.name, name)
    assert end.code == 1, end
    assert "the change is not held" in end.stderr
    stage.let_go()
    assert stage.join.wait().code == 0
    for verb in ("hold", "resume", "cancel"):
        ended = lab.run(verb, cluster.name, name)
        assert ended.code == 1, ended
        assert "not running any more" in ended.stderr
    unknown = lab.run("hold", cluster.name, "never-a-member")
    assert unknown.code == 2, unknown
    assert "no change of never-a-member" in unknown.stderr


def test_several_changes_of_one_name(lab):
    """Exit 2 with a list; --verb decides."""
    cluster = lab.cluster()
    cluster.policy = LOOSE
    stage = before_promote(lab, cluster)
    name = stage.join.new.name
    removal = cluster.remove(name)
    removal_id = change_id(cluster.name, "remove", name)
    eventually(lambda: "its turn behind" in lab.waits_for(removal_id), "the removal to wait in line")
    for verb in ("hold", "resume", "cancel"):
        end = lab.run(verb, cluster.name, name)
        assert end.code == 2, end
        assert f"several changes of {name}: join, remove" in end.stderr
        assert "--verb" in end.stderr
    assert lab.run("hold", cluster.name, name, "--verb", "leave").code == 2
    assert lab.run("hold", cluster.name, name, "--verb", "replace").code == 2
    assert lab.run("hold", cluster.name, name, "--verb", "remove").code == 0
    assert lab.held(removal_id)
    assert lab.run("cancel", cluster.name, name, "--verb", "remove").code == 0
    assert removal.wait().code == 1
    assert lab.run("resume", cluster.name, name, "--verb", "join").code == 0
    assert stage.join.wait().code == 0
    # Of those that have ended, the latest to start.
    assert '"cancelled"' in lab.run("watch", cluster.name, name, "--json").stdout
