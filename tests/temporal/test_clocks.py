"""The clocks, in skipped time: hours pass in seconds on the real dev server."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from local.temporal_server import temporal_cli
from membership.policy import Policy
from messages.ids import change_id
from messages.outcomes import Outcome
from messages.requests import JoinRequest
from support.memory.cluster import MemoryCluster
from support.memory.faulty import MemoryClusters
from temporal_workers import make_workers, running

SKIPPING = ["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"]

# Seconds. The server skips the hour after which a change in line looks whether its turns still run.
SKIPPED = 3600


# Time is skipped only while no activity runs: an attempt of a wait is short, and the next one comes minutes later.
BRIEF = {"patience": 0.0, "pause": timedelta(minutes=4)}


@pytest.fixture(scope="module")
async def skipping():
    """A dev server whose time skips what nobody works at."""
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=temporal_cli(), dev_server_extra_args=SKIPPING, data_converter=pydantic_data_converter
    )
    async with environment:
        yield environment.client


@asynccontextmanager
async def working(client, **waits):
    """A worker on clusters in memory."""
    queue = f"clocks-{uuid4()}"
    clusters = MemoryClusters(queue)
    workers = make_workers(client, clusters, queue, [queue], **waits)
    async with running(workers):
        yield client, clusters, queue


@pytest.fixture(scope="module")
async def skipped(skipping):
    """A worker whose waits give way at once."""
    async with working(skipping, **BRIEF) as made:
        yield made


async def run(skipped, policy: Policy, prepare=lambda cluster: None, **request) -> tuple[Outcome, str, MemoryCluster]:
    """A join that nothing helps; gives its outcome and the failure's type."""
    client, clusters, queue = skipped
    name = f"c-{uuid4()}"
    cluster = clusters.add(name, MemoryCluster(3), policy)
    prepare(cluster)
    asked = JoinRequest(cluster=name, name="etcd-4", peer_urls=("http://etcd-4:2380",), **request)
    handle = await client.start_workflow("JoinMember", asked, id=change_id(name, "join", "etcd-4"), task_queue=queue)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    return Outcome.model_validate(failed.value.cause.details[0]), failed.value.cause.type, cluster


async def test_start_timeout(skipped):
    """Ten minutes for a member that never starts, from the add on; then its learner is removed."""
    began = time.monotonic()
    outcome, error, cluster = await run(skipped, Policy(start_timeout="10m"))
    assert (error, outcome.outcome) == ("StartTimeout", "rolled-back")
    assert 600 <= outcome.seconds["total"] < 1000 + SKIPPED
    assert time.monotonic() - began < 120
    assert [what for what, _ in cluster.applied] == ["add", "remove"]


async def test_join_timeout(skipped):
    """Two hours in all: a learner that started and never answers."""

    def half_started(cluster):
        cluster.on_added = lambda member: setattr(member, "name", "etcd-4")

    outcome, error, cluster = await run(skipped, Policy(join_timeout="2h", start_timeout="30m"), half_started)
    assert (error, outcome.outcome) == ("JoinTimeout", "rolled-back")
    assert 7200 <= outcome.seconds["total"] < 8200 + SKIPPED
    assert [what for what, _ in cluster.applied] == ["add", "remove"]


async def test_join_timeout_counts_while_others_hold_the_slot(skipped):
    """Somebody else's learner never goes: the join ends, and touches nothing."""

    def occupied(cluster):
        cluster.add_learner(("http://foreign:2380",))

    outcome, error, cluster = await run(skipped, Policy(join_timeout="90m", foreign_learner_timeout="10h"), occupied)
    assert (error, outcome.outcome) == ("JoinTimeout", "failed")
    assert 5400 <= outcome.seconds["total"] < 6400 + SKIPPED
    assert [what for what, _ in cluster.applied] == ["add"]


async def test_stall_timeout(skipping):
    """
    Only the time counts in which somebody watched: an attempt adds a second, and the minutes between two nothing.

    What they add up to goes from one attempt to the next with the heartbeat.
    """

    def stuck(cluster):
        def on_added(member):
            cluster.start(member.id, "etcd-4")
            cluster.sync = lambda: setattr(member, "match", 10)

        cluster.on_added = on_added

    async with working(skipping, **{**BRIEF, "patience": 1.0}) as made:
        outcome, error, cluster = await run(made, Policy(stall_timeout="5s", max_lag_entries=0), stuck)
    assert (error, outcome.outcome) == ("LearnerStalled", "rolled-back")
    assert "no progress for 5 s" in outcome.reason
    assert outcome.seconds["sync"] >= 4 * 240
    assert [what for what, _ in cluster.applied] == ["add", "remove"]


async def test_foreign_learner_timeout(skipped):
    """Named, and left alone."""

    def occupied(cluster):
        cluster.add_learner(("http://foreign:2380",))

    outcome, error, cluster = await run(skipped, Policy(foreign_learner_timeout="40m"), occupied)
    assert (error, outcome.outcome) == ("ForeignLearner", "failed")
    assert "http://foreign:2380" in outcome.reason
    assert 2400 <= outcome.seconds["total"] < 3400 + SKIPPED
    assert [what for what, _ in cluster.applied] == ["add"]
