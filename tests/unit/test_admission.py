"""Admission: not too many changes begin together, and a cluster with many changes holds up no other cluster."""

from __future__ import annotations

import pytest
from temporalio.exceptions import ApplicationError

from activities.admission import ASKED, MOST, MOST_OF_ONE, QUIET, QUIET_IN_TURN, SOONEST, Admission
from activities.looks import Looks
from membership.errors import ClusterUnreachable
from messages.orders import LookOrder
from support.memory.clock import Clock
from support.memory.file import OneCluster
from support.memory.inside import inside


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def admission(clock):
    return Admission(clock)


@pytest.fixture
def full(admission):
    assert [admission.delay(f"c{n}", f"c{n}:a") for n in range(MOST)] == [0.0] * MOST
    return admission


def test_one_more_must_wait_until_one_is_quiet(full, clock):
    assert full.delay("late", "b") == SOONEST
    clock.now += QUIET - 0.1
    assert full.delay("late", "b") > 0
    clock.now += 0.1
    assert full.delay("late", "b") == 0.0


def test_a_cluster_that_is_looked_at_is_not_quiet(full, clock):
    clock.now += QUIET - 0.1
    for n in range(MOST):
        full.note(f"c{n}", f"c{n}:a")
    clock.now += QUIET - 0.1
    assert full.delay("late", "b") > 0


def test_a_change_that_has_asked_for_its_turn_is_waited_for_longer(full, clock):
    """A busy worker needs more than five seconds from one step to the next."""
    for n in range(MOST):
        full.note_asked(f"c{n}", f"c{n}:a")
    clock.now += QUIET_IN_TURN - 0.1
    for n in range(1, MOST):
        full.note(f"c{n}", f"c{n}:a")
    clock.now += 0.1
    assert full.delay("late", "b") == 0.0
    clock.now += QUIET_IN_TURN - 0.2
    assert full.delay("later", "b") == 0.0
    assert full.delay("one too many", "b") > 0


def test_a_change_that_waits_for_its_member_makes_room(full):
    full.end("c7", "c7:a")
    full.end("another", "a")
    assert full.delay("late", "b") == 0.0
    assert full.delay("later", "b") > 0


def test_looks_at_other_clusters_do_not_count(full, clock):
    """A change that has waited for long is looked at, too."""
    clock.now += QUIET - 0.1
    for n in range(MOST):
        full.note(f"waiting{n}", "a")
    clock.now += 0.1
    assert full.delay("late", "b") == 0.0


def test_those_that_wait_do_not_ask_all_at_once(full):
    delays = [full.delay(f"late{n}", "b") for n in range(100)]
    assert delays == pytest.approx([SOONEST + n / ASKED for n in range(100)])


def test_changes_of_a_cluster_begin_together_up_to_a_limit(full):
    assert [full.delay("c0", f"c0:{n}") for n in range(MOST_OF_ONE)] == [0.0] * (MOST_OF_ONE - 1) + [SOONEST]


def test_a_change_that_begins_already_passes_again(full):
    """Its first activity was tried again, since its answer was lost."""
    assert [full.delay("c0", "c0:a") for _ in range(2 * MOST_OF_ONE)] == [0.0] * 2 * MOST_OF_ONE


@pytest.mark.parametrize("over", ["note_asked", "end"])
def test_a_change_that_is_in_line_or_over_makes_room_for_the_next_one_of_its_cluster(full, over):
    for n in range(MOST_OF_ONE):
        full.delay("c0", f"c0:{n}")
    assert full.delay("c0", "late") > 0
    getattr(full, over)("c0", "c0:3")
    assert full.delay("c0", "late") == 0.0
    assert full.delay("c0", "later") > 0


def test_a_change_without_news_makes_room_for_the_next_one_of_its_cluster(full, clock):
    for n in range(MOST_OF_ONE):
        full.delay("c0", f"c0:{n}")
    clock.now += QUIET - 0.1
    for n in range(1, MOST_OF_ONE - 1):
        full.note("c0", f"c0:{n}")
    clock.now += 0.1
    assert [full.delay("c0", f"late{n}") > 0 for n in range(3)] == [False, False, True]


def test_a_cluster_counts_as_long_as_one_of_its_changes_begins(full):
    full.delay("c0", "c0:b")
    full.end("c0", "c0:a")
    assert full.delay("late", "b") > 0
    full.end("c0", "c0:b")
    assert full.delay("late", "b") == 0.0


def test_one_more_change_of_a_cluster_does_not_shorten_the_time_of_the_first(full, clock):
    full.note_asked("c0", "c0:a")
    assert full.delay("c0", "b") == 0.0
    clock.now += QUIET_IN_TURN - 0.1
    assert [full.delay(f"late{n}", "b") for n in range(MOST - 1)] == [0.0] * (MOST - 1)
    assert full.delay("one too many", "b") > 0


def test_a_thousand_changes_of_one_cluster_hold_up_no_other_cluster(admission):
    assert sum(admission.delay("noisy", f"noisy:{n}") == 0 for n in range(1000)) == MOST_OF_ONE
    assert admission.delay("calm", "a") == 0.0


class Down:
    """A cluster that does not answer."""

    def expecting(self, cluster_id, voter_urls):
        return self

    def look(self, avoid, scope):
        raise ClusterUnreachable("nothing answers")


def test_only_a_cluster_that_answers_keeps_its_place(full, clock):
    """Forty clusters that are down must not keep others from beginning for as long as their changes try."""
    down, up = Looks(OneCluster(Down()), None, full), Looks(OneCluster(), None, full)
    clock.now += QUIET - 0.1
    for n in range(MOST - 1):
        with pytest.raises(ApplicationError, match="nothing answers"):
            inside("check_status").run(down.check_status, LookOrder(f"c{n}"))
    inside("check_status").run(up.check_status, LookOrder(f"c{MOST - 1}"))
    clock.now += QUIET - 0.1
    assert [full.delay(f"late{n}", "b") for n in range(MOST - 1)] == [0.0] * (MOST - 1)
    assert full.delay("one too many", "b") > 0
