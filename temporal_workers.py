"""Temporal's workers of one process, one for each task queue that it polls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.common import VersioningBehavior
from temporalio.worker import Worker, WorkerDeploymentConfig, WorkerDeploymentVersion

from activities.admission import Admission
from activities.callers import OwnCallers
from activities.clusters_file import Clusters
from activities.register import Activities, short_activities, waits, watches
from activities.repeated_looks import PLACES
from activities.temporal import Temporal
from client.own_operations import OwnOperations
from client.told_end import read_end
from logs import BindActivity
from messages.queues import waits_queue, watches_queue
from messages.turns import ACT_DEADLINE
from settings import Deployment, build_id
from workflow_code import keep_workflow_code
from workflows.arguments import PlainStarts
from workflows.register import WORKFLOWS, turns_of

# Waits have a queue and places of their own (PLACES), so that acts and short looks never stand behind them.
_SHORT_PLACES = 200
_WATCH_PLACES = 10_000
# Workflows that stay in memory: 100 changes, of 0.3 MB each, with their turns. A change that waits does nothing for
# hours, and is read again from its history where something happens. Python looks through all of them for garbage.
_KEPT_WORKFLOWS = 200
# A task waits so long for the worker that has its workflow in memory, since a busy worker needs seconds. Where that
# worker was killed, any other one takes the task after this time.
_REMEMBERED = timedelta(seconds=5)
# An act under way ends within this time after SIGTERM.
GRACE = timedelta(seconds=ACT_DEADLINE + 4)


def make_workers(
    client: Client,
    clusters: Clusters,
    workflow_queue: str,
    serves: Sequence[str],
    *,
    deployment: Deployment | None = None,
    places: int = PLACES,
    nexus: Sequence[object] = (),
    **limits: Any,
) -> list[Worker]:
    """
    Two workers for each served queue: one for short activities, and one for waits.

    The first worker of `workflow_queue` also runs the workflows. A third one watches the holders of turns.
    `places`: the number of waits that run at once. `nexus`: the handlers of Nexus services, beside the workflows.
    `limits`: those of `Waits`, for tests.
    """
    keep_workflow_code()
    temporal = Temporal(client)
    admission = Admission()
    short = short_activities(clusters, temporal, admission)
    workers = []
    for queue in serves:
        workflows: Sequence[type] = ()
        services: Sequence[object] = ()
        if queue == workflow_queue:
            workflows, services = [*WORKFLOWS, turns_of(deployment)], nexus
            watching = watches(clusters, temporal, admission, read_end)
            workers.append(_worker(client, watches_queue(queue), watching, _WATCH_PLACES, deployment))
        workers.append(_worker(client, queue, short, _SHORT_PLACES, deployment, workflows, services))
        waiting = waits(clusters, temporal, admission, places=places, **limits)
        workers.append(_worker(client, waits_queue(queue), waiting, places, deployment))
    return workers


@asynccontextmanager
async def running(workers: Sequence[Worker]) -> AsyncIterator[None]:
    """Runs all workers, and stops them at the end."""
    async with AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker)
        yield


def _worker(
    client: Client,
    queue: str,
    activities: Activities,
    places: int,
    deployment: Deployment | None,
    workflows: Sequence[type] = (),
    services: Sequence[object] = (),
) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=workflows,
        activities=activities,
        nexus_service_handlers=services,
        activity_executor=ThreadPoolExecutor(places),
        interceptors=[BindActivity(), OwnCallers(), OwnOperations(), PlainStarts()],
        max_concurrent_activities=places,
        max_cached_workflows=_KEPT_WORKFLOWS,
        # A killed worker's change goes on within seconds of its restart.
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        sticky_queue_schedule_to_start_timeout=_REMEMBERED,
        graceful_shutdown_timeout=GRACE,
        **_version(deployment),
    )


def _version(deployment: Deployment | None) -> dict[str, Any]:
    if deployment is None:
        # Without a build ID the SDK hashes the code of every module, for seconds at each start.
        return {"build_id": f"memberflow {build_id()}"}
    version = WorkerDeploymentVersion(deployment.name, deployment.build_id)
    config = WorkerDeploymentConfig(
        version, use_worker_versioning=True, default_versioning_behavior=VersioningBehavior.PINNED
    )
    return {"deployment_config": config}
