"""One trace for a whole join, from the command to etcd's calls, through the death of its worker."""

from __future__ import annotations

from uuid import uuid4

import pytest

from local.deployment import WorkerProcess
from local.processes import free_port
from support.checks.histories import history
from support.parts.collector import Collector, attributes
from support.parts.lab import eventually


@pytest.fixture(scope="module")
def collector():
    """A collector that every process of this module sends its spans to."""
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def env(lab, collector):
    """The environment of a command, with a worker of its own that has the same."""
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "MEMBERFLOW_TASK_QUEUE": f"traced-{uuid4()}"}
    # The SDK sends a batch every five seconds by default.
    traced["OTEL_BSP_SCHEDULE_DELAY"] = "200"
    lab.write_clusters_file()
    worker = WorkerProcess(lab.folder, lab.server.address, lab.clusters_file, traced)
    worker.start()
    eventually(lambda: "worker runs" in worker.log_text(), "the worker")
    yield {**lab.env, **traced}, worker
    worker.stop()


def test_a_join_is_one_trace(lab, env, collector, tmp_path):
    """The spans of workflow, activities and calls are below that of the command, also in the second worker."""
    environment, worker = env
    cluster = lab.cluster()
    new = cluster.new_member()
    handover = tmp_path / "join.env"
    join = lab.command(
        *("join", cluster.name, new.name, "--peer-url", new.peer_url, "--env-file", str(handover), "--json"),
        env=environment,
    )
    eventually(handover.exists, "the handover", timeout=60)
    added = "etcdserverpb.Cluster/MemberAdd"
    eventually(lambda: collector.named(added), "the span of the add")
    worker.kill()
    worker.start()
    new.start(dict(line.split("=", 1) for line in handover.read_text().splitlines()))
    ended = join.wait(120)
    assert (ended.code, ended.answer["outcome"]) == (0, "promoted"), ended
    promoted = "etcdserverpb.Cluster/MemberPromote"
    eventually(lambda: collector.named(promoted), "the span of the promote")
    eventually(lambda: collector.named("StartWorkflow:JoinMember"), "the span of the command")
    above = {
        added: ["RunActivity:add_learner", "StartActivity:add_learner"],
        promoted: ["RunActivity:promote_learner", "StartActivity:promote_learner"],
    }
    [start] = collector.named("StartWorkflow:JoinMember")
    for name, expected in above.items():
        *_, call = collector.named(name)
        assert collector.above(call) == [*expected, "StartWorkflow:JoinMember"]
        assert call.trace_id == start.trace_id
        told = attributes(call)
        assert told.pop("server.port") in {int(m.advertised.rpartition(":")[2]) for m in cluster.members}
        assert told == {
            "rpc.system": "grpc",
            "rpc.service": "etcdserverpb.Cluster",
            "rpc.method": name.rpartition("/")[2],
            "server.address": "127.0.0.1",
            "rpc.grpc.status_code": 0,
        }
    [run] = collector.named("RunWorkflow:JoinMember")
    assert collector.above(run) == ["StartWorkflow:JoinMember"]
    assert collector.services == {"memberflow"}
    assert {span.trace_id for span in collector.spans} == {start.trace_id}
    kept = "".join(history(lab, ended.answer["workflow_id"]))
    assert start.trace_id.hex() in kept
    assert "_tracer-data" in kept


def test_a_collector_that_is_away(lab, env):
    """A command answers as without it, and says on stderr that spans were not taken."""
    environment, _ = env
    cluster = lab.cluster()
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    status = lab.run("status", cluster.name, "--json", env={**environment, **away})
    assert (status.code, status.answer["cluster"]) == (0, cluster.name), status
    assert "/v1/traces" in status.stderr
