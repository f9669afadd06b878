"""
Records one history per kind of change into `tests/histories/VERSION`, for the replay test.

Run by `make histories` when a release is made: later releases must replay what an earlier one began.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowHistory

from client.search_attributes import register
from local.temporal_server import DevServer
from membership.duration import parse_duration
from membership.policy import Policy
from messages.apply import ApplyRequest, ApplyView
from messages.ids import WORKFLOW_TYPES, apply_id, change_id, turns_id
from messages.launching import GoOn, Launch, Launched, always
from messages.requests import ChangeRequest, JoinRequest, RemoveRequest, ReplaceRequest
from support.memory import scenes
from support.memory.etcd import MemoryCluster, Process
from support.memory.faulty import MemoryClusters, Trouble
from temporal_workers import make_workers, running

FOLDER = Path(__file__).parents[1] / "histories" / version("memberflow")
QUEUE = "histories"
SUGGEST = "limit.historyCount.suggestContinueAsNew"
URL = "http://etcd-4:2380"
LOOSE = Policy(min_voters=1, min_spare=0)
HASTY = LOOSE.model_copy(update={"start_timeout": parse_duration("1s")})
NEW = {"name": "etcd-4", "peer_urls": (URL,)}


@dataclass
class Scene:
    """One cluster in memory, and the changes of it; a new member starts by itself when it `starts`."""

    client: Client
    clusters: MemoryClusters
    name: str
    policy: Policy = field(default_factory=Policy)
    starts: bool = True
    troubles: tuple[Trouble, ...] = ()

    def __post_init__(self) -> None:
        self.cluster = self.clusters.add(self.name, MemoryCluster(3), self.policy, *self.troubles)
        self.added = asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_added(member: Process) -> None:
            if self.starts:
                self.start(member)
            loop.call_soon_threadsafe(self.added.set)

        self.cluster.on_added = on_added

    def start(self, member: Process) -> None:
        self.cluster.start(member.id, f"etcd-{member.peer_urls[0][-6]}")

    def learner(self) -> Process:
        return next(m for m in self.cluster.members.values() if m.is_learner)

    async def begin(self, request: ChangeRequest) -> WorkflowHandle[Any, Any]:
        workflow_id = change_id(self.name, request.verb, request.subject)
        return await self.client.start_workflow(WORKFLOW_TYPES[request.verb], request, id=workflow_id, task_queue=QUEUE)

    async def join(self, url: str = URL, **more: Any) -> WorkflowHandle[Any, Any]:
        """Begins the join of the member that its URL names."""
        return await self.begin(JoinRequest(cluster=self.name, name=url[7:13], peer_urls=(url,), **more))

    async def abandoned(self) -> None:
        """Leaves a learner behind: its join is terminated."""
        join = await self.join()
        await self.added.wait()
        await join.execute_update("wait_until_added")
        await join.terminate()

    async def save(self, handle: WorkflowHandle[Any, Any], name: str, ends: str) -> None:
        """Once it has ended, and as it should: a history is what its name says."""
        try:
            result = await handle.result()
            end = result["outcome"] if result else "completed"
        except WorkflowFailureError as failure:
            end = getattr(failure.cause, "type", None) or "cancelled"
        assert ends == end, f"{name} ended as {end}"
        write(await handle.fetch_history(), name)

    async def saved(self, request: ChangeRequest, name: str, ends: str) -> None:
        await self.save(await self.begin(request), name, ends)


def write(history: WorkflowHistory, name: str) -> None:
    """Stack traces name folders of whoever recorded them, identities a machine; replay never looks at them."""
    text = re.sub(r'"(stackTrace|identity)": "(?:[^"\\]|\\.)*"', r'"\1": ""', history.to_json())
    (FOLDER / f"{name}.json").write_text(text + "\n")


Set = Callable[..., Scene]


# ---- joins ----


async def promoted(scene: Set) -> None:
    one = scene("promoted")
    await one.save(await one.join(), "join-promoted", "promoted")


async def renewed(scene: Set) -> None:
    """A join that goes on in new runs, and its turns, which do so too."""
    one = scene("renewed", troubles=(Trouble("promote", 1, "is refused on the way"),))
    join = one.client.get_workflow_handle((await one.join()).id)
    await one.save(join, "join-continued", "promoted")
    write(await first_run(one.client, join.id), "join-continues")
    await one.save(one.client.get_workflow_handle(turns_id(one.name)), "turns-continued", "completed")
    write(await first_run(one.client, turns_id(one.name)), "turns")


async def first_run(client: Client, workflow_id: str) -> WorkflowHistory:
    last = await client.get_workflow_handle(workflow_id).fetch_history()
    first = last.events[0].workflow_execution_started_event_attributes.first_execution_run_id
    return await client.get_workflow_handle(workflow_id, run_id=first).fetch_history()


async def lost_answer(scene: Set) -> None:
    one = scene("lost-answer", troubles=(Trouble("promote", 1, "loses its answer"),))
    await one.save(await one.join(), "join-lost-answer", "promoted")


async def rolled_back(scene: Set) -> None:
    one = scene("rolled-back", policy=HASTY, starts=False)
    await one.save(await one.join(), "join-rolled-back", "StartTimeout")


async def cancelled(scene: Set) -> None:
    one = scene("cancelled", starts=False)
    join = await one.join()
    await one.added.wait()
    await join.cancel()
    await one.save(join, "join-cancelled", "cancelled")


async def refused(scene: Set) -> None:
    one = scene("refused")
    taken = JoinRequest(cluster=one.name, name="etcd-4", peer_urls=("http://etcd-1:2380",))
    await one.saved(taken, "join-refused", "PeerURLConflict")


async def already_voter(scene: Set) -> None:
    one = scene("already-voter")
    await (await one.join()).result()
    await one.save(await one.join(), "join-already-voter", "already-voter")


async def held(scene: Set) -> None:
    """And resumed."""
    one = scene("held")
    join = await one.join(hold_before="promote")
    await scenes.held(join)
    await join.execute_update("resume")
    await one.save(join, "join-held", "promoted")


async def held_by_a_clock(scene: Set) -> None:
    """And resumed, when the member has started after all."""
    one = scene("held-by-a-clock", policy=HASTY.model_copy(update={"on_failure": "hold"}), starts=False)
    join = await one.join()
    await scenes.held(join)
    one.start(one.learner())
    await join.execute_update("resume")
    await one.save(join, "join-held-by-a-clock", "promoted")


class Launches:
    """A launcher whose engine is the cluster itself."""

    def __init__(self, one: Scene) -> None:
        self._one = one

    def check(self, launch: Launch) -> None:
        assert launch.name == "etcd-4"

    def start(self, launch: Launch, go_on: GoOn = always) -> Launched:
        go_on(ask=True)
        self._one.start(self._one.learner())
        return Launched("memberflow-etcd-4", "c0ffee", "volume", "memory", created=True)

    def state(self, launch: Launch) -> None:
        return None

    def stop(self, launch: Launch) -> bool:
        return True


async def launched(scene: Set) -> None:
    one = scene("launched", starts=False)
    one.clusters.launchers["memory"] = Launches(one)
    await one.save(await one.join(launcher="memory"), "join-launched", "promoted")


async def adopted(scene: Set) -> None:
    """The same join takes over the learner that its earlier run left behind."""
    one = scene("adopted", starts=False)
    await one.abandoned()
    again = await one.join()
    one.start(one.learner())
    await one.save(again, "join-adopted", "promoted")


async def cleared(scene: Set) -> None:
    """Another join removes it first."""
    one = scene("cleared", starts=False)
    await one.abandoned()
    one.starts = True
    await one.save(await one.join("http://etcd-5:2380"), "join-cleared", "promoted")


async def foreign_learner(scene: Set) -> None:
    one = scene("foreign", policy=LOOSE.model_copy(update={"foreign_learner_timeout": parse_duration("1s")}))
    one.cluster.add_learner(("http://etcd-9:2380",))
    await one.save(await one.join(), "join-foreign-learner", "ForeignLearner")


async def removed_by_others(scene: Set) -> None:
    one = scene("removed-by-others", starts=False)
    join = await one.join()
    await join.execute_update("wait_until_added")
    one.cluster.remove(one.learner().id)
    await one.save(join, "join-removed-by-others", "RemovedByOthers")


async def unverified(scene: Set) -> None:
    """The new voter dies as it becomes one."""
    one = scene("unverified")
    promote = one.cluster.promote

    def promote_and_die(member_id: str) -> None:
        promote(member_id)
        one.cluster.kill(member_id)

    one.cluster.promote = promote_and_die
    await one.save(await one.join(), "join-unverified", "promoted")


# ---- removals and replacements; the first member leads ----


async def removed(scene: Set) -> None:
    one = scene("removed", policy=LOOSE)
    await one.saved(RemoveRequest(cluster=one.name, member="etcd-1"), "remove-removed", "removed")


async def removed_after_a_snapshot(scene: Set) -> None:
    with tempfile.TemporaryDirectory() as folder:
        saved = LOOSE.model_copy(update={"snapshot_before_removal": f"{folder}/{{time}}.db"})
        one = scene("saved", policy=saved)
        await one.saved(RemoveRequest(cluster=one.name, member="etcd-3"), "remove-after-a-snapshot", "removed")


async def preempted(scene: Set) -> None:
    """A held join, by the removal of a dead member."""
    one = scene("preempted", policy=LOOSE)
    join = await one.join(hold_before="promote")
    await scenes.held(join)
    one.cluster.kill("a3")
    removal = await one.begin(RemoveRequest(cluster=one.name, member="etcd-3", preempt=True))
    await one.save(join, "join-preempted", "cancelled")
    await one.save(removal, "remove-preempting", "removed")


async def removal_refused(scene: Set) -> None:
    one = scene("few")
    await one.saved(RemoveRequest(cluster=one.name, member="etcd-1"), "remove-refused", "TooFewVoters")


async def replaced_healthy(scene: Set) -> None:
    one = scene("healthy", policy=LOOSE)
    await one.saved(ReplaceRequest(cluster=one.name, old="etcd-2", **NEW), "replace-healthy", "replaced")


async def replaced_dead(scene: Set) -> None:
    one = scene("dead", policy=LOOSE)
    one.cluster.kill("a2")
    await one.saved(ReplaceRequest(cluster=one.name, old="etcd-2", **NEW), "replace-dead", "replaced")


async def replaced_half(scene: Set) -> None:
    one = scene("half", policy=HASTY, starts=False)
    one.cluster.kill("a2")
    await one.saved(ReplaceRequest(cluster=one.name, old="etcd-2", **NEW), "replace-half", "StartTimeout")


# ---- lists of members ----


async def begin_apply(one: Scene, *numbers: int) -> WorkflowHandle[Any, Any]:
    """Begins the apply of exactly these members."""
    members = [{"name": f"etcd-{n}", "peer_urls": [f"http://etcd-{n}:2380"]} for n in numbers]
    request = ApplyRequest.model_validate({"cluster": one.name, "members": members, "prune": True})
    return await one.client.start_workflow("ApplyMembers", request, id=apply_id(one.name), task_queue=QUEUE)


async def applied(scene: Set) -> None:
    """Two replacements, the leader last. Then a removal, and then nothing is left."""
    one = scene("applied", policy=LOOSE)
    await one.save(await begin_apply(one, 2, 4, 5), "apply-applied", "applied")
    await one.save(await begin_apply(one, 2, 4), "apply-removed", "applied")
    await one.save(await begin_apply(one, 4, 2), "apply-no-changes", "no-changes")


async def apply_held(scene: Set) -> None:
    """Held between two members, and resumed."""
    one = scene("apply-held", policy=LOOSE, starts=False)
    apply = await begin_apply(one, 1, 2, 3, 4, 5)
    await one.added.wait()
    await apply.execute_update("wait_until_added", "etcd-4")
    await apply.execute_update("hold", "alice")
    one.starts = True
    one.start(one.learner())
    await scenes.held(apply)
    await apply.execute_update("resume")
    await one.save(apply, "apply-held", "applied")


async def apply_cancelled(scene: Set) -> None:
    """Together with the running change."""
    one = scene("apply-cancelled", policy=LOOSE, starts=False)
    apply = await begin_apply(one, 1, 2, 3, 4)
    await one.added.wait()
    await apply.cancel()
    await one.save(apply, "apply-cancelled", "cancelled")


async def apply_failed(scene: Set) -> None:
    """By the failure of its change."""
    one = scene("apply-failed", policy=HASTY, starts=False)
    await one.save(await begin_apply(one, 1, 2, 3, 4), "apply-failed", "StartTimeout")


async def apply_waited(scene: Set) -> None:
    """For the same change of another caller."""
    one = scene("apply-waited", policy=LOOSE, starts=False)
    join = await one.join()
    await one.added.wait()
    apply = await begin_apply(one, 1, 2, 3, 4)
    await scenes.until(lambda: waits_for_others(apply), "the apply to wait for the join")
    one.start(one.learner())
    await join.result()
    await one.save(apply, "apply-waited", "no-changes")


async def waits_for_others(apply: WorkflowHandle[Any, Any]) -> bool:
    running = (await apply.query("progress", result_type=ApplyView)).running
    return running is not None and running.of_others


KINDS = (
    *(applied, apply_held, apply_cancelled, apply_failed, apply_waited),
    *(promoted, lost_answer, rolled_back, cancelled, refused, already_voter),
    *(held, held_by_a_clock, launched, adopted, cleared, foreign_learner, removed_by_others, unverified),
    *(removed, removed_after_a_snapshot, preempted, removal_refused, replaced_healthy, replaced_dead, replaced_half),
)
# On a server that suggests a new run after so few events that a change and its turns need several.
LONG = (renewed,)
LOW = ("--dynamic-config-value", f"{SUGGEST}=25")


@contextlib.asynccontextmanager
async def recording(*options: str) -> AsyncIterator[Set]:
    """Makes scenes, on a server and a worker of their own."""
    with tempfile.TemporaryDirectory() as folder:
        server = DevServer(Path(folder), extra_args=options)
        client = await server.start()
        await register(client)
        clusters = MemoryClusters(QUEUE)
        workers = make_workers(client, clusters, QUEUE, [QUEUE])
        async with running(workers):
            yield lambda name, **more: Scene(client, clusters, name, **more)
        await server.stop()


async def record(names: Collection[str]) -> None:
    """
    All kinds, or those of these names. An unchanged history need not be recorded anew.

    Some at a time: mostly they wait, and too many at once would get in each other's way.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    room = asyncio.Semaphore(4)

    async def one(kind: Callable[[Set], Awaitable[None]], scene: Set) -> None:
        async with room:
            await kind(scene)

    for kinds, options in ((KINDS, ()), (LONG, LOW)):
        wanted = [kind for kind in kinds if not names or kind.__name__ in names]
        async with recording(*options) as scene, asyncio.timeout(300):
            await asyncio.gather(*(one(kind, scene) for kind in wanted))


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:]))
