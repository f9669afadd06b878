"""The demo: a member joins a real cluster through a real Temporal server, and the promote's answer is lost."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client

from console.changes import Ended, start_change
from console.display import Display
from console.follow import follow
from console.output import DONE, FAILED, Leave, print_json, say
from console.setup import register
from console.temporal import caller, require_worker
from local import loopback
from local.binary import find_etcd
from local.deployment import RelayProcess, WorkerProcess, write_clusters_file
from local.etcd_cluster import LocalFailure, LocalMember, bootstrap, stop_all
from local.metrics import promotes
from local.temporal_server import DevServer
from membership.errors import MemberflowError
from membership.model import Handover
from messages.requests import TASK_QUEUE, JoinRequest
from settings import Settings, cache_dir, quiet_runtime

CLUSTER = "demo"
VOTERS = ("etcd-1", "etcd-2", "etcd-3")
NEW = "etcd-4"


@dataclass
class Scene:
    """What is running."""

    members: list[LocalMember]
    relays: list[RelayProcess]
    server: DevServer
    settings: Settings
    client: Client
    folder: Path


async def demo(*, keep: bool, folder: Path | None, json: bool) -> int:
    """Runs the demo; exit code 0 when it went as it should."""
    started = time.monotonic()
    async with AsyncExitStack() as ending:
        ending.callback(say, "Everything that was started has been stopped.")
        if folder is None:
            folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="memberflow-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            scene = await _set_up(folder, ending)
            end = await _join(scene)
            good = await _tell(scene, end, json=json)
        except MemberflowError as error:
            raise Leave(FAILED, str(error), error.hint) from error
        say(f"This took {time.monotonic() - started:.0f} s.")
        if keep:
            _how_to_look(scene)
            await asyncio.Event().wait()
        say("Run `memberflow demo --keep` to look around in Temporal's UI.")
    return DONE if good else FAILED


async def _set_up(folder: Path, ending: AsyncExitStack) -> Scene:
    binary = await asyncio.to_thread(find_etcd, cache_dir(), say)
    say("1. Three etcd members start, each behind a relay that loses the first answer to a promote.")
    members = [LocalMember(name, binary, folder / name) for name in (*VOTERS, NEW)]
    relays = [RelayProcess(m.client_port, "MemberPromote", folder) for m in members]
    for member, relay in zip(members, relays, strict=True):
        ending.callback(relay.stop)
        member.advertised = relay.url
    ending.callback(stop_all, members)
    await _until(lambda: all(relay.is_ready() for relay in relays), "the relays do not come up")
    await asyncio.to_thread(bootstrap, members[:3], "memberflow-demo")
    say("2. Temporal's dev server starts, and a memberflow worker: the only process that speaks to etcd.")
    server = DevServer(folder / "temporal")
    ending.push_async_callback(server.stop)
    client = await server.start(quiet_runtime())
    await register(client)
    clusters = folder / "clusters.toml"
    write_clusters_file(clusters, CLUSTER, [m.advertised for m in members[:3]])
    worker = WorkerProcess(folder, server.address, clusters)
    ending.callback(worker.stop)
    worker.start()
    settings = Settings(TASK_QUEUE, clusters, {"target_host": server.address, "namespace": "default"})
    await until_polled(client, settings)
    return Scene(members, relays, server, settings, client, folder)


async def _join(scene: Scene) -> Ended:
    """Asks for the join, and starts the new member with the handover as a provisioning system would."""
    new = scene.members[3]
    say(f"3. `memberflow join {CLUSTER} {NEW} --peer-url {new.peer_url}`")
    request = JoinRequest(cluster=CLUSTER, name=NEW, peer_urls=(new.peer_url,), requested_by=caller())
    handle, _ = await start_change(scene.client, scene.settings, request)

    serving: list[asyncio.Task[None]] = []

    def start_member(handover: Handover) -> None:
        say(f"4. {NEW} is added as a learner; its process starts with the handover's ETCD_* values.")
        new.start(handover.env())
        serving.append(asyncio.create_task(asyncio.to_thread(new.wait_until_serving)))

    with Display(f"   {NEW} joins {CLUSTER}") as display:
        following = asyncio.create_task(follow(scene.client, handle, display, on_handover=start_member))
        while not following.done():
            await asyncio.wait({following, *serving}, return_when=asyncio.FIRST_COMPLETED, timeout=1)
            for task in [t for t in serving if t.done()]:
                serving.remove(task)
                task.result()  # raises when the new member's process did not come up
    end = following.result()
    if not isinstance(end, Ended) or end.outcome.outcome != "promoted":
        raise LocalFailure(f"the join did not end as it should: {end}")
    return end


async def _tell(scene: Scene, end: Ended, *, json: bool) -> bool:
    """What happened, as the relays, etcd's own metrics and Temporal saw it; true when it is what is claimed."""
    outcome = end.outcome
    calls = [call for relay in scene.relays for call in relay.calls() if call["method"] == "MemberPromote"]
    lost = [call for call in calls if call["fault"] == "lose"]
    successes, failures = await asyncio.to_thread(promotes, [m.client_url for m in scene.members])
    ui = f"{scene.server.ui}/namespaces/default/workflows/{outcome.workflow_id}/{outcome.run_id}/history"
    opens = await asyncio.to_thread(_opens, ui)
    say(f"5. {NEW} is a voter: {', '.join(outcome.voters)} ({outcome.seconds['total']:.1f} s).")
    say(f"   The relays saw {len(calls)} promote call, and lost {len(lost)} answer.")
    say(f"   etcd counts {successes} successful promote and {failures} failed ones.")
    for warning in outcome.warnings:
        say(f"   memberflow noticed: {warning}.")
    say(f"   In Temporal's UI: {ui}" + ("" if opens else " (it does not open)"))
    good = len(outcome.voters) == 4 and len(calls) == len(lost) == successes == 1 and not failures and opens
    if json:
        seen = {"promote_calls": len(calls), "answers_lost": len(lost), "promote_failures": failures, "ui": ui}
        print_json({**outcome.model_dump(mode="json", exclude_none=True), **seen, "ok": good})
    return good


def _how_to_look(scene: Scene) -> None:
    say(f"Everything is left running. Temporal's UI: {scene.server.ui}")
    say("In another terminal:")
    say(f"  export TEMPORAL_ADDRESS={scene.server.address}")
    say(f"  memberflow status {CLUSTER}")
    say(f"  memberflow watch {CLUSTER} {NEW}")
    say(f"Logs are in {scene.folder}. Ctrl-C stops everything.")


async def until_polled(client: Client, settings: Settings) -> None:
    """Waits for a worker; raises Leave when none has come in 30 s."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return await require_worker(client, settings)
        except Leave:
            if time.monotonic() > deadline:
                raise


async def _until(condition: Callable[[], bool], problem: str, timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise LocalFailure(problem)
        await asyncio.sleep(0.05)


def _opens(url: str) -> bool:
    try:
        loopback.get(url, timeout=5)
    except OSError:
        return False
    return True
