"""A broken table in the clusters file: no other cluster minds it, and a running change of its own waits."""

from __future__ import annotations

from contextlib import contextmanager

from support.checks.afterwards import Before
from support.parts.lab import Cluster, Lab, eventually


@contextmanager
def broken(cluster: Cluster):
    """The table of the cluster has a key that does not exist."""
    cluster.access["oops"] = "1"
    cluster.lab.write_clusters_file()
    try:
        yield
    finally:
        del cluster.access["oops"]
        cluster.lab.write_clusters_file()


def start_anew(lab: Lab) -> None:
    """A worker without a memory of good tables."""
    lab.worker.stop()
    lab.worker.start()


def test_a_table_that_is_broken_meanwhile(lab):
    """`doctor` says what is wrong, and the running join goes on with the last good state."""
    cluster = lab.cluster()
    before = Before(cluster)
    join = cluster.join(cluster.new_member())
    join.handover()
    with broken(cluster):
        eventually(lambda: "oops: unknown key" in lab.run("doctor").stdout, "doctor to say so")
        join.start_member()
        end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    before.assert_joined(join.new)


def test_a_worker_that_starts_beside_another_broken_table(lab):
    """The running join of a good table goes on, and so does the next change."""
    cluster, other = lab.cluster(), lab.cluster()
    before = Before(cluster)
    join = cluster.join(cluster.new_member())
    join.handover()
    with broken(other):
        start_anew(lab)
        join.start_member()
        end = join.wait()
        assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
        before.assert_joined(join.new)
        assert cluster.remove(join.new.name).wait().answer["outcome"] == "removed"
        assert "oops: unknown key" in lab.run("doctor").stdout


def test_a_worker_that_starts_with_the_own_table_broken(lab):
    """Nothing of its last good state is known any more, so the running join waits for the correction."""
    cluster, _good = lab.cluster(), lab.cluster()  # a worker without any good table does not start
    before = Before(cluster)
    join = cluster.join(cluster.new_member())
    join.handover()
    workflow_id = cluster.workflow_id(join.new)
    with broken(cluster):
        start_anew(lab)
        join.start_member()
        eventually(lambda: "oops: unknown key" in lab.heartbeat(workflow_id), "the join to say so")
        assert lab.status(workflow_id) == "WORKFLOW_EXECUTION_STATUS_RUNNING"
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)
    before.assert_joined(join.new)
