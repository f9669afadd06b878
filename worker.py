"""The worker process: reads its configuration, connects to everything, and runs until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
from collections.abc import Sequence
from typing import NoReturn

import structlog
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from activities.credentials import FileWatch
from client.command_errors import command_error
from client.connect import connect
from client.exit_codes import DONE, OUT_OF_REACH, CommandError, end_process, print_error
from client.traces import flush, tracer
from clusters import ClustersFile
from etcdapi.client import EtcdClient
from etcdapi.discovery import Discovery
from launchers.config import LauncherConfig
from logs import set_up_logs
from messages.launching import Launcher
from monitoring.metrics import new_exporter, shown
from nexus_service import MemberflowHandler
from settings import Settings, quiet_runtime, read_settings
from temporal_workers import make_workers, running

# New objects after which Python looks for garbage, and how many such looks make it look at older, and at all objects.
# Each workflow in memory has its own copy of the workflow modules. At Python's own 700, 10 and 10, looking takes a
# fifth of a busy worker's time. With rare looks at all objects, workflows that have left the memory pile up as garbage.
_COLLECT_AFTER = (20_000, 5, 1)


async def run_worker(settings: Settings, serves: Sequence[str], *, nexus: bool = False) -> None:
    """
    Runs until SIGTERM or SIGINT. An act under way then ends, and a wait moves on to another worker.

    `nexus`: whether it also answers the operations of the Nexus service.
    """
    log = structlog.get_logger("memberflow.worker")
    clusters = ClustersFile(
        settings.clusters_file, EtcdClient, docker_launcher, Discovery().find, serves, settings.task_queue
    )
    names = clusters.names()
    exporter = new_exporter() if settings.metrics else None
    client = await connect(settings, quiet_runtime(exporter))
    if settings.traces:
        from etcdapi.tracing import trace_calls

        trace_calls(tracer())
    # The SDK's own check does not distinguish a wrong namespace from a server that is away.
    await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    queue, services = settings.task_queue, [MemberflowHandler(settings.task_queue)] if nexus else []
    workers = make_workers(client, clusters, queue, serves, deployment=settings.deployment, nexus=services)
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    try:
        showing = shown(settings.metrics, exporter, client, clusters, serves)
        async with showing, running(workers), FileWatch(clusters, serves).running():
            log.info("worker runs", temporal=settings.address, serves=list(serves), clusters=list(names))
            await stop.wait()
            log.info("worker stops: acts under way end first")
            await asyncio.gather(*(worker.shutdown() for worker in workers))
    except RuntimeError as error:
        hint = "start it again when Temporal answers"
        raise CommandError(OUT_OF_REACH, f"the worker can't go on: {error}", hint) from error
    log.info("worker has stopped")


def docker_launcher(config: LauncherConfig) -> Launcher:
    """Imports Docker's SDK at the first launch: most workers launch nothing, and it is a fifth of their imports."""
    from launchers.docker_launcher import DockerLauncher

    return DockerLauncher(config)


def main(serves: Sequence[str] = (), deployment: str = "", metrics: str = "", *, nexus: bool = False) -> NoReturn:
    """Entry of `python worker.py` and `memberflow worker`. Exits 2 for a wrong configuration, 3 without Temporal."""
    set_up_logs()
    try:
        settings = read_settings(deployment, metrics)
        asyncio.run(run_worker(settings, list(serves) or [settings.task_queue], nexus=nexus))
    except Exception as error:  # noqa: BLE001  (each has its exit code)
        ended = command_error(error)
        print_error(ended)
        flush()
        end_process(ended.code)
    flush()
    end_process(DONE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="worker.py", description="Runs memberflow's worker.")
    parser.add_argument(
        "--serve", metavar="QUEUE", action="append", default=[], help="activity queue to poll (repeatable)"
    )
    parser.add_argument("--deployment", metavar="NAME", default="", help="Temporal worker deployment of this worker")
    parser.add_argument("--metrics", metavar="HOST:PORT", default="", help="address of /metrics, /healthz and /readyz")
    parser.add_argument("--nexus", action="store_true", help="answer the operations of the Nexus service memberflow")
    given = parser.parse_args()
    main(given.serve, given.deployment, given.metrics, nexus=given.nexus)
