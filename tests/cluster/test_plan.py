"""plan: the preflight alone says what a change would be up against, and sends nothing to etcd."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.service import RPCError

from etcdapi.stubs import rpc_pb2
from local.etcd_cluster import LocalMember
from messages.ids import turns_id
from support.parts.lab import LOOSE, Cluster, Ended, Lab, dead_follower, eventually, follower

NOTHING = (0, 0, 0)


def plan(cluster: Cluster, verb: str, *args: str) -> Ended:
    cluster.lab.write_clusters_file()
    return cluster.lab.run("plan", verb, cluster.name, *args, "--json")


def plan_join(cluster: Cluster, new: LocalMember) -> Ended:
    return plan(cluster, "join", new.name, "--peer-url", new.peer_url)


def plan_replace(cluster: Cluster, old: str, new: LocalMember, *args: str) -> Ended:
    return plan(cluster, "replace", old, new.name, "--peer-url", new.peer_url, *args)


def check(end: Ended, name: str) -> dict[str, Any]:
    """The one check of that name."""
    [found] = [c for c in end.answer["checks"] if c["name"] == name]
    return found


def verdict(end: Ended) -> tuple[int, str]:
    return end.code, end.answer["verdict"]


def nothing_was_sent(cluster: Cluster) -> bool:
    return cluster.counts() == NOTHING and not cluster.sent("MoveLeader") and not cluster.sent("Alarm")


def turns_asked(lab: Lab, cluster: Cluster) -> str:
    """The latest run of the cluster's turns; the same as before when nobody asked for one meanwhile."""
    try:
        return lab.describe(turns_id(cluster.name))["workflowExecutionInfo"]["execution"]["runId"]
    except RPCError:
        return ""


EVERY_CHECK = {"leader", "voters", "member lists", "versions", "alarms", "database", "links", "turn"}


def test_a_healthy_cluster(lab):
    """Each change would run now; every check says what it saw, as JSON and as a table."""
    cluster = lab.cluster()
    cluster.policy = LOOSE
    before = turns_asked(lab, cluster)
    new, old = cluster.new_member(), follower(cluster)
    ends = {
        "join": plan_join(cluster, new),
        "remove": plan(cluster, "remove", old.name),
        "replace": plan_replace(cluster, old.name, new),
    }
    for verb, end in ends.items():
        assert verdict(end) == (0, "go"), (verb, end)
        assert {c["name"] for c in end.answer["checks"]} >= EVERY_CHECK
        assert all(c["verdict"] == "ok" and c["evidence"] for c in end.answer["checks"]), end
    leader = cluster.leader()
    assert check(ends["join"], "leader")["evidence"].startswith(f"{leader.name} ({cluster.id_of(leader)}), term ")
    assert check(ends["join"], "voters")["evidence"] == "3 of 3 alive"
    assert new.peer_url in check(ends["join"], "join")["evidence"]
    assert "voters that may die: 1 now, 0 after the removal" in check(ends["remove"], "spare")["evidence"]
    lead = plan(cluster, "remove", leader.name)
    assert "after its leadership is moved" in check(lead, "removal")["evidence"]
    table = lab.run("plan", "join", cluster.name, new.name, "--peer-url", new.peer_url)
    assert (table.code, "would run now" in table.stderr) == (0, True), table
    for word in ("member lists", "versions", "database", "links"):
        assert word in table.stdout
    assert nothing_was_sent(cluster)
    assert before == turns_asked(lab, cluster)


def test_a_voter_is_down(lab):
    """A join would wait, naming it; it can go, or be replaced with the removal first; a healthy one can't go."""
    cluster = lab.cluster()
    cluster.policy = {"min_voters": 2}
    dead = dead_follower(cluster)
    new = cluster.new_member()
    dead_id, healthy = cluster.id_of(dead), follower_but(cluster, dead)
    join = plan_join(cluster, new)
    assert verdict(join) == (0, "wait"), join
    assert check(join, "voters")["verdict"] == "warn"
    assert dead_id in check(join, "voters")["evidence"]
    assert "etcd refuses an add while these voters are down" in check(join, "join")["evidence"]
    remove = plan(cluster, "remove", dead_id)
    assert verdict(remove) == (0, "go"), remove
    refused = plan(cluster, "remove", healthy.name, "--force")
    assert verdict(refused) == (5, "refuse"), refused
    assert "lose its quorum" in check(refused, "removal")["evidence"]
    replace = plan_replace(cluster, dead.name, new)
    order = check(replace, "order")["evidence"]
    assert (replace.code, order) == (
        0,
        "remove-first: the old member is down, and etcd may refuse an add while a voter is down",
    ), replace
    assert nothing_was_sent(cluster)
    cluster.revive(dead)


def follower_but(cluster: Cluster, dead: LocalMember) -> LocalMember:
    leader = cluster.leader()
    return next(m for m in cluster.members[:3] if m not in (leader, dead))


def test_somebody_else_s_learner(lab):
    """It is named; a join would wait for it, a removal leaves it alone."""
    cluster = lab.cluster()
    cluster.policy = LOOSE
    stranger = cluster.new_member("stranger")
    client = cluster.client(cluster.leader())
    request = rpc_pb2.MemberAddRequest(peerURLs=[stranger.peer_url], isLearner=True)
    foreign = f"{client.clusterstub.MemberAdd(request, timeout=5).member.ID:x}"
    client.close()
    new, old = cluster.new_member(), follower(cluster)
    join = plan_join(cluster, new)
    assert verdict(join) == (0, "wait"), join
    expected = f"learner {foreign} (not started) at {stranger.peer_url} takes the learner slot"
    assert (check(join, "join")["verdict"], check(join, "join")["evidence"]) == ("wait", expected)
    assert "would wait first" in lab.run("plan", "join", cluster.name, new.name, "--peer-url", new.peer_url).stderr
    remove = plan(cluster, "remove", old.name)
    assert verdict(remove) == (0, "go"), remove
    assert check(remove, "learners")["verdict"] == "warn"
    assert foreign in check(remove, "learners")["evidence"]
    replace = plan_replace(cluster, foreign, new)
    assert verdict(replace) == (0, "go"), replace
    assert "the old member is a learner" in check(replace, "order")["evidence"]
    assert nothing_was_sent(cluster)


def test_a_learner_left_behind(lab):
    """The same join would take it over; any other would remove it first, so there is nothing to wait for."""
    cluster = lab.cluster(fresh=True)
    left = cluster.join(cluster.new_member())
    left.handover()
    orphan = cluster.id_of(left.new)
    lab.terminate(cluster.workflow_id(left.new))
    left.wait()
    new = cluster.new_member()
    end = eventually(lambda: left_behind(cluster, new), "the turns to have rested after the holder's end")
    assert check(end, "orphan")["verdict"] == "warn"
    told = f"learner {orphan}, left behind by {cluster.workflow_id(left.new)}, would be removed first"
    assert told == check(end, "orphan")["evidence"]
    same = plan_join(cluster, left.new)
    assert verdict(same) == (0, "go"), same
    assert "would be removed first" not in same.stdout
    assert cluster.counts() == (1, 0, 0)
    cluster.policy = LOOSE
    removal = cluster.remove(follower(cluster).name).wait()
    assert (removal.code, removal.answer["outcome"]) == (0, "removed"), removal
    assert any(f"learner {orphan}" in w and "was removed first" in w for w in removal.answer["warnings"]), removal
    assert cluster.counts() == (1, 0, 2)
    assert list(cluster.roles().values()) == ["voter"] * 2


def left_behind(cluster: Cluster, new: LocalMember) -> Ended | None:
    end = plan_join(cluster, new)
    known = any(c["name"] == "orphan" for c in end.answer["checks"])
    return end if known and verdict(end) == (0, "go") else None


def test_young_links(lab):
    """A voter that has just started is named: for some seconds etcd may refuse changes."""
    cluster = lab.cluster(settled=False)
    member = follower(cluster)
    member_id = cluster.id_of(member)
    new = cluster.new_member()
    end = eventually(lambda: planned_at_once(cluster, member, new), "a plan within 5 s of a member's start", 60)
    assert verdict(end) == (0, "wait"), end
    assert member_id in check(end, "links")["evidence"]
    older = eventually(lambda: no_wait(cluster, new), "the links to be old enough", 15)
    assert check(older, "links")["verdict"] == "ok"
    assert nothing_was_sent(cluster)


def planned_at_once(cluster: Cluster, member: LocalMember, new: LocalMember) -> Ended | None:
    """A slow machine may need several attempts."""
    member.stop()
    cluster.revive(member)
    end = plan_join(cluster, new)
    return end if check(end, "links")["verdict"] == "wait" else None


def no_wait(cluster: Cluster, new: LocalMember) -> Ended | None:
    end = plan_join(cluster, new)
    return end if end.answer["verdict"] == "go" else None


def test_somebody_has_the_turn(lab):
    """The plan tells who is ahead."""
    cluster = lab.cluster()
    holder = cluster.join(cluster.new_member())
    holder.handover()
    end = plan_join(cluster, cluster.new_member())
    assert verdict(end) == (0, "wait"), end
    assert check(end, "turn")["evidence"] == f"behind {cluster.workflow_id(holder.new)}"
    lab.cancel(cluster.workflow_id(holder.new))
    holder.wait()


CONFLICTS = {
    "name": ("NameConflict", lambda cluster, new: ("etcd-1", new.peer_url)),
    "peer URL": ("PeerURLConflict", lambda cluster, new: (new.name, cluster.members[0].peer_url)),
}


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_a_conflict(lab, conflict):
    """Exit 5, in the very words in which the join itself is refused."""
    cluster = lab.cluster(settled=False)
    error, given = CONFLICTS[conflict]
    name, url = given(cluster, cluster.new_member())
    end = plan(cluster, "join", name, "--peer-url", url)
    assert verdict(end) == (5, "refuse"), end
    refused = check(end, "join")
    assert (refused["verdict"], refused["error"]) == ("refuse", error)
    join = lab.run("join", cluster.name, name, "--peer-url", url, "--json")
    assert (join.code, join.answer["outcome"]) == (5, "refused"), join
    assert (refused["evidence"], refused["hint"]) == (join.answer["reason"], join.answer["hint"])
    said = lab.run("plan", "join", cluster.name, name, "--peer-url", url)
    assert (said.code, f"would be refused: {refused['evidence']}" in said.stderr) == (5, True), said
    assert nothing_was_sent(cluster)


def test_the_orders_of_a_replace(lab):
    """Which half comes first, and why; an order that can't be is refused."""
    cluster = lab.cluster(settled=False)
    old, new = follower(cluster), cluster.new_member()
    old_id = cluster.id_of(old)
    healthy = plan_replace(cluster, old.name, new)
    assert check(healthy, "order")["evidence"] == (
        "add-first: the old member is healthy, so the spare never shrinks"
    ), healthy
    wiped = plan_replace(cluster, old_id, old)
    assert check(wiped, "order")["evidence"] == "remove-first: the new member has the old one's name or peer URL", wiped
    asked = plan_replace(cluster, old.name, new, "--order", "remove-first")
    assert check(asked, "order")["evidence"] == "remove-first: asked for with --order"
    impossible = plan_replace(cluster, old_id, old, "--order", "add-first")
    assert verdict(impossible) == (5, "refuse"), impossible
    assert check(impossible, "order")["error"] == "OrderImpossible"
    by_name = plan_replace(cluster, old.name, old)
    assert by_name.code == 2, by_name
    assert "hex ID" in by_name.stderr
    gone = plan_replace(cluster, "nobody", new)
    assert gone.code == 0, gone
    assert "taken as removed already" in check(gone, "old member")["evidence"]
    assert nothing_was_sent(cluster)


def test_a_corrupt_member(lab):
    """Nothing may copy from it and nobody else may leave beside it; its own removal is the cure."""
    cluster = lab.cluster()
    cluster.policy = LOOSE
    corrupt = follower(cluster)
    corrupt_id = cluster.id_of(corrupt)
    cluster.set_alarm(corrupt_id, "CORRUPT")
    cluster.at_end.append(lambda: cluster.set_alarm(corrupt_id, "CORRUPT", "DEACTIVATE"))
    join = plan_join(cluster, cluster.new_member())
    assert (verdict(join), check(join, "join")["error"]) == ((5, "refuse"), "CorruptAlarm"), join
    assert corrupt_id in check(join, "alarms")["evidence"]
    other = plan(cluster, "remove", follower_but(cluster, corrupt).name)
    assert (verdict(other), check(other, "removal")["error"]) == ((5, "refuse"), "CorruptAlarm"), other
    itself = plan(cluster, "remove", corrupt.name)
    assert verdict(itself) == (0, "go"), itself
    assert nothing_was_sent(cluster)


def test_what_is_done_already(lab):
    """A member that is in, and one that is gone, need nothing."""
    cluster = lab.cluster(settled=False)
    member = cluster.members[0]
    end = plan(cluster, "join", member.name, "--peer-url", member.peer_url)
    assert end.code == 0, end
    end = plan(cluster, "remove", "nobody")
    assert end.code == 0, end
    assert "no member has the name or ID nobody" in check(end, "member")["evidence"]
    unknown = lab.run("plan", "join", "nowhere", "a", "--peer-url", "http://127.0.0.1:1")
    assert unknown.code == 2, unknown
    assert "no cluster 'nowhere'" in unknown.stderr
    assert nothing_was_sent(cluster)
