"""Changes that start their member themselves: real etcd, real Temporal, a real Docker engine."""

from __future__ import annotations

import signal
from contextlib import closing

import pytest

from etcdapi.client import EtcdClient
from etcdapi.faults import Fault
from membership.etcd import Access
from messages.ids import change_id
from messages.turns import ACT_DEADLINE
from support.faults.repointed import another_cluster, lead_away, lead_back, sees_the_other
from support.parts.docker_engine import launcher_table
from support.parts.lab import eventually, once


@pytest.fixture
def table(lab, address, image):
    """Writes `[launchers.docker]`; after the test nothing of the cluster is left in the engine."""

    def write(**changes):
        lab.launchers = launcher_table(**{"engine": address, "image": image} | changes)

    yield write
    lab.launchers = ""


@pytest.fixture
def cluster(lab, engine):
    """A cluster whose containers and volumes end with the test."""
    cluster = lab.cluster()
    yield cluster
    for container in containers(engine, cluster):
        container.remove(v=True, force=True)
    for volume in volumes(engine, cluster):
        volume.remove()


def containers(engine, cluster):
    return engine.containers.list(all=True, filters={"label": f"io.memberflow.cluster={cluster.name}"})


def volumes(engine, cluster):
    return engine.volumes.list(filters={"label": f"io.memberflow.cluster={cluster.name}"})


def cluster_id(cluster):
    """As etcd says it."""
    with closing(EtcdClient(Access((cluster.members[0].client_url,)))) as client:
        return client.look().cluster_id


def serving(new):
    """The flags with which a container serves on this member's ports."""
    return [
        "--listen-peer-urls=http://{peer_host}:{peer_port}",
        f"--listen-client-urls=http://127.0.0.1:{new.client_port}",
        f"--advertise-client-urls={new.advertised}",
    ]


def test_a_launched_member_becomes_a_voter(cluster, table, engine):
    """The worker starts it with the handover; the same join again finds it done."""
    new = cluster.new_member()
    table(flags=serving(new))
    end = cluster.join(new, "--launch", "docker").wait()
    assert (end.code, end.answer["outcome"], end.answer.get("verified")) == (0, "promoted", True), end
    [container] = containers(engine, cluster)
    assert container.status == "running"
    assert container.labels["io.memberflow.member-id"] == end.answer["member_id"]
    assert container.labels["io.memberflow.cluster-id"] == cluster_id(cluster)
    assert container.labels["io.memberflow.change"] == change_id(cluster.name, "join", new.name)
    again = cluster.join(new, "--launch", "docker").wait()
    assert (again.code, again.answer["outcome"]) == (0, "already-voter"), again
    assert [c.id for c in containers(engine, cluster)] == [container.id]


def test_a_container_that_dies_ends_the_join(cluster, table, engine):
    """With its state and last words in the reason; nothing is left of learner, container and volume."""
    new = cluster.new_member()
    table(flags=["--no-such-flag"])
    end = cluster.join(new, "--launch", "docker").wait()
    assert (end.code, end.answer["outcome"]) == (1, "rolled-back"), end
    assert "exit code 2" in end.answer["reason"]
    assert "no-such-flag" in end.answer["reason"]
    assert len(cluster.rows()) == 3
    assert not containers(engine, cluster)
    assert not volumes(engine, cluster)


def test_a_cancel_stops_what_was_launched(cluster, table, engine, lab):
    """Container, volume and learner."""
    new = cluster.new_member()
    table(flags=serving(new))
    join = cluster.join(new, "--launch", "docker", "--hold-before", "promote")
    join.handover()
    eventually(lambda: lab.held(cluster.workflow_id(new)), "the join to be held", 60)
    assert containers(engine, cluster)
    assert lab.run("cancel", cluster.name, new.name).code == 0
    assert join.wait().answer["outcome"] == "cancelled"
    assert not containers(engine, cluster)
    assert not volumes(engine, cluster)
    assert len(cluster.rows()) == 3


def test_a_voter_runs_on_while_its_name_leads_to_another_cluster(cluster, table, engine, lab):
    """Its promote's answer is lost, and the join is cancelled, as only the other cluster can be seen."""
    new = cluster.new_member()
    table(flags=serving(new))
    workflow_id = cluster.workflow_id(new)
    with another_cluster(lab) as other:

        def lead_away_and_cancel():
            lead_away(cluster, other)
            lab.cancel(workflow_id)

        cluster.inject(Fault("MemberPromote", "lose", answered=once(lead_away_and_cancel)))
        join = cluster.join(new, "--launch", "docker")
        eventually(lambda: cluster.sent("MemberPromote"), "the promote", 60)
        eventually(lambda: sees_the_other(lab, workflow_id), "the join to see the other cluster", 60)
        lead_back(cluster)
        end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    [container] = containers(engine, cluster)
    assert (container.status, len(volumes(engine, cluster))) == ("running", 1)


def test_tables_that_are_broken_during_a_launch(cluster, table, engine, lab):
    """First the launcher's, then the cluster's, each met by a worker that has just started: the launch waits."""
    lab.cluster()  # a worker without any good table does not start
    new = cluster.new_member()
    table(flags=serving(new))
    good, workflow_id = lab.launchers, cluster.workflow_id(new)

    def break_launcher():
        lab.worker.kill()
        lab.launchers = good + 'oops = "1"\n'
        lab.write_clusters_file()
        lab.worker.start()

    def waits_for(told):
        return any(told in str(a.get("lastFailure")) for a in lab.executions.pending(workflow_id))

    cluster.inject(Fault("MemberAdd", "pass", answered=once(break_launcher)))
    join = cluster.join(new, "--launch", "docker")
    join.handover()
    launch = "the launch waits for the clusters file"
    eventually(lambda: waits_for(launch), "the launch to wait for its launcher", 60)
    lab.worker.stop()
    lab.launchers, cluster.access["oops"] = good, "1"
    lab.write_clusters_file()
    lab.worker.start()
    eventually(lambda: waits_for(f"clusters.{cluster.name}.oops"), "the launch to wait for its cluster", 60)
    assert lab.status(workflow_id) == "WORKFLOW_EXECUTION_STATUS_RUNNING"
    assert not containers(engine, cluster)
    del cluster.access["oops"]
    lab.write_clusters_file()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert len(containers(engine, cluster)) == 1


def test_a_killed_worker_launches_once(cluster, table, engine, lab):
    """Its successor finds the container running."""
    new = cluster.new_member()
    table(flags=serving(new))
    join = cluster.join(new, "--launch", "docker")
    eventually(lambda: containers(engine, cluster), "the container", 60)
    lab.worker.kill()
    lab.worker.start()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert len(containers(engine, cluster)) == len(volumes(engine, cluster)) == 1


def test_a_worker_that_stops_hands_a_pull_on(cluster, table, engine, lab, registry):
    """It doesn't wait for the image; its successor does, and finds out that there is no etcd in it."""
    table(image=registry.image, pull="missing")
    registry.give.clear()
    join = cluster.join(cluster.new_member(), "--launch", "docker")
    assert registry.asked.wait(60)
    try:
        lab.worker.process.send(signal.SIGTERM)
        # Before the time is up that the acts under way are given.
        assert lab.worker.process.wait(ACT_DEADLINE) == 0
    finally:
        lab.worker.kill()
        lab.worker.start()
    registry.give.set()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (1, "rolled-back"), end
    assert "executable file not found" in end.answer["reason"]
    assert not containers(engine, cluster)


def test_a_member_that_was_removed_makes_room_for_the_next_of_its_name(cluster, table, engine):
    """Its container is known by the cluster's own ID."""
    new = cluster.new_member()
    table(flags=serving(new))
    first = cluster.join(new, "--launch", "docker").wait()
    assert cluster.remove(new.name).wait().code == 0
    second = cluster.join(new, "--launch", "docker").wait()
    assert (second.code, second.answer["outcome"]) == (0, "promoted"), second
    assert second.answer["member_id"] != first.answer["member_id"]
    [container] = containers(engine, cluster)
    assert container.labels["io.memberflow.member-id"] == second.answer["member_id"]


def test_a_container_of_another_cluster_of_that_name_refuses_the_join(cluster, table, engine, image):
    """Before a learner is added; it is left as it is."""
    new = cluster.new_member()
    table(flags=serving(new))
    labels = {"cluster": cluster.name, "cluster-id": "f1", "member": new.name, "member-id": "1"}
    name = f"memberflow-{cluster.name}-{new.name}"
    labels = {f"io.memberflow.{key}": value for key, value in labels.items()}
    theirs = engine.containers.create(image, ["etcd", "--version"], name=name, labels=labels)
    end = cluster.join(new, "--launch", "docker").wait()
    assert (end.code, end.answer["outcome"]) == (5, "refused"), end
    assert "with the ID f1" in end.answer["reason"]
    assert [c.id for c in containers(engine, cluster)] == [theirs.id]
    assert cluster.counts() == (0, 0, 0)


def test_a_replace_launches_the_new_and_stops_the_old(cluster, table, engine):
    """Both were this launcher's."""
    first, second = cluster.new_member(), cluster.new_member()
    table(flags=serving(first))
    assert cluster.join(first, "--launch", "docker").wait().code == 0
    table(flags=serving(second))
    end = cluster.replace(first.name, second, "--launch", "docker").wait()
    assert (end.code, end.answer["outcome"]) == (0, "replaced"), end
    [container] = containers(engine, cluster)
    assert container.labels["io.memberflow.member"] == second.name
