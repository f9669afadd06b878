"""hold, resume and cancel of a removal: in line, in the snapshot, before the lead is moved, before it is sent."""

from __future__ import annotations

import pytest
from asked_midway import asked_as_it_arrives, waits_before_another, waits_in_line

from etcdapi.faults import Fault
from messages.ids import change_id
from support.checks.puts import Puts
from support.parts.lab import LOOSE, Cluster, Command, Lab, eventually, follower, once

UPDATE = "EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED"


def test_a_removal_in_line_behind_a_held_join(lab):
    """`status` shows both; held in line it leaves the line, resumed it comes back, and goes when the join has gone."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    join_id = cluster.workflow_id(join.new)
    eventually(lambda: lab.held(join_id), "the join to be held")
    before, target = cluster.roles(), follower(cluster)
    target_id, removal_id = cluster.id_of(target), change_id(cluster.name, "remove", target.name)
    removal = cluster.remove(target.name)
    waits_in_line(lab, removal_id)
    assert line(lab, cluster) == [join_id, removal_id]
    lab.update(removal_id, "hold")
    assert lab.held(removal_id)
    eventually(lambda: line(lab, cluster) == [join_id], "the removal to leave the line")
    lab.update(removal_id, "resume")
    eventually(lambda: line(lab, cluster) == [join_id, removal_id], "the removal to come back")
    assert not cluster.sent("MemberRemove")
    lab.update(join_id, "resume")
    joined, removed = join.wait(), removal.wait()
    assert (joined.answer["outcome"], removed.answer["outcome"]) == ("promoted", "removed"), (joined, removed)
    assert cluster.roles() == dict.fromkeys(set(before) - {target_id}, "voter")
    assert cluster.counts() == (1, 1, 1)


def line(lab: Lab, cluster: Cluster) -> list[str]:
    """Who has the turn, and who waits for it."""
    turns = lab.run("status", cluster.name, "--json").answer["turns"]
    return [ticket["workflow_id"] for ticket in (turns["holder"], *turns["waiting"]) if ticket]


@pytest.mark.parametrize("way_out", ["cancel", "resume"])
@pytest.mark.parametrize(("method", "act"), [("MoveLeader", "move leader"), ("MemberRemove", "remove")])
def test_a_removal_held_while_it_waits(lab, method, act, way_out):
    """Resumed the member goes; cancelled it stays, leads if it led, and is asked for its status again."""
    cluster = lab.cluster(fresh=way_out == "resume")
    cluster.policy = LOOSE
    target = cluster.leader() if method == "MoveLeader" else follower(cluster)
    target_id = cluster.id_of(target)
    cluster.inject(Fault(method, "refuse", times=None))
    with Puts(cluster) as puts:
        removal = cluster.remove(target.name)
        workflow_id = waits_before_another(lab, "remove", cluster, target.name, act)
        lab.update(workflow_id, "hold")
        assert lab.held(workflow_id)
        cluster.mend()
        assert not cluster.sent(method)
        assert lab.run(way_out, cluster.name, target.name).code == 0
        end = removal.wait()
    puts.check()
    if way_out == "resume":
        assert (end.code, end.answer["outcome"]) == (0, "removed"), end
        assert target_id not in cluster.roles()
    else:
        assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
        assert len(cluster.rows()) == 3
        assert (cluster.leader() is target) == (method == "MoveLeader")
        eventually(lambda: asked_again(lab, cluster, target_id), "the member to be asked again")
        assert not cluster.sent("MemberRemove")


def asked_again(lab: Lab, cluster: Cluster, member_id: str) -> bool:
    return member_id in lab.run("status", cluster.name, "--json").answer["status"]["statuses"]


@pytest.mark.parametrize("way_out", ["cancel", "resume"])
def test_a_removal_held_in_its_snapshot(lab, tmp_path, way_out):
    """By Temporal's own command: the member goes only after a resume, and one whole snapshot is there then."""
    cluster = lab.cluster(fresh=way_out == "resume")
    cluster.policy = {**LOOSE, "snapshot_before_removal": f"{tmp_path}/{{time}}.db"}
    before, target = cluster.roles(), follower(cluster)
    workflow_id = change_id(cluster.name, "remove", target.name)
    asked: list[Command] = []
    ask = once(lambda: asked.append(lab.command("hold", cluster.name, target.name)))

    def hold() -> None:
        # The snapshot's own look, whomever it asks: it goes on when the hold is known.
        if "save_snapshot" in lab.pending(workflow_id):
            ask()
            eventually(lambda: UPDATE in lab.events(workflow_id), "the hold")

    cluster.inject(Fault("MemberList", "pass", times=None, arrives=hold))
    removal = cluster.remove(target.name)
    end = eventually(lambda: asked, "the snapshot")[0].wait()
    assert end.code == 0, end
    assert lab.held(workflow_id)
    cluster.mend()
    assert not cluster.sent("MemberRemove")
    lab.update(workflow_id, way_out)
    end = removal.wait()
    if way_out == "resume":
        assert (end.code, end.answer["outcome"]) == (0, "removed"), end
        [saved] = tmp_path.iterdir()
        assert any(str(saved) in warning for warning in end.answer["warnings"]), end
    else:
        assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
        assert before == cluster.roles()
        assert not cluster.sent("MemberRemove")


def test_a_removal_cancelled_as_it_is_sent(lab):
    """It takes effect, so that is what is told; exit 1 for who cancelled."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    target = follower(cluster)
    workflow_id = change_id(cluster.name, "remove", target.name)
    asked = asked_as_it_arrives(lab, cluster, "MemberRemove", workflow_id, "cancel")
    end = cluster.remove(target.name).wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    late = asked[0].wait()
    assert (late.code, late.answer["outcome"]) == (1, "removed"), late
