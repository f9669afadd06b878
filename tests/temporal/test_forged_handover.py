"""A member is started with the handover that the change itself wrote, and with no other."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from client.change_request import differences, request_of
from client.exit_codes import CommandError
from client.sight import see
from client.start import start_change
from messages.ids import change_id
from messages.requests import JoinRequest
from settings import read_settings
from support.memory.scenes import until, url

FORGED = {
    "name": "etcd-4",
    "initial_cluster": "evil=http://10.6.6.6:2380,etcd-4=http://etcd-4:2380",
    "initial_advertise_peer_urls": "http://etcd-4:2380",
}


@pytest.mark.parametrize("memo", [{"handover": FORGED}, {}])
async def test_while_no_worker_answers(temporal, memo):
    """The workflow could not refuse the memo of its caller yet, so a client must not believe it either."""
    cluster = f"c-{uuid4()}"
    request = JoinRequest(cluster=cluster, name="etcd-4", peer_urls=(url("etcd-4"),))
    change = await temporal.start_workflow(
        "JoinMember", request, id=change_id(cluster, "join", "etcd-4"), task_queue=f"nobody-{uuid4()}", memo=memo
    )
    sight = await see(temporal, change)
    assert sight.handover is None
    assert ("its caller made up" in sight.dead) == bool(memo)
    await change.terminate()


async def test_its_own_handover(temporal, scene):
    """It stays in the memo while no worker answers, and the history says who wrote it."""
    made = scene()
    join = await made.join()

    async def given():
        return (await see(temporal, join)).handover

    handover = await until(given, "the handover")
    assert handover.name == "etcd-9"
    await join.terminate()


async def test_a_request_in_the_memo(temporal):
    """A caller who attaches to a change compares its real request: its member would join at another address."""
    cluster = f"c-{uuid4()}"
    honest = JoinRequest(cluster=cluster, name="etcd-4", peer_urls=(url("etcd-4"),))
    evil = JoinRequest(cluster=cluster, name="etcd-4", peer_urls=("http://10.6.6.6:2380",))
    change = await temporal.start_workflow(
        "JoinMember",
        evil,
        id=change_id(cluster, "join", "etcd-4"),
        task_queue=f"nobody-{uuid4()}",
        memo={"request": honest.model_dump(mode="json")},
    )
    [difference] = differences(honest, await request_of(temporal, change))
    assert "http://10.6.6.6:2380" in difference
    await change.terminate()


@pytest.mark.parametrize(("kind", "queue"), [("Stranger", "own"), ("JoinMember", "strangers")])
async def test_no_command_attaches_to_a_stranger(temporal, kind, queue):
    """Its own worker could answer with any handover, and the new member would join another cluster."""
    cluster, settings = f"c-{uuid4()}", replace(read_settings(), task_queue="own")
    request = JoinRequest(cluster=cluster, name="etcd-4", peer_urls=(url("etcd-4"),))
    stranger = await temporal.start_workflow(kind, request, id=change_id(cluster, "join", "etcd-4"), task_queue=queue)
    with pytest.raises(CommandError, match=f"is a {kind} on the task queue '{queue}', and not a JoinMember on 'own'"):
        await start_change(temporal, settings, request)
    await stranger.terminate()
