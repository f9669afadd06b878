"""A change remembers where its cluster is: every endpoint of the clusters file may be gone meanwhile."""

from __future__ import annotations

from local.processes import free_port
from support.parts.lab import eventually


def test_a_held_join_ends_well_at_a_worker_that_knows_no_living_endpoint(lab):
    """The first worker found the voters; the next one reads a file whose only endpoint leads nowhere."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.start_member()
    eventually(lambda: lab.held(cluster.workflow_id(join.new)), "the join to be held")
    file = lab.clusters_file.read_text()
    lab.worker.kill()
    dead = f'endpoints = ["http://127.0.0.1:{free_port()}"]'
    lab.clusters_file.write_text(f"[clusters.{cluster.name}]\n{dead}\n")
    try:
        lab.worker.start()
        eventually(lambda: lab.run("resume", cluster.name, join.new.name).code == 0, "the worker to resume it")
        end = join.wait(120)
    finally:
        lab.clusters_file.write_text(file)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
