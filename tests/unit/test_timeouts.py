"""The time-outs of activities."""

from __future__ import annotations

import pytest

from workflows import timeouts

WAITS_FOR_A_WORKER = ("LOOK", "FIRST_LOOK", "WAIT", "LONG_WAIT", "WATCH", "ASK", "ACT")


@pytest.mark.parametrize("name", WAITS_FOR_A_WORKER)
def test_a_change_waits_for_a_worker(name):
    """However long one is missing: these limits begin when a worker takes the activity."""
    config = getattr(timeouts, name)
    assert not {"schedule_to_start_timeout", "schedule_to_close_timeout"} & config.keys()
    assert config["start_to_close_timeout"]
