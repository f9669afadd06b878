"""Several joins, repeated joins, held joins; what the command line says of them."""

from __future__ import annotations

import pytest

from support.checks.afterwards import Before, no_overlap
from support.parts.lab import eventually


@pytest.mark.parametrize("number", [2, 3])
def test_joins_at_once_take_turns(lab, number):
    """None fails because another one runs, and etcd never sees two changes at once."""
    cluster = lab.cluster()
    before = Before(cluster)
    joins = [cluster.join(cluster.new_member()) for _ in range(number)]
    waiting = list(joins)
    while waiting:
        # Whoever has the turn gets its member started; the others wait in line.
        ready = eventually(lambda: next((j for j in waiting if j.env_file.exists()), None), "the next handover", 60)
        waiting.remove(ready)
        ready.start_member()
        ready.wait_quietly()
    for join in joins:
        assert join.wait().code == 0
    # For 5 s after a join etcd may answer `unhealthy cluster` to the next add, without proposing it.
    applied = [call.method for call in cluster.changes() if call.code != "UNAVAILABLE"]
    assert ["MemberAdd", "MemberPromote"] * number == applied
    assert no_overlap(cluster.changes())
    before.assert_joined(*(join.new for join in joins))


def test_the_same_join_twice_is_one(lab):
    """The second attaches to the first; both end well."""
    cluster = lab.cluster()
    before = Before(cluster)
    new = cluster.new_member()
    first = cluster.join(new)
    first.handover()
    second = cluster.join(new)
    eventually(lambda: "attached to" in second.command.said(), "the second to attach")
    first.start_member()
    ends = [first.wait(), second.wait()]
    assert [end.code for end in ends] == [0, 0], ends
    assert ends[0].answer == ends[1].answer
    assert "attached to" in ends[1].stderr
    assert cluster.counts() == (1, 1, 0)
    before.assert_joined(new)


def test_a_join_of_a_voter_changes_nothing(lab):
    """Run again after success, it looks and is done, without a turn."""
    cluster = lab.cluster()
    new = cluster.new_member()
    first = cluster.join(new)
    first.start_member()
    first.wait()
    again = cluster.join(new).wait()
    assert (again.code, again.answer["outcome"]) == (0, "already-voter"), again
    assert again.answer["attempts"] == {}
    assert cluster.counts() == (1, 1, 0)
    assert "etcd-1" in first.handover()["ETCD_INITIAL_CLUSTER"]


def test_a_different_request_under_the_same_name_is_refused(lab):
    """Temporal would attach in silence; the command compares, and says what differs."""
    cluster = lab.cluster()
    new = cluster.new_member()
    join = cluster.join(new)
    join.handover()
    other = lab.run("join", cluster.name, new.name, "--peer-url", "http://127.0.0.1:1")
    assert other.code == 2, other
    assert "running with a different request" in other.stderr
    assert new.peer_url in other.stderr
    assert lab.run("cancel", cluster.name, new.name).code == 0
    assert join.wait().code == 1


def test_hold_and_resume(lab):
    """Time held doesn't count, and a change that is not held can't be resumed."""
    cluster = lab.cluster()
    cluster.policy = {"start_timeout": "4s"}
    new = cluster.new_member()
    join = cluster.join(new)
    join.handover()
    workflow_id = cluster.workflow_id(new)
    with pytest.raises(AssertionError, match="the change is not held"):
        lab.update(workflow_id, "resume")
    lab.update(workflow_id, "hold")
    eventually(lambda: lab.held(workflow_id), "the join to be held")
    waited = lab.run("watch", cluster.name, new.name, "--timeout", "6s", "--json")
    assert (waited.code, waited.answer["outcome"]) == (4, "held"), waited
    lab.update(workflow_id, "resume")
    join.start_member()
    assert join.wait().code == 0


def test_on_failure_hold_waits_for_a_person(lab):
    """What went wrong is shown; once mended, `resume` goes on from where it stood."""
    cluster = lab.cluster()
    cluster.policy = {"start_timeout": "2s", "on_failure": "hold"}
    new = cluster.new_member()
    join = cluster.join(new)
    handover = join.handover()
    workflow_id = cluster.workflow_id(new)
    why = eventually(lambda: lab.held(workflow_id), "the join to be held")
    assert "StartTimeout" in why
    new.start(handover)
    new.wait_until_serving()
    lab.update(workflow_id, "resume")
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)


def test_no_wait_and_until_added(lab):
    """For provisioning systems that come back later."""
    cluster = lab.cluster()
    new = cluster.new_member()
    lab.write_clusters_file()
    args = ("join", cluster.name, new.name, "--peer-url", new.peer_url, "--json")
    started = lab.run(*args, "--no-wait")
    assert (started.code, started.answer["outcome"]) == (0, "started"), started
    added = lab.run(*args, "--until", "added")
    assert (added.code, added.answer["outcome"]) == (0, "added"), added
    handover = lab.run("env", cluster.name, new.name)
    values = dict(line.split("=", 1) for line in handover.stdout.splitlines())
    assert values["ETCD_NAME"] == new.name
    waited = lab.run("watch", cluster.name, new.name, "--timeout", "1s", "--json")
    assert (waited.code, waited.answer["outcome"]) == (4, "added"), waited
    new.start(values)
    end = lab.run("watch", cluster.name, new.name, "--json")
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert end.answer["member_id"] == added.answer["member_id"]


def test_ctrl_c_leaves_the_change_running(lab):
    """Exit 130, and the message says how to attach."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member())
    join.handover()
    join.command.interrupt()
    end = join.wait()
    assert end.code == 130, end
    assert f"memberflow watch {cluster.name} {join.new.name}" in end.stderr
    join.start_member()
    assert lab.run("watch", cluster.name, join.new.name).code == 0


def test_a_small_cluster_can_grow(lab):
    """1 -> 2 -> 3: with one voter there is nothing to spare, and still it may grow."""
    cluster = lab.cluster(1, fresh=True)
    for _ in range(2):
        join = cluster.join(cluster.new_member())
        join.start_member()
        end = join.wait()
        assert end.code == 0, end
    assert list(cluster.roles().values()) == ["voter"] * 3
    assert cluster.counts()[1:] == (2, 0)


def test_unknown_cluster(lab):
    """The worker's file decides; the error says what it has."""
    end = lab.run("join", "nowhere", "etcd-9", "--peer-url", "http://127.0.0.1:1", "--json")
    assert (end.code, end.answer["outcome"]) == (2, "refused"), end
    assert "no cluster 'nowhere'" in end.answer["reason"]
