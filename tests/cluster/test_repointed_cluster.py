"""A name that leads to another real cluster for a while: never evidence, neither in sync nor for a rollback."""

from __future__ import annotations

import pytest

from etcdapi.relay import Fault
from support.checks.afterwards import Before
from support.faults.repointed import another_cluster, lead_away, lead_back, sees_the_other
from support.parts.lab import eventually, once


@pytest.fixture
def other(lab):
    """The only member of another cluster."""
    with another_cluster(lab) as member:
        yield member


def test_in_sync(lab, other):
    """The join neither fails nor forgets its learner, and goes on when the name leads back."""
    cluster = lab.cluster()
    before = Before(cluster)
    join = cluster.join(cluster.new_member())
    join.handover()
    lead_away(cluster, other)
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: sees_the_other(lab, workflow_id), "the join to see the other cluster")
    lead_back(cluster)
    join.start_member()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)
    before.assert_joined(join.new)


def test_in_a_rollback(lab, other):
    """Cancelled there, the join does not say that its learner is gone. It removes it when the name leads back."""
    cluster = lab.cluster()
    before = Before(cluster)
    join = cluster.join(cluster.new_member())
    join.handover()
    lead_away(cluster, other)
    workflow_id = cluster.workflow_id(join.new)
    lab.cancel(workflow_id)
    eventually(lambda: "rollback" in lab.stage(workflow_id), "the rollback")
    eventually(lambda: sees_the_other(lab, workflow_id), "the rollback to see the other cluster")
    assert join.command.is_running()
    lead_back(cluster)
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert cluster.counts() == (1, 0, 1)
    before.assert_unchanged()


def test_as_the_answer_of_a_promote_is_lost(lab, other):
    """Cancelled there, the join does not take its voter for gone: it was promoted, and the cancel came too late."""
    cluster = lab.cluster()
    before = Before(cluster)
    new = cluster.new_member()
    workflow_id = cluster.workflow_id(new)

    def lead_away_and_cancel() -> None:
        lead_away(cluster, other)
        lab.cancel(workflow_id)

    cluster.inject(Fault("MemberPromote", "lose", answered=once(lead_away_and_cancel)))
    join = cluster.join(new)
    join.start_member()
    eventually(lambda: cluster.sent("MemberPromote"), "the promote", 60)
    eventually(lambda: sees_the_other(lab, workflow_id), "the join to see the other cluster", 60)
    assert join.command.is_running()
    lead_back(cluster)
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)
    before.assert_joined(new)
