"""
Every step of every change, swept: each act runs twice, is refused, never arrives, loses its answer, its worker dies.
Looks fail, or their worker dies. And after an act whose answer is lost, so do the calls that tell what became of it.

After each the members are the same as without trouble, nothing is left behind, and quorum was never lost. The
etcd is in memory, and the contract suite holds it to the real one; Temporal is real.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from courses import COURSES, HASTY, NEW_URL, Course
from temporalio.client import Client, WorkflowFailureError, WorkflowHistory
from temporalio.worker import Replayer

from client.search_attributes import register
from local.temporal_server import DevServer
from messages.ids import WORKFLOW_TYPES, change_id
from messages.outcomes import Outcome
from settings import quiet_runtime
from support.memory.cluster import MemoryCluster
from support.memory.faulty import CHANGES, MemoryClusters, Trouble
from support.parts.low_limits import LOW, histories_of
from temporal_workers import make_workers, running
from workflows.join import JoinMember
from workflows.remove import RemoveMember
from workflows.replace import ReplaceMember

CHANGE_TROUBLES = (
    *("runs twice", "is refused on the way", "never arrives", "loses its answer"),
    *("dies before", "dies after", "freezes its receiver"),
)
LOOK_TROUBLES = ("fails", "dies before")
# The acts by what they apply.
ACTS = {"add": "add_learner", "promote": "promote", "remove": "remove", "move": "move_leader"}
# The barrier, after an act that had no effect; and the watch of an act's own effect while it has no answer.
BARRIER_TROUBLES = ("fails", "loses its answer", "dies before", "dies after")
WATCH_TROUBLES = ((1, "fails"), (None, "fails"), (1, "dies before"))
# A wait looks as often as it takes; the first looks of every kind are among these.
LOOKS = 12
# Hundreds of cases in each test, on a slow machine.
pytestmark = pytest.mark.timeout(900)
# The courses that are also swept on a server with a low limit for histories, and what is done there to each act. No
# trouble among these costs a time-out. All others were swept there once, and ended as elsewhere.
IN_NEW_RUNS = ("joins", "the leader leaves", "a dead one is replaced")
QUICK_TROUBLES = ("is refused on the way", "never arrives", "loses its answer")
# Cases at a time: most of them wait for a dead worker's time-out, and the machine has to bear the rest.
AT_ONCE = 150


@dataclass(frozen=True)
class Run:
    """One change, after its end."""

    troubles: tuple[Trouble, ...]
    cluster: MemoryCluster
    calls: Counter[str]
    end: str
    workflow_id: str = ""
    unused: frozenset[Trouble] = frozenset()


class Sweep:
    """A worker on clusters in memory."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.queue = "sweep"
        self.clusters = MemoryClusters(self.queue)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def every_step(self, course: Course) -> tuple[Run, list[Run]]:
        """The course without trouble, and with every trouble, each time with a cluster of its own."""
        clean = await self.run(course)
        spoilt = [(trouble,) for trouble in troubles(course, clean.calls)] + (pairs(course) if course.doubly else [])
        return clean, await asyncio.gather(*(self.run(course, *found) for found in spoilt))

    async def run(self, course: Course, *troubles: Trouble, cancel: bool = False) -> Run:
        """`cancel`: when the receiver of a call freezes, the change is cancelled."""
        async with self._room:
            name = f"c-{uuid4()}"
            cluster = self.clusters.add(name, MemoryCluster(3), course.policy, *troubles)
            is_added = course.prepare(cluster)
            request = course.request(name)
            workflow_id = change_id(name, request.verb, request.subject)
            handle = await self.client.start_workflow(
                WORKFLOW_TYPES[request.verb], request, id=workflow_id, task_queue=self.queue, result_type=Outcome
            )
            if course.cancelled:
                await is_added.wait()
                await handle.cancel()
            etcd = self.clusters.etcds[name]
            if cancel:
                await asyncio.to_thread(etcd.frozen.wait)
                await handle.cancel()
            try:
                end = (await handle.result()).outcome
            except WorkflowFailureError as failure:
                end = getattr(failure.cause, "type", None) or "cancelled"
            if etcd.frozen.is_set():
                await asyncio.to_thread(etcd.thawed.wait)
            return Run(troubles, cluster, etcd.counts, end, workflow_id, frozenset(etcd.unused))

    async def histories(self, runs: list[Run]) -> AsyncIterator[WorkflowHistory]:
        for run in runs:
            async for history in histories_of(self.client, run.workflow_id):
                yield history


@asynccontextmanager
async def sweeping(folder: Path, *limits: str) -> AsyncIterator[Sweep]:
    """A worker, and a server that keeps everything in memory: a file would be the bottleneck."""
    server = DevServer(folder, extra_args=limits)
    client = await server.start(quiet_runtime())
    await register(client)
    made = Sweep(client)
    async with running(make_workers(client, made.clusters, made.queue, [made.queue])):
        yield made
        made.clusters.released.set()
    await server.stop()


@pytest.fixture(scope="module")
async def sweep(tmp_path_factory):
    """A worker and a server for the whole sweep."""
    async with sweeping(tmp_path_factory.mktemp("sweep")) as made:
        yield made


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
        if method in ("members", "commit"):  # only a slow machine has them here
            continue
        kinds = CHANGE_TROUBLES if method in CHANGES else LOOK_TROUBLES
        most = count if method in CHANGES else min(count, LOOKS)
        found += [Trouble(method, nth, kind) for nth in range(1, most + 1) for kind in kinds]
    if "promote" in course.applied:
        found += [Trouble(method, 1, "answers its repetition") for method in ("add_learner", "promote")]
    return sorted(found, key=lambda trouble: not trouble.kind.startswith("dies"))


def pairs(course: Course) -> list[tuple[Trouble, Trouble]]:
    """An act that has no answer, and a second trouble with what tells whether it took effect."""
    found = []
    for what in course.applied:
        found += [(Trouble(ACTS[what], 1, "never arrives"), Trouble("commit", 1, kind)) for kind in BARRIER_TROUBLES]
        if what != "move":  # whose effect is a leader, seen by a look
            found += [(Trouble(ACTS[what], 1, "loses its answer"), Trouble("members", *how)) for how in WATCH_TROUBLES]
    return found


def verdict(course: Course, run: Run) -> str:
    """What is wrong with this end; empty when nothing is."""
    cluster = run.cluster
    voters = "".join(sorted(m.name[-1:] for m in cluster.voters()))
    learners = len(cluster.members) - len(cluster.voters())
    effects = tuple(what for what, _ in cluster.applied)
    # The election that follows on the freeze does what was asked for.
    elected = any(t.method == "move_leader" and t.kind == "freezes its receiver" for t in run.troubles)
    expected = tuple(what for what in course.applied if not (elected and what == "move"))
    wrong = {
        "end": run.end != course.ends,
        "members": (voters, learners) != (course.voters, 0),
        "quorum": bool(cluster.lost_quorum),
        "effects": effects != expected,
        # A look more or less is nobody's promise; what is done to an act, or after it, must have come.
        "no trouble": any(t.method != "look" and t.nth in (1, None) for t in run.unused),
    }
    bad = [what for what, is_bad in wrong.items() if is_bad]
    told = " and ".join(map(str, run.troubles))
    return f"{told}: {bad}: {run.end}, voters {voters}, {learners} learners, {effects}" if bad else ""


@pytest.mark.timeout(1200)  # dozens of courses each, many of which wait for deadlines
@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.name)
async def test_every_step(sweep, swept, course):
    """Whatever the trouble, the course ends as it does without; and every history replays."""
    clean, runs = await swept[course]
    assert not verdict(course, clean)
    assert {run.troubles[0].method for run in runs} >= {"look", *(ACTS[what] for what in course.applied)}
    assert not [text for text in (verdict(course, run) for run in runs) if text]
    workflows = [JoinMember, RemoveMember, ReplaceMember]
    await Replayer(workflows=workflows, data_converter=sweep.client.data_converter).replay_workflows(
        sweep.histories(runs)
    )


async def test_every_act_in_new_runs(tmp_path):
    """On a server that suggests a new run early, each course ends as elsewhere, and every run replays."""
    cases = [
        (course, Trouble(ACTS[what], 1, kind))
        for course in COURSES
        if course.name in IN_NEW_RUNS
        for what in course.applied
        for kind in QUICK_TROUBLES
    ]
    async with sweeping(tmp_path, *LOW) as sweep:
        runs = await asyncio.gather(*(sweep.run(course, trouble) for course, trouble in cases))
        ends = [verdict(course, run) for (course, _), run in zip(cases, runs, strict=True)]
        assert not [text for text in ends if text]
        histories = [history async for history in sweep.histories(runs)]
        assert len(histories) > len(runs) * 1.5
        replayer = Replayer(
            workflows=[JoinMember, RemoveMember, ReplaceMember], data_converter=sweep.client.data_converter
        )
        for history in histories:
            await replayer.replay_workflow(history)


JOIN, FOLLOWER, LEADER = COURSES[0], COURSES[3], COURSES[4]
# Cancelled as the receiver of the call freezes: the end, the members by number, and what etcd applied.
LATE = [
    (JOIN, "add_learner", "cancelled", "123", ("add", "remove")),
    (JOIN, "promote", "promoted", "1234", ("add", "promote")),
    (FOLLOWER, "remove", "removed", "12", ("remove",)),
    (LEADER, "move_leader", "cancelled", "123", ()),
    (LEADER, "remove", "removed", "23", ("move", "remove")),
]


@pytest.mark.parametrize(
    ("course", "method", "end", "voters", "applied"), LATE, ids=lambda value: getattr(value, "name", None)
)
async def test_cancelled_with_a_frozen_receiver(sweep, course, method, end, voters, applied):
    """What the receiver sends on at its thaw is part of the outcome, and not something that comes after it."""
    expected = replace(course, ends=end, voters=voters, applied=applied)
    run = await sweep.run(expected, Trouble(method, 1, "freezes its receiver"), cancel=True)
    assert not verdict(expected, run)


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
    assert "['members', 'quorum']" in verdict(course, Run((), cluster, Counter(), "promoted"))
    left = MemoryCluster(3)
    left.add_learner((NEW_URL,))
    assert "['end', 'members', 'effects']" in verdict(course, Run((), left, Counter(), "rolled-back"))
    never = Trouble("commit", 1, "fails")
    assert "'no trouble'" in verdict(course, Run((never,), left, Counter(), "promoted", unused=frozenset({never})))
    assert timedelta(seconds=1) == HASTY.start_timeout
