"""The messages of `[notify]` that are not delivered yet, as Temporal knows them: the same numbers at every worker."""

from __future__ import annotations

import time
from collections.abc import Collection

from temporalio.client import Client
from temporalio.common import MetricMeter

from messages.notices import NOTIFY_TYPE, cluster_of_notice
from monitoring.gauges import Gauge

# At most so many messages are read, so that a receiver that is away for long costs no more.
_AS_MANY = 2000
_RUNNING = f"WorkflowType = '{NOTIFY_TYPE}' AND ExecutionStatus = 'Running'"


class Notices:
    """Shows for how long the oldest undelivered message of each cluster has waited."""

    def __init__(self, client: Client, meter: MetricMeter) -> None:
        self._client = client
        self._age = Gauge(
            meter,
            "memberflow_notice_age_seconds",
            "Age of the oldest message that its receiver has not taken yet. 0: there is none.",
            "cluster",
        )

    async def measure(self, clusters: Collection[str]) -> None:
        """Raises RPCError when Temporal does not answer."""
        ages = dict.fromkeys(clusters, 0.0)
        async for notice in self._client.list_workflows(_RUNNING, limit=_AS_MANY):
            cluster = cluster_of_notice(notice.id)
            if cluster in ages:
                ages[cluster] = max(ages[cluster], time.time() - notice.start_time.timestamp())
        self._age.show({(cluster,): age for cluster, age in ages.items()})
