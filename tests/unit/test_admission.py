"""Admission: not too many clusters begin together, and a cluster with many changes holds up no other cluster."""

from __future__ import annotations

import pytest

from activities.admission import ASKED, MOST, QUIET, SOONEST, Admission


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def admission(clock):
    return Admission(clock)


@pytest.fixture
def full(admission):
    assert [admission.delay(f"c{n}") for n in range(MOST)] == [0.0] * MOST
    return admission


def test_one_more_must_wait_until_one_is_quiet(full, clock):
    assert full.delay("late") == SOONEST
    clock.now += QUIET - 0.1
    assert full.delay("late") > 0
    clock.now += 0.1
    assert full.delay("late") == 0.0


def test_a_cluster_that_is_looked_at_is_not_quiet(full, clock):
    clock.now += QUIET - 0.1
    for n in range(MOST):
        full.note(f"c{n}")
    clock.now += QUIET - 0.1
    assert full.delay("late") > 0


def test_a_change_that_waits_for_its_member_makes_room(full):
    full.end("c7")
    full.end("another")
    assert full.delay("late") == 0.0
    assert full.delay("later") > 0


def test_looks_at_other_clusters_do_not_count(full, clock):
    """A change that has waited for long is looked at, too."""
    for n in range(MOST):
        full.note(f"waiting{n}")
    clock.now += QUIET
    assert full.delay("late") == 0.0


def test_those_that_wait_do_not_ask_all_at_once(full):
    delays = [full.delay(f"late{n}") for n in range(100)]
    assert delays == pytest.approx([SOONEST + n / ASKED for n in range(100)])


def test_a_thousand_changes_of_one_cluster_hold_up_no_other_cluster(admission):
    assert [admission.delay("noisy") for _ in range(1000)] == [0.0] * 1000
    assert admission.delay("calm") == 0.0
