"""One trace for a whole change, from the command to etcd's calls, through the death of its worker."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import pytest

from client.search_attributes import register
from local.deployment import WorkerProcess
from local.processes import free_port
from local.temporal_server import DevServer
from messages.ids import apply_id
from settings import quiet_runtime
from support.checks.histories import history, payloads
from support.parts.collector import Collector, attributes
from support.parts.key_files import write_key
from support.parts.lab import eventually
from support.parts.low_limits import histories_of
from support.parts.running_apply import Apply


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


@pytest.fixture
async def low(lab, collector, tmp_path):
    """A command's environment with a key and the collector, on a Temporal on which applies go on in new runs early."""
    limit = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=20")
    server = DevServer(tmp_path / "temporal", extra_args=limit)
    await register(await server.start(quiet_runtime()))
    ours = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "MEMBERFLOW_PAYLOAD_KEYS": str(write_key(tmp_path, "2026-11")),
    }
    lab.write_clusters_file()
    worker = WorkerProcess(tmp_path, server.address, lab.clusters_file, ours)
    worker.start()
    eventually(lambda: "worker runs" in worker.log_text(), "the worker")
    yield {**lab.env, **ours, "TEMPORAL_ADDRESS": server.address}, server.client
    worker.stop()
    await server.stop()


async def test_an_encrypted_apply_of_several_runs_is_one_trace(lab, low, collector, tmp_path):
    """Below the command's span are its changes and their calls, and of its payloads nothing can be read."""
    env, client = low
    cluster = lab.cluster(1, fresh=True)
    members = [cluster.new_member() for _ in range(2)]
    apply = Apply(cluster, tmp_path, members, env=env)
    await asyncio.to_thread(apply.start_members)
    end = await asyncio.to_thread(apply.command.wait)
    assert (end.code, end.answer["outcome"]) == (0, "applied"), end
    [start] = collector.named("StartWorkflow:ApplyMembers")
    runs = [json.loads(kept.to_json()) async for kept in histories_of(client, apply_id(cluster.name))]
    assert len(runs) > 1
    for run in runs:
        read = "".join([json.dumps(run), *payloads(run)])
        assert start.trace_id.hex() in read
        assert members[0].peer_url not in read
    for method, act in (("MemberAdd", "add_learner"), ("MemberPromote", "promote_learner")):
        calls = [s for s in collector.named(f"etcdserverpb.Cluster/{method}") if s.trace_id == start.trace_id]
        assert len(calls) >= len(members)
        for call in calls:
            assert collector.above(call) == [
                *(f"RunActivity:{act}", f"StartActivity:{act}"),
                *("StartChildWorkflow:JoinMember", "StartWorkflow:ApplyMembers"),
            ]
