"""
The metrics of a worker, in Prometheus' text format.

Temporal's exporter holds them all: the SDK's own, the counters of changes and activities, and the gauges that are
measured when Prometheus asks. It listens on the loopback interface, and the worker's endpoint passes its text on.
"""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from temporalio.client import Client
from temporalio.runtime import PrometheusConfig

from clusters import ClustersFile
from monitoring.changes import Changes
from monitoring.clusters import ServedClusters
from monitoring.endpoint import serving
from monitoring.gauges import Gauge
from monitoring.measurements import PATIENCE, Measurements
from monitoring.notices import Notices
from monitoring.readiness import why_not_ready

_STAGE_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400)

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def new_exporter() -> PrometheusConfig:
    """Temporal's exporter, on a free port of the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return PrometheusConfig(
        bind_address=f"127.0.0.1:{port}",
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides={"memberflow_stage": _STAGE_BUCKETS},
    )


class Metrics:
    """The gauges of one worker, and the text of all its metrics."""

    def __init__(
        self, client: Client, clusters: ClustersFile, serves: Sequence[str], exporter: PrometheusConfig
    ) -> None:
        runtime = client.service_client.config.runtime
        assert runtime, "made by this worker"
        meter = runtime.metric_meter
        self._client, self._clusters, self._serves = client, clusters, serves
        self._url = f"http://{exporter.bind_address}/metrics"
        self._changes = Changes(client, meter)
        self._notices = Notices(client, meter)
        self._served = ServedClusters(clusters, serves, meter)
        self._ready = Gauge(meter, "memberflow_ready", "1: connected to Temporal and polling. 0: not.")
        self._measurements = Measurements(
            self._measure_ready,
            self._measure_changes,
            self._measure_notices,
            lambda: asyncio.to_thread(self._served.measure),
        )

    async def text(self) -> tuple[str, bool]:
        """All metrics. The gauges are at most some seconds old, where Temporal and etcd answer in time."""
        await self._measurements.refresh()
        return await asyncio.to_thread(self._exported), True

    async def is_healthy(self) -> tuple[str, bool]:
        """The event loop answers. A worker that cannot go on ends by itself."""
        return "ok\n", True

    async def is_ready(self) -> tuple[str, bool]:
        why = await why_not_ready(self._client, self._serves)
        return f"{why or 'ok'}\n", not why

    async def _measure_ready(self) -> None:
        self._ready.show({(): float(not await why_not_ready(self._client, self._serves))})

    async def _measure_changes(self) -> None:
        await self._changes.measure(await asyncio.to_thread(self._clusters.names))

    async def _measure_notices(self) -> None:
        await self._notices.measure(await asyncio.to_thread(self._clusters.names))

    def _exported(self) -> str:
        with _OPENER.open(self._url, timeout=PATIENCE) as answer:
            return str(answer.read().decode())


@asynccontextmanager
async def shown(
    address: tuple[str, int] | None,
    exporter: PrometheusConfig | None,
    client: Client,
    clusters: ClustersFile,
    serves: Sequence[str],
) -> AsyncIterator[None]:
    """Shows metrics and health of a worker at this address until the block ends. None: nothing is shown."""
    if address is None or exporter is None:
        yield
        return
    metrics = Metrics(client, clusters, serves, exporter)
    paths = {"/metrics": metrics.text, "/healthz": metrics.is_healthy, "/readyz": metrics.is_ready}
    async with serving(address, paths):
        yield
