"""The wait until sent calls are settled: until each one had its effect, or can have none any more."""

from __future__ import annotations

from temporalio import workflow

from workflows.cluster import Cluster
from workflows.timeouts import WAIT

with workflow.unsafe.imports_passed_through():
    from activities.settling import Settling
    from membership.sent_calls import SentCall
    from messages.orders import Settlement, SettleOrder


def start_settling(
    cluster: Cluster, calls: tuple[SentCall, ...], timeout: float, avoid: tuple[str, ...] = ()
) -> workflow.ActivityHandle[Settlement]:
    """Waits for `timeout` seconds at most. The members and client URLs in `avoid` are not asked."""
    cluster_id = cluster.facts.cluster_id
    order = SettleOrder(cluster.name, cluster_id, calls, timeout, cluster.member, avoid, cluster.voter_urls)
    return cluster.start_wait(Settling.wait_until_settled, order, WAIT, "wait until the sent calls are settled")
