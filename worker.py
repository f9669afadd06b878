"""The worker: the only place that joins workflows, activities and etcd."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
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

# Each change has two or three long waits; a wait must never keep an act from running.
_SLOTS = 1000


def make_workers(
    client: Client, clusters: Clusters, workflow_queue: str, serves: Sequence[str], **waits: Any
) -> list[Worker]:
    """
    A worker per served queue; the one of `workflow_queue` also runs the workflows.

    `waits` says where the waits must differ: `patience`, `pause`, and the `clock` of the sync watch.
    """
    activities = _activities(client, clusters, waits)
    return [
        Worker(
            client,
            task_queue=queue,
            workflows=WORKFLOWS if queue == workflow_queue else [],
            activities=activities,
            activity_executor=ThreadPoolExecutor(_SLOTS),
            interceptors=[BindActivity(), OneArgument()],
            # Else the SDK hashes the code of every module, for seconds at each start.
            build_id=f"memberflow {version('memberflow')}",
            max_concurrent_activities=_SLOTS,
            # A killed worker's change goes on within seconds of its restart.
            max_heartbeat_throttle_interval=timedelta(seconds=1),
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
            graceful_shutdown_timeout=timedelta(seconds=ACT_DEADLINE + 4),
        )
        for queue in serves
    ]


def _activities(client: Client, clusters: Clusters, waits: dict[str, Any]) -> list[Callable[..., Any]]:
    temporal = Temporal(client)
    acts, observe = Acts(clusters, temporal), Observe(clusters, temporal)
    watch = Watch(clusters, temporal, **waits)
    settling = Settling(clusters, temporal, **{name: value for name, value in waits.items() if name == "clock"})
    launching, snapshots = Launching(clusters, temporal), Snapshots(clusters, temporal)
    turns = Turns(temporal, **{name: value for name, value in waits.items() if name != "clock"})
    return [
        *(observe.read_profile, observe.list_clusters, observe.look_beforehand),
        *(observe.check_status, observe.check_after_barrier),
        *(watch.wait_for_cluster, watch.wait_for_sync, watch.wait_for_verification),
        settling.wait_until_settled,
        *(acts.add_learner, acts.promote_learner, acts.move_leader, acts.remove_learner, acts.remove_member),
        *(launching.check_launcher, launching.launch_member, launching.describe_launched, launching.stop_launched),
        snapshots.save_snapshot,
        *(turns.request_turn, turns.keep_turn, turns.send_claim, turns.read_turns),
        *(turns.watch_holder, turns.cancel_change, Past(temporal).began_with),
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
        async with AsyncExitStack() as stack:
            for worker in workers:
                await stack.enter_async_context(worker)
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
