"""Wakes: few waits wake their workflows at once, and many do so one after the other."""

from __future__ import annotations

from activities.wakes import A_SECOND, AT_ONCE, Wakes
from support.memory.clock import Clock


def test_few_waits_wake_their_workflows_at_once():
    wakes = Wakes(Clock())
    assert all(wakes.take() for _ in range(AT_ONCE))
    assert not wakes.take()


def test_many_waits_take_their_time():
    clock = Clock()
    wakes = Wakes(clock)
    woken = sum(wakes.take() for _ in range(1000))
    for _ in range(100):
        clock.now += 1
        woken += sum(wakes.take() for _ in range(1000))
    assert woken == AT_ONCE + 100 * A_SECOND


def test_a_quiet_hour_saves_up_no_more_than_the_first_ones():
    clock = Clock()
    wakes = Wakes(clock)
    while wakes.take():
        pass
    clock.now += 3600
    assert sum(wakes.take() for _ in range(1000)) == AT_ONCE
