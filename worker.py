"""The worker: the only place that joins workflows, activities and etcd."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, NoReturn

import structlog
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.common import VersioningBehavior
from temporalio.worker import Worker, WorkerDeploymentConfig, WorkerDeploymentVersion

from activities.ports import Clusters
from activities.register import Activities, short_activities, waits, watches
from activities.temporal import Temporal
from client.connection import connect
from client.errors import command_error
from client.exit_codes import DONE, OUT_OF_REACH, CommandError, end_process, print_error
from clusters import ClustersFile
from etcdapi.client import EtcdClient
from launchers.docker_engine import DockerLauncher
from logs import BindActivity, set_up_logs
from messages.queues import waits_queue, watches_queue
from messages.turns import ACT_DEADLINE
from settings import Deployment, Settings, build_id, read_settings
from workflows.ends import OneArgument
from workflows.register import WORKFLOWS, turns_of

# Waits have their own queue and their own places, so that acts and short looks never stand behind them.
WAIT_PLACES = 1000
_SHORT_PLACES = 200
_WATCH_PLACES = 10_000


def make_workers(
    client: Client,
    clusters: Clusters,
    workflow_queue: str,
    serves: Sequence[str],
    *,
    deployment: Deployment | None = None,
    places: int = WAIT_PLACES,
    **limits: Any,
) -> list[Worker]:
    """
    Two workers for each served queue: one for short activities, and one for waits.

    The first worker of `workflow_queue` also runs the workflows. A third one watches the holders of turns.
    `places`: the number of waits that run at once. `limits`: those of `Watch`, for tests.
    """
    temporal = Temporal(client)
    short = short_activities(clusters, temporal)
    workers = []
    for queue in serves:
        workflows = []
        if queue == workflow_queue:
            workflows = [*WORKFLOWS, turns_of(deployment)]
            workers.append(_worker(client, watches_queue(queue), watches(temporal), _WATCH_PLACES, deployment))
        workers.append(_worker(client, queue, short, _SHORT_PLACES, deployment, workflows))
        waiting = waits(clusters, temporal, places=places, **limits)
        workers.append(_worker(client, waits_queue(queue), waiting, places, deployment))
    return workers


def _worker(
    client: Client,
    queue: str,
    activities: Activities,
    places: int,
    deployment: Deployment | None,
    workflows: Sequence[type] = (),
) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=workflows,
        activities=activities,
        activity_executor=ThreadPoolExecutor(places),
        interceptors=[BindActivity(), OneArgument()],
        max_concurrent_activities=places,
        # A killed worker's change goes on within seconds of its restart.
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        graceful_shutdown_timeout=timedelta(seconds=ACT_DEADLINE + 4),
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


@asynccontextmanager
async def running(workers: Sequence[Worker]) -> AsyncIterator[None]:
    """Runs all workers, and stops them at the end."""
    async with AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker)
        yield


async def run_worker(settings: Settings, serves: Sequence[str]) -> None:
    """Runs until SIGTERM or SIGINT. An act under way then ends, and a wait moves on to another worker."""
    log = structlog.get_logger("memberflow.worker")
    clusters = ClustersFile(settings.clusters_file, EtcdClient, DockerLauncher, serves, settings.task_queue)
    names = clusters.names()
    client = await connect(settings)
    # The SDK's own check does not distinguish a wrong namespace from a server that is away.
    await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    workers = make_workers(client, clusters, settings.task_queue, serves, deployment=settings.deployment)
    try:
        async with running(workers):
            log.info("worker runs", temporal=settings.address, serves=list(serves), clusters=list(names))
            await stop.wait()
            log.info("worker stops: acts under way end first")
            await asyncio.gather(*(worker.shutdown() for worker in workers))
    except RuntimeError as error:
        hint = "start it again when Temporal answers"
        raise CommandError(OUT_OF_REACH, f"the worker can't go on: {error}", hint) from error
    log.info("worker has stopped")


def main(serves: Sequence[str] = (), deployment: str = "") -> NoReturn:
    """Entry of `python worker.py` and `memberflow worker`. Exits 2 for a wrong configuration, 3 without Temporal."""
    set_up_logs()
    try:
        settings = read_settings(deployment)
        asyncio.run(run_worker(settings, list(serves) or [settings.task_queue]))
    except Exception as error:  # noqa: BLE001  (each has its exit code)
        ended = command_error(error)
        print_error(ended)
        end_process(ended.code)
    end_process(DONE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="worker.py", description="Runs memberflow's worker.")
    parser.add_argument("--serve", metavar="QUEUE", action="append", default=[], help="activity queue; repeatable")
    parser.add_argument("--deployment", metavar="NAME", default="", help="Temporal worker deployment of this worker")
    given = parser.parse_args()
    main(given.serve, given.deployment)
