"""The names of task queues."""

from __future__ import annotations

import pytest

from messages.queues import served_queue, waits_queue, watches_queue


@pytest.mark.parametrize("queue", ["memberflow", "memberflow-site-a"])
def test_a_hint_names_the_queue_that_a_worker_serves(queue):
    """An operator who is told `--serve QUEUE-waits` would start a worker without acts."""
    assert served_queue(waits_queue(queue)) == queue
    assert served_queue(watches_queue(queue)) == queue
    assert served_queue(queue) == queue
