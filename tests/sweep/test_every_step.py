"""
Every step of every change, swept: each call runs twice, is refused, never arrives, loses its answer, its worker dies.

After each the members are the same as without trouble, nothing is left behind, and quorum was never lost. The
etcd is in memory, and the contract suite holds it to the real one; Temporal is real.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from courses import COURSES, HASTY, NEW_URL, Course
from faulty import CHANGES, MemoryClusters, Trouble
from memory_etcd import MemoryCluster
from temporalio.client import Client, WorkflowFailureError, WorkflowHistory
from temporalio.worker import Replayer

from console.setup import register
from local.temporal_server import DevServer
from membership.requests import WORKFLOWS, Outcome, change_id
from settings import quiet_runtime
from worker import make_workers
from workflows.join import JoinMember
from workflows.remove import RemoveMember
from workflows.replace import ReplaceMember

CHANGE_TROUBLES = (
    *("runs twice", "is refused on the way", "never arrives", "loses its answer"),
    *("dies before", "dies after"),
)
LOOK_TROUBLES = ("runs twice", "fails", "dies before")
# A wait looks as often as it takes; the first looks of every kind are among these.
LOOKS = 12
# Cases at a time: most of them wait for a dead worker's time-out, and the machine has to bear the rest.
AT_ONCE = 150


@dataclass(frozen=True)
class Run:
    """One change, after its end."""

    trouble: Trouble | None
    cluster: MemoryCluster
    calls: Counter[str]
    end: str
    workflow_id: str


class Sweep:
    """A worker on clusters in memory."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.queue = "sweep"
        self.clusters = MemoryClusters(self.queue)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def every_step(self, course: Course) -> tuple[Run, list[Run]]:
        """The course without trouble, and with every trouble, each time with a cluster of its own."""
        clean = await self.run(course, None)
        return clean, await asyncio.gather(*(self.run(course, trouble) for trouble in troubles(course, clean.calls)))

    async def run(self, course: Course, trouble: Trouble | None) -> Run:
        async with self._room:
            name = f"c-{uuid4()}"
            cluster = self.clusters.add(name, MemoryCluster(3), course.policy, trouble)
            is_added = course.prepare(cluster)
            request = course.request(name)
            workflow_id = change_id(name, request.verb, request.subject)
            handle = await self.client.start_workflow(
                WORKFLOWS[request.verb], request, id=workflow_id, task_queue=self.queue, result_type=Outcome
            )
            if course.cancelled:
                await is_added.wait()
                await handle.cancel()
            try:
                end = (await handle.result()).outcome
            except WorkflowFailureError as failure:
                end = getattr(failure.cause, "type", None) or "cancelled"
            return Run(trouble, cluster, self.clusters.etcds[name].counts, end, workflow_id)

    async def histories(self, runs: list[Run]) -> AsyncIterator[WorkflowHistory]:
        for run in runs:
            yield await self.client.get_workflow_handle(run.workflow_id).fetch_history()


@pytest.fixture(scope="module")
async def sweep(tmp_path_factory):
    """A worker, and a server that keeps everything in memory: a file would be the bottleneck."""
    server = DevServer(tmp_path_factory.mktemp("sweep"))
    client = await server.start(quiet_runtime())
    await register(client)
    made = Sweep(client)
    [worker] = make_workers(client, made.clusters, made.queue, [made.queue])
    async with worker:
        yield made
        made.clusters.released.set()
    await server.stop()


@pytest.fixture(scope="module")
async def swept(sweep, request):
    """All courses that are asked for, under way at the same time: mostly they wait for the time-outs of the dead."""
    asked = [c for c in COURSES if any(f"[{c.name}]" in item.name for item in request.session.items)]
    tasks = {course: asyncio.create_task(sweep.every_step(course)) for course in asked}
    yield tasks
    for task in tasks.values():
        task.cancel()


def troubles(course: Course, calls: Counter[str]) -> list[Trouble]:
    """Each call of each kind with each trouble; those that take longest first."""
    found = []
    for method, count in calls.items():
        kinds = CHANGE_TROUBLES if method in CHANGES else LOOK_TROUBLES
        most = count if method in CHANGES else min(count, LOOKS)
        found += [Trouble(method, nth, kind) for nth in range(1, most + 1) for kind in kinds]
    if "promote" in course.applied:
        found += [Trouble(method, 1, "answers its repetition") for method in ("add_learner", "promote")]
    return sorted(found, key=lambda trouble: not trouble.kind.startswith("dies"))


def verdict(course: Course, run: Run) -> str:
    """What is wrong with this end; empty when nothing is."""
    cluster = run.cluster
    voters = "".join(sorted(m.name[-1:] for m in cluster.voters()))
    learners = len(cluster.members) - len(cluster.voters())
    effects = tuple(what for what, _ in cluster.applied)
    wrong = {
        "end": run.end != course.ends,
        "members": (voters, learners) != (course.voters, 0),
        "quorum": bool(cluster.lost_quorum),
        "effects": effects != course.applied,
    }
    bad = [what for what, is_bad in wrong.items() if is_bad]
    return f"{run.trouble}: {bad}: {run.end}, voters {voters}, {learners} learners, {effects}" if bad else ""


@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.name)
async def test_every_step(sweep, swept, course):
    """Whatever the trouble, the course ends as it does without; and every history replays."""
    clean, runs = await swept[course]
    assert not verdict(course, clean)
    acts = {"add": "add_learner", "move": "move_leader"}
    assert {run.trouble.method for run in runs} >= {"look", *(acts.get(what, what) for what in course.applied)}
    assert not [text for text in (verdict(course, run) for run in runs) if text]
    workflows = [JoinMember, RemoveMember, ReplaceMember]
    await Replayer(workflows=workflows, data_converter=sweep.client.data_converter).replay_workflows(
        sweep.histories(runs)
    )


def test_the_sweep_sees_what_it_should():
    """Quorum lost, a learner left behind, an effect that came twice or never, another end would be noticed."""
    course = COURSES[0]
    cluster = MemoryCluster(1)
    member = cluster.add_learner((NEW_URL,))
    cluster.start(member.id, "etcd-4")
    cluster.sync()
    cluster.sync()
    cluster.kill(member.id)
    cluster.promote(member.id)
    assert cluster.lost_quorum
    assert "['members', 'quorum']" in verdict(course, Run(None, cluster, Counter(), "promoted", ""))
    left = MemoryCluster(3)
    left.add_learner((NEW_URL,))
    assert "['end', 'members', 'effects']" in verdict(course, Run(None, left, Counter(), "rolled-back", ""))
    assert timedelta(seconds=1) == HASTY.start_timeout
