"""A worker on a cluster with TLS and auth, and an attacker who may write to the namespace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from client.sight import see
from clusters import ClustersFile
from etcdapi.client import EtcdClient
from etcdapi.discovery import Discovery
from launchers.docker_launcher import DockerLauncher
from membership.model import Handover
from messages.ids import change_id
from messages.outcomes import Outcome
from messages.requests import JoinRequest
from support.memory.scenes import until
from support.parts.secure_cluster import SecureCluster
from temporal_workers import make_workers, running

NAME = "secure"


@dataclass
class Forged:
    """An activity that an attacker wants to be run on the worker's queue, with this order."""

    activity: str
    queue: str
    order: dict[str, Any]


@workflow.defn(name="JoinMember")
class ForgedJoin:
    """A workflow of this service's type, with the attacker's code."""

    def __init__(self) -> None:
        self._claim: dict[str, Any] = {}

    @workflow.query
    def claim(self) -> dict[str, Any]:
        """Whatever the attacker wants the turns to believe."""
        return self._claim

    @workflow.run
    async def run(self, forged: Forged) -> Any:
        if not forged.activity:
            self._claim = forged.order
            await workflow.sleep(timedelta(minutes=10))
        info = workflow.info()
        ticket = {"workflow_id": info.workflow_id, "run_id": info.run_id}
        return await workflow.execute_activity(
            forged.activity,
            {**forged.order, "ticket": ticket},
            task_queue=forged.queue,
            start_to_close_timeout=timedelta(seconds=20),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


class Secure:
    """The cluster, a worker that serves it, and an attacker who may start workflows."""

    def __init__(self, client: Client, cluster: SecureCluster, folder: Path) -> None:
        self.client = client
        self.cluster = cluster
        self.file = folder / "clusters.toml"
        self.queue, self.attackers_queue = f"secure-{uuid4()}", f"attacker-{uuid4()}"
        self.clusters: ClustersFile
        #: Tables of other clusters in the same file.
        self.others = ""

    def allow(self, **keys: Any) -> None:
        """Writes the clusters file with this `allow` table."""
        access = self.cluster.access
        files = {key: str(getattr(access, key)) for key in ("ca", "cert", "key", "username", "password_file")}
        table = "".join(f"{key} = {json.dumps(value)}\n" for key, value in files.items())
        allowed = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        text = (
            f"[clusters.{NAME}]\nendpoints = {json.dumps(access.endpoints)}\n{table}[clusters.{NAME}.allow]\n{allowed}"
        )
        new = self.file.with_suffix(".new")
        new.write_text(text + self.others)
        new.replace(self.file)

    async def start(self, request):
        workflow_id = change_id(NAME, request.verb, request.subject)
        kind = {"join": "JoinMember", "remove": "RemoveMember"}[request.verb]
        return await self.client.start_workflow(
            kind, request, id=workflow_id, task_queue=self.queue, result_type=Outcome
        )

    async def refusal(self, request) -> str:
        """The failure and the reason of a change that is refused."""
        with pytest.raises(WorkflowFailureError) as failed:
            await asyncio.wait_for((await self.start(request)).result(), 60)
        outcome = Outcome.model_validate(failed.value.cause.details[0])
        assert (outcome.outcome, outcome.attempts) == ("refused", {})
        return f"{failed.value.cause.type}: {outcome.reason}"

    async def forged_add(self, peer_url: str) -> dict[str, Any]:
        """The report of an add that an attacker's own workflow asks of the worker."""
        facts = {"cluster": NAME, "cluster_id": self.cluster.look().cluster_id, "policy": {}, "name": "etcd-9"}
        order = {"step": "add", "facts": {**facts, "peer_urls": [peer_url]}}
        handle = await self.client.start_workflow(
            "JoinMember",
            Forged("add_learner", self.queue, order),
            id=change_id(NAME, "join", f"forged-{uuid4()}"),
            task_queue=self.attackers_queue,
        )
        return await handle.result()

    def token(self) -> str:
        """The token that the worker has of the cluster now."""
        token = self.clusters.connect(NAME)._calls.auth.token  # type: ignore[attr-defined]
        assert token
        assert token.text
        return str(token.text)

    async def lie(self, claim: dict[str, Any]) -> WorkflowHandle[Any, Any]:
        """A join that runs, does nothing, and answers the turns like this."""
        return await self.client.start_workflow(
            "JoinMember",
            Forged("", self.queue, claim),
            id=change_id(NAME, "join", f"lies-{uuid4()}"),
            task_queue=self.attackers_queue,
        )


async def handover_of(secure: Secure, change: WorkflowHandle[Any, Any]) -> Handover:
    """The handover, as soon as the learner is added."""

    async def seen() -> Handover | None:
        return (await see(secure.client, change)).handover

    return await until(seen, "the handover", 60)


def join(peer_url: str, name: str = "etcd-9", **more: Any) -> JoinRequest:
    return JoinRequest(cluster=NAME, name=name, peer_urls=(peer_url,), **more)


@asynccontextmanager
async def secure_worker(temporal: Client, etcd_binary: Path, folder: Path) -> AsyncIterator[Secure]:
    """The cluster and both workers run."""
    cluster = SecureCluster(folder, etcd_binary)
    cluster.start()
    made = Secure(temporal, cluster, folder)
    made.allow()
    clusters = ClustersFile(made.file, EtcdClient, DockerLauncher, Discovery().find, [made.queue], made.queue)
    made.clusters = clusters
    attacker = Worker(
        temporal,
        task_queue=made.attackers_queue,
        workflows=[ForgedJoin],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with running([*make_workers(temporal, clusters, made.queue, [made.queue]), attacker]):
        yield made
    clusters.connect(NAME).close()
    cluster.stop()
