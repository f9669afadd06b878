"""
Every step of a join, swept: each call runs twice, is refused, never arrives, loses its answer, its worker dies.

After each the members are the same as without trouble, nothing is left behind, and quorum was never lost. The
etcd is in memory, and the contract suite holds it to the real one; Temporal is real.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from faulty import CHANGES, MemoryClusters, Trouble
from lab import eventually
from memory_etcd import MemoryCluster
from temporalio.client import WorkflowFailureError
from temporalio.worker import Replayer

from membership.duration import parse_duration
from membership.requests import JoinRequest, Outcome, Policy, change_id
from worker import make_workers
from workflows.join import JoinMember

NEW_URL = "http://etcd-4:2380"
CHANGE_TROUBLES = (
    "runs twice",
    "is refused on the way",
    "never arrives",
    "loses its answer",
    "dies before",
    "dies after",
)
LOOK_TROUBLES = ("runs twice", "fails", "dies before")
# A wait looks as often as it takes; the first looks of every kind are among these.
LOOKS = 8


@dataclass(frozen=True)
class Course:
    """A kind of join: what is done to it, and where it must end, whatever goes wrong on the way."""

    name: str
    starts: bool
    cancelled: bool
    policy: Policy
    ends: str
    voters: int
    applied: tuple[str, ...]


PATIENT = Policy()
HASTY = Policy(start_timeout=parse_duration("1s"))
COURSES = (
    Course("joins", True, False, PATIENT, "promoted", 4, ("add", "promote")),
    Course("is cancelled", False, True, PATIENT, "cancelled", 3, ("add", "remove")),
    Course("never starts", False, False, HASTY, "StartTimeout", 3, ("add", "remove")),
)


class Sweep:
    """A worker on clusters in memory."""

    def __init__(self, client):
        self.client = client
        self.queue = f"sweep-{uuid4()}"
        self.clusters = MemoryClusters(self.queue)

    async def run(self, course: Course, trouble: Trouble | None) -> tuple[MemoryCluster, Counter, str, str]:
        """One join; gives the cluster, the calls that were made, how it ended and its workflow ID."""
        name = f"c-{uuid4()}"
        cluster = self.clusters.add(name, MemoryCluster(3), course.policy, trouble)
        if course.starts:
            cluster.on_added = lambda member: cluster.start(member.id, "etcd-4")
        request = JoinRequest(cluster=name, name="etcd-4", peer_urls=(NEW_URL,))
        handle = await self.client.start_workflow(
            "JoinMember", request, id=change_id(name, "join", "etcd-4"), task_queue=self.queue, result_type=Outcome
        )
        if course.cancelled:
            await asyncio.to_thread(eventually, lambda: any(m.is_learner for m in cluster.members.values()), "the add")
            await handle.cancel()
        try:
            end = (await handle.result()).outcome
        except WorkflowFailureError as failure:
            end = getattr(failure.cause, "type", None) or "cancelled"
        return cluster, self.clusters.etcds[name].counts, end, handle.id


@pytest.fixture(scope="module")
async def sweep(temporal):
    """One worker for all cases; they run at the same time."""
    made = Sweep(temporal)
    [worker] = make_workers(temporal, made.clusters, made.queue, [made.queue])
    async with worker:
        yield made
        made.clusters.released.set()


def troubles(counts: Counter) -> list[Trouble]:
    found = []
    for method, count in counts.items():
        kinds = CHANGE_TROUBLES if method in CHANGES else LOOK_TROUBLES
        most = count if method in CHANGES else min(count, LOOKS)
        found += [Trouble(method, nth, kind) for nth in range(1, most + 1) for kind in kinds]
    return found


def verdict(course: Course, trouble: Trouble | None, cluster: MemoryCluster, end: str) -> str:
    """What is wrong with this end; empty when nothing is."""
    voters, learners = len(cluster.voters()), len(cluster.members) - len(cluster.voters())
    effects = tuple(what for what, _ in cluster.applied)
    wrong = {
        "end": end != course.ends,
        "members": (voters, learners) != (course.voters, 0),
        "quorum": bool(cluster.lost_quorum),
        "effects": effects != course.applied,
    }
    bad = [what for what, is_bad in wrong.items() if is_bad]
    return f"{trouble}: {bad}: {end}, {voters} voters, {learners} learners, {effects}" if bad else ""


@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.name)
async def test_every_step(sweep, course):
    """All troubles of a course at the same time, each with a cluster of its own; and every history replays."""
    clean, counts, end, _ = await sweep.run(course, None)
    assert not verdict(course, None, clean, end)
    cases = troubles(counts)
    if course.ends == "promoted":
        cases += [Trouble(method, 1, "answers its repetition") for method in ("add_learner", "promote")]
    assert {t.method for t in cases} >= {"look", *(m for m in CHANGES if m.split("_")[0] in course.applied)}
    results = await asyncio.gather(*(sweep.run(course, trouble) for trouble in cases))
    wrong = [verdict(course, t, cluster, end) for t, (cluster, _, end, _) in zip(cases, results, strict=True)]
    assert not [text for text in wrong if text]
    replayer = Replayer(workflows=[JoinMember], data_converter=sweep.client.data_converter)
    for *_, workflow_id in results:
        await replayer.replay_workflow(await sweep.client.get_workflow_handle(workflow_id).fetch_history())


async def test_the_sweep_sees_what_it_should(sweep):
    """Quorum lost and a learner left behind would be noticed."""
    cluster = MemoryCluster(1)
    member = cluster.add_learner((NEW_URL,))
    cluster.start(member.id, "etcd-4")
    cluster.sync()
    cluster.sync()
    cluster.kill(member.id)
    cluster.promote(member.id)
    assert cluster.lost_quorum
    joins = COURSES[0]
    assert "quorum" in verdict(joins, None, cluster, "promoted")
    left = MemoryCluster(3)
    left.add_learner((NEW_URL,))
    assert "members" in verdict(joins, None, left, "promoted")
    assert timedelta(seconds=1) == HASTY.start_timeout
