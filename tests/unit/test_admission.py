"""Admission: not too many clusters begin together, and a cluster with many changes holds up no other cluster."""

from __future__ import annotations

import pytest
from temporalio.exceptions import ApplicationError

from activities.admission import ASKED, MOST, QUIET, QUIET_IN_TURN, SOONEST, Admission
from activities.looks import Looks
from membership.errors import ClusterUnreachable
from messages.orders import LookOrder
from support.memory.cluster import MemoryCluster
from support.memory.etcd import MemoryEtcd
from support.memory.inside import inside


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


def test_a_change_that_has_asked_for_its_turn_is_waited_for_longer(full, clock):
    """A busy worker needs more than five seconds from one step to the next."""
    for n in range(MOST):
        full.note(f"c{n}", has_asked=True)
    clock.now += QUIET_IN_TURN - 0.1
    for n in range(1, MOST):
        full.note(f"c{n}")
    clock.now += 0.1
    assert full.delay("late") == 0.0
    clock.now += QUIET_IN_TURN - 0.2
    assert full.delay("later") == 0.0
    assert full.delay("one too many") > 0


def test_a_change_that_waits_for_its_member_makes_room(full):
    full.end("c7")
    full.end("another")
    assert full.delay("late") == 0.0
    assert full.delay("later") > 0


def test_looks_at_other_clusters_do_not_count(full, clock):
    """A change that has waited for long is looked at, too."""
    clock.now += QUIET - 0.1
    for n in range(MOST):
        full.note(f"waiting{n}")
    clock.now += 0.1
    assert full.delay("late") == 0.0


def test_those_that_wait_do_not_ask_all_at_once(full):
    delays = [full.delay(f"late{n}") for n in range(100)]
    assert delays == pytest.approx([SOONEST + n / ASKED for n in range(100)])


def test_more_changes_of_a_cluster_that_begins_pass_with_it(full):
    assert [full.delay("c0") for _ in range(3)] == [0.0] * 3


def test_one_more_change_of_a_cluster_does_not_shorten_the_time_of_the_first(full, clock):
    full.note("c0", has_asked=True)
    assert full.delay("c0") == 0.0
    clock.now += QUIET_IN_TURN - 0.1
    assert [full.delay(f"late{n}") for n in range(MOST - 1)] == [0.0] * (MOST - 1)
    assert full.delay("one too many") > 0


def test_a_thousand_changes_of_one_cluster_hold_up_no_other_cluster(admission):
    assert [admission.delay("noisy") for _ in range(1000)] == [0.0] * 1000
    assert admission.delay("calm") == 0.0


class Down:
    """A cluster that does not answer."""

    def expecting(self, cluster_id, voter_urls):
        return self

    def look(self, avoid, scope):
        raise ClusterUnreachable("nothing answers")


class File:
    """A clusters file with one cluster."""

    def __init__(self, etcd):
        self._etcd = etcd

    def connect(self, cluster):
        return self._etcd


def test_only_a_cluster_that_answers_keeps_its_place(full, clock):
    """Forty clusters that are down must not keep others from beginning for as long as their changes try."""
    down, up = Looks(File(Down()), None, full), Looks(File(MemoryEtcd(MemoryCluster(3))), None, full)
    clock.now += QUIET - 0.1
    for n in range(MOST - 1):
        with pytest.raises(ApplicationError, match="nothing answers"):
            inside("check_status").run(down.check_status, LookOrder(f"c{n}"))
    inside("check_status").run(up.check_status, LookOrder(f"c{MOST - 1}"))
    clock.now += QUIET - 0.1
    assert [full.delay(f"late{n}") for n in range(MOST - 1)] == [0.0] * (MOST - 1)
    assert full.delay("one too many") > 0
