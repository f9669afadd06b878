"""A voter that only this worker cannot reach is not called down: a reachable URL in `endpoints` helps."""

from __future__ import annotations

from support.parts.lab import LOOSE, eventually, follower


def voters(lab, cluster, silent):
    """The plan of another voter's removal, and its row about voters."""
    other = next(m for m in cluster.members if m not in (cluster.leader(), silent))
    plan = lab.run("plan", "remove", cluster.name, other.name, "--force", "--json")
    return plan, next(check for check in plan.answer["checks"] if check["name"] == "voters")


def test_a_voter_behind_another_address(lab):
    """Its advertised URL leads nowhere from here, as behind NAT, while the leader replicates to it."""
    cluster = lab.cluster()
    hidden = follower(cluster)
    cluster.hide(hidden)
    plan, row = voters(lab, cluster, hidden)
    assert "this worker cannot reach these voters, although the leader does: " + hidden.name in row["evidence"], plan
    assert f"a client URL at which this worker reaches {hidden.name} into `endpoints`" in row["hint"], plan
    assert (plan.code, "are down" in plan.stdout) == (5, False), plan
    cluster.named = [hidden.client_url]
    lab.write_clusters_file()
    _, row = eventually(lambda: seen(voters(lab, cluster, hidden)), "the worker to reach it at the configured URL")
    assert row["evidence"] == "3 of 3 alive"


def seen(found):
    """The same, if every voter is alive."""
    return found if found[1]["verdict"] == "ok" else None


def test_a_dead_voter_is_down(lab):
    """The leader does not reach it either."""
    cluster = lab.cluster()
    dead = follower(cluster)
    dead.kill()
    cluster.hide(dead)

    def down():
        plan, row = voters(lab, cluster, dead)
        return f"these voters are down: {dead.name}" in row["evidence"] and plan

    assert eventually(down, "the leader to notice").code == 5


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
