"""A caller and a cluster with TLS and auth: the worker's clusters file decides who joins, and no secret leaves it."""

from __future__ import annotations

import asyncio
import base64
import logging
import mmap
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import WorkflowFailureError

from client.sight import see
from etcdapi.client import EtcdClient
from local.processes import free_port
from membership.errors import ClusterUnreachable
from messages.answers import ClusterList
from messages.ids import turns_id
from messages.requests import JoinRequest, RemoveRequest
from support.memory.scenes import until
from support.parts.secure_worker import NAME, Secure, handover_of, join


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


async def test_a_remembered_voter_gets_the_credentials_by_its_certificate(secure):
    """So a change outlives every configured endpoint. A voter with a certificate of another CA gets none."""
    access = replace(secure.cluster.access, endpoints=("https://127.0.0.1:1",))
    voters = [member.client_url for member in secure.cluster.members]
    with closing(EtcdClient(access)) as client:
        found = client.expecting(secure.cluster.look().cluster_id, also=voters).look()
        assert len(found.readers) >= 3
        client.check_access()
        assert client._calls.auth.token
    other = secure.cluster.another_ca()
    with closing(EtcdClient(replace(access, ca=other, cert=None, key=None))) as client:
        with pytest.raises(ClusterUnreachable):
            client.expecting("c0ffee", also=voters).look()
        assert client._calls.auth.token is None


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


async def test_temporals_database_has_no_secret(secure, server):
    """Of a whole join, in which user, password and token are replaced, and of all tests before it."""
    new = secure.cluster.new_member("etcd-16")
    change = await secure.start(join(new.peer_url, "etcd-16"))
    env = (await handover_of(secure, change)).env()
    before = list(secrets(secure))
    secure.cluster.rotate("second", "a-new-horse-battery-staple")
    secure.allow()
    new.start(env)
    secure.cluster.members.append(new)
    assert (await asyncio.wait_for(change.result(), 60)).outcome == "promoted"
    assert before != list(secrets(secure)), "nothing was replaced"
    kept = [path for path in server.folder.glob("temporal.db*") if path.stat().st_size]
    assert any(has(path, new.peer_url.encode()) for path in kept), "this search finds nothing at all"
    for secret in (*before, *secrets(secure)):
        assert not [path for path in kept if has(path, secret)], secret


async def history(secure: Secure, workflow_id: str) -> bytes:
    """All events of a workflow, as Temporal keeps them."""
    events = secure.client.get_workflow_handle(workflow_id).fetch_history_events()
    return b"".join([event.SerializeToString() async for event in events])


def secrets(secure: Secure) -> Iterator[bytes]:
    """The password, the worker's token, and a line of the client's key: in plain, hex and base64."""
    access = secure.cluster.access
    line = access.key.read_text().splitlines()[2]
    token = secure.token()
    for secret in (access.password_file.read_text(), token.rpartition(".")[0] or token, line):
        raw = secret.encode()
        yield from (raw, raw.hex().encode())
        # The ends of base64 depend on what stands beside it.
        yield from (base64.b64encode(raw[at:])[: len(raw[at:]) // 3 * 4] for at in range(3))


def has(path: Path, text: bytes) -> bool:
    """Whether a file of any size has this text."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(text) >= 0
