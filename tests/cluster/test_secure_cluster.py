"""A caller and a cluster with TLS and auth: the worker's clusters file decides who joins, and no secret leaves it."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from client.sight import see
from clusters import ClustersFile
from etcdapi.client import EtcdClient
from etcdapi.discovery import Discovery
from launchers.docker_launcher import DockerLauncher
from local.processes import free_port
from messages.answers import ClusterList
from messages.ids import change_id, turns_id
from messages.outcomes import Outcome
from messages.requests import JoinRequest, RemoveRequest
from support.memory.scenes import until
from support.parts.secure_cluster import PASSWORD, SecureCluster
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

    @workflow.run
    async def run(self, forged: Forged) -> Any:
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

    def __init__(self, client: Client, cluster: SecureCluster, folder) -> None:
        self.client = client
        self.cluster = cluster
        self.file = folder / "clusters.toml"
        self.queue, self.attackers_queue = f"secure-{uuid4()}", f"attacker-{uuid4()}"

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
        new.write_text(text)
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


@pytest.fixture(scope="module")
async def secure(temporal, etcd_binary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("secure")
    cluster = SecureCluster(folder, etcd_binary)
    cluster.start()
    made = Secure(temporal, cluster, folder)
    made.allow()
    clusters = ClustersFile(made.file, EtcdClient, DockerLauncher, Discovery().find, [made.queue], made.queue)
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


def join(peer_url: str, name: str = "etcd-9") -> JoinRequest:
    return JoinRequest(cluster=NAME, name=name, peer_urls=(peer_url,))


async def test_a_peer_url_without_tls_gets_nothing(secure):
    """Neither in a change nor by a forged act: a server without a certificate received the whole raft log."""
    secure.allow()
    with closing(socket.create_server(("127.0.0.1", 0))) as receiver:
        receiver.setblocking(False)
        url = f"http://127.0.0.1:{receiver.getsockname()[1]}"
        told = await secure.refusal(join(url))
        assert told.startswith("InsecurePeerURL: "), told
        report = await secure.forged_add(url)
        assert (report["sent"], "is not https" in report["reason"]) == (False, True), report
        assert len(secure.cluster.look().members) == 3
        with pytest.raises(BlockingIOError):
            receiver.accept()


async def test_peer_urls_that_are_not_allowed(secure):
    """The same for an address that the file does not list, under the voters' own scheme."""
    secure.allow(peer_urls=["https://10.0.0.0/24:2380"])
    for url in ("https://10.0.1.1:2380", "https://10.0.0.1:2381", "https://evil.example:2380"):
        assert (await secure.refusal(join(url))).startswith(f"NotAllowed: peer URL {url} is not allowed")
        report = await secure.forged_add(url)
        assert (report["sent"], report["error"]) == (False, "NotAllowed"), report
    assert len(secure.cluster.look().members) == 3


async def test_kinds_and_flags_that_are_not_allowed(secure):
    """A caller gets what the table lists and nothing else."""
    secure.allow(verbs=["remove"], force=False, preempt=False, launchers=[])
    assert (await secure.refusal(join("https://10.0.0.1:2380"))).startswith("NotAllowed: a join of a member")
    for flag in ("force", "preempt"):
        request = RemoveRequest(cluster=NAME, member="etcd-3", **{flag: True})
        assert (await secure.refusal(request)).startswith(f"NotAllowed: --{flag}")
    secure.allow(launchers=[])
    launched = JoinRequest(cluster=NAME, name="etcd-9", peer_urls=("https://10.0.0.1:2380",), launcher="docker")
    assert (await secure.refusal(launched)).startswith("NotAllowed: launcher docker")
    assert len(secure.cluster.look().members) == 3


async def test_what_the_worker_says_of_its_certificates(secure):
    """`doctor` asks for it: the days that are left, the warning 30 days ahead, and a key that others may read."""
    secure.allow()
    key = secure.cluster.access.key
    key.chmod(0o644)
    listed = await secure.client.execute_workflow(
        "ListClusters", id=f"ask-{uuid4()}", task_queue=secure.queue, result_type=ClusterList
    )
    key.chmod(0o600)
    [found] = listed.clusters
    assert (found.problem, round(found.certificate_days)) == ("", 20)
    assert any("CN=client" in warning and "expires soon" in warning for warning in found.warnings), found
    assert any("other users may read it (mode 0644)" in warning for warning in found.warnings), found


async def test_a_member_that_is_allowed(secure, caplog):
    """With a certificate and at a listed address it joins, and no history or log has a key, password or token."""
    caplog.set_level(logging.INFO)
    new = secure.cluster.new_member("etcd-4")
    secure.allow(peer_urls=[f"https://127.0.0.0/8:{new.peer_port}"])
    change = await secure.start(join(new.peer_url, "etcd-4"))
    new.start((await handover_of(secure, change)).env())
    secure.cluster.members.append(new)
    outcome = await change.result()
    assert (outcome.outcome, outcome.verified) == ("promoted", True)
    assert "promote_learner" in caplog.text + str(await history(secure, change.id))
    for place in (caplog.text.encode(), *[await history(secure, i) for i in (change.id, turns_id(NAME))]):
        for secret in secrets(secure):
            assert secret not in place


async def test_a_newcomer_that_advertises_a_client_url_without_tls(secure):
    """It is held before it may vote, and the outcome says so when a person lets it vote as it is."""
    new = secure.cluster.new_member("etcd-5")
    plain = f"http://127.0.0.1:{free_port()}"
    new.advertised = f"{new.client_url},{plain}"
    new.flags = (*new.flags, f"--listen-client-urls={new.advertised}")
    secure.allow(peer_urls=[f"https://127.0.0.0/8:{new.peer_port}"])
    change = await secure.start(join(new.peer_url, "etcd-5"))
    new.start((await handover_of(secure, change)).env())
    secure.cluster.members.append(new)

    async def held():
        view = (await see(secure.client, change)).view
        return view and view.held

    told = f"it advertises {plain}, without TLS, in a cluster with TLS"
    assert told in await until(held, "the join to be held", 60)
    await change.execute_update("resume")
    outcome = await asyncio.wait_for(change.result(), 60)
    assert (outcome.outcome, any(told in warning for warning in outcome.warnings)) == ("promoted", True), outcome


async def test_a_member_with_a_hostile_name_writes_nothing_into_the_next_handover(secure):
    """Its line break began another variable in the environment file of the next member. Its ID stands there instead."""
    hostile, nxt = secure.cluster.new_member("etcd-7"), secure.cluster.new_member("etcd-8")
    secure.allow(peer_urls=["https://127.0.0.0/8:*"])
    name = "etcd-7\nETCD_AUTO_TLS"
    change = await secure.start(join(hostile.peer_url, "etcd-7"))
    env = (await handover_of(secure, change)).env()
    listed = env["ETCD_INITIAL_CLUSTER"].replace("etcd-7=", f"{name}=")
    hostile.start({**env, "ETCD_NAME": name, "ETCD_INITIAL_CLUSTER": listed})
    secure.cluster.members.append(hostile)
    assert (await asyncio.wait_for(change.result(), 60)).outcome == "promoted"
    [member] = [m for m in secure.cluster.look().members if m.name == name]
    change = await secure.start(join(nxt.peer_url, "etcd-8"))
    env = (await handover_of(secure, change)).env()
    await change.cancel()
    assert all(value.isprintable() for value in env.values()), env
    assert f"{member.id}={hostile.peer_url}" in env["ETCD_INITIAL_CLUSTER"]
    with pytest.raises(WorkflowFailureError):
        await asyncio.wait_for(change.result(), 60)


async def handover_of(secure: Secure, change):
    """The handover, as soon as the learner is added."""

    async def seen():
        return (await see(secure.client, change)).handover

    return await until(seen, "the handover", 60)


async def history(secure: Secure, workflow_id: str) -> bytes:
    """All events of a workflow, as Temporal keeps them."""
    events = secure.client.get_workflow_handle(workflow_id).fetch_history_events()
    return b"".join([event.SerializeToString() async for event in events])


def secrets(secure: Secure) -> Iterator[bytes]:
    """The password, a token, and a line of the client's key: in plain, hex and base64."""
    client = EtcdClient(secure.cluster.access)
    client.look()
    token = client._calls.auth.token
    client.close()
    assert token
    line = secure.cluster.access.key.read_text().splitlines()[2]
    for secret in (PASSWORD, token.text.rpartition(".")[0] or token.text, line):
        raw = secret.encode()
        yield from (raw, raw.hex().encode())
        # The ends of base64 depend on what stands beside it.
        yield from (base64.b64encode(raw[at:])[: len(raw[at:]) // 3 * 4] for at in range(3))
