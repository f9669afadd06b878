"""How long a change waits before another attempt."""

from __future__ import annotations

import pytest

from membership.policy import LONGEST
from workflows.new_run import EVENTS, FORWARD
from workflows.pauses import pause_after

# A look, an act, two looks after it, a pause; the turn given back and taken again.
EVENTS_OF_AN_ATTEMPT = 60


def attempts_within(seconds, error):
    """How many attempts a change makes in this time, when none has an effect and none takes any time."""
    attempts, now = 1, 0.0
    while (now := now + pause_after(error, attempts, now)) <= seconds:
        attempts += 1
    return attempts


@pytest.mark.parametrize("error", ["NotSent", "Unhealthy", "DeadlineExceeded"])
def test_no_clock_outlives_the_history_of_a_change(error):
    """The longest time that a policy can give it has few enough attempts."""
    events = EVENTS_OF_AN_ATTEMPT * attempts_within(LONGEST.total_seconds(), error)
    assert events < FORWARD * EVENTS


def test_a_young_cluster_is_asked_again_and_again_until_etcd_has_counted_five_seconds():
    """The pauses are even until then, and grow where the cluster is unhealthy for another reason."""
    pauses = [pause_after("Unhealthy", n, 0) for n in range(1, 11)]
    assert pauses[:8] == [0.8] * 8
    assert pauses[8:] == pytest.approx([1.2, 1.8])
    assert sum(pauses[:7]) > 5.0


def test_the_first_attempts_come_soon():
    """Within the first quarter of an hour a learner that was not ready is promoted without much delay."""
    assert [pause_after("LearnerNotReady", n, 2.0 * n) for n in (1, 2, 3)] == [0.5, 0.75, 1.125]
    assert pause_after("NotSent", 100, 900) == 300
    assert pause_after("NotSent", 100, 86_400) == pytest.approx(2592)
