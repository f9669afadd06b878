"""A name that leads to another cluster for a while: an edited clusters file, a DNS name that moved."""

from __future__ import annotations

from support.memory.scenes import cancelled, until


async def looks_fail(made, handle) -> None:
    """The change looks at another cluster, and goes on trying."""
    looks = made.etcd.counts["look"]
    await until(lambda: _more_than(made, looks + 2), "failed looks")
    assert (await handle.describe()).status.name == "RUNNING"


async def _more_than(made, looks) -> bool:
    return made.etcd.counts["look"] > looks


async def test_a_sync_outlasts_another_cluster(scene):
    """Its learner is not forgotten, and becomes a voter when the name leads back."""
    made = scene()
    made.cluster.on_added = lambda member: setattr(made.cluster, "cluster_id", "beef")
    join = await made.join()
    await until(lambda: _is_there(made), "the learner")
    await looks_fail(made, join)
    made.cluster.cluster_id = "feed"
    made.cluster.start(made.added().id, "etcd-9")
    assert (await join.result()).outcome == "promoted"
    assert made.applied == ["add", "promote"]


async def _is_there(made) -> bool:
    return bool(made.applied)


async def test_another_cluster_is_no_evidence_in_a_rollback(scene):
    """Cancelled meanwhile, the change neither says that its learner is gone nor touches anything."""
    made = scene()
    made.cluster.on_added = lambda member: setattr(made.cluster, "cluster_id", "beef")
    join = await made.join()
    await until(lambda: _is_there(made), "the learner")
    await join.cancel()
    await looks_fail(made, join)
    assert made.applied == ["add"]
    made.cluster.cluster_id = "feed"
    await cancelled(join)
    assert made.applied == ["add", "remove"]
