"""The counters of a change. Temporal's meter is silent while a workflow replays, so nothing is counted twice."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow


def count_end(cluster: str, verb: str, outcome: str, failure: str = "") -> None:
    """Counts a change that ends. `failure` is the type under which its workflow fails, empty for a success."""
    counter = workflow.metric_meter().create_counter("memberflow_changes", "Changes that ended.")
    counter.add(1, {"cluster": cluster, "verb": verb, "outcome": outcome, "failure": failure})


def count_lost_notice(cluster: str) -> None:
    """Counts a message about the end of a change that is not sent again."""
    counter = workflow.metric_meter().create_counter(
        "memberflow_notices_lost", "Messages that no receiver took, and that are not sent again."
    )
    counter.add(1, {"cluster": cluster})


def record_stage(verb: str, stage: str, seconds: float) -> None:
    """Records the duration of a stage that has ended."""
    histogram = workflow.metric_meter().create_histogram_timedelta(
        "memberflow_stage", "Time that changes spent in a stage.", "seconds"
    )
    histogram.record(timedelta(seconds=max(0.0, seconds)), {"verb": verb, "stage": stage})
