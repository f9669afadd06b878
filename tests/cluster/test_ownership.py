"""What a change may undo is what it did: learners, handovers, halves of a replace."""

from __future__ import annotations

from etcdapi.faults import Fault
from etcdapi.stubs import rpc_pb2
from messages.ids import change_id
from support.parts.lab import LOOSE, Cluster, Join, eventually, follower


def swap_by_hand(join: Join) -> str:
    """Somebody else removes the learner, and adds another one at the same peer URL; its ID."""
    cluster = join.cluster
    client = cluster.client(cluster.leader())
    client.remove_member(int(cluster.id_of(join.new), 16))
    request = rpc_pb2.MemberAddRequest(peerURLs=[join.new.peer_url], isLearner=True)
    added = client.clusterstub.MemberAdd(request, timeout=5)
    client.close()
    return f"{added.member.ID:x}"


def test_a_learner_that_somebody_put_in_the_place_of_ours_stays(lab):
    """It has our peer URL and another ID: neither a cancel nor another join of it takes it away."""
    cluster = lab.cluster()
    before = cluster.roles()
    join = cluster.join(cluster.new_member())
    join.handover()
    workflow_id = cluster.workflow_id(join.new)
    lab.update(workflow_id, "hold")
    theirs = swap_by_hand(join)
    lab.cancel(workflow_id)
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert {**before, theirs: "learner"} == cluster.roles()
    assert cluster.counts() == (1, 0, 0)


def test_the_address_of_a_cleared_learner_may_be_asked_again(lab):
    """The next member often comes from the same machine: same client URL, another name and peer URL."""
    cluster = lab.cluster()
    cluster.policy = {"stall_timeout": "20s"}
    left = cluster.new_member()
    first = cluster.join(left, "--hold-before", "promote")
    first.start_member()
    eventually(lambda: lab.held(cluster.workflow_id(left)), "the first join to be held")
    orphan = cluster.id_of(left)
    lab.terminate(cluster.workflow_id(left))
    first.wait()
    new = cluster.new_member(advertised=left.advertised)
    cluster.relays[left.name].upstream = cluster.relays[new.name].upstream
    other = cluster.join(new)
    other.handover()
    eventually(lambda: left.process.exit_code() is not None, "the process of the orphan to end")
    assert left.process.exit_code() == 0
    cluster.relays[left.name].stop()
    cluster.relays[left.name].upstream = new.client_port
    cluster.relays[left.name].start()
    other.start_member()
    end = other.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert orphan not in cluster.roles()


def test_a_handover_is_withdrawn_in_a_rollback(lab):
    """Whoever asks while the learner is being removed, and afterwards, starts no member with it."""
    cluster = lab.cluster()
    new = cluster.new_member()
    join = cluster.join(new)
    join.handover()
    asked: list[int] = []
    kept: list[bool] = []

    def ask() -> None:
        asked.append(lab.run("env", cluster.name, new.name).code)
        kept.append("handover" in lab.describe(cluster.workflow_id(new))["workflowExecutionInfo"]["memo"]["fields"])

    cluster.inject(Fault("MemberRemove", "pass", arrives=ask))
    lab.cancel(cluster.workflow_id(new))
    assert join.wait().answer["outcome"] == "cancelled"
    assert (asked, kept) == ([1], [False])
    assert lab.run("env", cluster.name, new.name).code == 1


def fail_between_halves(cluster: Cluster) -> Join:
    """A replace whose new member has joined, and whose removal is then cancelled."""
    lab = cluster.lab
    cluster.inject(Fault("MemberRemove", "refuse", times=None), Fault("MoveLeader", "refuse", times=None))
    replace = cluster.replace(cluster.members[0].name, cluster.new_member())
    replace.start_member()
    workflow_id = change_id(cluster.name, "replace", replace.new.name)
    eventually(lambda: lab.view(workflow_id)["stage"] in ("lead", "remove"), "the second half")
    lab.cancel(workflow_id)
    end = replace.wait()
    assert (end.code, end.answer["outcome"]) == (1, "failed"), end
    assert "new joined, old not removed" in end.answer["reason"]
    for relay in cluster.relays.values():
        relay.faults.clear()
    return replace


def test_a_replace_of_the_only_voter_goes_on_between_its_halves(lab):
    """The second run is judged by what the first began with: one voter, whatever min_voters is. The plan agrees."""
    cluster = lab.cluster(1, fresh=True)
    old_id = cluster.id_of(cluster.members[0])
    failed = fail_between_halves(cluster)
    plan = lab.run(
        "plan", "replace", cluster.name, old_id, failed.new.name, "--peer-url", failed.new.peer_url, "--json"
    )
    assert plan.code == 0, plan
    end = cluster.replace(cluster.members[0].name, failed.new).wait()
    assert (end.code, end.answer["outcome"], end.answer.get("verified")) == (0, "replaced", True), end
    assert list(cluster.roles()) == [cluster.id_of(failed.new)]
    assert len(cluster.sent("MemberAdd")) == 1
    assert len(cluster.sent("MemberPromote")) == 1


def test_nobody_shrinks_a_cluster_by_replacing_a_member_with_another_of_it(lab):
    """The new one is a voter already, and no earlier run says that it was to come: min_voters counts."""
    cluster = lab.cluster()
    old, other = follower(cluster), cluster.leader()
    end = cluster.replace(cluster.id_of(old), other).wait()
    assert (end.code, end.answer["outcome"]) == (5, "refused"), end
    assert "min_voters is 3" in end.answer["reason"]
    assert cluster.counts() == (0, 0, 0)


def test_a_replace_that_finds_another_member_at_the_new_peer_url_removes_nothing(lab):
    """It was nobody's when the replace was asked for, and somebody else's voter when its turn came."""
    cluster = lab.cluster()
    before = cluster.roles()
    theirs = cluster.new_member("theirs")
    join = cluster.join(theirs)
    join.handover()
    ours = cluster.new_member(peer=theirs.peer_url)
    replace = cluster.replace(follower(cluster).name, ours)
    workflow_id = change_id(cluster.name, "replace", ours.name)
    eventually(lambda: "its turn behind" in lab.waits_for(workflow_id), "the replace to wait in line")
    join.start_member()
    assert join.wait().answer["outcome"] == "promoted"
    end = replace.wait()
    assert (end.code, end.answer["outcome"]) == (5, "refused"), end
    assert "belongs to member theirs" in end.answer["reason"]
    assert {**before, cluster.id_of(theirs): "voter"} == cluster.roles()


def test_what_is_refused_with_the_turn_moved_no_leadership(lab):
    """A voter died while the removal of the leader waited in line: nothing of it is begun."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    eventually(lambda: lab.held(cluster.workflow_id(join.new)), "the join to be held")
    leader, dead = cluster.leader(), follower(cluster)
    removal = cluster.remove(leader.name)
    workflow_id = change_id(cluster.name, "remove", leader.name)
    eventually(lambda: "its turn behind" in lab.waits_for(workflow_id), "the removal to wait in line")
    dead.kill()
    lab.cancel(cluster.workflow_id(join.new))
    end = removal.wait()
    assert (end.code, end.answer["outcome"]) == (5, "refused"), end
    assert "lose its quorum" in end.answer["reason"]
    assert not cluster.sent("MoveLeader")
