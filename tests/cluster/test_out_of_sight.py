"""A voter that only this worker cannot reach is not called down: a reachable URL in `endpoints` helps."""

from __future__ import annotations

import pytest

from etcdapi.faults import Fault
from local.etcd_cluster import LocalMember
from messages.ids import change_id
from support.parts.lab import LOOSE, eventually, follower


def voters(lab, cluster, silent):
    """The plan of another voter's removal, and its row about voters."""
    other = next(m for m in cluster.members if m not in (cluster.leader(), silent))
    plan = lab.run("plan", "remove", cluster.name, other.name, "--force", "--json")
    return plan, next(check for check in plan.answer["checks"] if check["name"] == "voters")


def test_a_voter_behind_another_address(lab):
    """Its advertised URL leads nowhere from here, as behind NAT, and the leader hears it: it lives in every plan."""
    cluster = lab.cluster()
    hidden = follower(cluster)
    cluster.hide(hidden)
    plan, row = voters(lab, cluster, hidden)
    assert "this worker cannot reach these voters, although the leader does: " + hidden.name in row["evidence"], plan
    assert f"a client URL at which this worker reaches {hidden.name} into `endpoints`" in row["hint"], plan
    assert (plan.code, "are down" in plan.stdout) == (0, False), plan
    assert order_of(lab, cluster, hidden) == "add-first"
    cluster.named = [hidden.client_url]
    lab.write_clusters_file()
    _, row = eventually(lambda: seen(voters(lab, cluster, hidden)), "the worker to reach it at the configured URL")
    assert row["evidence"] == "3 of 3 alive"


def order_of(lab, cluster, old):
    """The half of a replacement that would come first."""
    new = cluster.new_member()
    plan = lab.run("plan", "replace", cluster.name, old.name, new.name, "--peer-url", new.peer_url, "--json")
    told = next(check["evidence"] for check in plan.answer["checks"] if check["name"] == "order")
    return told.split(":")[0]


def seen(found):
    """The same, if every voter is alive."""
    return found if found[1]["verdict"] == "ok" else None


@pytest.mark.parametrize("end", [LocalMember.kill, LocalMember.freeze])
def test_a_dead_voter_is_down(lab, end):
    """The leader does not hear it either. Of a frozen one raft's own state does not show it for some seconds."""
    cluster = lab.cluster()
    dead = follower(cluster)
    end(dead)
    cluster.hide(dead)
    plan, row = voters(lab, cluster, dead)
    assert f"these voters are down: {dead.name}" in row["evidence"], plan
    assert plan.code == 5, plan
    assert order_of(lab, cluster, dead) == "remove-first"


def test_preempt_passes_no_join_for_a_voter_that_may_live(lab):
    """Neither for one that only this worker cannot reach, nor where the leader cannot be heard about it."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = LOOSE
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    eventually(lambda: lab.held(cluster.workflow_id(join.new)), "the join to be held")
    hidden = follower(cluster)
    cluster.hide(hidden)
    is_refused(lab, cluster, hidden, "lives: this worker cannot reach it, although the leader does")
    hidden.kill()
    cluster.inject(Fault("GET /debug/vars", "refuse", times=None))
    is_refused(lab, cluster, hidden, "may live: it does not answer, and whether the leader hears it is not known")
    assert lab.held(cluster.workflow_id(join.new))
    cluster.mend()
    end = cluster.remove(hidden.name, "--preempt").wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    assert join.wait().answer["outcome"] == "cancelled"


def is_refused(lab, cluster, target, why):
    """The removal stays in line, and says why."""
    removal = cluster.remove(target.name, "--preempt")
    told = f"--preempt does not cancel the held join: {target.name} ({cluster.id_of(target)}) {why}"
    eventually(lambda: told in lab.waits_for(change_id(cluster.name, "remove", target.name)), "the reason")
    assert lab.run("cancel", cluster.name, target.name).code == 0
    assert removal.wait().answer["outcome"] == "cancelled"


def test_status_and_doctor_warn_of_endpoints(lab):
    """Before the day on which a new worker would not find the cluster: one of the endpoints is alive, two are not."""
    cluster = lab.cluster()
    cluster.policy = LOOSE
    cluster.listed = [cluster.leader().advertised, "http://127.0.0.1:1", "http://127.0.0.1:2"]
    cluster.at_end.append(cluster.listed.clear)
    lab.write_clusters_file()
    told = f"only {cluster.listed[0]} leads to a voter that is alive"
    status = lab.run("status", cluster.name)
    doctor = lab.run("doctor")
    assert told in status.stdout, status
    assert told in doctor.stdout, doctor
    member = cluster.leader().name
    join = cluster.join(cluster.new_member())
    join.handover()
    removal = cluster.remove(member)
    told = f"{member} ({cluster.id_of(cluster.leader())}) is at the last configured endpoint, and is being removed"
    eventually(lambda: told in lab.run("status", cluster.name).stdout, "the status to warn of the removal")
    assert lab.run("cancel", cluster.name, member).code == 0
    removal.wait()
