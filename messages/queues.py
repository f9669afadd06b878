"""The task queues that workers poll, and the share of each cluster."""

from __future__ import annotations

#: Workflows run on this queue, unless MEMBERFLOW_TASK_QUEUE names another one.
TASK_QUEUE = "memberflow"

_WAITS = "-waits"
_WATCHES = "-watches"

# Temporal's priority keys: 1 comes first, and tasks without a key have 3. A server without priority ignores them.
# Source: https://docs.temporal.io/develop/task-queue-priority-fairness
#: Turns and acts: a change that has begun never stands behind changes that begin.
URGENT = 1
#: Questions: a person waits for the answer.
SOON = 2

# Temporal's limit for a fairness key, in bytes.
_LONGEST_KEY = 64


def waits_queue(task_queue: str) -> str:
    """
    The queue for the waits of clusters whose other activities run on `task_queue`.

    Acts and short looks never queue behind waits, however many changes wait. Each worker polls both queues.
    """
    return f"{task_queue}{_WAITS}"


def watches_queue(task_queue: str) -> str:
    """
    The queue of the watches that ClusterTurns keeps of its holders, where workflows run on `task_queue`.

    A holder waits while it is watched. On one queue the watches could take every place, and no wait would get one.
    """
    return f"{task_queue}{_WATCHES}"


def served_queue(task_queue: str) -> str:
    """The queue that `memberflow worker --serve` names, of any queue that its workers poll."""
    return task_queue.removesuffix(_WAITS).removesuffix(_WATCHES)


def fairness_key(cluster: str) -> str:
    """
    The key of a cluster's changes and turns. Their activities inherit it.

    A server with fairness (`matching.enableFairness`) gives the tasks of clusters out by turns, so that a burst of
    changes of one cluster holds up no other cluster. Other servers ignore it.
    Source: https://docs.temporal.io/develop/task-queue-priority-fairness
    """
    return cluster.encode()[:_LONGEST_KEY].decode(errors="ignore")
