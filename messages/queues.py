"""The task queues that workers poll."""

from __future__ import annotations

_WAITS = "-waits"


def waits_queue(task_queue: str) -> str:
    """
    The queue for the waits of clusters whose other activities run on `task_queue`.

    Acts and short looks never queue behind waits, however many changes wait. Each worker polls both queues.
    """
    return f"{task_queue}{_WAITS}"


def served_queue(task_queue: str) -> str:
    """The queue that `memberflow worker --serve` names, of any queue that its workers poll."""
    return task_queue.removesuffix(_WAITS)
