"""The worker: the only place that joins workflows, activities and etcd."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from typing import Any, NoReturn

import structlog
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.acts import Acts
from activities.launch import Launching
from activities.observe import Observe
from activities.past import Past
from activities.ports import Clusters
from activities.settling import Settling
from activities.snapshot import Snapshots
from activities.temporal import Temporal
from activities.turns import Turns
from activities.watch import Watch
from client.connection import connect
from client.errors import command_error
from client.exit_codes import DONE, OUT_OF_REACH, CommandError, end_process, print_error
from clusters import ClustersFile
from etcdapi.client import EtcdClient
from launchers.docker_engine import DockerLauncher
from logs import BindActivity, set_up_logs
from messages.queues import waits_queue
from messages.turns import ACT_DEADLINE
from settings import Settings, read_settings
from workflows.ends import OneArgument
from workflows.inspect import InspectCluster, ListClusters
from workflows.join import JoinMember
from workflows.plan import PlanChange
from workflows.remove import RemoveMember
from workflows.replace import ReplaceMember
from workflows.turns import ClusterTurns

WORKFLOWS = [JoinMember, RemoveMember, ReplaceMember, ClusterTurns, InspectCluster, ListClusters, PlanChange]

# Waits have a queue and places of their own, so that acts and short looks never stand behind them.
_WAITS = 1000
_ACTS = 200


def make_workers(
    client: Client, clusters: Clusters, workflow_queue: str, serves: Sequence[str], **waits: Any
) -> list[Worker]:
    """
    Two workers per served queue: for acts and looks, and for waits. That of `workflow_queue` also runs the workflows.

    `waits` says where the waits must differ: `patience`, `pause`, `places`, and the `clock` of the sync watch.
    """
    temporal = Temporal(client)
    places = int(waits.setdefault("places", _WAITS))
    acts = _activities(clusters, temporal, waits)
    workers = []
    for queue in serves:
        workflows = WORKFLOWS if queue == workflow_queue else []
        workers.append(_worker(client, queue, acts, _ACTS, workflows))
        watch = Watch(clusters, temporal, **waits)
        waiting: list[Callable[..., Any]] = [watch.wait_for_cluster, watch.wait_for_sync, watch.wait_for_verification]
        waiting.append(Turns(temporal).watch_holder)
        workers.append(_worker(client, waits_queue(queue), waiting, places, []))
    return workers


@asynccontextmanager
async def running(workers: Sequence[Worker]) -> AsyncIterator[None]:
    """Runs all of them, and stops them in the end."""
    async with AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker)
        yield


def _worker(
    client: Client, queue: str, activities: list[Callable[..., Any]], slots: int, workflows: list[type]
) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=workflows,
        activities=activities,
        activity_executor=ThreadPoolExecutor(slots),
        interceptors=[BindActivity(), OneArgument()],
        # Else the SDK hashes the code of every module, for seconds at each start.
        build_id=f"memberflow {version('memberflow')}",
        max_concurrent_activities=slots,
        # A killed worker's change goes on within seconds of its restart.
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        graceful_shutdown_timeout=timedelta(seconds=ACT_DEADLINE + 4),
    )


def _activities(clusters: Clusters, temporal: Temporal, waits: dict[str, Any]) -> list[Callable[..., Any]]:
    acts, observe = Acts(clusters, temporal), Observe(clusters, temporal)
    settling = Settling(clusters, temporal, **{name: value for name, value in waits.items() if name == "clock"})
    launching, snapshots = Launching(clusters, temporal), Snapshots(clusters, temporal)
    turns = Turns(temporal)
    return [
        *(observe.read_profile, observe.list_clusters, observe.look_beforehand),
        *(observe.check_status, observe.check_status_and_turns, observe.check_after_barrier),
        settling.wait_until_settled,
        *(acts.add_learner, acts.promote_learner, acts.move_leader, acts.remove_learner, acts.remove_member),
        *(launching.check_launcher, launching.launch_member, launching.describe_launched, launching.stop_launched),
        snapshots.save_snapshot,
        *(turns.ask_turn, turns.turns_run, turns.read_turns, turns.preempt, turns.cancel_change),
        *(turns.ask_change, turns.find_changes),
        Past(temporal).began_with,
    ]


async def run_worker(settings: Settings, serves: Sequence[str]) -> None:
    """Runs until SIGTERM or SIGINT; an act under way then ends, a wait moves on to another worker."""
    log = structlog.get_logger("memberflow.worker")
    clusters = ClustersFile(settings.clusters_file, EtcdClient, DockerLauncher, serves, settings.task_queue)
    names = clusters.names()
    client = await connect(settings)
    # Else the SDK's own check would end it, in words that tell no wrong namespace from a server that is away.
    await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    workers = make_workers(client, clusters, settings.task_queue, serves)
    try:
        async with running(workers):
            log.info("worker runs", temporal=settings.address, serves=list(serves), clusters=list(names))
            await stop.wait()
            log.info("worker stops: acts under way end first")
            await asyncio.gather(*(worker.shutdown() for worker in workers))
    except RuntimeError as error:
        raise CommandError(
            OUT_OF_REACH, f"the worker can't go on: {error}", "start it again when Temporal answers"
        ) from error
    log.info("worker has stopped")


def main(serves: Sequence[str] = ()) -> NoReturn:
    """Entry of `python worker.py` and `memberflow worker`; exits 2 for a wrong configuration, 3 without Temporal."""
    set_up_logs()
    try:
        settings = read_settings()
        asyncio.run(run_worker(settings, list(serves) or [settings.task_queue]))
    except Exception as error:  # noqa: BLE001  (each has its exit code)
        ended = command_error(error)
        print_error(ended)
        end_process(ended.code)
    end_process(DONE)


def parse_arguments(args: Sequence[str]) -> list[str]:
    """The activity queues to poll, from the arguments of `python worker.py`: those of `memberflow worker`."""
    parser = argparse.ArgumentParser(prog="worker.py", description="Runs memberflow's worker.")
    parser.add_argument(
        "--serve",
        metavar="QUEUE",
        action="append",
        default=[],
        help="activity queue to poll, repeatable (default: the workflow queue alone)",
    )
    serves: list[str] = parser.parse_args(args).serve
    return serves


if __name__ == "__main__":
    main(parse_arguments(sys.argv[1:]))
