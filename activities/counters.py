"""The counters of looks and acts. The worker's metrics show them. Without `--metrics` they cost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio import activity

from membership.errors import MemberflowError
from messages.orders import ActReport

#: The label of a cluster that the clusters file does not have. Callers choose that name, so it is not shown.
UNKNOWN = "unknown"


@contextmanager
def counted_look(cluster: str) -> Iterator[None]:
    """Counts a look, and the name of the error that it raises."""
    result = "ok"
    try:
        yield
    except MemberflowError as error:
        result = error.name
        raise
    finally:
        counter = activity.metric_meter().create_counter("memberflow_looks", "Looks at a cluster, by result.")
        counter.add(1, {"cluster": cluster, "result": result})


def count_notice(cluster: str, result: str) -> None:
    """Counts an attempt to tell how a change ended: `delivered`, or the name of the error."""
    counter = activity.metric_meter().create_counter(
        "memberflow_notices", "Attempts to tell a receiver how a change ended, by result."
    )
    counter.add(1, {"cluster": cluster, "result": result})


def count_act(cluster: str, report: ActReport) -> None:
    """Counts an act. Its result is `applied`, `answer-lost`, or the name of the error."""
    result = report.error or ("answer-lost" if report.answer_lost else "applied")
    counter = activity.metric_meter().create_counter("memberflow_acts", "Acts on a cluster, by result.")
    counter.add(1, {"cluster": cluster, "result": result})
