"""Python's own settings for a worker: when it looks for garbage, and when its threads take turns."""

from __future__ import annotations

import gc
import sys

# New objects after which Python looks for garbage, and how many such looks make it look at older, and at all objects.
# Each workflow in memory has its own copy of the workflow modules. At Python's own 700, 10 and 10, looking takes a
# fifth of a busy worker's time. With rare looks at all objects, workflows that have left the memory pile up as garbage.
_COLLECT_AFTER = (20_000, 5, 1)
# Seconds for which a thread may keep others from running Python, a tenth of the default. One thread speaks to Temporal,
# beside a thread for each wait: with the default, hundreds of waits keep its answers back for seconds.
_THREADS_TAKE_TURNS = 0.0005


def tune() -> None:
    """For this process, once everything that it needs is imported."""
    sys.setswitchinterval(_THREADS_TAKE_TURNS)
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
