"""A stranger who may write to the Temporal namespace: what the worker does not do for one."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import ActivityFailureError, Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from etcdapi.stubs import rpc_pb2
from messages.ids import change_id
from messages.queues import TASK_QUEUE
from support.parts.lab import Cluster, Lab, follower

LAUNCHER = '[launchers.docker]\nengine = "unix:///nonexistent/docker.sock"\nimage = "etcd"\n'


@dataclass
class Call:
    """An activity that the stranger wants to be run, with this payload."""

    activity: str
    payload: dict[str, Any]


async def call(wanted: Call) -> Any:
    info = workflow.info()
    own = {"workflow_id": info.workflow_id, "run_id": info.run_id}
    payload = {"ticket": own, **wanted.payload}
    return await workflow.execute_activity(
        wanted.activity,
        payload,
        task_queue=TASK_QUEUE,
        start_to_close_timeout=timedelta(seconds=20),
        heartbeat_timeout=timedelta(seconds=15),
        retry_policy=RetryPolicy(maximum_attempts=1),
    )


@workflow.defn(name="Evil")
class Evil:
    """A workflow type of the stranger's own."""

    @workflow.run
    async def run(self, wanted: Call) -> Any:
        return await call(wanted)


@workflow.defn(name="RemoveMember")
class ForgedRemoval:
    """A workflow of this service's type, with the stranger's code, run by the stranger's worker."""

    @workflow.run
    async def run(self, wanted: Call) -> Any:
        return await call(wanted)


@workflow.defn(name="JoinMember")
class ForgedJoin:
    """As the removal."""

    @workflow.run
    async def run(self, wanted: Call) -> Any:
        return await call(wanted)


class Stranger:
    """Starts workflows on a worker of its own, and activities on the worker of the lab."""

    def __init__(self, client: Client, cluster: Cluster) -> None:
        self.client = client
        self.cluster = cluster
        self.queue = f"stranger-{uuid4()}"
        etcd = cluster.client(cluster.members[0])
        listed = etcd.clusterstub.MemberList(rpc_pb2.MemberListRequest(linearizable=True))
        self.cluster_id = f"{listed.header.cluster_id:x}"
        etcd.close()

    def worker(self) -> Worker:
        kinds = [Evil, ForgedRemoval, ForgedJoin]
        return Worker(self.client, task_queue=self.queue, workflows=kinds, workflow_runner=UnsandboxedWorkflowRunner())

    def order(self, member_id: str, **more: Any) -> dict[str, Any]:
        """An order to do away with a member, with the loosest policy that there is."""
        loose = {"min_voters": 1, "min_spare": 0}
        facts = {"cluster": self.cluster.name, "cluster_id": self.cluster_id, "policy": loose, "name": "x"}
        return {"step": "add", "facts": {**facts, "member_id": member_id, **more}}

    async def ask(self, kind: str, activity: str, payload: dict[str, Any], workflow_id: str = "") -> Any:
        """The activity's result, or its error's type and text."""
        workflow_id = workflow_id or change_id(self.cluster.name, "remove", f"x-{uuid4()}")
        handle = await self.client.start_workflow(
            kind, Call(activity, payload), id=workflow_id, task_queue=self.queue, run_timeout=timedelta(seconds=40)
        )
        try:
            return await handle.result()
        except WorkflowFailureError as failed:
            error = failed.cause.__cause__
            return f"{error.type}: {error.message}" if isinstance(error, ApplicationError) else repr(error)


@pytest.fixture
async def stranger(lab: Lab, temporal: Client):
    """A stranger, beside a cluster of three voters with the default policy."""
    cluster = lab.cluster()
    lab.launchers += LAUNCHER
    lab.write_clusters_file()
    stranger = Stranger(temporal, cluster)
    async with stranger.worker():
        yield stranger
    lab.launchers = lab.launchers.replace(LAUNCHER, "")
    assert len(cluster.roles()) == 3
    assert cluster.changes() == []


async def test_acts_run_in_changes_alone(stranger):
    """Neither in another type of workflow, nor under another ID, nor with the ticket of another change."""
    target = stranger.cluster.id_of(follower(stranger.cluster))
    order = stranger.order(target)
    assert "NotTrusted: remove_member must not be run by Evil" in await stranger.ask("Evil", "remove_member", order)
    told = await stranger.ask("RemoveMember", "remove_member", order, f"mine-{uuid4()}")
    assert "no RemoveMember of that cluster has the ID" in told
    theirs = {"workflow_id": change_id(stranger.cluster.name, "remove", "etcd-1"), "run_id": "r"}
    assert "the ticket belongs to" in await stranger.ask("RemoveMember", "remove_member", {**order, "ticket": theirs})
    own = change_id(stranger.cluster.name, "remove", "x")
    another = {**order, "ticket": {"workflow_id": own, "run_id": str(uuid4())}}
    assert "the ticket belongs to another run" in await stranger.ask("RemoveMember", "remove_member", another, own)


async def test_no_activity_runs_by_itself(stranger, temporal):
    """Temporal lets a caller start an activity without any workflow."""
    target = stranger.cluster.id_of(follower(stranger.cluster))
    order = {**stranger.order(target), "ticket": {"workflow_id": "x", "run_id": "y"}}
    for activity, payload in (("remove_member", order), ("read_profile", stranger.cluster.name)):
        with pytest.raises(ActivityFailureError) as refused:
            await temporal.execute_activity(
                activity,
                payload,
                id=f"alone-{uuid4()}",
                task_queue=TASK_QUEUE,
                start_to_close_timeout=timedelta(seconds=20),
            )
        assert f"{activity} must not be run by an activity without a workflow" in str(refused.value.cause)


async def test_a_look_goes_nowhere_else(stranger):
    """A payload with URLs of voters would have the worker connect to any host and port, and tell what it found."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        urls = [f"http://127.0.0.1:{elsewhere.getsockname()[1]}"]
        look = {"cluster": stranger.cluster.name, "cluster_id": stranger.cluster_id, "voter_urls": urls}
        told = await stranger.ask("Evil", "check_status", look)
        assert told == "NotTrusted: check_status must not be run by Evil"
        told = await stranger.ask("RemoveMember", "check_status", {**look, "cluster": "another"})
        assert "NotTrusted: check_status was asked for cluster 'another', but" in told
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


async def test_a_removal_is_judged_as_a_removal(stranger):
    """By its own step and the policy of the worker's file: with `add` in the order it took 3 voters to 1."""
    target = stranger.cluster.id_of(follower(stranger.cluster))
    report = await stranger.ask("RemoveMember", "remove_member", stranger.order(target))
    assert (report["sent"], "min_voters is 3" in report["reason"]) == (False, True), report
    report = await stranger.ask("RemoveMember", "remove_learner", stranger.order(target))
    assert (report["sent"], "is a voter by now" in report["reason"]) == (False, True), report
    told = await stranger.ask(
        "JoinMember", "remove_member", stranger.order(target), change_id(stranger.cluster.name, "join", "x")
    )
    assert "NotTrusted: remove_member must not be run by JoinMember" in told


async def test_force_is_the_files(lab, stranger):
    """Where it is not allowed, no payload has it."""
    lab.clusters_file.write_text(
        lab.clusters_file.read_text() + f"[clusters.{stranger.cluster.name}.allow]\nforce = false\n"
    )
    target = stranger.cluster.id_of(follower(stranger.cluster))
    report = await stranger.ask("RemoveMember", "remove_member", stranger.order(target, force=True))
    assert (report["sent"], report["error"]) == (False, "NotAllowed"), report
    assert "--force is not allowed" in report["reason"]


async def test_a_snapshot_goes_nowhere_else(stranger, tmp_path):
    """The path in the payload is no path of the worker's file."""
    wanted = tmp_path / "stolen-{time}.db"
    save = {"cluster": stranger.cluster.name, "pattern": str(wanted), "time": "20260102T030405Z"}
    told = await stranger.ask("RemoveMember", "save_snapshot", save)
    assert "NotAllowed: snapshot_before_removal" in told
    assert list(tmp_path.iterdir()) == []


async def test_the_container_of_a_voter_stays(stranger):
    """Only a look at the cluster decides, and it shows a voter."""
    target = follower(stranger.cluster)
    launch = {"cluster": stranger.cluster.name, "name": target.name, "environment": {}}
    launch |= {"member_id": stranger.cluster.id_of(target), "cluster_id": stranger.cluster_id}
    order = {"launcher": "docker", "launch": launch}
    told = await stranger.ask("JoinMember", "stop_launched", order, change_id(stranger.cluster.name, "join", "y"))
    assert "NotTrusted" in told
    assert "is a voter, so its container and its data stay" in told
    environment = {"ETCD_NAME": target.name, "LD_PRELOAD": "/x"}
    order["launch"] = {**launch, "environment": environment}
    told = await stranger.ask("JoinMember", "launch_member", order, change_id(stranger.cluster.name, "join", "z"))
    assert "'LD_PRELOAD' is not a value of a handover" in told
