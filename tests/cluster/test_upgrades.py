"""Upgrades: changes under way when another version of the worker comes end well, with and without deployments."""

from __future__ import annotations

import pytest

from client.search_attributes import register
from local.deployment import WorkerProcess
from local.temporal_server import DevServer
from messages.ids import apply_id, turns_id
from settings import quiet_runtime
from support.parts.lab import Lab, eventually
from support.parts.running_apply import Apply

DEPLOYMENT = "memberflow"


@pytest.fixture
async def own_lab(tmp_path_factory, etcd_binary):
    """A laboratory with a Temporal of its own: a current version concerns every worker of a task queue."""
    server = DevServer(tmp_path_factory.mktemp("temporal"))
    await register(await server.start(quiet_runtime()))
    lab = Lab(tmp_path_factory.mktemp("upgrade"), etcd_binary, server)
    lab.write_clusters_file()
    yield lab
    lab.clean_up()
    lab.close()
    await server.stop()


def worker(lab, build, *args):
    """A running worker of this build."""
    process = WorkerProcess(lab.folder, lab.server.address, lab.clusters_file, {"MEMBERFLOW_BUILD_ID": build}, *args)
    process.start()
    eventually(lambda: "worker runs" in process.log_text(), f"worker {build}")
    return process


def make_current(lab, build):
    """As an operator does, once the version's workers have polled."""
    args = ("--deployment-name", DEPLOYMENT, "--build-id", build, "--yes")

    def is_current():
        try:
            lab.temporal("worker", "deployment", "set-current-version", *args)
        except AssertionError:  # not polled yet
            return False
        return True

    eventually(is_current, f"{build} to be current")


def build_of(lab, workflow_id):
    """The version under which a workflow ran last."""
    info = lab.describe(workflow_id)["workflowExecutionInfo"].get("versioningInfo", {})
    return info.get("deploymentVersion", {}).get("buildId", "")


def test_changes_under_way_end_under_their_version_and_new_ones_begin_under_the_next(own_lab):
    """A held join, one in line and the turns, under version A; B becomes current; all of them end well."""
    lab = own_lab
    old = worker(lab, "A", "--deployment", DEPLOYMENT)
    make_current(lab, "A")
    cluster = lab.cluster()
    held = cluster.join(cluster.new_member(), "--hold-before", "promote")
    held.start_member()
    held_id = cluster.workflow_id(held.new)
    eventually(lambda: lab.held(held_id), "the join to be held")
    in_line = cluster.join(cluster.new_member())
    in_line_id = cluster.workflow_id(in_line.new)
    eventually(lambda: "its turn behind" in lab.waits_for(in_line_id), "the other to wait")

    lab.worker = worker(lab, "B", "--deployment", DEPLOYMENT)
    make_current(lab, "B")
    # The server spreads a new current version within seconds.
    eventually(lambda: lab.run("plan", "remove", cluster.name, "etcd-1").code in (0, 5), "a plan under B")
    removal = cluster.remove("etcd-1", "--no-wait", "--force")
    assert removal.wait(60).code == 0
    removal_id = f"memberflow:{cluster.name}:remove:etcd-1"

    assert lab.run("resume", cluster.name, held.new.name).code == 0
    assert held.wait(120).answer["outcome"] == "promoted"
    in_line.start_member()
    assert in_line.wait(120).answer["outcome"] == "promoted"
    eventually(lambda: lab.status(removal_id) == "WORKFLOW_EXECUTION_STATUS_COMPLETED", "the removal", 60)
    assert [build_of(lab, i) for i in (held_id, in_line_id, removal_id)] == ["A", "A", "B"]
    assert build_of(lab, turns_id(cluster.name)) == "B"
    old.stop()
    assert lab.run("status", cluster.name).code == 0


def test_an_apply_under_way_ends_under_its_version(own_lab, tmp_path):
    """Also the changes that it starts after B has become current; the next apply begins under B."""
    lab = own_lab
    old = worker(lab, "A", "--deployment", DEPLOYMENT)
    make_current(lab, "A")
    cluster = lab.cluster()
    members = [cluster.new_member() for _ in range(2)]
    apply = Apply(cluster, tmp_path, members)
    eventually(apply.path(members[0]).exists, "the first handover", 60)

    lab.worker = worker(lab, "B", "--deployment", DEPLOYMENT)
    make_current(lab, "B")
    eventually(lambda: lab.run("plan", "remove", cluster.name, "etcd-1").code in (0, 5), "a plan under B")
    apply.start_members()
    end = apply.command.wait(120)
    assert (end.code, end.answer["outcome"]) == (0, "applied"), end
    made = [apply_id(cluster.name), *(cluster.workflow_id(member) for member in members)]
    assert [build_of(lab, workflow_id) for workflow_id in made] == ["A", "A", "A"]

    again = lab.run(*apply.words)
    assert (again.code, build_of(lab, apply_id(cluster.name))) == (0, "B"), again
    old.stop()
    assert lab.run(*apply.words).code == 0


def test_without_deployments_the_next_worker_takes_over(own_lab):
    """A held join and one in line go on at a worker of another build, which replays what the first one did."""
    lab = own_lab
    old = worker(lab, "A")
    cluster = lab.cluster()
    held = cluster.join(cluster.new_member(), "--hold-before", "promote")
    held.start_member()
    eventually(lambda: lab.held(cluster.workflow_id(held.new)), "the join to be held")
    in_line = cluster.join(cluster.new_member())
    eventually(lambda: "its turn behind" in lab.waits_for(cluster.workflow_id(in_line.new)), "the other to wait")

    lab.worker = worker(lab, "B")
    old.stop()
    assert lab.run("resume", cluster.name, held.new.name).code == 0
    assert held.wait(120).answer["outcome"] == "promoted"
    in_line.start_member()
    assert in_line.wait(120).answer["outcome"] == "promoted"
