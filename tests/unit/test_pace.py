"""How often the waits of a worker look."""

from __future__ import annotations

import pytest

from activities.pace import LONGEST, SHORTEST, pause_after


def test_a_wait_alone_looks_after_a_share_of_its_age():
    """Young: as often as it may. Old: as rarely as it may."""
    assert [pause_after(age) for age in (0, 1, 10, 100, 1000)] == [SHORTEST, SHORTEST, 0.2, 2.0, LONGEST]


@pytest.mark.parametrize("waits", [10, 100, 300, 500])
def test_all_waits_together_look_a_hundred_times_a_second(waits):
    """However young they are, until each looks as rarely as it may."""
    assert waits / pause_after(0, waits) == pytest.approx(100)


def test_a_few_waits_do_not_slow_each_other_down():
    """And an old wait looks no more often because others wait."""
    assert pause_after(0, 5) == SHORTEST
    assert pause_after(1000, 300) == LONGEST
    assert pause_after(0, 100_000) == LONGEST
